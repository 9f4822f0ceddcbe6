"""Backends with a workload each: every one is decided by itself, and one arbiter puts the steps in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import members
from perfslo.core.databases import Connections
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.levers import knobs
from perfslo.core.memory import Bin, Capacity, Curve, Memory, Sample
from perfslo.core.model import (
    Bottleneck,
    Change,
    ChangeResult,
    Histogram,
    LatencyReading,
    Missing,
    Observation,
    Plan,
    Replicas,
    Route,
    Standing,
    Target,
    TargetProblem,
    Value,
)
from perfslo.core.steps import Balance, Scale, Step, TargetRef, Weigh
from perfslo.core.trials import Experiment, Held, Tally, Trials
from perfslo.core.weights import Traffic, Trim
from tests.core import turns
from tests.core.split import ROUTE, spec
from tests.core.turns import FAST, NOW

PROMISE = "0.2s/0.05"
NO_ROUTE = TargetProblem("RouteNotFound", "there is no such route: create it")
SLOW = Histogram(turns.BOUNDS, (300.0, 400.0, 900.0, 1000.0, 1000.0))
FINE = Trim(found=1 / 3, requests=400.0, bad=40.0, allowed=0.05)
BAD = Trim(found=1 / 3, requests=400.0, bad=4000.0, allowed=0.05)


def seen(
    *,
    ready: dict[str, int] | None = None,
    latency: dict[str, LatencyReading] | None = None,
    route: Route | TargetProblem | None = None,
    load: dict[str, float] | None = None,
    **changes: Any,
) -> Observation:
    """Three backends with two pods each and 20 requests a second; what is all of them together is made of them."""
    counts = {"a": 2, "b": 2, "c": 2} | (ready or {})
    parts = {
        name: replace(
            turns.observation((latency or {}).get(name, FAST), Replicas(max(1, count), count, version="v1")),
            requests_counted=Value(1000.0),
            completions_per_second=Value((load or {}).get(name, 20.0)),
        )
        for name, count in counts.items()
    }
    targets = {
        name: Target(TargetRef("apps", "Deployment", name), name, part.replicas, frozenset({name}))
        for name, part in parts.items()
    }
    worst = max((part.latency["p95"] for part in parts.values()), key=lambda reading: reading is not FAST)
    whole = turns.observation(worst, members.together(targets, ROUTE).replicas)
    weights = {"a": 334, "b": 333, "c": 333}
    return replace(
        whole,
        completions_per_second=Value(60.0),
        backends=parts,
        route=route or Route(ROUTE, "", "uid", weights, 1000),
        **changes,
    )


def known(load: float = 20.0, carried: float = 15.0, **changes: Any) -> Memory:
    """One that has known a backend's load for long, and what its pods carry."""
    curve = Curve(bins=(Bin(load / 2, 5000.0, 50.0),), low=0.95 * carried, median=carried, steepness=7.0)
    learnt = Capacity("v1", ceiling=2 * carried, ceiling_settled=True, curves={PROMISE: curve})
    return turns.memory(
        time=NOW - 15.0,
        arrivals=tuple(Sample(NOW - 15.0 * ago, load) for ago in range(20, 0, -1)),
        completions=load,
        capacities=(learnt,),
        **changes,
    )


def mind(trims: dict[str, Trim] | None = None, traffic: Traffic | None = None, **parts: Memory) -> Memory:
    found = traffic or Traffic(weights={"a": 334, "b": 333, "c": 333}, trims={"a": FINE, "b": FINE, "c": FINE})
    found = replace(found, trims={**found.trims, **(trims or {})})
    own = {"a": known(), "b": known(), "c": known()} | parts
    return replace(known(60.0), backends=own, traffic=found)


def decided(
    memory: Memory, observation: Observation, promise: PerformanceSLOSpec | None = None, **held: Any
) -> Decision:
    return decide(promise or spec("a", "b", "c"), memory, observation, **held)


def change(decision: Decision, result: ChangeResult = ChangeResult.APPLIED) -> Change:
    assert decision.plan
    return Change("d1", NOW, decision.plan.steps[0], result, "")


def test_all_is_well_and_nothing_moves() -> None:
    plan = decided(mind(), seen()).plan
    assert plan
    assert plan.steps == ()
    assert (plan.final_replicas, plan.why[:4]) == (6, "hold")


