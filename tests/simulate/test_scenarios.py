"""Scenarios and shapes: sized as they say, the same for the same seed."""

from __future__ import annotations

import pytest

from perfslo.errors import ConfigurationError
from perfslo.simulate import scenarios, shapes
from perfslo.simulate.model import Balancing, Load

DIFFER_BY_SEED = {"diurnal", "noisy", "bursty", "low-traffic"}


@pytest.mark.parametrize("name", scenarios.names())
def test_a_scenario_is_whole(name: str) -> None:
    scenario = scenarios.build(name, seed=3, balancing=Balancing.LEAST_REQUEST)
    load = scenario.load
    assert (scenario.name, scenario.balancing) == (name, Balancing.LEAST_REQUEST)
    assert scenarios.describe(name)
    assert 60 * 60 <= load.duration_seconds - scenario.judged_from_seconds <= 90 * 60
    assert load.times_seconds[0] == 0
    assert list(load.times_seconds) == sorted(load.times_seconds)
    assert min(load.rps) >= 0
    times = [shift.at_seconds for shift in scenario.shifts]
    assert times == sorted(times)
    assert all(scenario.judged_from_seconds < t < load.duration_seconds for t in times)
    assert scenario.min_replicas < scenario.max_replicas


@pytest.mark.parametrize("name", [name for name in scenarios.names() if name != "low-traffic"])
def test_a_scenario_is_as_large_as_asked(name: str) -> None:
    many, few = (scenarios.build(name, replicas=replicas) for replicas in (20.0, 5.0))
    assert many.load.mean_rps == pytest.approx(4 * few.load.mean_rps)


@pytest.mark.parametrize("name", sorted(DIFFER_BY_SEED))
def test_chance_comes_from_the_seed(name: str) -> None:
    assert scenarios.build(name, seed=1).load == scenarios.build(name, seed=1).load
    assert scenarios.build(name, seed=1).load != scenarios.build(name, seed=2).load


def test_an_unknown_scenario_is_told_the_others() -> None:
    with pytest.raises(ConfigurationError, match="write all, or one of diurnal, noisy"):
        scenarios.build("tsunami")


def test_the_flash_crowd_comes_within_half_a_minute() -> None:
    load = shapes.flash_crowd(3600, 600, low=1.0, factor=5.0, rise_seconds=30.0)
    assert load.at(599) == pytest.approx(1.0)
    assert load.at(630) == pytest.approx(5.0)
    assert load.at(1200) == pytest.approx(5.0)
    assert load.at(3599) < 1.5


def test_on_and_off_last_equally_long() -> None:
    load = shapes.on_off(2400, 1200, 0.5, 1.5)
    assert load.mean_rps == pytest.approx(1.0, rel=0.01)
    assert [load.at(t) for t in (300, 900, 1500, 2100)] == [1.5, 0.5, 1.5, 0.5]


def test_noise_is_as_large_as_asked() -> None:
    load = shapes.noisy(36000, seed=1, deviation=0.2)
    mean = sum(load.rps) / len(load.rps)
    deviation = (sum((rate - mean) ** 2 for rate in load.rps) / len(load.rps)) ** 0.5
    assert mean == pytest.approx(1.0, abs=0.05)
    assert deviation == pytest.approx(0.2, rel=0.15)


def test_bursts_stand_out() -> None:
    rates = sorted(shapes.bursty(4200, seed=2).rps)
    assert rates[-1] > 2.2 * rates[len(rates) // 4]


def test_a_trace_is_scaled_to_its_pods() -> None:
    scenario = scenarios.of_trace("mine", Load((0.0, 1800.0, 3600.0), (1.0, 3.0, 1.0)), replicas=10)
    assert scenario.load.mean_rps == pytest.approx(10 * scenarios.CAPACITY_RPS)
    assert scenario.judged_from_seconds == 600
