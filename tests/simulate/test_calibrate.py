"""From a past whose service is known: is a service like it found, and is said what cannot be?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfslo.simulate import backtest, calibrate
from perfslo.simulate import run as simulated
from perfslo.simulate.model import Balancing, Load, Scenario, Service
from perfslo.simulate.policies.perfslo import promised
from tests.simulate.recorded import TARGET_SECONDS, past


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fewer requests in each trial of a load, with others than these not to be found in the cache."""
    monkeypatch.setattr(simulated, "STEADY_REQUESTS", 50_000)
    monkeypatch.setattr(calibrate, "REQUESTS", 30_000)
    simulated.true_capacity.cache_clear()
    yield
    simulated.true_capacity.cache_clear()


RISING = Load((0.0, 600.0, 2400.0), (40.0, 40.0, 150.0))
PODS = ((0.0, 4), (1800.0, 5))


@pytest.mark.parametrize("service", [Service(), Service(workers=4, mean_seconds=0.1)], ids=["two workers", "four"])
def test_capacity_is_found_where_load_came_near_it(service: Service) -> None:
    found = calibrate.calibrate(past(service, RISING, PODS)).service
    assert found.mean_seconds == pytest.approx(service.mean_seconds, rel=0.1)
    true, seen = (simulated.true_capacity(each, TARGET_SECONDS, 95.0) for each in (service, found))
    assert seen == pytest.approx(true, rel=0.15)


def test_what_an_idle_service_could_do_is_said_to_be_unknown() -> None:
    idle = past(Service(workers=8), Load((0.0, 1500.0), (8.0, 8.0)), ((0.0, 4),))
    found = calibrate.calibrate(idle)
    assert found.service.workers < 8
    assert any("workers explain them about as well" in note for note in found.notes)
    assert any("no pod was seen to carry more than 2." in note for note in found.notes)


def test_as_it_was_comes_out_as_it_was_observed() -> None:
    recorded = past(Service(), RISING, PODS)
    service = calibrate.calibrate(recorded).service
    spec = promised(Scenario("checkout", RISING, min_replicas=2, max_replicas=12))
    played = backtest.scenario(recorded, service, spec, "checkout", Balancing.RANDOM)
    runs = {run.policy: run for run in backtest.runs(recorded, played, spec, ["static=5"])}
    assert list(runs) == ["observed", "as-it-was", "perfslo", "static=5", "oracle"]
    assert runs["observed"].bad_ratio == pytest.approx(runs["as-it-was"].bad_ratio, abs=0.01)
    assert runs["observed"].replica_minutes == pytest.approx(runs["as-it-was"].replica_minutes, rel=0.03)
    assert runs["observed"].actions == 1
    assert runs["perfslo"].bad_ratio < 0.05