def test_bounds_are_for_all_of_them_together() -> None:
    promise = spec("a", "b", "c", backend={"minReplicas": 1, "maxReplicas": 8}, minReplicas=5, maxReplicas=10)
    own = members.own_specs(promise, seen(ready={"a": 6}))
    assert {name: (each.min_replicas, each.max_replicas) for name, each in own.items()} == {
        "a": (1, 6),
        "b": (1, 2),
        "c": (1, 2),
    }
    few = members.own_specs(promise, seen(ready={"a": 1, "b": 1, "c": 1}))
    assert few["a"].min_replicas == 3


def test_the_cost_cap_is_for_all_of_them_together() -> None:
    promise = spec("a", "b", "c", cost={"replicaHourly": "1", "maxHourly": "7"})
    assert members.own_specs(promise, seen())["b"].max_replicas == 3


def test_the_floor_of_the_fallback_is_for_all_of_them_together() -> None:
    promise = spec("a", "b", "c", fallback={"minReplicas": 8})
    fallback = members.own_specs(promise, seen())["b"].fallback
    assert fallback
    assert fallback.min_replicas == 4


def test_each_backend_is_scaled_by_what_it_sees() -> None:
    decision = decided(mind(b=known(60.0)), seen(route=NO_ROUTE, load={"b": 60.0}))
    assert decision.plan
    step = decision.plan.steps[0]
    assert isinstance(step, Scale)
    assert (step.subject, step.target, step.current) == ("b", TargetRef("apps", "Deployment", "b"), 2)
    assert step.wanted >= 4
    assert decision.plan.why.startswith("b: scale out 2 -> ")


def test_what_was_done_is_remembered_where_it_was_done() -> None:
    decision = decided(mind(b=known(60.0)), seen(route=NO_ROUTE, load={"b": 60.0}))
    memory, _ = conclude(spec("a", "b", "c"), decision, change(decision))
    assert memory.backends["b"].order
    assert memory.backends["a"].order is None
    assert memory.order is None
    assert memory.last_decision
    assert memory.history[0].id == "d1"


def test_weights_come_before_the_pods_of_a_backend_that_is_alone_in_breaking_the_promise() -> None:
    observation = seen(latency={"b": SLOW})
    decision = decided(mind({"b": BAD}, a=known(20.0, 40.0), c=known(20.0, 40.0)), observation)
    assert decision.plan
    assert [type(step) for step in decision.plan.steps] == [Weigh]
    step = decision.plan.steps[0]
    assert isinstance(step, Weigh)
    assert step.wanted["b"] < 150
    assert sum(step.wanted.values()) == 1000
    assert decision.plan.why.startswith("shift traffic: b: ")
    assert "slow or failed of 5.0% allowed at 33% of the traffic: 33% -> " in decision.plan.why
    assert decision.diagnosis.bottleneck is Bottleneck.BACKEND_SKEW
    assert decision.diagnosis.why.startswith("b: ")


def test_one_that_alone_breaks_the_promise_is_named_while_nothing_is_counted_yet_with_new_weights() -> None:
    anew = Trim(found=1 / 3)
    moved = Traffic(weights={"a": 383, "b": 234, "c": 383}, trims=dict.fromkeys("abc", anew), moved_at=NOW - 15)
    route = Route(ROUTE, "", "uid", moved.weights, 1000)
    one = decided(mind(traffic=moved), seen(latency={"b": SLOW}, route=route))
    assert one.diagnosis.bottleneck is Bottleneck.BACKEND_SKEW
    assert one.diagnosis.why.startswith("b: ")
    two = decided(mind(traffic=moved), seen(latency={"b": SLOW, "c": SLOW}, route=route))
    assert two.diagnosis.bottleneck is Bottleneck.SATURATED


def test_pods_come_first_where_nobody_could_take_the_traffic() -> None:
    full = known(20.0, 11.0)
    decision = decided(mind({"b": BAD}, a=full, b=full, c=full), seen(latency={"b": SLOW}))
    assert decision.plan
    assert any(isinstance(step, Scale) and step.wanted > step.current for step in decision.plan.steps)


@pytest.mark.parametrize("failing", [BAD, Trim(found=1 / 3, factor=0.1)], ids=["bad", "not judged yet"])
def test_nobody_waits_for_one_that_fails_fast_to_take_traffic(failing: Trim) -> None:
    full = known(20.0, 10.5)
    trims = {"a": BAD, "b": failing, "c": BAD}
    state = Traffic(weights={"a": 450, "b": 100, "c": 450}, trims=trims, moved_at=NOW - 30)
    memory = mind(traffic=state, a=full, b=known(2.0, 40.0), c=full)
    plan = decided(
        memory,
        seen(latency={"a": SLOW, "c": SLOW}, load={"b": 2.0}, route=Route(ROUTE, "", "uid", state.weights, 1000)),
    ).plan
    assert plan
    assert any(isinstance(step, Scale) and step.wanted > step.current for step in plan.steps), plan.why


