"""Runs from beginning to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from perfslo.simulate.model import Balancing, Load, Policy, Run, Scenario, Service, Shift, View
from perfslo.simulate.policies.perfslo import Perfslo
from perfslo.simulate.run import simulate, true_capacity
from tests.simulate.worlds import steady

STEP = Scenario("step", Load((0.0, 300.0, 300.0, 1500.0), (60.0, 60.0, 180.0, 180.0)), initial_replicas=3)


class Scripted:
    """Wants what it is told, at any time."""

    name = "scripted"
    period_seconds = 15.0

    def __init__(self, replicas: Mapping[float, int]) -> None:
        self.replicas = replicas

    def decide(self, view: View) -> int:
        return next(
            (n for at, n in sorted(self.replicas.items(), reverse=True) if at <= view.now_seconds), view.desired
        )

    def explain(self) -> Mapping[str, float | str]:
        return {}


def same(one: Run, other: Run) -> bool:
    return replace(one, decision_seconds=()) == replace(other, decision_seconds=())


def test_a_run_is_told_minute_by_minute() -> None:
    scripted: Policy = Scripted({300.0: 5, 600.0: 4, 900.0: 6, 1200.0: 1000})
    done: list[float] = []
    scenario = replace(STEP, judged_from_seconds=300.0, max_replicas=8)
    run = simulate(scenario, scripted, 1, done.append)
    assert [minute.at_seconds for minute in run.minutes] == [60.0 * n for n in range(5, 25)]
    assert run.requests == pytest.approx(1200 * 180, rel=0.02)
    assert (run.actions, run.reversals) == (4, 2)
    first, last = run.minutes[0], run.minutes[-1]
    assert (first.replicas, first.desired) == (5.0, 5)
    assert 3.3 < first.ready < 4.2  # two more after half a minute
    assert (last.replicas, last.ready, last.desired) == (8.0, 8.0, 8)
    assert run.failed
    assert run.violation_minutes == 20 - sum(m.bad <= 0.05 * m.requests for m in run.minutes)
    assert first.percentile_seconds > 1.0 > 0.25 > last.percentile_seconds
    assert [instant.desired for instant in run.instants][20:60:20] == [5, 4]
    assert run.instants[30].rps == 180.0
    assert len(run.decision_seconds) == len(run.instants) == 99
    assert done[-1] == pytest.approx(0.99)


def test_perfslo_keeps_the_promise_after_a_step() -> None:
    run = simulate(STEP, Perfslo(STEP), 1)
    assert not any(minute.bad > 0.05 * minute.requests for minute in run.minutes[8:])
    enough = 180.0 / true_capacity(STEP.service, STEP.target_seconds, STEP.percentile)
    assert enough <= run.minutes[-1].desired <= 1.4 * enough + 1
    assert same(run, simulate(STEP, Perfslo(STEP), 1))
    assert not same(run, simulate(STEP, Perfslo(STEP), 2))


def test_perfslo_reduces_nothing_while_it_sees_nothing() -> None:
    load = Load((0.0, 300.0, 300.0, 900.0), (180.0, 180.0, 40.0, 40.0))
    away = Scenario("away", load, initial_replicas=6, shifts=(Shift(300.0, metrics_up=False),))
    assert min(minute.desired for minute in simulate(away, Perfslo(away), 1).minutes) == 6
    seen = replace(away, shifts=())
    assert simulate(seen, Perfslo(seen), 1).minutes[-1].desired < 6


def test_perfslo_goes_on_after_a_restart() -> None:
    steady_load = replace(STEP, load=steady(180.0, 1500.0), initial_replicas=6)
    policy = Perfslo(steady_load, restarts_seconds=(1200.0,))
    restarted, unbroken = simulate(steady_load, policy, 1), simulate(steady_load, Perfslo(steady_load), 1)
    pairs = zip(restarted.instants, unbroken.instants, strict=True)
    assert max(abs(one.desired - other.desired) for one, other in pairs) <= 1


def test_perfslo_explains_itself() -> None:
    policy = Perfslo(STEP)
    simulate(STEP, policy, 1)
    assert policy.explain()["bottleneck"] == "Healthy"
    assert isinstance(policy.explain()["load"], float)


def test_true_capacity_is_that_of_the_formula() -> None:
    # Two workers and log-normal work; with exponential work it is 37.0, and at a variation of 1 the two are close.
    assert true_capacity(Service(), 0.250, 95.0) == pytest.approx(37.0, rel=0.03)


def test_true_capacity_knows_the_balancer() -> None:
    assert true_capacity(Service(), 0.250, 95.0, Balancing.LEAST_REQUEST, 8) > 1.2 * true_capacity(
        Service(), 0.250, 95.0
    )


def test_what_no_number_of_pods_can_promise_has_no_capacity() -> None:
    assert true_capacity(Service(mean_seconds=0.3), 0.250, 95.0) == 0.0
