"""Jumps that come at the same time every day, and days that are unlike the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core import codec, forecast, season
from perfslo.core.memory import Memory, Sample, Season
from perfslo.core.season import DAY_SECONDS, SLOT_SECONDS
from perfslo.core.timescale import TimeScale

CYCLE = 15.0
HOUR = 3600.0
SIX = 6 * HOUR
BEFORE_SIX = SIX - 30.0

Load = Callable[[float], float]
"""Requests a second, by seconds since the first midnight."""


def job(time: float) -> float:
    """50/s, and 200/s in the five minutes from six o'clock."""
    return 200.0 if SIX <= time % DAY_SECONDS < SIX + 300.0 else 50.0


def lived(load: Load, until: float, begin: float = 0.0, known: Season | None = None) -> Season:
    known = known or Season()
    for number in range(int((until - begin) // CYCLE)):
        time = begin + number * CYCLE
        known = season.noted(known, time, load(time))
    return known


def day(number: int, seconds: float = 0.0) -> float:
    return number * DAY_SECONDS + seconds


def expected(load: Load, at: float, horizon: float = 60.0) -> float | None:
    return season.ahead(lived(load, at), at, horizon)


def test_a_jump_is_announced_once_an_announcement_has_come_true() -> None:
    assert [expected(job, day(number, BEFORE_SIX)) for number in (1, 2)] == [None, None]
    assert expected(job, day(3, BEFORE_SIX)) == pytest.approx(200.0, rel=0.01)


def test_it_is_announced_in_time_and_until_it_has_come() -> None:
    known = lived(job, day(3, SIX - 90.0))
    assert season.ahead(known, day(3, SIX - 90.0), 60.0) is None
    late = lived(lambda time: 50.0 if time >= day(3) else job(time), day(3, SIX + 60.0))
    assert season.ahead(late, day(3, SIX + 60.0), 60.0) == pytest.approx(200.0, rel=0.01)
    come = lived(job, day(3, SIX + 60.0))
    assert season.ahead(come, day(3, SIX + 60.0), 60.0) is None
    assert expected(job, day(3, SIX + 600.0)) is None


def test_what_came_once_is_no_season() -> None:
    def once(time: float) -> float:
        return 200.0 if day(2, SIX) <= time < day(2, SIX + 300.0) else 50.0

    assert expected(once, day(3, BEFORE_SIX)) is None


def test_a_quiet_day_is_not_taken_for_a_busy_one() -> None:
    def holiday(time: float) -> float:
        return job(time) * (0.1 if time >= day(4) else 1.0)

    assert expected(holiday, day(4, BEFORE_SIX)) == pytest.approx(20.0, rel=0.02)


def test_announcements_that_do_not_come_true_are_no_longer_believed() -> None:
    def ended(time: float) -> float:
        return job(time) if time < day(5) else 50.0

    assert expected(ended, day(5, BEFORE_SIX)) is not None
    assert expected(ended, day(6, BEFORE_SIX)) is None, "only the lower one of two days counts"

    def every_other_two_days(time: float) -> float:
        return job(time) if time // DAY_SECONDS % 4 < 2 else 50.0

    assert expected(every_other_two_days, day(10, BEFORE_SIX)) is None, "announced on days 2 and 6: it did not come"


def test_slopes_and_noise_are_nothing_to_announce() -> None:
    def slope(time: float) -> float:
        return 100.0 + 50.0 * abs(time % DAY_SECONDS / HOUR - 12.0) / 12.0

    assert all(expected(slope, day(4, hour * HOUR)) is None for hour in (3, 9, 15, 21))


def test_from_nothing_a_jump_is_announced_too() -> None:
    assert expected(lambda time: job(time) - 50.0, day(3, BEFORE_SIX)) == pytest.approx(150.0, rel=0.01)


def test_slots_that_were_not_seen_whole_are_not_kept() -> None:
    known = lived(job, day(1, SIX), begin=100.0)
    away = lived(job, day(1, SIX + 900.0), begin=day(1, SIX + 450.0), known=known)
    assert season.before_at(away.days, int(SIX // SLOT_SECONDS)) is None, "six o'clock of the second day was missed"
    assert season.before_at(away.days, 0) is None, "the very first slot was begun too late"
    assert season.before_at(lived(job, day(2)).days, int(SIX // SLOT_SECONDS)) == pytest.approx(200.0, rel=0.01)


def test_the_forecast_is_the_jump_and_says_so() -> None:
    at = day(3, BEFORE_SIX)
    memory = Memory(season=lived(job, at), arrivals=tuple(Sample(at - 15.0 * ago, 50.0) for ago in range(6, -1, -1)))
    load = forecast.forecast(memory, TimeScale(), 60.0)
    assert load.announced
    assert load.peak == pytest.approx(200.0, rel=0.01)
    assert load.level == 50.0
    plain = forecast.forecast(replace(memory, season=Season()), TimeScale(), 60.0)
    assert (plain.peak, plain.announced) == (50.0, False)
    assert load.plus(10.0).announced
    assert load.times(2.0).peak == pytest.approx(400.0, rel=0.01)


@given(st.floats(0.0, 1e7))
def test_loads_are_kept_to_a_thousandth(rate: float) -> None:
    known = season.noted(season.noted(Season(), 0.0, 0.0), 300.0, rate)
    for begin in (600.0, day(1, 0.0), day(1, 300.0), day(1, 600.0)):
        known = season.noted(known, begin, rate)
    assert season.before_at(known.days, 1) == pytest.approx(rate, rel=2e-3, abs=2e-3)


def test_it_survives_in_the_status() -> None:
    known = Memory(season=lived(lambda time: 50.0 + time % 977.0, day(3, HOUR)))
    kept = codec.decode(codec.encode(known)).season
    assert kept.days == known.season.days
    assert kept.lately[-1].came == pytest.approx(known.season.lately[-1].came, rel=1e-3)
    assert len(codec.encode(known)) < codec.MAX_ENCODED_BYTES / 4
