"""Replicas that come and go: what is counted, how long a reduction waits for it, and how that ends an oscillation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core import flapping
from perfslo.core.memory import Recommendation, ScaleEvent

NOW = 10_000.0
WINDOW = 200.0


def events(*changes: int, every: float = 60.0) -> list[ScaleEvent]:
    """The last one now."""
    return [ScaleEvent(NOW - every * (len(changes) - i), change) for i, change in enumerate(changes, 1)]


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        ((), 0),
        ((1, 1, -1), 0),
        ((-1, 1), 1),
        # One way down and one way up again, in however many steps.
        ((-1, -1, -1, 2, 1), 1),
        ((1, -1, 1, -1, 1), 2),
    ],
)
def test_a_turn_is_taking_away_and_ordering_again(changes: tuple[int, ...], turns: int) -> None:
    assert flapping.turns(events(*changes), NOW) == turns


def test_turns_are_forgotten_after_an_hour() -> None:
    swinging = events(*[-1, 1] * 8, every=300.0)
    assert flapping.turns(swinging, NOW) == 6
    assert flapping.turns(swinging, NOW + 3000.0) == 1
    assert flapping.turns(swinging, NOW + 3600.0) == 0


@pytest.mark.parametrize(
    ("turns", "seconds"), [(0, 200.0), (2, 200.0), (3, 400.0), (4, 800.0), (5, 1600.0), (6, 1800.0), (1000, 1800.0)]
)
def test_each_turn_beyond_the_free_ones_doubles_the_wait(turns: int, seconds: float) -> None:
    assert flapping.quiet_seconds(events(*[-1, 1] * turns, every=1.0), NOW, WINDOW) == seconds


def test_a_longer_window_is_never_cut_and_none_stays_none() -> None:
    swinging = events(*[-1, 1] * 9)
    assert flapping.quiet_seconds(swinging, NOW, 3000.0) == 3000.0
    assert flapping.quiet_seconds(swinging, NOW, 0.0) == 0.0


CHANGES = st.lists(st.tuples(st.floats(0.0, 8000.0), st.integers(-5, 5).filter(bool)), max_size=60)


@given(happened=CHANGES, window=st.floats(0.0, 3600.0))
def test_the_wait_has_bounds(happened: list[tuple[float, int]], window: float) -> None:
    told = [ScaleEvent(NOW - ago, change) for ago, change in sorted(happened, reverse=True)]
    seconds = flapping.quiet_seconds(told, NOW, window)
    assert window <= seconds <= max(window, flapping.LONGEST_SECONDS)
    if flapping.turns(told, NOW) <= flapping.FREE_TURNS:
        assert seconds == window


@given(recent=st.lists(st.tuples(st.floats(0.0, 4000.0), st.integers(1, 50)), max_size=30), wanted=st.integers(1, 50))
def test_what_is_kept_was_asked_for(recent: list[tuple[float, int]], wanted: int) -> None:
    asked = [Recommendation(NOW - ago, NOW - ago, replicas) for ago, replicas in recent]
    kept = flapping.highest(asked, NOW, WINDOW, wanted)
    assert kept >= wanted
    assert kept == wanted or any(r.replicas == kept and r.time > NOW - WINDOW for r in asked)


def reductions(low_seconds: float, high_seconds: float, hours: float, budget: bool) -> list[float]:
    """When replicas are taken away by a law that wants 10 and 11 in turn. More it gets at once, fewer when due."""
    current, told, asked, removed = 11, list[ScaleEvent](), list[Recommendation](), list[float]()
    for step in range(int(hours * 240)):
        now = 15.0 * step
        wanted = 10 if now % (low_seconds + high_seconds) < low_seconds else 11
        seconds = flapping.quiet_seconds(told, now, WINDOW) if budget else WINDOW
        final = max(wanted, min(current, flapping.highest(asked, now, seconds, wanted)))
        asked.append(Recommendation(now, now, wanted))
        if final != current:
            told.append(ScaleEvent(now, final - current))
            removed += [now] if final < current else []
            current = final
    return removed


def test_an_oscillation_slows_down() -> None:
    free, calmed = reductions(240.0, 60.0, 6.0, budget=False), reductions(240.0, 60.0, 6.0, budget=True)
    assert len(free) == 6 * 12
    # Its first turns within an hour are free, then it rests until they are forgotten.
    assert len(calmed) <= 6 * (flapping.FREE_TURNS + 2)
    assert calmed[: flapping.FREE_TURNS] == free[: flapping.FREE_TURNS]


def test_a_load_that_swings_slowly_is_followed_as_before() -> None:
    slow = (900.0, 900.0, 6.0)
    assert reductions(*slow, budget=True) == reductions(*slow, budget=False)


def test_what_does_not_come_back_goes_after_half_an_hour_at_most() -> None:
    swinging = events(*[-1, 1] * 20)
    since = NOW - flapping.LONGEST_SECONDS
    asked = [Recommendation(since - 15, since - 15, 11), Recommendation(since + 15, NOW, 10)]
    assert flapping.highest(asked, NOW, flapping.quiet_seconds(swinging, NOW, WINDOW), 10) == 10
