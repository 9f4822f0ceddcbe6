"""The clairvoyant: the fewest pods for what is coming."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perfslo.simulate.model import Balancing, Dependency, Load, Scenario, Service, Shift
from perfslo.simulate.policies import oracle
from perfslo.simulate.policies.oracle import Capacity, Oracle, Spell, peak_rps, pods_for, spells
from tests.simulate.policies.views import SCENARIO, FakeView

RAMP = Load((0.0, 600.0, 1200.0), (50.0, 50.0, 650.0))
"""From minute 10 on, one request a second more each second."""


def each(rps: float) -> Capacity:
    """As under random balancing: a pod carries the same among however many."""
    return lambda pods: rps


def together(rps: float) -> Capacity:
    """As with a dependency at its end."""
    return lambda pods: min(40.0, rps / pods)


@pytest.mark.parametrize(
    ("capacity", "rps", "pods"),
    [
        (each(37.0), 0.0, 1),
        (each(37.0), 37.0, 1),
        (each(37.0), 37.1, 2),
        (each(37.0), 370.0, 10),
        (each(37.0), 370.1, 11),
        (each(37.0), 40 * 37.0, 40),
        # All of 64, for each brings what the others do.
        (each(37.0), 1e6, 64),
        # Nothing keeps the promise.
        (each(0.0), 10.0, None),
        (together(200.0), 160.0, 4),
        (together(200.0), 170.0, 5),
        # 8 carry 200, and so do 16.
        (together(200.0), 201.0, None),
        # Ones that share their queues carry more: 40, 84 and 176 together, a straight line in between.
        (lambda pods: 40.0 + 2.0 * math.log2(pods), 131.0, 4),
        (lambda pods: 40.0 + 2.0 * math.log2(pods), 130.0, 3),
    ],
)
def test_pods_for_a_load(capacity: Capacity, rps: float, pods: int | None) -> None:
    assert pods_for(capacity, rps, 64) == pods


def test_no_more_is_measured_than_must_be() -> None:
    asked = []

    def capacity(pods: int) -> float:
        asked.append(pods)
        return 37.0

    assert pods_for(capacity, 700.0, 240, hardly=14) == 19
    assert pods_for(capacity, 296.0, 240, hardly=8) == 8
    assert pods_for(capacity, 1000.0, 5, hardly=20) == 5
    assert asked == [8, 16, 32, 8, 5]


def test_both_sides_of_a_step_count() -> None:
    step = Load((0.0, 100.0, 100.0, 200.0), (10.0, 10.0, 30.0, 20.0))
    assert peak_rps(step, 0.0, 99.0) == 10.0
    assert peak_rps(step, 0.0, 100.0) == 30.0
    assert peak_rps(step, 100.0, 200.0) == 30.0
    assert peak_rps(step, 150.0, 300.0) == 25.0
    assert step.mean_rps == pytest.approx((100 * 10 + 100 * 25) / 200)


def knowing(scenario: Scenario, capacity: float = 10.0) -> Oracle:
    """One for which a pod carries that much, and less in proportion as the service gets slower."""

    def capacity_of(_: Scenario, spell: Spell) -> Capacity:
        return each(capacity * 0.04 / spell.service.mean_seconds if spell.service.failing_ratio == 0 else 0.0)

    return Oracle("oracle", scenario, capacity_of)


def decided(scenario: Scenario, at: float, desired: int = 3) -> int:
    return knowing(scenario).decide(FakeView(now_seconds=at, desired=desired, scenario=scenario))


def test_pods_are_there_a_minute_before_their_load() -> None:
    ramp = replace(SCENARIO, load=RAMP)
    # 30 s to start and a minute more: until 510 s nothing rises.
    assert [decided(ramp, at) for at in (0.0, 510.0, 510.5, 520.0)] == [5, 5, 6, 6]
    slow = replace(ramp, service=Service(startup_seconds=120.0))
    assert [decided(slow, at) for at in (420.0, 420.5)] == [5, 6]


@pytest.mark.parametrize("at", range(0, 1200, 37))
def test_all_load_until_then_is_carried_and_one_pod_less_would_not_do(at: float) -> None:
    needed = decided(replace(SCENARIO, load=RAMP), at)
    coming = [RAMP.at(at + second) for second in range(91)]
    assert 10.0 * needed >= max(coming) > 10.0 * (needed - 1)


def test_they_go_as_soon_as_fewer_do() -> None:
    falling = replace(SCENARIO, load=Load((0.0, 100.0, 100.0, 200.0), (50.0, 50.0, 10.0, 10.0)))
    assert [decided(falling, at) for at in (0.0, 99.0, 101.0)] == [5, 5, 1]


def test_bounds() -> None:
    bounded = replace(SCENARIO, load=RAMP, min_replicas=7, max_replicas=20)
    assert decided(bounded, 0.0) == 7
    assert decided(bounded, 1200.0) == 20


def test_a_release_that_is_slower_is_known_before() -> None:
    release = replace(SCENARIO, shifts=(Shift(600.0, service_factor=2.0, new_version=True),))
    assert [decided(release, at) for at in (509.0, 510.0, 900.0)] == [10, 20, 20]


def test_what_no_number_of_pods_can_keep_asks_for_nothing() -> None:
    broken = replace(
        SCENARIO, shifts=(Shift(600.0, failing_ratio=0.2), Shift(900.0, failing_ratio=0.0, service_factor=2.0))
    )
    assert decided(broken, 595.0, desired=17) == 10, "for the load before"
    assert decided(broken, 700.0, desired=17) == 17, "nothing would help, so nothing changes"
    assert decided(broken, 811.0, desired=17) == 20, "for the load after"


def test_spells() -> None:
    scenario = replace(
        SCENARIO,
        service=Service(dependency=Dependency(8, 0.02)),
        shifts=(
            Shift(100.0, service_factor=1.5, slow_pods_share=0.1),
            Shift(200.0, service_factor=2.0, dependency_factor=4.0),
            Shift(300.0, hit_ratio=0.5, static_ratio=0.3, startup_seconds=90.0, slow_pods_share=0.0),
        ),
    )
    found = spells(scenario)
    assert [(s.since_seconds, s.until_seconds) for s in found] == [(0, 100), (100, 200), (200, 300), (300, math.inf)]
    # Factors are of the service at the beginning.
    assert [round(s.service.mean_seconds, 6) for s in found] == [0.04, 0.06, 0.08, 0.08]
    assert [s.service.dependency.mean_seconds for s in found if s.service.dependency] == [0.02, 0.02, 0.08, 0.08]
    assert [s.service.hit_ratio for s in found] == [0.0, 0.0, 0.0, 0.5]
    assert [s.service.static_ratio for s in found] == [0.0, 0.0, 0.0, 0.3]
    assert [s.service.startup_seconds for s in found] == [30.0, 30.0, 30.0, 90.0]
    assert [s.slow_share for s in found] == [0.0, 0.1, 0.1, 0.0]


def test_the_true_capacity_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(*question: object) -> float:
        asked.append(question)
        return 37.0

    monkeypatch.setattr(oracle, "true_capacity", measured)
    spell = Spell(0.0, math.inf, SCENARIO.service, 0.1, 3.0)
    assert oracle.simulated(SCENARIO, spell)(64) == 37.0
    least = replace(SCENARIO, balancing=Balancing.LEAST_REQUEST)
    assert oracle.simulated(least, spell)(64) == 37.0
    shared = replace(spell, service=Service(dependency=Dependency(8, 0.02)))
    assert oracle.simulated(SCENARIO, shared)(64) == 37.0
    # Under random balancing each pod is alone with its queue.
    assert [question[3:] for question in asked] == [
        (Balancing.RANDOM, oracle.PODS, 0.1, 3.0),
        (Balancing.LEAST_REQUEST, 64, 0.1, 3.0),
        (Balancing.RANDOM, 64, 0.1, 3.0),
    ]


def test_static_counts_for_comparison() -> None:
    ramp = replace(SCENARIO, load=RAMP, max_replicas=60)
    assert knowing(ramp).needed_always() == 60
    assert knowing(replace(ramp, max_replicas=200)).needed_always() == 65
    # (600 x 50 + 600 x 350) / 1200
    assert knowing(ramp).needed_on_average() == 20
