"""What must hold whatever is seen: checked on observations nobody would think of."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import codec, guardrails, identify, iterate, optimize, validate
from perfslo.core.memory import Bin, Capacity, Curve, Memory, Sample
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Histogram,
    Missing,
    NoTraffic,
    Observation,
    Plan,
    Replicas,
    Stale,
    Value,
)
from perfslo.core.timescale import TimeScale

numbers = st.floats(0, 1e6, allow_nan=False)
unknown = st.builds(Missing, st.just("SeriesMissing")) | st.builds(Stale, st.floats(30, 1e4))
signals = st.builds(Value, numbers) | st.just(NoTraffic()) | unknown
edges = (0.05, 0.1, 0.25, 0.5, 1.0, math.inf)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    counts = draw(st.lists(st.floats(0, 1e5, allow_nan=False), min_size=len(edges), max_size=len(edges)))
    return Histogram(edges, tuple(sum(counts[: i + 1]) for i in range(len(counts))))


latencies = histograms() | st.just(NoTraffic()) | unknown
pods = st.builds(
    Replicas,
    desired=st.integers(0, 60),
    ready=st.integers(0, 60),
    starting=st.integers(0, 10),
    pending=st.integers(0, 10),
    youngest_ready_age_seconds=st.none() | numbers,
    startup_seconds=st.none() | st.floats(0, 600),
    version=st.sampled_from(["", "v1", "v2"]),
    rolling_out=st.booleans(),
    cpu_request_cores=st.none() | st.floats(0.01, 8),
    memory_request_bytes=st.none() | st.floats(1, 1e9),
)
scales = st.sampled_from([TimeScale(15, 15), TimeScale(2, 2), TimeScale(60, 15), TimeScale(5, 15)])


@st.composite
def observations(draw: st.DrawFn, time: float = 1e6) -> Observation:
    return Observation(
        time=time,
        scale=draw(scales),
        replicas=draw(pods),
        latency={"p95": draw(latencies), "fast": draw(latencies)},
        completions_per_second=draw(signals),
        in_flight=draw(signals),
        error_ratio=draw(st.builds(Value, st.floats(0, 1)) | st.just(NoTraffic()) | unknown),
        cpu_cores=draw(signals),
        cpu_throttled_ratio=draw(st.builds(Value, st.floats(0, 1)) | unknown),
        memory_bytes=draw(signals),
        source_problem=draw(st.none() | st.just(Missing("SourceDown", "connection refused"))),
    )


@st.composite
def specs(draw: st.DrawFn) -> PerformanceSLOSpec:
    least = draw(st.integers(1, 20))
    most = draw(st.integers(least, 50))
    body: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": least,
        "maxReplicas": most,
        "objectives": [
            {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
            {"name": "fast", "latency": {"proportionPercent": "99.9", "threshold": "1s"}},
            {"name": "errors", "errorRate": {"maxPercent": "0.5"}},
            {"name": "cpu", "utilization": {"resource": "cpu", "targetPercent": 70}},
            {"name": "served", "throughput": {"minPerSecond": "5"}},
        ][: draw(st.integers(1, 5))],
    }
    if draw(st.booleans()):
        body["fallback"] = {"failureThreshold": 1, "minReplicas": draw(st.integers(least, most))}
    if draw(st.booleans()):
        body["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": draw(st.integers(0, 600))}}
    if draw(st.booleans()):
        body["cost"] = {"replicaHourly": "0.04", "maxHourly": "0.5"}
    return PerformanceSLOSpec.model_validate(body)


def cycle(spec: PerformanceSLOSpec, remembered: Memory, observation: Observation) -> tuple[Memory, Diagnosis, Plan]:
    remembered = iterate.absorb(spec, remembered, observation)
    diagnosis = identify.diagnose(spec, remembered, observation)
    plan = optimize.plan(spec, remembered, observation, diagnosis)
    plan = guardrails.guard(spec, remembered, observation, diagnosis, plan)
    change = None
    if plan.steps:
        change = Change("d", observation.time, plan.steps[0], ChangeResult.APPLIED, plan.why)
    verdict = validate.judge(spec, remembered, observation)
    return iterate.record(spec, remembered, observation, diagnosis, plan, change, verdict), diagnosis, plan


@settings(deadline=None, max_examples=300)
@given(specs(), st.lists(observations(), min_size=1, max_size=6))
def test_any_sequence_is_survived_within_bounds(spec: PerformanceSLOSpec, seen: list[Observation]) -> None:
    remembered = Memory()
    for i, observation in enumerate(seen):
        observation = replace(observation, time=1e6 + i * observation.scale.cycle_seconds)
        before = remembered
        remembered, _, plan = cycle(spec, before, observation)
        assert (remembered, plan) == (cycle(spec, before, observation)[0], plan), "same inputs, same decision"
        current = observation.replicas.desired
        assert plan.final_replicas is not None
        assert plan.why
        assert spec.min_replicas <= plan.final_replicas
        # Above the bound only on the way down to it.
        assert plan.final_replicas <= max(spec.max_replicas, current)
        assert current <= spec.max_replicas or plan.final_replicas <= current
        assert len(codec.encode(remembered)) <= codec.MAX_ENCODED_BYTES


@settings(deadline=None, max_examples=200)
@given(specs(), observations(), st.integers(0, 3))
def test_the_unknown_never_reduces(spec: PerformanceSLOSpec, observation: Observation, which: int) -> None:
    gone = Missing("SeriesMissing")
    observation = [
        replace(observation, completions_per_second=gone),
        replace(observation, completions_per_second=Stale(95.0)),
        replace(observation, latency={**observation.latency, "p95": gone}),
        replace(observation, source_problem=gone),
    ][which]
    _, _, plan = cycle(spec, seasoned(observation), observation)
    floor = min(observation.replicas.desired, most(spec))
    assert plan.final_replicas is not None
    assert plan.final_replicas >= floor


@settings(deadline=None, max_examples=200)
@given(st.floats(1, 200), st.floats(1.0, 3.0), st.integers(1, 20), st.floats(0, 0.2))
def test_more_load_never_proposes_fewer(load: float, factor: float, ready: int, slow: float) -> None:
    spec = PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 1000,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
        }
    )

    def proposed(rate: float) -> int:
        total = rate * 60.0
        counts = (0.0, 0.5 * total, (1 - slow) * total, *([total] * 3))
        observation = Observation(
            time=1e6,
            scale=TimeScale(),
            replicas=Replicas(desired=ready, ready=ready, version="v1"),
            latency={"p95": Histogram(edges, counts)},
            completions_per_second=Value(rate),
            in_flight=Missing("SeriesMissing"),
            error_ratio=Value(0.0),
        )
        # The newest cycle differs in load only; the evidence before it is the same.
        known = seasoned(observation)
        steady = tuple(Sample(1e6 - 15.0 * i, load) for i in range(4, 0, -1))
        known = replace(known, arrivals=steady, clean_since=None, ready=ready, ready_since=1e6 - 5000.0)
        absorbed = iterate.absorb(spec, known, observation)
        diagnosis = identify.diagnose(spec, absorbed, observation)
        return optimize.plan(spec, absorbed, observation, diagnosis).proposed_replicas or 0

    assert proposed(load * factor) >= proposed(load)


def seasoned(observation: Observation) -> Memory:
    """One that has seen enough to reduce, if only it knew."""
    curve = Curve(bins=(Bin(50.0, 1e5, 10.0),), low=60.0, median=70.0)
    curves = {"0.2s/0.05": curve, "1s/0.001": curve}
    now = observation.time
    return Memory(
        capacities=(Capacity(observation.replicas.version, 100.0, True, curves),),
        time=now - observation.scale.cycle_seconds,
        known_since=now - 1e5,
        ready=observation.replicas.ready,
        ready_since=now - 1e5,
        clean_since=now - 1e5,
        arrivals=(Sample(now - observation.scale.cycle_seconds, 1.0),),
    )


def most(spec: PerformanceSLOSpec) -> int:
    """The bound a user may have moved below the present count."""
    paid = (
        int(spec.cost.max_hourly / spec.cost.replica_hourly)
        if spec.cost.max_hourly and spec.cost.replica_hourly
        else 50
    )
    return max(spec.min_replicas, min(spec.max_replicas, paid))
