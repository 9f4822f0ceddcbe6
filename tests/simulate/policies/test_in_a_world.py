"""The rivals in a simulated world: what they come to rest at under a steady load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.simulate.model import Load, Run, Scenario, Shift
from perfslo.simulate.policies import registry
from perfslo.simulate.run import simulate

STEADY = Scenario("steady", Load((0.0, 1200.0), (200.0, 200.0)), initial_replicas=8, max_replicas=30)
"""8 cores' worth of work, by pods of 2."""
DOWN = replace(STEADY, shifts=(Shift(60.0, metrics_up=False),))


def run(scenario: Scenario, text: str) -> Run:
    return simulate(scenario, registry.parse(text)(scenario), seed=1)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        # 8 / (2 x 60 %) = 6.7; 8 x 0.9 = 7.2 is within the tolerance
        ("hpa-cpu=60", 6, 8),
        ("hpa-cpu=40", 9, 11),
        ("hpa-cpu=80", 5, 6),
        # 200 / 24 = 8.3
        ("keda-rps=24", 8, 10),
        ("keda-rps=40", 5, 6),
        # About 9 in flight, 1.8 for each pod; panics hold what a moment asked for.
        ("kpa=0.9", 5, 10),
        ("static=12", 12, 12),
    ],
)
def test_where_they_rest(text: str, least: int, most: int) -> None:
    last = run(STEADY, text).minutes[-1]
    assert least <= last.desired <= most
    assert last.ready == pytest.approx(last.desired, abs=2.0)


@pytest.mark.parametrize("text", ["keda-rps=10", "keda-p95=50ms", "llmd"])
def test_without_prometheus_they_hold(text: str) -> None:
    minutes = run(DOWN, text).minutes
    assert {minute.desired for minute in minutes[2:]} == {minutes[1].desired}


def test_keda_takes_the_first_empty_answer_for_no_requests() -> None:
    # While Prometheus was down nothing was recommended, so after five minutes nothing holds the count any more.
    back = replace(STEADY, shifts=(Shift(300.0, metrics_up=False), Shift(900.0, metrics_up=True)))
    desired = [minute.desired for minute in run(back, "keda-rps=24").minutes]
    assert desired[13] >= 8
    assert desired[14] == STEADY.min_replicas


def test_cpu_comes_from_another_server() -> None:
    assert run(DOWN, "hpa-cpu=40").minutes[-1].desired == run(STEADY, "hpa-cpu=40").minutes[-1].desired


def test_latency_is_no_measure_of_how_many_are_missing() -> None:
    desired = [minute.desired for minute in run(STEADY, "keda-p95=1000ms").minutes]
    # Far below its target while there are enough, so fewer seem to do; as soon as they do not, all are ordered.
    few = desired.index(4)
    assert desired[few + 1] == STEADY.max_replicas
    assert min(desired[few + 1 :]) <= 5


def test_latency_close_to_its_target_when_idle_asks_for_ever_more() -> None:
    assert run(STEADY, "llmd").minutes[-1].desired == STEADY.max_replicas
    assert run(STEADY, "llmd=0.95,0.80").minutes[-1].desired < STEADY.max_replicas
