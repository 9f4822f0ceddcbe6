"""How many pods a load needs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core import capacity, sizing
from perfslo.core.forecast import Forecast
from perfslo.core.memory import Bin, Capacity, Curve, Memory, Sample
from perfslo.core.timescale import TimeScale

ALLOWED = 0.05
CURVE = Curve(bins=(Bin(30.0, 4000.0, 40.0),), low=34.0, median=37.0, steepness=7.0)
KNOWN = Capacity("v1", ceiling=50.0, ceiling_settled=True)
NEW = Capacity("v1")


def steady(rate: float) -> Forecast:
    return Forecast(rate, rate, ((rate, 1.0),))


def jumpy(rate: float) -> Forecast:
    return Forecast(rate, rate, ((rate, 0.9), (1.3 * rate, 0.1)))


def by(known: Capacity = KNOWN, curve: Curve = CURVE, idle: float = 0.0) -> sizing.Curves:
    found = sizing.likely(known, curve, ALLOWED, idle)
    assert found
    return found


def test_a_jumpy_load_needs_more_than_a_steady_one() -> None:
    calm, wild = (sizing.fewest(by(), load, 0.6) for load in (steady(700.0), jumpy(700.0)))
    assert calm < wild < 1.3 * calm


def test_a_cliff_needs_more_room_for_jumps_than_a_slow_tail() -> None:
    flat, cliff = replace(CURVE, steepness=2.5, median=47.0), replace(CURVE, steepness=30.0, median=47.0)
    needs = [sizing.fewest(by(curve=curve), jumpy(700.0), 0.6) / sizing.fewest(by(curve=curve), steady(700.0), 0.6)
             for curve in (flat, cliff)]  # fmt: skip
    assert needs[1] > needs[0]


def test_little_more_is_assumed_than_was_seen() -> None:
    unseen = replace(CURVE, median=90.0, low=80.0)
    pods = sizing.fewest(by(NEW, unseen), steady(900.0), 0.6)
    assert 900.0 / pods <= capacity.EXPLORED * sizing.BOLDER * 30.0


def test_idle_pods_need_no_company_however_little_was_learnt_of_them() -> None:
    unlearnt = by(NEW, replace(CURVE, bins=(Bin(2.0, 4000.0, 40.0),), median=2.5, low=2.0), idle=10.0)
    assert sizing.fewest(unlearnt, steady(100.0), 0.6) == 10
    assert sizing.fewest(unlearnt, jumpy(100.0), 0.6) == 13


def test_what_completes_for_now_is_no_limit() -> None:
    rising = Capacity("v1", ceiling=20.0)
    assert by(rising).limits == by(NEW).limits
    assert by(replace(rising, ceiling_settled=True)).limits[1] < 20.0


def test_what_was_saved_is_for_surprises_and_not_for_the_forecast_itself() -> None:
    pods = sizing.fewest(by(), steady(700.0), sizing.SPEND[1] * sizing.USED_SHARE)
    at_peak = capacity.predicted(CURVE, ALLOWED, 37.0, (math.inf, math.inf), 700.0 / pods)
    assert at_peak <= sizing.PEAK_SHARE * ALLOWED


def test_taking_away_asks_for_more_than_adding() -> None:
    sure = sizing.sure(KNOWN, CURVE, ALLOWED, 0.0)
    assert sure
    memory = Memory()
    adding = sizing.fewest(by(), jumpy(700.0), sizing.used_share(memory))
    assert sizing.fewest(sure, jumpy(700.0), sizing.left_share(memory)) >= adding


@given(st.floats(0.0, 1e4), st.floats(1.0, 3.0), st.floats(0.05, 2.4))
def test_more_load_never_needs_fewer_pods(rate: float, factor: float, used: float) -> None:
    assert sizing.fewest(by(), jumpy(rate * factor), used) >= sizing.fewest(by(), jumpy(rate), used)


@given(st.floats(0.0, 1e4), st.floats(0.05, 2.4))
def test_it_is_the_fewest(rate: float, used: float) -> None:
    pods = sizing.fewest(by(), jumpy(rate), used)
    assert sizing.keep(by(), jumpy(rate), pods, used)
    assert pods == 1 or not sizing.keep(by(), jumpy(rate), pods - 1, used)


def spend_after(used: float, cycles: int, memory: Memory | None = None) -> float:
    memory = memory or Memory()
    for number in range(cycles):
        memory = replace(memory, time=15.0 * number, known_since=0.0, slow_ratios=(Sample(15.0 * number, used),))
        memory = replace(memory, spend=sizing.spent(memory, TimeScale(), 15.0))
    return memory.spend


def test_the_plan_follows_what_is_used_slowly_and_within_limits() -> None:
    assert 1.0 < spend_after(0.1, 4) < 1.2
    assert spend_after(sizing.USED_SHARE, 1000) == 1.0
    assert spend_after(0.0, 1000) == sizing.SPEND[1]
    assert spend_after(3.0, 1000) == sizing.SPEND[0]


@pytest.mark.parametrize(("steepness", "most"), [(5.0, sizing.SPEND[1]), (9.0, 2.0), (14.0, sizing.SPEND[0])])
def test_at_a_cliff_what_was_saved_is_not_spent(steepness: float, most: float) -> None:
    known = Capacity("v1", curves={"p95": Curve(steepness=steepness)})
    assert spend_after(0.0, 1000, Memory(capacities=(known,))) == most


def test_a_flood_winds_nothing_up() -> None:
    flooded = Memory(time=0.0, known_since=0.0, slow_ratios=(Sample(-15.0, 9.0), Sample(0.0, 9.0)))
    assert sizing.spent(flooded, TimeScale(), 15.0) == flooded.spend
