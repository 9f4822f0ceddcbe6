"""The load to expect, and what is learnt of how far off that was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core import forecast
from perfslo.core.memory import Capacity, Curve, Memory, Sample
from perfslo.core.timescale import TimeScale

SCALE = TimeScale()
HORIZON = 60.0


def fed(rates: list[float], memory: Memory | None = None) -> Memory:
    """A memory that saw these requests a second, cycle by cycle."""
    memory = memory or Memory()
    start = memory.arrivals[-1].time + 15.0 if memory.arrivals else 0.0
    for number, rate in enumerate(rates):
        seen = (*memory.arrivals, Sample(start + 15.0 * number, rate))[-40:]
        memory = forecast.noted(replace(memory, arrivals=seen), SCALE, HORIZON)
    return memory


def spread(memory: Memory) -> float:
    load = forecast.forecast(memory, SCALE, HORIZON)
    return max(rate for rate, chance in load.cases if chance > 0.02) / load.peak


def test_a_window_that_slides_over_a_step_is_sharpened() -> None:
    halfway = forecast.sharpened(150.0, 100.0, SCALE)
    assert 180.0 <= halfway <= 190.0
    assert forecast.sharpened(200.0, halfway, SCALE) == pytest.approx(200.0, abs=15.0)


def test_chance_is_not_sharpened() -> None:
    assert forecast.sharpened(103.0, 100.0, SCALE) == 103.0


@pytest.mark.parametrize("scale", [TimeScale(60.0, 15.0), TimeScale(5.0, 15.0)])
def test_windows_that_do_not_overlap_by_half_are_not_sharpened(scale: TimeScale) -> None:
    assert forecast.sharpened(150.0, 100.0, scale) == 150.0


def test_a_ramp_is_extrapolated_and_a_step_is_not() -> None:
    ramp = forecast.forecast(fed([100.0 + 10.0 * i for i in range(12)]), SCALE, HORIZON)
    assert ramp.peak > 1.1 * ramp.level
    step = forecast.forecast(fed([100.0] * 10 + [300.0, 300.0]), SCALE, HORIZON)
    assert step.peak == step.level == 300.0


def test_a_falling_load_is_not_extrapolated() -> None:
    load = forecast.forecast(fed([300.0 - 10.0 * i for i in range(12)]), SCALE, HORIZON)
    assert load.peak == load.level


def test_trends_that_never_come_true_are_no_longer_believed() -> None:
    zigzag = fed(([100.0 + 12.0 * i for i in range(5)] + [148.0 - 12.0 * i for i in range(5)]) * 20)
    rising = [100.0 + 12.0 * i for i in range(5)]
    believed = forecast.forecast(fed(rising), SCALE, HORIZON)
    disappointed = forecast.forecast(fed(rising, zigzag), SCALE, HORIZON)
    assert believed.peak > 1.1 * believed.level
    assert disappointed.peak < 1.02 * disappointed.level


@pytest.mark.parametrize(
    ("slow_ratio", "ready", "completions", "goes_on"),
    [
        (2.0, 4, 120.0, True),
        (19.0, 4, 120.0, True),
        pytest.param(0.9, 4, 120.0, False, id="the promise is kept"),
        pytest.param(2.0, 6, 148.0, False, id="there are enough"),
        pytest.param(19.0, 4, 60.0, False, id="something behind them is slow"),
    ],
)
def test_a_trend_is_believed_again_when_pods_are_missing_already(
    slow_ratio: float, ready: int, completions: float, goes_on: bool
) -> None:
    zigzag = fed(([100.0 + 12.0 * i for i in range(5)] + [148.0 - 12.0 * i for i in range(5)]) * 20)
    rising = fed([100.0 + 12.0 * i for i in range(5)], zigzag)
    known = Capacity("v1", curves={"p95": Curve(median=30.0)})
    slow_ratios = (Sample(rising.arrivals[-1].time, slow_ratio),)
    seen = replace(rising, capacities=(known,), ready=ready, slow_ratios=slow_ratios, completions=completions)
    load = forecast.forecast(seen, SCALE, HORIZON)
    assert (load.peak > 1.1 * load.level) is goes_on
    assert load.without_trend().peak == load.without_trend().level == load.level


def test_loads_that_jump_get_more_room_than_steady_ones() -> None:
    steady, jumpy = fed([200.0] * 200), fed(([280.0] * 8 + [200.0] * 20) * 8)
    assert spread(steady) <= 1.06
    assert spread(jumpy) >= 1.15


def test_errors_do_not_add_up_beyond_the_highest_load_of_the_last_hour() -> None:
    memory = fed([200.0, 200.0, 200.0, 200.0, 260.0, 230.0] * 40)
    assert max(rate for rate, _ in forecast.forecast(memory, SCALE, HORIZON).cases) <= forecast.BEYOND * 260.0


def test_loads_that_a_flood_lets_guess_are_no_highest_load() -> None:
    guessed = replace(fed([100.0] * 9), slow_ratios=(Sample(0.0, 9.0),), completions=120.0)
    guessed = replace(guessed, arrivals=(*guessed.arrivals, Sample(guessed.arrivals[-1].time + 15.0, 900.0)))
    assert max(high.value for high in forecast.noted(guessed, SCALE, 60.0).highs) == 120.0


def test_rises_that_a_flood_lets_guess_teach_nothing_of_trends() -> None:
    rates = [100.0] * 20 + [100.0 + 12.0 * i for i in range(5)] * 4
    guessed = fed(rates, replace(fed([100.0]), slow_ratios=(Sample(0.0, 9.0),)))
    assert guessed.errors is not None
    assert guessed.errors.rise < forecast.BELIEVED.rise, "only decayed"
    seen = fed(rates)
    assert seen.errors is not None
    assert seen.errors.rise > forecast.BELIEVED.rise


def test_errors_are_counted_between_ratios_so_that_their_mean_is_kept() -> None:
    memory = fed([100.0] * 8)
    before = memory.errors
    memory = replace(memory, arrivals=(*memory.arrivals, Sample(120.0, 103.0)))
    after = forecast.noted(memory, SCALE, HORIZON).errors
    assert before
    assert after
    added = [b - a * 0.5 ** (1 / forecast.HALF_LIFE_UNITS) for a, b in zip(before.ratios, after.ratios, strict=True)]
    assert sum(added) == pytest.approx(1.0)
    assert sum(r * w for r, w in zip(forecast.RATIOS, added, strict=True)) == pytest.approx(1.03)


@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=60))
def test_chances_add_up_and_a_forecast_is_never_below_the_level(rates: list[float]) -> None:
    load = forecast.forecast(fed(rates), SCALE, HORIZON)
    assert load.peak >= load.level >= 0.0
    assert sum(chance for _, chance in load.cases) == pytest.approx(1.0)
    assert all(rate >= 0.0 for rate, _ in load.cases)
