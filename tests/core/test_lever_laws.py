"""What must hold of levers whatever is seen and remembered: on states that nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core import codec
from perfslo.core.databases import Connections
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.levers import database, knobs
from perfslo.core.memory import Memory, Sample, Usual
from perfslo.core.model import (
    ActionKind,
    Bottleneck,
    Change,
    ChangeResult,
    Histogram,
    Missing,
    Observation,
    Replicas,
    Standing,
    Target,
    TargetProblem,
    Value,
)
from perfslo.core.steps import Scale, Switch, TargetRef
from perfslo.core.timescale import TimeScale
from perfslo.core.trials import Effect, Experiment, Held, Tally, Trials
from tests.core.stress import ALL, BOUNDS, promise, tier
from tests.core.test_laws import observations, seasoned, signals

SPEC = promise(
    {
        "cache": {
            "tiers": [
                tier("redis", hitRatio="hits", confirm="seen", hourlyCost="0.2"),
                {
                    "name": "edge",
                    "workload": {
                        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "edge"},
                        "onReplicas": 2,
                    },
                },
            ]
        },
        "cdn": {"flag": {"configMap": "shop", "key": "CDN", "onValue": "on", "offValue": "off"}},
        "database": {
            "budget": "pg",
            "connectionsPerReplica": 4,
            "pool": {"configMap": "shop", "key": "POOL", "minSize": 2, "maxSize": 16},
        },
        "offload": {
            "flag": {"configMap": "shop", "key": "WORK", "onValue": "on", "offValue": "off"},
            "workers": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "workers"},
                "minReplicas": 1,
                "maxReplicas": 5,
                "queueAge": "age",
                "maxQueueAgeSeconds": 30,
            },
        },
    },
    objectives=[
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "fast", "latency": {"proportionPercent": "99.9", "threshold": "1s"}},
    ],
    metrics={
        "signals": [
            {"name": "db", "kind": "DependencyLatency", "ref": "db"},
            {"name": "hits", "kind": "CacheHitRatio", "ref": "hits"},
            {"name": "wait", "kind": "PoolWait", "ref": "wait"},
            {"name": "queue", "kind": "QueueAge", "ref": "queue"},
        ]
    },
    cost={"replicaHourly": "0.1", "maxHourly": "1"},
)
REDIS, EDGE = knobs.tier("redis"), knobs.tier("edge")
FLAGS = (REDIS, knobs.CDN, knobs.OFFLOAD)
ON = {REDIS: "on", EDGE: "2", knobs.CDN: "on", knobs.OFFLOAD: "on"}
OFF = {REDIS: "off", EDGE: "0", knobs.CDN: "off", knobs.OFFLOAD: "off"}

unknown = st.just(Missing("ConfigMapMissing", "create it"))
shares = st.builds(Value, st.floats(0, 1)) | st.just(Missing("SeriesMissing"))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    def workload(name: str) -> Target | TargetProblem:
        if draw(st.booleans()) and draw(st.booleans()):
            return TargetProblem("TargetNotFound", "create it")
        count = draw(st.integers(0, 7))
        ready = draw(st.integers(0, count))
        return Target(TargetRef("apps", "Deployment", name), "uid", Replicas(count, ready), frozenset({name}))

    return Standing(
        values={knob: draw(st.sampled_from(["on", "off", "odd"]) | unknown) for knob in FLAGS}
        | {knobs.POOL: draw(st.sampled_from(["4", "8", "16", "many"]) | unknown)},
        workloads={EDGE: workload("edge"), knobs.WORKERS: workload("workers")},
        signals={"hits": draw(shares), "seen": draw(shares), "age": draw(signals)},
        connections=draw(st.builds(Connections, st.integers(0, 300), st.integers(0, 200)) | unknown),
    )


@st.composite
def trials(draw: st.DrawFn, now: float) -> Trials:
    knob = draw(st.sampled_from([REDIS, EDGE, knobs.CDN, knobs.OFFLOAD]))
    found, wanted = draw(st.sampled_from([(OFF[knob], ON[knob]), (ON[knob], OFF[knob])]))
    tallies = st.builds(Tally, st.floats(0, 1e4), st.floats(0, 1e3), st.floats(0, 1e4), st.floats(0, 1e4))
    pending = Experiment(
        "d0", now - draw(st.floats(0, 1e4)), *knob, found, wanted, "Saturated", "p95", draw(st.floats(0, 100)),
        draw(tallies), draw(st.integers(1, 9)), releases=wanted == OFF[knob],
        followed_since=draw(st.none() | st.just(now - 500.0)), early=draw(tallies), after=draw(tallies),
        outcome=draw(st.sampled_from(["", "Worse", "NoEffect"])),
    )  # fmt: skip
    return Trials(
        pending=draw(st.sampled_from([None, None, pending])),
        held=tuple(
            Held(*one, OFF.get(one, "4"), now - draw(st.floats(0, 1e5)), draw(st.none() | st.just(50.0)))
            for one in (REDIS, EDGE, knobs.CDN, knobs.OFFLOAD, knobs.POOL)
            if draw(st.booleans())
        ),
        effects=tuple(
            Effect(*one, draw(BARRED), now - 60.0, draw(st.floats(-2, 2)), 1.0, 2, now + 60.0, "barred")
            for one in (REDIS, knobs.CDN, knobs.POOL)
            if draw(st.booleans())
        ),
        idle_since=draw(st.none() | st.just(now - 1e4)),
    )


BARRED = st.sampled_from([Bottleneck.SATURATED, Bottleneck.DEPENDENCY_BOUND, Bottleneck.CACHE_COLD])


@st.composite
def settled(draw: st.DrawFn) -> Observation:
    """Known, with replicas at rest: most of what is drawn freely is unknown somewhere, and says little."""
    pods = draw(st.integers(2, 10))
    rate = pods * draw(st.floats(5, 60))
    slow = draw(st.sampled_from([0.001, 0.01, 0.06, 0.4, 0.9]))
    total = 60.0 * rate
    histogram = Histogram(BOUNDS, (0.5 * total, (1.0 - slow) * total, *([total] * 3)))
    return Observation(
        time=1e6,
        scale=TimeScale(),
        replicas=Replicas(pods, pods, version="v1"),
        latency={"p95": histogram, "fast": histogram},
        completions_per_second=Value(rate),
        in_flight=Missing("SeriesMissing"),
        error_ratio=Value(0.0),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Memory, Observation]:
    seen = draw(observations()) if draw(st.integers(0, 4)) == 0 else draw(settled())
    seen = replace(
        seen,
        standing=draw(standings()),
        signals={name: draw(signals) for name in ("db", "wait", "queue")} | {"hits": draw(shares)},
    )
    now = seen.time
    remembered = replace(
        seasoned(seen),
        trials=draw(trials(now)),
        usual={"db": Usual(0.02, 1e4), "hits": Usual(0.9, 1e4), "wait": Usual(0.001, 1e4)},
        breached_since=now - 500.0,
        calm_since=now - 1e5,
        slow_ratios=(Sample(now - 15.0, draw(st.floats(0, 3))),),
    )
    return remembered, seen


def decided(remembered: Memory, seen: Observation) -> Decision:
    return decide(SPEC, remembered, seen, levers=ALL)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_bounds_hold_and_the_same_is_decided_again(case: tuple[Memory, Observation]) -> None:
    remembered, seen = case
    decision = decided(remembered, seen)
    plan = decision.plan
    assert plan == decided(remembered, seen).plan
    assert plan
    assert plan.why
    for step in plan.steps:
        change = Change("d", seen.time, step, ChangeResult.APPLIED, "")
        after, _ = conclude(SPEC, decision, change)
        assert len(codec.encode(after)) <= codec.MAX_ENCODED_BYTES
        assert codec.decode(codec.encode(after)).trials.held == codec.decode(codec.encode(after)).trials.held
        _assert_bounded(step, seen)


def _assert_bounded(step: Any, seen: Observation) -> None:
    match step:
        case Switch(lever="database"):
            assert int(step.wanted) <= 16
            budget = seen.standing.connections
            if int(step.wanted) > int(step.current):
                assert isinstance(budget, Connections)
                pods = database.with_surge(database.holding(seen.replicas))
                assert pods * int(step.wanted) + budget.others <= budget.limit
        case Switch():
            assert {step.current, step.wanted} == {"on", "off"}
        case Scale(lever="offload") if step.wanted > step.current:
            assert step.wanted <= 5
        case Scale(lever="cache"):
            assert {step.current, step.wanted} == {0, 2}
        case Scale(lever="replicas"):
            assert step.wanted >= SPEC.min_replicas


@settings(deadline=None, max_examples=60)
@given(cases(), st.integers(0, 3))
def test_the_unknown_never_releases_a_lever(case: tuple[Memory, Observation], which: int) -> None:
    remembered, seen = case
    gone = Missing("SeriesMissing")
    seen = [
        replace(seen, completions_per_second=gone),
        replace(seen, latency={**seen.latency, "p95": gone}),
        replace(seen, source_problem=gone),
        replace(seen, standing=Standing()),
    ][which]
    plan = decided(remembered, seen).plan
    assert plan
    for step in plan.steps:
        match step:
            case Switch(lever="database"):
                assert int(step.wanted) > int(step.current)
            case Switch():
                assert step.wanted == "on"
            case Scale(lever="cache"):
                assert step.wanted > step.current


@settings(deadline=None, max_examples=30)
@given(cases())
def test_workers_stay_while_the_age_of_their_queue_is_unknown(case: tuple[Memory, Observation]) -> None:
    remembered, seen = case
    standing = replace(seen.standing, signals={**seen.standing.signals, "age": Missing("SeriesMissing")})
    plan = decided(remembered, replace(seen, standing=standing)).plan
    assert plan
    for step in plan.steps:
        if step.lever == "offload" and isinstance(step, Scale):
            assert step.wanted >= min(step.current, 5)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_one_is_in_flight_at_a_time_and_none_that_is_barred(case: tuple[Memory, Observation]) -> None:
    remembered, seen = case
    decision = decided(remembered, seen)
    plan, pending = decision.plan, decision.memory.trials.pending
    assert plan
    if plan.kind is ActionKind.INTERVENTION:
        (step,) = plan.steps
        knob = (step.lever, step.subject)
        assert pending is None or (pending.outcome and pending.knob == knob and step.values[1] == pending.found)
        if plan.prediction and not plan.prediction.releases:
            known = decision.memory.trials.effect(knob, decision.diagnosis.bottleneck)
            assert known is None or known.barred_until <= seen.time
            assert step.lever in decision.diagnosis.allowed
            assert decision.diagnosis.slo_met is False


@settings(deadline=None, max_examples=30)
@given(observations(), standings())
def test_without_such_levers_all_is_decided_as_without_them(seen: Observation, standing: Standing) -> None:
    plain = SPEC.model_copy(update={"levers": None, "metrics": type(SPEC.metrics)()})
    before = seasoned(seen)
    assert decide(plain, before, replace(seen, standing=standing), levers=ALL).plan == decide(plain, before, seen).plan
