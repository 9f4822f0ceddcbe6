"""Sends random load to the demo service on the local cluster, and asks the simulator what should have come of it.

make cluster && python3 dev/cluster/cluster.py image demo, then python -m bench.validate --save
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import real
from demo import render
from perfslo.simulate.calibrate import calibrate
from perfslo.simulate.model import Balancing, Load, Service
from perfslo.simulate.past import Moment, Past
from perfslo.simulate.run import steady_bad_ratio, true_capacity

RESULTS = Path(__file__).parent / "results.json"
NAMESPACE = "perfslo-validate"
BEHAVIOUR = {"wait_ms": 55.0, "cpu_ms": 0.2, "cv": 0.5}
WORKERS = 2
THRESHOLD_SECONDS = 0.250
PERCENTILE = 95.0
ALLOWED = 1.0 - PERCENTILE / 100.0
CALIBRATED_RPS = (12.0, 25.0)
TESTED_RPS = (15.0, 17.0, 19.0, 21.0, 23.0, 27.0)
"""Requests a second and pod; two workers of 55 ms complete 36 at most."""
REPLICAS = (1, 2, 4)
WARM_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """One load on so many pods."""

    replicas: int
    rps_per_pod: float
    requests: int
    seen: float
    """Share of the requests that were slow or failed, by the clients' clocks."""
    simulated: float

    @property
    def agrees(self) -> bool:
        """Within a fifth, or half a point."""
        return abs(self.seen - self.simulated) <= max(0.2 * self.simulated, 0.005)


