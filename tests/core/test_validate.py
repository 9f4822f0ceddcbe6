"""Was it worth it? The verdict on the newest order."""

from __future__ import annotations

from dataclasses import replace

from perfslo.core import validate
from perfslo.core.memory import Memory, Order, Sample
from perfslo.core.model import Histogram, Outcome, Replicas
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


def test_few_requests_are_no_verdict() -> None:
    few = replace(observation(SLOW, GROWN), latency={"p95": Histogram(BOUNDS, tuple(c / 50 for c in SLOW.counts))})
    verdict = validate.judge(spec(), ordered(), few)
    assert verdict
    assert verdict.outcome == Outcome.INCONCLUSIVE
    assert "too few requests" in verdict.why
