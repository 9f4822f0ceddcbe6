"""The scrape interval, from what a server would count."""

from __future__ import annotations

import random

import pytest

from perfslo.core.scrape import WINDOWS_SECONDS, Rhythm, Sampling, follow, interval
from perfslo.core.timescale import STALE_SCRAPES

NOW = 10_000.0
CYCLE_SECONDS = (1.0, 5.0, 15.0, 60.0)


def sampling(pods: list[list[float]], now: float) -> Sampling:
    """What the server says of these pods' sample times at `now`."""
    past = [[time for time in times if time <= now] for times in pods]
    return Sampling(
        age_seconds=now - max(max(times, default=-1e9) for times in past),
        counts=tuple(
            max(float(sum(time >= now - window for time in times)) for times in past) for window in WINDOWS_SECONDS
        ),
        existed_before=any(now - 300 <= time <= now - 240 for times in past for time in times),
    )


def scrapes(every: float, start: float, end: float, seed: int) -> list[float]:
    chance = random.Random(seed)
    phase = start + chance.random() * every
    count = max(0, int((end - phase) / every) + 1)
    return [phase + every * i + chance.uniform(0, 0.02) for i in range(count)]


@pytest.mark.parametrize("every", [1, 2, 5, 10, 15, 30, 60])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_found_at_first_sight_of_an_old_workload(every: float, seed: int) -> None:
    pods = [scrapes(every, NOW - 1000, NOW, seed * 10 + pod) for pod in range(3)]
    assert interval(sampling(pods, NOW)) == every


@pytest.mark.parametrize("every", [5, 15, 30, 60])
@pytest.mark.parametrize("cycle", CYCLE_SECONDS)
def test_it_stays_found_whatever_the_cycle(every: float, cycle: float) -> None:
    times = [scrapes(every, NOW, NOW + 2000, 1)]
    found: float | None = None
    now = NOW + 320
    while now < NOW + 1900:
        found = interval(sampling(times, now), found)
        assert found == every
        now += cycle


@pytest.mark.parametrize("every", [1, 5, 10, 15, 30, 60])
def test_a_young_workload_is_understood_within_five_minutes_and_never_stale(every: float) -> None:
    times = [scrapes(every, NOW, NOW + 400, 2)]
    found: float | None = None
    for second in range(int(every) + 1, 320, 15):
        found = interval(sampling(times, NOW + second), found)
        if second > 6 * every:
            assert sampling(times, NOW + second).age_seconds < STALE_SCRAPES * found
    assert found == every


@pytest.mark.parametrize("every", [1, 5, 15, 30])
def test_samples_that_stop_do_not_look_like_a_longer_interval(every: float) -> None:
    times = [scrapes(every, NOW - 1000, NOW, 3)]
    found: float | None = interval(sampling(times, NOW))
    for second in range(0, 280, 15):
        found = interval(sampling(times, NOW + second), found)
        assert found == every
        age = sampling(times, NOW + second).age_seconds
        if age > 4 * every:
            assert age > STALE_SCRAPES * interval(sampling(times, NOW + second)), "after a restart"


@pytest.mark.parametrize(("before", "after"), [(15, 60), (60, 15), (30, 5), (5, 30)])
def test_a_changed_interval_is_found(before: float, after: float) -> None:
    times = [scrapes(before, NOW - 1000, NOW, 4) + scrapes(after, NOW, NOW + 1000, 5)]
    found: Rhythm | None = None
    for second in range(-100, 900, 15):
        found = follow(found, sampling(times, NOW + second), second)
    assert found == Rhythm(after)


def test_the_last_minute_outweighs_the_four_before() -> None:
    assert interval(Sampling(5.0, (1.0, 1.0, 17.0), existed_before=True), 15.0) == 60


@pytest.mark.parametrize("gap", [30, 60, 120, 180, 280])
@pytest.mark.parametrize("cycle", [5, 15])
def test_a_gap_is_not_a_longer_interval(gap: float, cycle: int) -> None:
    times = [scrapes(15, NOW - 1000, NOW, 4) + scrapes(15, NOW + gap, NOW + 1000, 5)]
    found: Rhythm | None = None
    for second in range(-100, 500, cycle):
        found = follow(found, sampling(times, NOW + second), second)
        assert found.seconds == 15


def test_a_lost_scrape_changes_nothing() -> None:
    times = scrapes(15, NOW - 1000, NOW + 1000, 6)
    del times[40]
    found: float | None = 15.0
    for second in range(-500, 500, 15):
        found = interval(sampling([times], NOW + second), found)
        assert found == 15
