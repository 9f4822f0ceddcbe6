"""Measures the operator with n SLOs and prints one row as JSON.

    python -m bench.scale --slos 1000

Starts etcd, an API server, Prometheus, an exporter and the operator on free ports of 127.0.0.1, and stops them again.
Run it through `make bench-scale`, which says where dev/cluster's modules are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import daemons
from paths import STATE
from shell import ClusterError, say, step, wait_until

from bench.scale import control_plane, objects, per_slo
from bench.scale.churn import Churn
from bench.scale.metrics import Prometheus
from bench.scale.operator import Operator, Pulse, cpu_seconds, peak_mebibytes, resident_mebibytes
from bench.scale.picture import RESULTS

PATIENCE_SECONDS = 300.0
SETTLE_CYCLES = 3
"""Between the first cycle and measuring: start-up is measured on its own."""
QUERY_TIMEOUT_SECONDS = 12.0
"""More than the default: here Prometheus shares the machine with all that it scrapes."""
FAST_WRITES_PER_SECOND = 200.0
"""For constant series every status is written once, 3,000 of them a cycle, before writes are counted."""
SERIES = ("noisy", "constant")
TOTALS = (
    "perfslo_cycle_duration_seconds_count",
    "perfslo_cycle_duration_seconds_sum",
    "perfslo_cycle_errors_total",
    "perfslo_query_total",
    "perfslo_query_rows_total",
    "perfslo_query_body_bytes_total",
    "perfslo_query_duration_seconds_total",
    "perfslo_query_errors_total",
)
"""Of the operator's metrics, those that are read: those of thousands of SLOs take seconds."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured, and how."""

    slos: int
    minutes: float
    interval_seconds: float
    cycle_seconds: float
    series: tuple[str, ...]


def measure(plan: Plan) -> Row:
    """One row of the table."""
    programs = control_plane.tools()
    prometheus = Prometheus(programs, plan.slos, plan.interval_seconds)
    with step("the control plane, with its objects"):
        count = control_plane.up(programs, objects.stored(plan.slos))
    row: Row = {**asdict(plan), "objects": count, **_machine()}
    port = int(json.loads(control_plane.KUBECONFIG.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2])
    prometheus.start(noisy=plan.series[0] == "noisy")
    for number, kind in enumerate(plan.series):
        if number:
            prometheus.expose(noisy=kind == "noisy")
        with step(f"series of a window ({kind})"):
            time.sleep(7 * plan.interval_seconds)
        row[kind] = _run(plan, prometheus, port, constant=kind == "constant")
        if not number:
            row["per_slo"] = _per_slo(prometheus, plan.slos)
    return row


def _run(plan: Plan, prometheus: Prometheus, api_port: int, constant: bool) -> Row:
    """The operator over some minutes, with these series."""
    writes_per_second = FAST_WRITES_PER_SECOND if constant else 5.0
    operator = Operator(prometheus.address, writes_per_second, QUERY_TIMEOUT_SECONDS, plan.cycle_seconds)
    churn = None if constant else Churn(api_port, plan.slos)
    writes = control_plane.Writes()
    prometheus.load()
    operator.start()
    try:
        first = operator.first_cycle_seconds(PATIENCE_SECONDS)
        say(f"  first cycle: {first:.1f} s, {cpu_seconds(operator.pid):.1f} s of CPU")
        time.sleep(SETTLE_CYCLES * plan.cycle_seconds)
        if constant:
            _settle(writes, plan.cycle_seconds)
        writes.take()
        prometheus.load()
        before, cpu, begun = operator.metrics(*TOTALS), cpu_seconds(operator.pid), time.monotonic()
        of_prometheus = cpu_seconds(daemons.pid_of("prometheus") or 0)
        pulse = Pulse(operator.port)
        time.sleep(plan.minutes * 60)
        pulse.stop()
        seconds, used = time.monotonic() - begun, cpu_seconds(operator.pid) - cpu
        of_prometheus = cpu_seconds(daemons.pid_of("prometheus") or 0) - of_prometheus
        after, wrote, load = operator.metrics(*TOTALS), writes.take(), prometheus.load()
        cycles = after["perfslo_cycle_duration_seconds_count"] - before["perfslo_cycle_duration_seconds_count"]

        def grown(name: str) -> float:
            return after.get(name, 0.0) - before.get(name, 0.0)

        leases = wrote.pop("leases", 0)
        return {
            "first_cycle_seconds": round(first, 1),
            "cycles": cycles,
            "cycle_seconds": round(grown("perfslo_cycle_duration_seconds_sum") / cycles, 2),
            "cpu_percent": round(100 * used / seconds, 1),
            "cpu_seconds_a_cycle": round(used / cycles, 2),
            "resident_mebibytes": round(resident_mebibytes(operator.pid)),
            "peak_mebibytes": round(peak_mebibytes(operator.pid)),
            "queries_a_cycle": round(grown("perfslo_query_total") / cycles, 1),
            "rows_a_cycle": round(grown("perfslo_query_rows_total") / cycles),
            "mebibytes_a_cycle": round(grown("perfslo_query_body_bytes_total") / cycles / 2**20, 2),
            "query_seconds_a_cycle": round(grown("perfslo_query_duration_seconds_total") / cycles, 2),
            "queries_failed": grown("perfslo_query_errors_total"),
            "in_flight": load.in_flight,
            "prometheus_evaluation_seconds_a_cycle": round(load.seconds / cycles, 2),
            "prometheus_cpu_percent": round(100 * of_prometheus / seconds, 1),
            "writes_a_second": round(sum(wrote.values()) / seconds, 2),
            "writes": dict(wrote),
            "lease_writes": leases,
            "pod_changes": churn.changes if churn else 0,
            "cycle_errors": grown("perfslo_cycle_errors_total"),
            "loop_wait_ms": {f"p{q}": round(pulse.quantile(q / 100)) for q in (50, 99, 100)},
        }
    finally:
        operator.stop()
        if churn:
            churn.stop()