def test_where_a_pod_carries_next_to_nothing_there_are_no_more_of_them() -> None:
    observation = seen(route=NO_ROUTE, load={"b": 20.0}, latency={"b": SLOW})
    observation = replace(observation, route=seen().route)
    full = known(20.0, 10.5)
    for carried, more in ((0.8, False), (8.0, True)):
        memory = mind({"a": BAD, "b": BAD, "c": BAD}, a=full, b=known(20.0, carried), c=full)
        plan = decided(memory, observation).parts["b"].plan
        assert plan
        assert ((plan.final_replicas or 0) > 2) is more, plan.why


def test_a_backend_without_ready_endpoints_is_drained_first() -> None:
    decision = decided(mind(a=known(20.0, 30.0), c=known(20.0, 30.0)), seen(ready={"b": 0}))
    assert decision.plan
    step = decision.plan.steps[0]
    assert isinstance(step, Weigh)
    assert step.wanted["b"] == 10


def test_nothing_is_taken_away_before_weights_have_shown_their_effect() -> None:
    idle = known(2.0, 15.0)
    still = mind(a=idle, b=idle, c=idle)
    observation = seen(load={"a": 2.0, "b": 2.0, "c": 2.0})
    free = decided(still, observation).plan
    assert free
    assert any(isinstance(step, Scale) and step.wanted < step.current for step in free.steps)
    moved = replace(still, traffic=replace(still.traffic, moved_at=NOW - 60.0))
    plan = decided(moved, observation).plan
    assert plan
    assert plan.steps == ()
    assert "Weights" in plan.limited_by


def test_a_backend_that_is_to_get_more_keeps_its_pods() -> None:
    idle = known(2.0, 15.0)
    memory = mind(a=idle, b=idle, c=idle)
    memory = replace(memory, traffic=replace(memory.traffic, aims={"a": 500, "b": 400, "c": 100}))
    plan = decided(memory, seen(route=NO_ROUTE, load={"a": 2.0, "b": 2.0, "c": 2.0})).plan
    assert plan
    assert {step.subject for step in plan.steps} == {"a", "b", "c"}


def test_what_cannot_be_carried_out_stands_behind_what_can() -> None:
    observation = seen(route=NO_ROUTE, load={"a": 60.0, "b": 60.0})
    plan = decided(mind(a=known(60.0), b=known(60.0)), observation, held=frozenset({"replicas/a"})).plan
    assert plan
    assert [step.subject for step in plan.steps] == ["b", "a"]


def test_recommended_weights_hold_nothing_back() -> None:
    promise = spec("a", "b", "c")
    assert promise.levers
    assert promise.levers.traffic
    traffic = promise.levers.traffic.model_copy(update={"mode": "Recommend"})
    promise = promise.model_copy(update={"levers": promise.levers.model_copy(update={"traffic": traffic})})
    memory = mind({"b": BAD}, a=known(20.0, 40.0), b=known(60.0), c=known(20.0, 40.0))
    plan = decided(memory, seen(latency={"b": SLOW}, load={"b": 60.0}), promise).plan
    assert plan
    assert isinstance(plan.steps[0], Scale)
    assert plan.steps[0].wanted > 2
    assert isinstance(plan.steps[-1], Weigh)


POLICY = {"policyRef": {"name": "web"}}
WASTEFUL = Standing(values={knobs.POLICY: "Random"})


def with_policy(policy: str, weights: str = "Recommend") -> PerformanceSLOSpec:
    """Weights and balancing policy in these modes; replicas are recommended."""
    levers = spec("a", "b", "c").levers
    assert levers
    assert levers.traffic
    traffic = levers.traffic.model_dump(by_alias=True, exclude_none=True) | POLICY | {"mode": weights, "policy": policy}
    return spec("a", "b", "c", levers={"traffic": traffic, "replicas": {"mode": "Recommend"}})


def under_load() -> Memory:
    """`b` is to lose weight, and the promise has been broken for long."""
    memory = mind({"b": BAD}, a=known(20.0, 40.0), c=known(20.0, 40.0))
    return replace(memory, breached_since=NOW - 600.0, slow_ratios=(Sample(NOW, 12.0),))


