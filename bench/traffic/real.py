"""How much more a real Envoy Gateway carries at the target: with least-request balancing, and with weights that fit.

python -m bench.traffic.real --save

Needs the local cluster with the images of the operator, the demonstration and Envoy Gateway (bench/traffic/README.md).
What is compared is measured in one run, half an hour long, on the same pods and the same machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfslo.settings import HTTP_ROUTE
from tests.cluster import backends, test_policy
from tests.cluster.proxies import Proxy, envoy_gateway
from tests.cluster.stage import Stage, Tempo, staged
from tests.conftest import Cluster, cluster_py, serve_crds

RESULTS = Path(__file__).with_name("real.json")
PROMISED_RATIO = 0.05
TEMPO = Tempo(5, 5)
TRIAL_SECONDS, SETTLE_SECONDS = 50, 15
"""Of each trial of a load, and what of it is not counted: queues fill up first."""
POLICY_LOADS = tuple(range(24, 57, 4))
"""Of the 60 a second that the pods can complete."""
WEIGHT_LOADS = (8, 10, 13, 16, 20, 25, 31, 38)
WORKERS, REPLICAS = 2, 2
USUAL = {"wait_ms": 200, "cpu_ms": 0.2, "cv": 0.5}
SLOWER = {**USUAL, "wait_ms": 600}
"""Three times: a third of what the others carry, and it could keep the promise with that."""
WEIGHTS_THRESHOLD_MS = 2000
WEIGHTS_LEARNT_AT = 24
"""Requests a second, while the operator finds the weights."""
PATIENCE_SECONDS = 600
SETTLED_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Trial:
    rps: int
    bad_ratio: float


def capacity(stage: Stage, entrance: str, loads: Sequence[int], threshold_ms: float) -> tuple[int, list[Trial]]:
    """The highest of these loads that keeps the promise, by bisection, 0 when none does; and all that was tried."""
    low, high, tried = -1, len(loads), list[Trial]()
    while high - low > 1:
        middle = (low + high) // 2
        trial = Trial(loads[middle], _bad(stage, entrance, loads[middle], threshold_ms))
        tried.append(trial)
        print(f"  {trial.rps}/s: {trial.bad_ratio:.1%} bad", flush=True)
        low, high = (middle, high) if trial.bad_ratio <= PROMISED_RATIO else (low, middle)
    return (loads[low] if low >= 0 else 0), tried


def _bad(stage: Stage, entrance: str, rps: int, threshold_ms: float) -> float:
    load = stage.load(entrance, f"t_seconds,rps\n0,{rps}\n{TRIAL_SECONDS},0\n", threshold_ms=threshold_ms)
    load.wait_until(TRIAL_SECONDS - 1)
    ratio = load.over_ratio(SETTLE_SECONDS, TRIAL_SECONDS)
    load.stop()
    return ratio


def policies(stage: Stage, found: dict[str, Any]) -> None:
    """Random as found, least-request as the operator sets it under load, and round-robin."""
    threshold = test_policy.THRESHOLD_MS
    with test_policy.opened(stage, "Random") as proxy:
        print("Random", flush=True)
        found["Random"] = _measured(stage, proxy, POLICY_LOADS, threshold)
        load = next(rps for rps in POLICY_LOADS if rps > found["Random"]["capacity"])
        replay = stage.load(proxy.entrance, f"t_seconds,rps\n0,{load}\n1500,0\n", threshold_ms=threshold)
        stage.slo("shop", test_policy.promise("Auto"))
        stage.eventually("it is set", lambda: test_policy.says(stage) == "LeastRequest", seconds=PATIENCE_SECONDS)
        found["verdict"] = stage.eventually(
            "it is judged", lambda: test_policy.verdict(stage), seconds=PATIENCE_SECONDS
        )
        stage.slo("shop", {**test_policy.promise("Auto"), "suspend": True})
        replay.stop()
        print(f"LeastRequest, set by the operator: {found['verdict']}", flush=True)
        found["LeastRequest"] = _measured(stage, proxy, POLICY_LOADS, threshold)
        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("what was found is back", lambda: test_policy.says(stage) == "Random")
        stage.apply(json.dumps(test_policy.written("RoundRobin")))
        print("RoundRobin", flush=True)
        found["RoundRobin"] = _measured(stage, proxy, POLICY_LOADS, threshold)


def weights(stage: Stage, found: dict[str, Any]) -> None:
    """Equal ones, and those that the operator finds, with one of three backends three times as slow."""
    stage.prometheus()
    for name in backends.BACKENDS:
        behaviour = SLOWER if name == "one" else USUAL
        stage.service(name, replicas=REPLICAS, workers=WORKERS, behaviour=behaviour)
    with envoy_gateway(stage, dict.fromkeys(backends.BACKENDS, 1)) as proxy:
        stage.operator({"levers": ["replicas", "traffic"], "routeKinds": [HTTP_ROUTE.model_dump()]})
        print("equal weights", flush=True)
        found["equal"] = _measured(stage, proxy, WEIGHT_LOADS, WEIGHTS_THRESHOLD_MS)
        replay = stage.load(
            proxy.entrance, f"t_seconds,rps\n0,{WEIGHTS_LEARNT_AT}\n1500,0\n", threshold_ms=WEIGHTS_THRESHOLD_MS
        )
        promise = backends.promise(HTTP_ROUTE.group, HTTP_ROUTE.kind)
        promise["objectives"] = [
            {"name": "p95", "latency": {"percentile": 95, "threshold": f"{WEIGHTS_THRESHOLD_MS}ms"}}
        ]
        stage.slo("shop", promise)

        def kept() -> bool:
            return (
                proxy.shares(stage)["one"] < 0.3
                and replay.over_ratio(replay.now() - SETTLED_SECONDS, replay.now()) <= PROMISED_RATIO
            )

        stage.eventually("the promise is kept", kept, seconds=PATIENCE_SECONDS, pause=5)
        stage.slo("shop", {**promise, "suspend": True})
        replay.stop()
        found["shares"] = {name: round(share, 3) for name, share in proxy.shares(stage).items()}
        print(f"the operator's weights: {found['shares']}", flush=True)
        found["moved"] = _measured(stage, proxy, WEIGHT_LOADS, WEIGHTS_THRESHOLD_MS)


def _measured(stage: Stage, proxy: Proxy, loads: Sequence[int], threshold_ms: float) -> dict[str, Any]:
    most, tried = capacity(stage, proxy.entrance, loads, threshold_ms)
    return {"capacity": most, "tried": {trial.rps: round(trial.bad_ratio, 4) for trial in tried}}


PARTS = {"policies": policies, "weights": weights}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.traffic.real", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; repeatable")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
    serve_crds(cluster)
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in options.part or PARTS:
        found[part] = {}
        try:
            with staged(cluster) as stage:
                PARTS[part](replace(stage, tempo=TEMPO), found[part])
        finally:  # what was measured before it was stopped holds
            print(json.dumps(found[part]), flush=True)
            if options.save:
                RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
