"""Work moved to background workers, and workers that follow their queue."""

from __future__ import annotations

from typing import Any

from perfslo.core.levers.knobs import OFFLOAD, WORKERS
from perfslo.core.model import Bottleneck, Missing, Value
from tests.core.stress import Stress, deeds, promise

LEVER: dict[str, Any] = {
    "flag": {"configMap": "shop", "key": "RECEIPTS", "onValue": "on", "offValue": "off"},
    "workers": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "workers"},
        "minReplicas": 1,
        "maxReplicas": 6,
        "queueAge": "receipts-age",
        "maxQueueAgeSeconds": 30,
    },
}


def heavy(age: float = 0.0) -> Stress:
    """Requests that are slow, whatever the replicas, unless their heavy work is moved away."""
    return Stress(
        promise({"offload": LEVER}, maxReplicas=4),
        lambda now: 0.02 if now.values[OFFLOAD] == "on" else 0.4,
        values={OFFLOAD: "off"},
        workloads={WORKERS: 0},
        named={"receipts-age": Value(age, 5.0)},
    )


def test_heavy_work_moves_when_replicas_are_at_their_most_and_workers_are_there_to_take_it() -> None:
    stress = heavy()
    happened = stress.turns(900)
    assert deeds(happened) == ["offload off->on", "offload workers 0->1"]
    assert [one.verdict.outcome.value for one in happened if one.verdict] == ["Improved"]


def test_replicas_that_can_mend_it_come_first() -> None:
    stress = heavy()
    stress.spec = promise({"offload": LEVER}, maxReplicas=20)
    stress.slow = lambda now: 0.4 if now.replicas < 8 else 0.01
    happened = stress.turns(900)
    assert stress.replicas >= 8
    assert not [step for step in deeds(happened) if step.startswith("offload")]


def test_workers_follow_the_age_of_their_queue_within_bounds() -> None:
    stress = heavy()
    stress.turns(900)
    stress.named["receipts-age"] = Value(300.0, 5.0)
    happened = stress.turns(600)
    assert deeds(happened) == ["offload workers 1->2", "offload workers 2->4", "offload workers 4->6"]
    assert happened[-1].decision.diagnosis.bottleneck == Bottleneck.QUEUE_BACKLOG
    assert "waits for 300s of at most 30s" in happened[-1].decision.diagnosis.why
    stress.named["receipts-age"] = Missing("SeriesMissing")
    assert deeds(stress.turns(7200)) == [], "nobody knows how long the queue is"
    stress.named["receipts-age"] = Value(2.0, 5.0)
    assert deeds(stress.turns(1300)) == ["offload workers 6->5", "offload workers 5->4"]


def test_calm_takes_the_work_back_and_then_the_workers() -> None:
    stress = heavy()
    stress.slow = lambda now: 0.01 if now.rate < 50 or now.values[OFFLOAD] == "on" else 0.4
    stress.rate = 40.0
    stress.turns(600)
    stress.rate = 100.0
    stress.turns(900)
    stress.rate = 10.0
    done = [step for step in deeds(stress.turns(9000)) if step.startswith("offload")]
    assert done == ["offload on->off", "offload workers 1->0"]
    assert stress.memory.trials.held == ()


def test_no_work_is_moved_to_workers_that_nobody_can_see() -> None:
    stress = heavy()
    stress.named["receipts-age"] = Missing("SeriesMissing")
    happened = stress.turns(900)
    assert deeds(happened) == []
    plan = happened[-1].decision.plan
    assert plan
    assert plan.alternatives == ("offload: the age of its queue (receipts-age) is not known",)


def test_workers_that_serve_others_are_left_alone() -> None:
    stress = heavy(age=300.0)
    stress.slow = lambda now: 0.01
    stress.workloads[WORKERS] = 3
    assert [step for step in deeds(stress.turns(900)) if step.startswith("offload")] == []
