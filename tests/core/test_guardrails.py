"""Each limit by itself: what it turns a proposal into, and how it names itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import guardrails
from perfslo.core.memory import Bin, Capacity, Curve, Memory, Order, Recommendation, Sample, ScaleEvent
from perfslo.core.model import Bottleneck, Diagnosis, Histogram, Missing, Observation, Plan, Replicas, Value
from perfslo.core.timescale import TimeScale

NOW = 1e6
CURVE = Curve(bins=(Bin(10.0, 1e5, 10.0),), low=12.0, median=14.0)
KNOWN = Memory(
    capacities=(Capacity("v1", 30.0, True, {"0.2s/0.05": CURVE}),),
    time=NOW,
    known_since=NOW - 1e4,
    ready=10,
    ready_since=NOW - 1e4,
    arrivals=(Sample(NOW, 18.0),),
)


def slo(**fields: Any) -> PerformanceSLOSpec:
    body = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 20,
        "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
    }
    return PerformanceSLOSpec.model_validate({**body, **fields})


def seen(slow: float = 0.0, quick: float = 900.0, **pods: Any) -> Observation:
    fields = {"desired": 10, "ready": 10, "version": "v1", **pods}
    return Observation(
        time=NOW,
        scale=TimeScale(),
        replicas=Replicas(**fields),
        latency={"p95": Histogram((0.1, 0.2, float("inf")), (quick, 1000.0 * (1 - slow), 1000.0))},
        completions_per_second=Value(20.0),
        in_flight=Missing("SeriesMissing"),
        error_ratio=Value(0.0),
    )


def guarded(
    proposed: int | None,
    observation: Observation | None = None,
    memory: Memory = KNOWN,
    spec: PerformanceSLOSpec | None = None,
    forbidden: dict[str, str] | None = None,
) -> Plan:
    observation = observation or seen()
    diagnosis = Diagnosis(Bottleneck.HEALTHY, "", forbidden=forbidden or {})
    numbers = {"load": 20.0, "demand": 20.0}
    plan = Plan(why="because", proposed_replicas=proposed, numbers=numbers)
    return guardrails.guard(spec or slo(), memory, observation, diagnosis, plan)


@pytest.mark.parametrize(
    ("proposed", "final", "limits"),
    [
        (10, 10, ()),
        (14, 14, ()),
        (9, 9, ()),
        # A fifth a minute.
        (2, 8, ("ScaleDownLimit",)),
        (0, 8, ("MinReplicas", "ScaleDownLimit")),
        (99, 20, ("MaxReplicas",)),
        (None, 10, ()),
    ],
)
def test_bounds_and_steps(proposed: int | None, final: int, limits: tuple[str, ...]) -> None:
    plan = guarded(proposed)
    assert (plan.final_replicas, plan.limited_by) == (final, limits)
    assert [(s.current, s.wanted) for s in plan.steps] == ([(10, final)] if final != 10 else [])
    assert plan.why.startswith({10: "hold: "}.get(final, f"scale {'out' if final > 10 else 'in'} 10 -> {final}: "))


@pytest.mark.parametrize(
    ("name", "memory", "observation", "forbidden"),
    [
        ("MetricsUnknown", replace(KNOWN, known_since=None), seen(), {}),
        ("ColdStart", replace(KNOWN, known_since=NOW - 190.0), seen(), {}),
        ("ObjectiveMissed", KNOWN, seen(), {"replicas:down": "errors not met"}),
        ("RollingOut", KNOWN, seen(rolling_out=True), {}),
        ("PodsStarting", KNOWN, seen(starting=1), {}),
        ("NoProof", KNOWN, seen(slow=0.045), {}),
        ("NoProof", replace(KNOWN, capacities=()), seen(quick=100.0), {}),
        (
            "StabilizationWindow",
            replace(KNOWN, recommendations=(Recommendation(NOW - 150, NOW - 150, 10),)),
            seen(),
            {},
        ),
        ("ScaleDownLimit", replace(KNOWN, scale_events=(ScaleEvent(NOW - 30, -3),)), seen(), {}),
    ],
)
def test_nothing_is_taken_away(name: str, memory: Memory, observation: Observation, forbidden: dict[str, str]) -> None:
    plan = guarded(9, observation, memory, forbidden=forbidden)
    assert plan.final_replicas == 10
    assert plan.limited_by == (name,)
    assert ", but " in plan.why


def flapped(recent: tuple[Recommendation, ...] = ()) -> Memory:
    """One that has taken away and ordered again three times within the hour."""
    events = tuple(ScaleEvent(NOW - 3500 + 500 * i, 1 if i % 2 else -1) for i in range(6))
    return replace(KNOWN, scale_events=events, recommendations=recent)


def test_the_flap_budget_says_how_often_and_how_long() -> None:
    plan = guarded(8, memory=flapped((Recommendation(NOW - 390, NOW - 390, 9),)))
    assert (plan.final_replicas, plan.limited_by) == (9, ("FlapBudget",))
    assert plan.why == (
        "scale in 10 -> 9: because, but replicas were taken away and ordered again 3 times within an hour, "
        "and 9 were asked for within 400s"
    )
    assert guarded(8, memory=flapped((Recommendation(NOW - 400, NOW - 400, 9),))).limited_by == ()


@given(
    proposed=st.integers(0, 30),
    recent=st.lists(st.tuples(st.floats(0.0, 4000.0), st.integers(0, 30)), max_size=20),
)
def test_the_flap_budget_never_holds_back_an_increase(proposed: int, recent: list[tuple[float, int]]) -> None:
    memory = flapped(tuple(Recommendation(NOW - ago, NOW - ago, replicas) for ago, replicas in recent))
    plan = guarded(proposed, memory=memory)
    assert plan.final_replicas is not None
    if proposed >= 10:
        assert "FlapBudget" not in plan.limited_by
        assert plan.final_replicas == min(proposed, 20)
    else:
        assert proposed <= plan.final_replicas <= 10


def of_few(requests: float, slow: float) -> Observation:
    latency = Histogram((0.1, 0.2, float("inf")), (requests - slow, requests - slow, requests))
    return replace(seen(), latency={"p95": latency})


def test_nothing_is_taken_away_while_few_requests_say_that_the_promise_is_broken() -> None:
    plan = guarded(9, of_few(10.0, slow=9.0))
    assert (plan.final_replicas, plan.limited_by) == (10, ("NoProof",))
    assert "9 of only 10 requests are slow" in plan.why
    assert guarded(9, of_few(10.0, slow=0.0)).final_replicas == 9
    assert guarded(9, of_few(40.0, slow=1.0)).final_replicas == 9, "one may be chance"


def test_nothing_is_ordered_twice_for_one_shortage() -> None:
    order = Order("d1", NOW - 12, 7, 10, 20.0, 15.0, 3.0)
    plan = guarded(
        12, seen(ready=7, starting=3, startup_seconds=25.0), replace(KNOWN, order=order, startup_seconds=25.0)
    )
    assert plan.limited_by == ("AlreadyOrdered",)
    assert "3 pods ordered 12s ago are still starting (they take 25s)" in plan.why
    # The forecast rose by more than a tenth since: that is a new shortage.
    risen = replace(KNOWN, order=replace(order, demand=18.0))
    assert guarded(12, seen(ready=7, starting=3), risen).final_replicas == 12


def test_pods_without_a_node_are_not_joined_by_more() -> None:
    assert guarded(12, seen(ready=8, pending=2)).limited_by == ("PodsPending",)


def test_a_bound_that_the_user_moved_wins_at_the_scale_down_rate_even_blindly() -> None:
    blind = replace(KNOWN, known_since=None)
    plan = guarded(None, memory=blind, spec=slo(maxReplicas=5))
    assert plan.final_replicas == 8
    assert guarded(None, memory=blind, spec=slo(minReplicas=12)).final_replicas == 12


def test_the_cost_cap_binds_but_not_below_the_minimum() -> None:
    plan = guarded(15, spec=slo(cost={"replicaHourly": "0.04", "maxHourly": "0.5"}))
    assert (plan.final_replicas, plan.limited_by) == (12, ("CostCap",))
    tight = slo(minReplicas=10, cost={"replicaHourly": "1", "maxHourly": "3"})
    assert guarded(15, spec=tight).final_replicas == 10


def test_the_fallback_raises_after_its_threshold_and_never_lowers() -> None:
    spec = slo(fallback={"failureThreshold": 3, "minReplicas": 12})
    blind = replace(KNOWN, known_since=None)
    assert guarded(None, memory=replace(blind, missing_cycles=2), spec=spec).final_replicas == 10
    plan = guarded(None, memory=replace(blind, missing_cycles=3), spec=spec)
    assert (plan.final_replicas, plan.limited_by) == (12, ("Fallback",))
    more = replace(blind, missing_cycles=9)
    assert guarded(None, seen(desired=15, ready=15), more, spec).final_replicas == 15


def test_an_authors_behavior_replaces_our_limits() -> None:
    down = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]}
    assert guarded(2, spec=slo(behavior={"scaleDown": down})).final_replicas == 6
    assert guarded(2, spec=slo(behavior={"scaleDown": {"selectPolicy": "Disabled"}})).final_replicas == 10
    assert guarded(20, spec=slo(behavior={})).final_replicas == 20
    assert guarded(11, spec=slo(behavior={"scaleUp": {"tolerance": "0.2"}})).limited_by == ("Tolerance",)
