"""A step of load under a real HPA, and under the simulated one: when it first scales, and how bad the worst minute is.

make cluster images, then PYTHONPATH=dev/cluster:. python -m bench.validate.step --save
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.cluster import likeness
from bench.cluster.__main__ import RESULTS as CALIBRATED
from bench.cluster.__main__ import spread
from bench.cluster.play import Look, Play, play, serve
from bench.cluster.policies import HPA
from perfslo.simulate.model import Instant, Load, Minute, Run, Service
from perfslo.simulate.policies import registry
from perfslo.simulate.run import simulate
from tests.cluster.stage import Stage, staged
from tests.conftest import Cluster, cluster_py

RESULTS = Path(__file__).with_name("step.json")
CALM_RPS, HIGH_RPS = 10.0, 40.0
STEP_SECONDS, SECONDS = 120.0, 360.0
REPLICAS = 3
LOAD_SEED = 7
PHASES = tuple(range(15))
"""Seconds from a look of the HPA to the step: the simulated one looks every 15 s from the beginning on."""
SEEDS = 2
"""Of each."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is compared. Times are seconds from the step."""

    first_scale_seconds: float | None
    """None: it never did."""
    peak_bad_ratio: float
    """Of the worst whole minute after the step."""


def response(looks: Sequence[Look | Instant], minutes: Sequence[Minute], step_seconds: float) -> Response:
    """On the cluster, or in the simulator."""
    moves = (after.at_seconds for before, after in pairwise(looks) if after.desired > before.desired)
    later = [minute for minute in minutes if minute.at_seconds >= STEP_SECONDS]
    return Response(
        next((at - step_seconds for at in moves if at > step_seconds), None),
        max(minute.bad / minute.requests for minute in later),
    )


def load(step_seconds: float) -> Load:
    return Load((0.0, step_seconds, step_seconds, SECONDS), (CALM_RPS, CALM_RPS, HIGH_RPS, HIGH_RPS))


def simulated(service: Service, startup_seconds: Sequence[float]) -> dict[str, Any]:
    """For each phase of the HPA's looks: what is compared, and the course of each run."""
    responses, courses = [], []
    for phase in PHASES:
        scenario = likeness.scenario("step", service, load(STEP_SECONDS + phase), REPLICAS, startup_seconds)
        for seed in range(SEEDS):
            run = simulate(scenario, registry.parse(HPA.name)(scenario), seed)
            responses.append(response(run.instants, run.minutes, STEP_SECONDS + phase))
            courses.append(course(run))
    firsts = [response.first_scale_seconds for response in responses]
    return {
        "first_scale_seconds": spread([at for at in firsts if at is not None]),
        "peak_bad_ratio": spread([response.peak_bad_ratio for response in responses]),
        "runs": courses,
    }


def course(run: Run) -> dict[str, list[float]]:
    """For a picture."""
    return {
        "at_seconds": [instant.at_seconds for instant in run.instants],
        "desired": [float(instant.desired) for instant in run.instants],
        "minutes": [minute.at_seconds + 30 for minute in run.minutes],
        "bad_ratio": [round(minute.bad / minute.requests, 4) for minute in run.minutes],
    }


def measured(stage: Stage) -> Play:
    serve(stage, REPLICAS)
    with HPA.needs(stage):
        return play(stage, load(STEP_SECONDS), LOAD_SEED, HPA.autoscaler(stage))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.validate.step", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--calibrated", type=Path, default=CALIBRATED, help="results of bench.cluster, with its service"
    )
    parser.add_argument("--simulate", action="store_true", help="only tell anew what the simulator makes of it")
    parser.add_argument("--save", action="store_true", help="write the committed results")
    options = parser.parse_args()
    service = likeness.service_of(json.loads(options.calibrated.read_text()))
    if options.simulate:
        found: dict[str, Any] = json.loads(RESULTS.read_text())
    else:
        cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
        with staged(cluster) as stage:
            played = measured(stage)
        found = {
            "day": time.strftime("%Y-%m-%d"),
            "seen": asdict(response(played.looks, played.minutes(), STEP_SECONDS)),
            **played.as_data(),
        }
        found["looks"] = [asdict(look) for look in played.looks]
    found["simulated"] = simulated(service, found["startup_seconds"])
    told_of = {name: found["simulated"][name] for name in ("first_scale_seconds", "peak_bad_ratio")}
    print(json.dumps({"seen": found["seen"], "simulated": told_of}, indent=1))
    if options.save:
        RESULTS.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
