"""What a window is evidence of."""

from __future__ import annotations

import math

import pytest

from perfslo.core import evidence
from perfslo.core.memory import Memory, Sample
from perfslo.core.model import Histogram, Value
from perfslo.core.timescale import TimeScale
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
    ("requests", "slow", "calm"),
    [
        (6000.0, 140.0, True),
        (6000.0, 180.0, False),
        (120.0, 5.0, True),
        (120.0, 6.0, False),
        (30.0, 1.0, True),
        (30.0, 2.0, False),
    ],
    ids=["few of many", "more of many", "a clump", "more than a clump", "within the promise", "beyond it"],
)
def test_a_slow_request_or_two_by_chance_do_not_disturb_the_calm(requests: float, slow: float, calm: bool) -> None:
    assert (after(requests, slow).calm_since is not None) == calm


@pytest.mark.parametrize(
    ("waiting", "learnt"), [((30.0,) * 5, True), ((90.0, 75.0, 60.0, 45.0, 30.0), False)], ids=["lasting", "easing"]
)
def test_an_old_queue_is_no_evidence_of_load_but_one_that_lasts_is(waiting: tuple[float, ...], learnt: bool) -> None:
    before = tuple(Sample(NOW - 60.0 + 15.0 * i, value) for i, value in enumerate(waiting[:-1]))
    slow = Histogram((0.2, 1.0, math.inf), (190.0, 200.0, 200.0))
    seen = observation(slow, in_flight=Value(waiting[-1]))
    known = evidence.gathered(spec(), memory(in_flight=before, clean_since=NOW - 60.0), seen)
    assert (known.clean_since != NOW) == learnt


@pytest.mark.parametrize(("cycle_seconds", "kept"), [(15.0, 6), (5.0, 13), (120.0, 6)])
def test_samples_are_kept_as_long_as_somebody_looks_back(cycle_seconds: float, kept: int) -> None:
    known = memory(arrivals=())
    scale = TimeScale(15.0, cycle_seconds)
    for number in range(20):
        seen = observation(time=NOW + number * cycle_seconds, scale=scale, in_flight=Value(3.0))
        known = evidence.gathered(spec(), known, seen)
    assert [len(samples) for samples in (known.arrivals, known.in_flight, known.readies)] == [kept] * 3
    start = seen.time - scale.window_seconds
    assert known.arrivals[0].time <= start, "a whole window is looked at"


@pytest.mark.parametrize(("ago", "arriving"), [(15.0, 151.0), (60.0, 130.0)])
def test_a_step_is_only_sharpened_by_what_was_seen_a_cycle_before(ago: float, arriving: float) -> None:
    before = memory(time=NOW - ago, completions=100.0)
    known = evidence.gathered(spec(), before, observation(completions_per_second=Value(130.0)))
    assert known.arrivals[-1].value == pytest.approx(arriving, rel=0.01)
