"""What a window is evidence of."""

from __future__ import annotations

import math

import pytest

from perfslo.core import evidence
from perfslo.core.memory import Memory, Sample
from perfslo.core.model import Histogram, Value
from tests.core.turns import NOW, memory, observation, spec


def after(requests: float, slow: float) -> Memory:
    latency = Histogram((0.2, 1.0, math.inf), (requests - slow, requests, requests))
    return evidence.gathered(spec(), memory(), observation(latency))


@pytest.mark.parametrize(
    ("requests", "slow", "saturated"),
    [(200.0, 190.0, True), (200.0, 100.0, False), (2.0, 2.0, False), (20.0, 17.0, False), (60.0, 60.0, True)],
    ids=["most of many", "half of many", "two", "most of few", "all of some"],
)
def test_few_slow_requests_are_no_saturation_unless_chance_cannot_explain_them(
    requests: float, slow: float, saturated: bool
) -> None:
    known = after(requests, slow)
    assert (known.saturated_since is not None) == saturated
    assert known.clean_since == known.time, "nothing is learnt from such a window"


@pytest.mark.parametrize(("requests", "breached"), [(200.0, True), (60.0, False)])
def test_a_promise_is_not_broken_by_fewer_requests_than_are_asked_for(requests: float, breached: bool) -> None:
    assert (after(requests, requests / 2).breached_since is not None) == breached


@pytest.mark.parametrize(
    ("waiting", "learnt"), [((30.0,) * 5, True), ((90.0, 75.0, 60.0, 45.0, 30.0), False)], ids=["lasting", "easing"]
)
def test_an_old_queue_is_no_evidence_of_load_but_one_that_lasts_is(waiting: tuple[float, ...], learnt: bool) -> None:
    before = tuple(Sample(NOW - 60.0 + 15.0 * i, value) for i, value in enumerate(waiting[:-1]))
    slow = Histogram((0.2, 1.0, math.inf), (190.0, 200.0, 200.0))
    seen = observation(slow, in_flight=Value(waiting[-1]))
    known = evidence.gathered(spec(), memory(in_flight=before, clean_since=NOW - 60.0), seen)
    assert (known.clean_since != NOW) == learnt