class Stage:
    """A namespace with a service for each number of replicas."""

    def __init__(self) -> None:
        self._kubectl = Path(_cluster("bin"), "kubectl")
        self._config = _cluster("kubeconfig")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [str(self._kubectl), f"--kubeconfig={self._config}", f"--namespace={NAMESPACE}", *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    def open(self) -> None:
        self.kubectl("create", "namespace", NAMESPACE)
        for replicas in REPLICAS:
            text = render.service(_name(replicas), replicas=replicas, workers=WORKERS, behaviour=BEHAVIOUR)
            self.kubectl("apply", "--filename=-", stdin=text)
        for replicas in REPLICAS:
            self.kubectl("rollout", "status", f"deployment/{_name(replicas)}", "--timeout=180s")

    def close(self) -> None:
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")

    def address(self, replicas: int) -> str:
        return real.address(self.kubectl, _name(replicas))

    def buckets(self) -> Counter[float]:
        """Of all pods."""
        pods = self.kubectl("get", "pods", "--output=jsonpath={.items[*].metadata.name}").split()
        return real.buckets(self.kubectl, NAMESPACE, pods)


def _cluster(command: str) -> str:
    return subprocess.run(
        [sys.executable, "dev/cluster/cluster.py", command], check=True, capture_output=True, text=True
    ).stdout.strip()


def _name(replicas: int) -> str:
    return f"pods-{replicas}"


def measure(stage: Stage, rps_per_pod: float, seconds: float) -> dict[int, tuple[int, int]]:
    """All services at once: what they share is a machine that is hardly busy."""

    async def everywhere() -> dict[int, tuple[int, int]]:
        seeds = random.Random(rps_per_pod)
        jobs = {
            replicas: asyncio.create_task(
                _sent(stage.address(replicas), rps_per_pod * replicas, seconds, seeds.randrange(2**32))
            )
            for replicas in REPLICAS
        }
        return {replicas: await job for replicas, job in jobs.items()}

    return asyncio.run(everywhere())


async def _sent(address: str, rps: float, seconds: float, seed: int) -> tuple[int, int]:
    """How many requests, and how many bad, once the queues had filled up."""
    load = Load((0.0, WARM_SECONDS + seconds), (rps, rps))
    counted = [
        answer for answer in await real.send(address, real.arrivals(load, seed)) if answer.due_seconds >= WARM_SECONDS
    ]
    return len(counted), sum(answer.bad(THRESHOLD_SECONDS) for answer in counted)


def learnt(stage: Stage, seconds: float) -> tuple[Service, Sequence[str]]:
    """A service like the one that is there, from two loads; the others are told by it."""
    moments, before = [], stage.buckets()
    for rps_per_pod in CALIBRATED_RPS:
        measure(stage, rps_per_pod, seconds)
        after = stage.buckets()
        seen = real.histogram(before, after)
        moments.append(Moment(0.0, rps_per_pod * sum(REPLICAS), 0.0, 0.0, sum(REPLICAS), seen))
        before = after
    found = calibrate(Past(0.0, THRESHOLD_SECONDS, PERCENTILE, tuple(moments), 0))
    return found.service, found.notes


def capacity(rows: Sequence[Row]) -> float | None:
    """Load per pod at which the allowed share is bad; None when none of the loads that were tried was that high."""
    tried = sorted(rows, key=lambda row: row.rps_per_pod)
    for one, other in pairwise(tried):
        if one.seen <= ALLOWED < other.seen:
            low, high, allowed = (math.log(max(share, 1e-4)) for share in (one.seen, other.seen, ALLOWED))
            return one.rps_per_pod + (allowed - low) / (high - low) * (other.rps_per_pod - one.rps_per_pod)
    return None


def together(plays: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of all plays, each share as a mean over its requests."""
    return [_mean([Row(**row) for row in same]) for same in zip(*(play["rows"] for play in plays), strict=True)]


def _mean(rows: Sequence[Row]) -> Row:
    requests = sum(row.requests for row in rows)
    seen = sum(row.seen * row.requests for row in rows) / requests
    simulated = sum(row.simulated * row.requests for row in rows) / requests
    return Row(rows[0].replicas, rows[0].rps_per_pod, requests, seen, simulated)


def report(plays: Sequence[Mapping[str, Any]]) -> str:
    """For people."""
    rows, lines = together(plays), []
    for number, replicas in enumerate(REPLICAS):
        seen = capacity([row for row in rows if row.replicas == replicas])
        told = statistics.fmean(play["simulated_capacities"][number] for play in plays)
        found = f"{seen:.1f}/s each, {told / seen - 1:+.1%}" if seen else f"more than was tried, {told:.1f}/s"
        lines.append(f"{replicas} pods carry {found} simulated")
    for number, play in enumerate(plays, start=1):
        lines.append(f"play {number}: {sum(Row(**row).agrees for row in play['rows'])} of {len(rows)} shares agree")
    return "\n".join([*lines, f"together: {sum(row.agrees for row in rows)} of {len(rows)} shares agree"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.validate", description="The simulator beside the demo service.")
    parser.add_argument("--seconds", type=float, default=180.0, help="of each load (default %(default)s)")
    parser.add_argument("--save", action="store_true", help="add it to the committed results")
    options = parser.parse_args()
    stage = Stage()
    try:
        stage.open()
        service, notes = learnt(stage, options.seconds)
        print(*notes, sep="\n")
        rows = []
        for rps_per_pod in TESTED_RPS:
            for replicas, (requests, bad) in measure(stage, rps_per_pod, options.seconds).items():
                simulated = steady_bad_ratio(service, THRESHOLD_SECONDS, Balancing.RANDOM, replicas, rps_per_pod)
                row = Row(replicas, rps_per_pod, requests, bad / requests, simulated)
                rows.append(row)
                print(f"{replicas} x {rps_per_pod:g}/s: {row.seen:.2%} seen, {simulated:.2%} simulated", flush=True)
    finally:
        stage.close()
    told = [true_capacity(service, THRESHOLD_SECONDS, PERCENTILE, Balancing.RANDOM, replicas) for replicas in REPLICAS]
    play = {
        "day": time.strftime("%Y-%m-%d"),
        "seconds": options.seconds,
        "service": {
            "mean_seconds": service.mean_seconds,
            "variation": service.variation,
            "workers": service.workers,
        },
        "simulated_capacities": [round(each, 2) for each in told],
        "rows": [asdict(row) for row in rows],
    }
    plays = [*json.loads(RESULTS.read_text()), play]
    print(report(plays))
    if options.save:
        RESULTS.write_text(json.dumps(plays, indent=1) + "\n")


if __name__ == "__main__":
    main()
