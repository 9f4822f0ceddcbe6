"""One piece of a trace on the real cluster, under perfslo and real rivals one after the other, and in the simulator.

    make cluster images, then make bench-cluster TRACES=dir

Run it through make, which says where dev/cluster's modules are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.cluster import likeness
from bench.cluster.play import BEHAVIOUR, PERCENTILE, THRESHOLD_SECONDS, WORKERS, play, serve
from bench.cluster.policies import POLICIES
from perfslo.simulate import traces
from perfslo.simulate.model import Load, Run, Service
from perfslo.simulate.policies import registry
from perfslo.simulate.run import simulate
from tests.cluster.stage import Stage, Tempo, staged
from tests.conftest import Cluster, cluster_py, serve_crds

RESULTS = Path(__file__).with_name("results.json")
TRACE = "autothrottle_bursty"
FROM_SECONDS, PIECE_SECONDS = 1140.0, 1200.0
SPEED = 2.0
PEAK_RPS = 40.0
REPLICAS = 3
"""At the start."""
TEMPO = Tempo(15, 15)
LOAD_SEED = 1
SEEDS = 20
FIGURES = {"bad_ratio": "{:.2%}", "violation_minutes": "{:.3g}", "replica_minutes": "{:.1f}", "actions": "{:.3g}"}
"""What is compared, and how it is written."""


def piece(directory: Path) -> Load:
    """Twenty minutes of the trace, in ten."""
    whole = traces.read(directory / f"{TRACE}.csv")
    return traces.peaking(traces.hurried(traces.cut(whole, FROM_SECONDS, PIECE_SECONDS), SPEED), PEAK_RPS)


def told(service: Service, load: Load, startup_seconds: list[float], name: str) -> list[Run]:
    """By the simulator, for each seed."""
    scenario = likeness.scenario(TRACE, service, load, REPLICAS, startup_seconds)
    return [simulate(scenario, registry.parse(name)(scenario), seed) for seed in range(SEEDS)]


def ordered(figures: Mapping[str, Mapping[str, float]], by: str) -> list[str]:
    """Policies, the best first."""
    return sorted(figures, key=lambda name: figures[name][by])


def compared(found: dict[str, Any], load: Load) -> None:
    """Put beside what was seen what the simulator tells."""
    service = likeness.service_of(found)
    startup = [seconds for seen in found["real"].values() for seconds in seen["startup_seconds"]]
    found["simulated"] = {name: _told(told(service, load, startup, name)) for name in found["real"]}


def _told(runs: Sequence[Run]) -> dict[str, Any]:
    figures = {name: spread([float(getattr(run, name)) for run in runs]) for name in FIGURES}
    minutes = zip(*(run.minutes for run in runs), strict=True)
    return {**figures, "desired": [round(statistics.fmean(one.desired for one in same), 2) for same in minutes]}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean": round(statistics.fmean(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def report(found: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = ["| policy | bad | | broken min | | replica-minutes | | actions | |", "| --- |" + " ---: |" * 8]
    for name, seen in found["real"].items():
        cells = [name]
        for figure, form in FIGURES.items():
            model = {part: form.format(value) for part, value in found["simulated"][name][figure].items()}
            cells += [form.format(seen[figure]), f"{model['mean']} ({model['lowest']} to {model['highest']})"]
        lines.append(f"| {' | '.join(cells)} |")
    means = {name: {figure: model[figure]["mean"] for figure in FIGURES} for name, model in found["simulated"].items()}
    for by in ("replica_minutes", "bad_ratio"):
        for where, figures in (("real", found["real"]), ("simulated", means)):
            lines.append(f"{by}, {where}: {', '.join(ordered(figures, by))}")
    return "\n".join(lines)


def calibrated(cluster: Cluster) -> Service:
    with staged(cluster) as stage:
        return likeness.learnt(stage)


def measured(cluster: Cluster, name: str, load: Load) -> dict[str, Any]:
    policy = POLICIES[name]
    with staged(cluster) as fresh:
        stage: Stage = replace(fresh, tempo=TEMPO)
        stage.prometheus()
        serve(stage, REPLICAS)
        with policy.needs(stage):
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            return play(stage, load, LOAD_SEED, policy.autoscaler(stage)).as_data()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.cluster", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--traces", type=Path, required=True, help=f"directory with {TRACE}.csv")
    parser.add_argument("--policy", choices=POLICIES, action="append", help="only this one; repeatable")
    parser.add_argument("--simulate", action="store_true", help="only tell anew what the simulator makes of it")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to add to (default: the committed one)")
    options = parser.parse_args()
    load = piece(options.traces)
    found: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    if not options.simulate:
        cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
        serve_crds(cluster)
        if "service" not in found:
            found["service"] = asdict(calibrated(cluster))
            options.results.write_text(json.dumps(found, indent=1) + "\n")
        for name in options.policy or POLICIES:
            found.setdefault("real", {})[name] = {"day": time.strftime("%Y-%m-%d"), **measured(cluster, name, load)}
            print({figure: found["real"][name][figure] for figure in FIGURES}, flush=True)
            options.results.write_text(json.dumps(found, indent=1) + "\n")
    found["scene"] = {
        "trace": TRACE,
        "from_seconds": FROM_SECONDS,
        "seconds": PIECE_SECONDS,
        "speed": SPEED,
        "peak_rps": PEAK_RPS,
        "behaviour": BEHAVIOUR,
        "workers": WORKERS,
        "threshold_seconds": THRESHOLD_SECONDS,
        "percentile": PERCENTILE,
        "seeds": SEEDS,
    }
    compared(found, load)
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    print(report(found))


if __name__ == "__main__":
    main()