@pytest.mark.parametrize(
    ("policy", "weights", "first"),
    [
        ("Auto", "Recommend", Balance),
        ("Auto", "Auto", Weigh),
        ("Recommend", "Recommend", Weigh),
    ],
)
def test_weights_go_before_a_policy_unless_they_are_only_recommended(
    policy: str, weights: str, first: type[Step]
) -> None:
    observation = seen(latency={"b": SLOW}, standing=WASTEFUL)
    plan = decided(under_load(), observation, with_policy(policy, weights), levers=("traffic",)).plan
    assert plan
    assert isinstance(plan.steps[0], first)
    told = any("comes first" in words for words in plan.alternatives)
    assert told is (first is Weigh), plan.alternatives


def test_weights_that_somebody_else_moves_do_not_go_before_a_policy() -> None:
    observation = seen(latency={"b": SLOW}, standing=WASTEFUL)
    promise = with_policy("Auto", "Auto")
    plan = decided(under_load(), observation, promise, held=frozenset({"traffic"}), levers=("traffic",)).plan
    assert plan
    assert isinstance(plan.steps[0], Balance)


@pytest.mark.parametrize(("weights", "first"), [("Recommend", Balance), ("Auto", Weigh)])
def test_a_policy_of_no_use_is_put_back_though_weights_are_recommended(weights: str, first: type[Step]) -> None:
    tried = Experiment(
        "d1", NOW - 900.0, *knobs.POLICY, "Random", "LeastRequest", "QueueingBound", "p95", 10.0, Tally(), 6,
        outcome="NoEffect",
    )  # fmt: skip
    memory = replace(under_load(), trials=Trials(pending=tried))
    observation = seen(latency={"b": SLOW}, standing=Standing(values={knobs.POLICY: "LeastRequest"}))
    plan = decided(memory, observation, with_policy("Auto", weights), levers=("traffic",)).plan
    assert plan
    assert isinstance(plan.steps[0], first)


def test_an_unknown_backend_moves_nothing() -> None:
    observation = seen(latency={"b": Missing("SeriesMissing")})
    dark = {**observation.backends, "b": replace(observation.backends["b"], completions_per_second=Missing("x"))}
    decision = decided(mind({"b": BAD}), replace(observation, backends=dark))
    assert decision.plan
    assert decision.plan.steps == ()
    assert decision.memory.traffic.trims["b"].requests == 0.0


def test_while_suspended_nothing_is_planned() -> None:
    decision = decided(mind({"b": BAD}), seen(), spec("a", "b", "c", suspend=True))
    assert decision.plan is None
    memory, verdict = conclude(spec("a", "b", "c", suspend=True), decision, None)
    assert verdict is None
    assert memory.backends.keys() == {"a", "b", "c"}


def test_a_shift_that_was_made_is_remembered_and_one_that_was_refused_is_not() -> None:
    decision = decided(mind({"b": BAD}, a=known(20.0, 40.0), c=known(20.0, 40.0)), seen(latency={"b": SLOW}))
    made, _ = conclude(spec("a", "b", "c"), decision, change(decision))
    assert made.traffic.moved_at == NOW
    assert made.traffic.reasons["b"].endswith("%")
    refused, _ = conclude(spec("a", "b", "c"), decision, change(decision, ChangeResult.REFUSED))
    assert refused.traffic.moved_at is None


def test_what_the_proxy_does_not_follow_is_not_moved_further() -> None:
    served = {"a": 3000.0, "b": 3000.0, "c": 100.0}
    state = Traffic(weights={"a": 334, "b": 333, "c": 333}, trims={"a": FINE, "b": BAD, "c": FINE}, served=served)
    decision = decided(mind(traffic=state), seen(latency={"b": SLOW}))
    assert decision.shift
    assert decision.shift.why.startswith("a is to get 50% of the requests that are not for b, and got 90% of the last")
    assert not any(isinstance(step, Weigh) for step in decision.plan.steps) if decision.plan else False


def test_what_an_overloaded_backend_leaves_unanswered_does_not_stop_it_from_being_relieved() -> None:
    served = {"a": 3000.0, "b": 1000.0, "c": 3000.0}
    state = Traffic(weights={"a": 334, "b": 333, "c": 333}, trims={"a": FINE, "b": BAD, "c": FINE}, served=served)
    roomy = mind(traffic=state, a=known(20.0, 40.0), c=known(20.0, 40.0))
    decision = decided(roomy, seen(latency={"b": SLOW}))
    assert decision.plan
    assert isinstance(decision.plan.steps[0], Weigh)
    recovered = decided(replace(roomy, traffic=decision.memory.traffic), seen())
    assert sum(recovered.memory.traffic.served.values()) < 7000.0, "counted anew"


