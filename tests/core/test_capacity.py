"""The fit of the capacity against the same sums written down one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core import capacity
from perfslo.core.memory import Bin, Capacity, Curve

BINS = st.lists(
    st.builds(
        Bin,
        load=st.floats(0.1, 500.0),
        requests=st.floats(1.0, 1e5),
        slow=st.floats(0.0, 5e3),
    ),
    min_size=1,
    max_size=6,
)


def plainly(bins: list[Bin], allowed: float, centre: float, spread: float) -> tuple[float, float]:
    """20th and 50th percentile: every capacity, every steepness, every bin."""
    highest = max(b.load for b in bins)
    quiet = [b.slow / b.requests / allowed for b in bins if b.requests >= capacity.GOOD_REQUESTS]
    floor = min(max(capacity.FLOOR_SHARE, min(quiet, default=0.0)), capacity.MOST_FLOOR)
    steps = int(capacity.GRID_SPAN / capacity.GRID_STEP)
    masses: dict[float, list[float]] = {}
    for step in range(-steps, steps + 1):
        load = centre * math.exp(capacity.GRID_STEP * step)
        scores = []
        for steepness, weight in capacity.STEEPNESS:
            score = math.log(weight) - 0.5 * (capacity.GRID_STEP * step / spread) ** 2
            for b in bins:
                if b.load <= capacity.RELEVANT_SHARE * highest:
                    continue
                share = allowed * math.exp(min(50.0, steepness * (b.load / load - 1.0)))
                share = min(1.0, max(share, floor * allowed))
                events = max(b.slow, allowed * b.requests, 1e-9)
                weigh = capacity.OVERDISPERSION * min(1.0, capacity.MAX_EVENTS / events)
                score += weigh * (b.slow * math.log(share) - b.requests * share)
            scores.append(score)
        masses[load] = scores
    best = max(max(scores) for scores in masses.values())
    weights = {load: sum(math.exp(score - best) for score in scores) for load, scores in masses.items()}

    def percentile(part: float) -> float:
        remaining = part * sum(weights.values())
        for load, weight in weights.items():
            remaining -= weight
            if remaining <= 0:
                return load
        return load

    return percentile(0.2), percentile(0.5)


@given(BINS, st.sampled_from([0.001, 0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_the_fit_is_the_posterior_of_the_whole_grid(bins: list[Bin], allowed: float) -> None:
    fitted = capacity.fit(Curve(bins=tuple(bins)), allowed, Capacity("v1"))
    centre = capacity.FRESH_GUESS * max(b.load for b in bins)
    low, median = plainly(bins, allowed, centre, capacity.FRESH_SPREAD)
    assert fitted.low == pytest.approx(low, rel=1e-9)
    assert fitted.median == pytest.approx(median, rel=1e-9)


@pytest.mark.parametrize(
    ("slow_share", "known"),
    [
        (0.035, 15.0),  # kept the promise: the curve says how well
        (0.060, 1.15 * 5.0),  # broke it: only what was carried well, and little more
    ],
)
def test_a_load_that_kept_the_promise_is_known_after_a_quiet_time(slow_share: float, known: float) -> None:
    bins = (Bin(5.0, 2_000.0, 9.0), Bin(15.0, 30_000.0, slow_share * 30_000.0))
    assert capacity.explored(Curve(bins=bins), 0.05) == pytest.approx(known)
    assert capacity.explored(Curve(bins=bins[1:]), 0.05) == math.inf


def learnt(known: Capacity, load: float, slow_share: float, windows: int) -> Capacity:
    """After so many whole windows of 60 s of two pods."""
    for _ in range(windows):
        requests = 120.0 * load
        known = capacity.learn(known, "p95", 0.05, capacity.Window(load, requests, slow_share * requests, new=1.0))
    return known


def test_a_service_that_is_well_again_is_thought_to_carry_what_it_did_before_it_became_slow() -> None:
    well = learnt(Capacity("v1"), 30.0, 0.01, 10)
    slow = learnt(learnt(well, 30.0, 0.25, 3), 3.0, 0.25, 10)
    assert capacity.least(slow)
    assert (capacity.least(slow) or 0.0) < 5.0
    again = learnt(slow, 3.0, 0.0, 5)
    assert (capacity.least(again) or 0.0) > 25.0
    assert capacity.explored(again.curves["p95"], 0.05) > 30.0


def test_one_that_is_only_better_is_soon_known_not_to_carry_what_it_did() -> None:
    slow = learnt(learnt(learnt(Capacity("v1"), 30.0, 0.01, 10), 30.0, 0.25, 3), 3.0, 0.25, 10)
    better = learnt(learnt(slow, 3.0, 0.0, 5), 20.0, 0.2, 3)
    assert (capacity.least(better) or 0.0) < 20.0
