"""Prometheus goes away under load: nothing is reduced, everybody is told, and it all goes on when it is back."""

import time

import pytest

from tests.cluster.stage import LONG, Stage

pytestmark = pytest.mark.cluster

CALM, RISEN, FALLEN = 12, 40, 8
"""Requests a second: 12 needs 2 pods or so, 40 needs more, 8 makes a scale-down due."""


LENGTH, RISE, FALL = (1800, 120, 360) if LONG else (900, 40, 130)
QUIET_SECONDS = 600 if LONG else 90
"""Several times the stabilization window."""


def test_without_metrics_nothing_is_reduced(stage: Stage) -> None:
    stage.prometheus()
    stage.service("checkout", replicas=2, workers=2, behaviour={"wait_ms": 80, "cpu_ms": 1, "cv": 0.5})
    stage.operator()
    stage.slo("checkout", {"minReplicas": 2, "maxReplicas": 12})
    rates = f"t_seconds,rps\n0,{CALM}\n{RISE},{RISEN}\n{FALL},{FALLEN}\n{LENGTH},0\n"
    load = stage.load("checkout", rates, threshold_ms=300)
    load.wait_until(FALL)
    stage.eventually("a scale-down is due, and only its window is waited for", lambda: is_due(stage), seconds=120)

    before = stage.replicas("deployment/checkout")
    stage.kubectl("scale", "deployment/prometheus", "--replicas=0")
    stopped = time.time()
    load.stop()
    stage.load("checkout", f"t_seconds,rps\n0,{2 * FALLEN}\n{LENGTH},0\n", threshold_ms=300)
    condition = stage.eventually(
        "MetricsAvailable is False within two cycles",
        lambda: (c := stage.condition("checkout", "MetricsAvailable"))["status"] == "False" and c,
        seconds=stage.cycles(2) + 10,
    )
    assert condition["reason"].startswith("Prometheus")
    assert condition["message"]
    stage.holds(
        "no replica is taken away", lambda: stage.replicas("deployment/checkout") >= before, seconds=QUIET_SECONDS
    )
    assert not scaled(stage, stopped), "replicas were written though nothing was known"

    stage.kubectl("scale", "deployment/prometheus", "--replicas=1")
    stage.kubectl("rollout", "status", "deployment/prometheus", "--timeout=120s")
    returned = time.time()
    stage.eventually(
        "metrics are back within two cycles of the first two scrapes",
        lambda: stage.condition("checkout", "MetricsAvailable")["status"] == "True",
        seconds=stage.cycles(2) + 3 * stage.tempo.scrape_seconds + 15,
    )
    assert not scaled(stage, stopped), "replicas were written before the return was a window old"
    print(f"{before} replicas kept for {returned - stopped:.0f} s without metrics ({condition['reason']})")


def is_due(stage: Stage) -> bool:
    """Fewer replicas are asked for than there are; "N replicas were asked for, M are allowed"."""
    limited = stage.condition("checkout", "ScalingLimited")
    numbers = [int(word) for word in limited["message"].replace(",", " ").split() if word.isdigit()]
    return limited["status"] == "True" and limited["reason"] == "StabilizationWindow" and numbers[0] < numbers[1]


def scaled(stage: Stage, since: float) -> list[object]:
    """The operator's writes to the target's /scale."""
    writes = stage.audit(since, verbs=("patch",), user_part=f"{stage.namespace}:perfslo")
    return [entry for entry in writes if entry["objectRef"].get("subresource") == "scale"]
