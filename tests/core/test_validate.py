"""Was it worth it? The verdict on the newest order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.core import validate
from perfslo.core.memory import Memory, Order, Sample
from perfslo.core.model import Histogram, Outcome, Replicas, Value
from perfslo.core.weights import Move, Traffic
from tests.core.turns import BOUNDS, NOW, SLOW, memory, observation, spec

GROWN = Replicas(4, 4, version="v1")


def ordered() -> Memory:
    """Two pods became four; what was slow then is slow now."""
    order = Order("d1", NOW - 120, current=2, wanted=4, demand=20.0, completions=20.0, slow_ratio=6.0)
    return memory(order=order, ready=4, ready_since=NOW - 90, slow_ratios=(Sample(NOW, 6.0),))


def test_an_order_without_relief_had_no_effect() -> None:
    verdict = validate.judge(spec(), ordered(), observation(SLOW, GROWN))
    assert verdict
    assert verdict.outcome == Outcome.NO_EFFECT


@pytest.mark.parametrize(
    ("came", "gauged", "outcome"),
    [
        pytest.param(40.0, True, Outcome.IMPROVED, id="what had to wait is served"),
        pytest.param(20.0, True, Outcome.NO_EFFECT, id="more comes"),
        pytest.param(20.0, False, Outcome.IMPROVED, id="nobody knows what waited"),
    ],
)
def test_more_that_is_served_is_relief_where_it_had_to_wait(came: float, gauged: bool, outcome: Outcome) -> None:
    mind = ordered()
    assert mind.order
    in_flight = (Sample(NOW, 10.0),) if gauged else ()
    mind = replace(mind, order=replace(mind.order, demand=came), in_flight=in_flight)
    verdict = validate.judge(spec(), mind, replace(observation(SLOW, GROWN), completions_per_second=Value(40.0, 0.0)))
    assert verdict
    assert verdict.outcome == outcome


def test_few_requests_are_no_verdict() -> None:
    few = replace(observation(SLOW, GROWN), latency={"p95": Histogram(BOUNDS, tuple(c / 50 for c in SLOW.counts))})
    verdict = validate.judge(spec(), ordered(), few)
    assert verdict
    assert verdict.outcome == Outcome.INCONCLUSIVE
    assert "too few requests" in verdict.why


def shifted(before: float | None, after: float, *, ago: float = 120.0, moved_ago: float | None = None) -> Memory:
    """Weights moved that long ago, and again or by somebody else `moved_ago`."""
    move = Move("d1", NOW - ago, before, replicas=2)
    traffic = Traffic(moved_at=NOW - (ago if moved_ago is None else moved_ago), move=move)
    return memory(traffic=traffic, slow_ratios=(Sample(NOW, after),))


@pytest.mark.parametrize(
    ("outcome", "mind"),
    [
        (Outcome.IMPROVED, shifted(6.0, 0.8)),
        (Outcome.IMPROVED, shifted(6.0, 5.0)),
        (Outcome.NO_EFFECT, shifted(6.0, 6.0)),
        (Outcome.NO_EFFECT, shifted(0.5, 0.8)),
        (Outcome.WORSE, shifted(0.5, 1.2)),
        (Outcome.INCONCLUSIVE, shifted(None, 6.0)),
        (Outcome.INCONCLUSIVE, shifted(6.0, 6.0, moved_ago=30.0)),
    ],
)
def test_a_move_of_weights_is_judged_by_what_came_of_it(outcome: Outcome, mind: Memory) -> None:
    verdict = validate.judge_shift(mind, observation(SLOW), moves_on=False)
    assert verdict
    assert (verdict.outcome, verdict.lever, verdict.decision_id) == (outcome, "traffic", "d1")


def test_pods_that_came_meanwhile_leave_a_move_undecided_unless_all_is_well() -> None:
    for after, outcome in ((3.0, Outcome.INCONCLUSIVE), (0.8, Outcome.IMPROVED)):
        verdict = validate.judge_shift(shifted(6.0, after), observation(SLOW, GROWN), moves_on=False)
        assert verdict
        assert verdict.outcome == outcome


def test_a_move_is_not_judged_before_its_effect_can_be_seen_unless_the_next_one_comes() -> None:
    early = shifted(6.0, 3.0, ago=30.0)
    assert validate.judge_shift(early, observation(SLOW), moves_on=False) is None
    verdict = validate.judge_shift(early, observation(SLOW), moves_on=True)
    assert verdict
    assert verdict.outcome == Outcome.INCONCLUSIVE
