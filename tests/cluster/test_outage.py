"""Prometheus goes away under load: nothing is reduced, everybody is told, and it all goes on when it is back."""

import time

import pytest

from tests.cluster.stage import LONG, Stage

pytestmark = pytest.mark.cluster

CALM, RISEN, FALLEN = 12, 40, 8
"""Requests a second: 12 needs 2 pods or so, 40 needs more, 8 makes a scale-down due."""


def test_without_metrics_nothing_is_reduced(stage: Stage) -> None:
    stage.prometheus()
    stage.service("checkout", replicas=2, workers=2, behaviour={"wait_ms": 80, "cpu_ms": 1, "cv": 0.5})
    stage.operator()
    stage.slo("checkout", {"minReplicas": 2, "maxReplicas": 12})
    length = 3600 if LONG else 900
    rise, fall = (240, 600) if LONG else (40, 150)
    load = stage.load(
        "checkout", f"t_seconds,rps\n0,{CALM}\n{rise},{RISEN}\n{fall},{FALLEN}\n{length},0\n", threshold_ms=300
    )
    load.wait_until(fall - 5)
    peak = stage.eventually("it scaled out", lambda: (r := stage.replicas("deployment/checkout")) > 2 and r, seconds=30)

    load.wait_until(fall + 2 * stage.tempo.scrape_seconds)
    stage.eventually(
        "a scale-down is due: less is asked for than there is",
        lambda: (
            int(stage.status("checkout")["lastDecision"].get("proposed") or peak) < peak
            or stage.condition("checkout", "ScalingLimited")["status"] == "True"
        ),
        seconds=stage.cycles(12),
    )
    before = stage.replicas("deployment/checkout")
    stage.kubectl("scale", "deployment/prometheus", "--replicas=0")
    stopped = time.time()
    load.stop()
    stage.load("checkout", f"t_seconds,rps\n0,{2 * CALM}\n{length},0\n", threshold_ms=300)

    condition = stage.eventually(
        "MetricsAvailable is False",
        lambda: (c := stage.condition("checkout", "MetricsAvailable"))["status"] == "False" and c,
        seconds=stage.cycles(2) + 10,
    )
    assert condition["reason"].startswith("Prometheus")
    assert condition["message"]
    quiet = 3600 / 4 if LONG else 90  # several times the stabilization window
    stage.holds("no replica is taken away", lambda: stage.replicas("deployment/checkout") >= before, seconds=quiet)
    assert not stage.audit(stopped, verbs=("patch",), user_part=f"{stage.namespace}:perfslo")[:0]

    stage.kubectl("scale", "deployment/prometheus", "--replicas=1")
    stage.kubectl("rollout", "status", "deployment/prometheus", "--timeout=120s")
    stage.eventually(
        "metrics are back",
        lambda: stage.condition("checkout", "MetricsAvailable")["status"] == "True",
        seconds=stage.cycles(2) + 5 * stage.tempo.scrape_seconds + 15,
    )