def _settle(writes: control_plane.Writes, cycle_seconds: float) -> None:
    """Wait until every status is written."""
    quiet = 0

    def settled() -> bool:
        nonlocal quiet
        time.sleep(cycle_seconds)
        quiet = quiet + 1 if not writes.take()["performanceslos/status"] else 0
        return quiet >= 2

    wait_until("every status is written", settled, timeout_seconds=1800)


def _per_slo(prometheus: Prometheus, slos: int) -> Row:
    """A round of one query for each SLO, after the operator has stopped."""
    prometheus.load()
    pid = daemons.pid_of("prometheus") or 0
    cpu = cpu_seconds(pid)
    asked = per_slo.round_of(prometheus.port, slos)
    cpu = cpu_seconds(pid) - cpu
    time.sleep(1)
    evaluation = prometheus.load().seconds
    return {
        "queries_a_cycle": asked["queries"],
        "round_seconds": round(asked["seconds"], 2),
        "cpu_seconds_a_cycle": round(asked["cpu_seconds"], 2),
        "mebibytes_a_cycle": round(asked["bytes"] / 2**20, 2),
        "prometheus_evaluation_seconds_a_cycle": round(evaluation, 2),
        "prometheus_cpu_seconds_a_cycle": round(cpu, 2),
        "without_a_number": asked["missing"],
    }


def _save(row: Row) -> None:
    """In place of the row with as many SLOs."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = sorted([*(other for other in rows if other["slos"] != row["slos"]), row], key=lambda each: each["slos"])
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


def _machine() -> Row:
    return {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1), "python": platform.python_version()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--slos", type=int, default=1000, help="how many; 3 pods each")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long each kind of series is measured")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between two scrapes")
    parser.add_argument("--cycle", type=float, default=15.0, help="seconds between two cycles of the operator")
    parser.add_argument("--series", choices=(*SERIES, "both"), default="both")
    parser.add_argument("--save", action="store_true", help="put the row into the committed results")
    parser.add_argument("--keep", action="store_true", help="leave logs and data for a look")
    arguments = parser.parse_args()
    if not os.environ.get("PERFSLO_CLUSTER_STATE"):
        parser.error("set PERFSLO_CLUSTER_STATE to a directory that may be emptied, as `make bench-scale` does")
    series = SERIES if arguments.series == "both" else (arguments.series,)
    shutil.rmtree(STATE, ignore_errors=True)
    try:
        plan = Plan(arguments.slos, arguments.minutes, arguments.interval, arguments.cycle, series)
        row = measure(plan)
        print(json.dumps(row, indent=1))
        if arguments.save:
            _save(row)
        return 0
    except ClusterError as error:
        say(f"\nerror: {error}")
        return 1
    finally:
        daemons.stop(daemons.recorded())
        if not arguments.keep:
            shutil.rmtree(STATE, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