@pytest.mark.parametrize(("ago", "moves"), [(45.0, False), (60.0, True)])
def test_alarming_backends_are_judged_again_after_one_window(ago: float, moves: bool) -> None:
    state = Traffic(weights={"a": 334, "b": 333, "c": 333}, trims={"a": FINE, "b": BAD, "c": FINE}, moved_at=NOW - ago)
    roomy = mind(traffic=state, a=known(20.0, 40.0), c=known(20.0, 40.0))
    plan = decided(roomy, seen(latency={"b": SLOW})).plan
    assert plan
    assert any(isinstance(step, Weigh) for step in plan.steps) is moves


def test_all_together_are_the_sum_of_the_parts() -> None:
    parts = {
        "a": Replicas(4, 3, starting=1, cpu_request_cores=1.0, youngest_ready_age_seconds=50.0, startup_seconds=9.0),
        "b": Replicas(2, 1, pending=1, cpu_request_cores=2.0, rolling_out=True),
    }
    targets = {name: Target(ROUTE, name, pods, frozenset({name})) for name, pods in parts.items()}
    whole = members.together(targets, ROUTE)
    assert whole.pod_workloads == {"a", "b"}
    assert whole.replicas == Replicas(
        6,
        4,
        starting=1,
        pending=1,
        cpu_request_cores=1.25,
        youngest_ready_age_seconds=50.0,
        startup_seconds=9.0,
        rolling_out=True,
    )


@pytest.mark.parametrize("name", ["a", "b"])
def test_objectives_for_throughput_are_for_all_of_them_together(name: str) -> None:
    objectives = [
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "much", "throughput": {"minPerSecond": "50"}},
    ]
    own = members.own_specs(spec("a", "b", "c", objectives=objectives), seen())
    assert [objective.name for objective in own[name].objectives] == ["p95"]


DATABASE = {"database": {"budget": "main", "connectionsPerReplica": 10}}
FLAG = {"configMap": "flags", "key": "CACHE", "onValue": "on", "offValue": "off"}
CACHE = {"cache": {"tiers": [{"name": "redis", "flag": FLAG}]}}
REDIS = ("cache", "redis")


@pytest.mark.parametrize(
    ("limit", "replicas"),
    # With surge two backends of two pods hold 2 x 30, and the third may have 10 for each pod and a quarter more.
    [(200, 4), (100, 3), (91, 2), (50, 2)],
)
def test_backends_share_the_connections_of_their_database(limit: int, replicas: int) -> None:
    budget = Standing(connections=Connections(limit, 0))
    promise = spec("a", "b", "c", levers=DATABASE)
    decision = decided(mind(a=known(45.0)), seen(load={"a": 45.0}, standing=budget), promise)
    plan = decision.parts["a"].plan
    assert plan
    assert plan.final_replicas == replicas
    assert ("DatabaseBudget" in plan.limited_by) == (replicas < 4)


def idle(**trials: Any) -> Memory:
    """Each backend could do with fewer pods."""
    return replace(mind(a=known(2.0), b=known(2.0), c=known(2.0)), trials=Trials(**trials))


def few(**changes: Any) -> Observation:
    return seen(ready={"a": 4}, load={"a": 2.0, "b": 2.0, "c": 2.0}, **changes)


def test_no_backend_loses_pods_while_something_is_tried_or_a_cache_might_be_lost() -> None:
    promise, on = spec("a", "b", "c", levers=CACHE), Standing(values={REDIS: "on"})
    tried = Experiment("d9", NOW - 30.0, *REDIS, "off", "on", "DependencyBound", "p95", 9.0, Tally(900.0, 90.0), 8, 0.5)
    held = Held(*REDIS, "off", NOW - 900.0, 0.3)

    def planned(**trials: Any) -> Plan:
        plan = decided(idle(**trials), few(standing=on), promise, levers=("replicas", "cache")).parts["a"].plan
        assert plan
        return plan

    assert planned().final_replicas == 3
    assert planned(pending=tried).final_replicas == 4
    assert "Experiment" in planned(pending=tried).limited_by
    assert planned(held=(held,)).final_replicas == 4, "six tenths of 2/s, at 0.3/s per pod"
    assert "ColdCache" in planned(held=(held,)).limited_by
