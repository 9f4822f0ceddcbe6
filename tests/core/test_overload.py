"""What a flood asks for beyond the load that is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.core import capacity, identify, iterate, overload
from perfslo.core.levers import replicas
from perfslo.core.memory import Bin, Capacity, Curve, Memory, Sample
from perfslo.core.model import Observation, Plan, Replicas, Value
from tests.core import turns
from tests.core.turns import NOW

SPEC = turns.spec()


def flooded(queue: tuple[float, float] = (500.0, 505.0), **changes: object) -> Memory:
    """Saturated for two cycles, with so many requests in flight at the end of each."""
    latency = SPEC.primary_objective.latency
    assert latency
    curve = Curve(bins=(Bin(30.0, 4000.0, 4.0),), low=30.0, median=35.0)
    known = Capacity("v1", curves={capacity.promise_key(latency): curve})
    memory = turns.memory(
        capacities=(known,),
        saturated_since=NOW - 15.0,
        slow_ratios=(Sample(NOW - 15.0, 9.0), Sample(NOW, 15.0)),
        in_flight=(Sample(NOW - 15.0, queue[0]), Sample(NOW, queue[1])),
        arrivals=(Sample(NOW, 100.0),),
    )
    return replace(memory, **changes)  # type: ignore[arg-type]


def seen(completions_per_pod: float = 40.0, desired: int = 2, ready: int = 2) -> Observation:
    return turns.observation(
        turns.SLOW, Replicas(desired, ready, version="v1"), completions_per_second=Value(completions_per_pod * ready)
    )


def test_what_nobody_counts_is_told_by_how_many_wait_and_how_long() -> None:
    # 99 % of what SLOW counts took less than a second.
    assert overload.by_little(flooded((500.0, 500.0)), seen()) == pytest.approx(500.0)
    assert overload.by_little(flooded(slow_ratios=(Sample(NOW, 0.5),)), seen()) == 0.0
    assert overload.by_little(flooded(in_flight=()), seen()) == 0.0


def test_completions_say_little_when_most_give_up() -> None:
    assert overload.leave_unanswered(flooded((500.0, 500.0)), seen(completions_per_pod=40.0))
    assert not overload.leave_unanswered(flooded((40.0, 40.0)), seen(completions_per_pod=40.0))
    begun = flooded((500.0, 500.0), slow_ratios=(Sample(NOW - 15.0, 0.5), Sample(NOW, 15.0)))
    assert not overload.leave_unanswered(begun, seen(completions_per_pod=40.0)), "nobody has waited for long yet"


def test_queues_are_emptied_in_half_a_minute() -> None:
    # 100/s for 200 ms are 20 in flight; the rest waits too long.
    assert overload.drained_per_second(SPEC, flooded((600.0, 620.0)), seen()) == pytest.approx(600.0 / 30.0)
    assert overload.drained_per_second(SPEC, flooded((600.0, 620.0)), seen(completions_per_pod=10.0)) == 0.0
    assert overload.drained_per_second(SPEC, flooded(slow_ratios=(Sample(NOW, 0.5),)), seen()) == 0.0


def test_pods_for_the_trend_of_a_flood_are_ordered_and_not_held_afterwards() -> None:
    rising = tuple(Sample(NOW - 75.0 + 15.0 * i, 60.0 + 40.0 * i) for i in range(6))
    memory = flooded(arrivals=rising, in_flight=(), ready=2, completions=80.0, known_since=NOW - 600.0, time=NOW)
    observation = seen()
    diagnosis = identify.diagnose(SPEC, memory, observation)
    proposed = replicas.propose(SPEC, memory, observation, diagnosis)
    assert proposed.replicas
    assert proposed.numbers["demand"] == pytest.approx(1.5 * 260.0, rel=0.01)
    assert proposed.numbers["steady"] < proposed.replicas
    plan = Plan(proposed.reason, proposed_replicas=proposed.replicas, numbers=proposed.numbers)
    remembered = iterate.record(SPEC, memory, observation, diagnosis, plan, None, None)
    assert remembered.recommendations[-1].replicas == proposed.numbers["steady"]
