"""Several small worlds behind one route: the load is split by its weights, and the core moves replicas and weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import members
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.levers import knobs
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Change,
    ChangeResult,
    Histogram,
    LatencyReading,
    Missing,
    NoTraffic,
    Observation,
    Route,
    Signal,
    Standing,
    Target,
    Value,
)
from perfslo.core.steps import Scale, Switch, TargetRef, Weigh
from tests.core.world import STOCK_BUCKETS, Service, World

ROUTE = TargetRef("gateway.networking.k8s.io", "HTTPRoute", "web")


def spec(
    *names: str, backend: dict[str, Any] | None = None, levers: dict[str, Any] | None = None, **changes: Any
) -> PerformanceSLOSpec:
    """P95 below 200 ms over backends of these names, each with 1 to 10 replicas; changes and more levers as in YAML."""
    listed = [
        {"name": name, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}
        | {"maxReplicas": 10}
        | (backend or {})
        for name in names
    ]
    return PerformanceSLOSpec.model_validate(
        {
            "maxReplicas": 30,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
            "levers": {"traffic": {"routeRef": {"name": "web"}, "backends": listed}, **(levers or {})},
            **changes,
        }
    )


class Split:
    """`failing` are shares of a backend's requests that are answered at once, with an error."""

    def __init__(self, load: Callable[[float], float], weights: dict[str, int], **worlds: World) -> None:
        self.load, self.weights, self.worlds = load, weights, worlds
        self.standing, self.signals = Standing(), dict[str, Signal]()
        self.failing = dict.fromkeys(worlds, 0.0)
        for name, world in worlds.items():
            world.load = self._share(name)

    def _share(self, name: str) -> Callable[[float], float]:
        return lambda time: self.load(time) * self.weights[name] / sum(self.weights.values())

    @property
    def now(self) -> float:
        return next(iter(self.worlds.values())).now

    @property
    def replicas(self) -> dict[str, int]:
        return {name: world.desired for name, world in self.worlds.items()}

    def fail(self, name: str, share: float, service: Service) -> None:
        """From now on that share of its requests takes no time."""
        self.failing[name] = share
        self.worlds[name].set_service(replace(service, mean_seconds=service.mean_seconds * (1.0 - share) + 1e-4))

    def observe(self, promise: PerformanceSLOSpec) -> Observation:
        seen = {name: self._observe(name, world, promise) for name, world in self.worlds.items()}
        targets = {
            name: Target(TargetRef("apps", "Deployment", name), name, each.replicas, frozenset({name}))
            for name, each in seen.items()
        }
        latencies = [each.latency["p95"] for each in seen.values()]
        whole: LatencyReading = _sum([each for each in latencies if isinstance(each, Histogram)])
        if any(isinstance(each, Missing) for each in latencies):
            whole = Missing("SeriesMissing")
        first = next(iter(seen.values()))
        total = _total([each.requests_counted for each in seen.values()])
        failed = sum(
            each.error_ratio.value * each.requests_counted.value
            for each in seen.values()
            if isinstance(each.error_ratio, Value) and isinstance(each.requests_counted, Value)
        )
        return replace(
            first,
            replicas=members.together(targets, ROUTE).replicas,
            latency={"p95": whole},
            completions_per_second=_total([each.completions_per_second for each in seen.values()]),
            in_flight=_total([each.in_flight for each in seen.values()]),
            error_ratio=Value(failed / total.value if isinstance(total, Value) and total.value else 0.0),
            requests_counted=total,
            standing=self.standing,
            signals=self.signals,
            backends=seen,
            route=Route(ROUTE, "", "uid", dict(self.weights), sum(self.weights.values())),
        )

    def _observe(self, name: str, world: World, promise: PerformanceSLOSpec) -> Observation:
        seen = world.observe(promise)
        reading = seen.latency["p95"]
        counted = Value(reading.total) if isinstance(reading, Histogram) else Value(0.0)
        failed = Value(self.failing[name])
        return replace(seen, requests_counted=counted, error_ratio=failed, signals=self.signals)

    def carry_out(self, step: object) -> None:
        if isinstance(step, Weigh):
            self.weights = dict(step.wanted)
        elif isinstance(step, Scale):
            self.worlds[step.subject].scale_to(step.wanted)
        elif isinstance(step, Switch):
            values = {**self.standing.values, (step.lever, step.subject): step.wanted}
            self.standing = replace(self.standing, values=values)

    def bad_share(self, start: float, end: float, threshold: float) -> float:
        """By the clients' own clocks; failed ones are not counted."""
        requests = [
            latency for world in self.worlds.values() for time, latency in world.requests if start <= time < end
        ]
        return sum(latency > threshold for latency in requests) / max(1, len(requests))


def drive(
    split: Split,
    promise: PerformanceSLOSpec,
    until: float,
    mind: Memory | None = None,
    levers: Collection[str] = ("replicas", "traffic"),
) -> Iterator[Decision]:
    """The pipeline, cycle by cycle, acting on the worlds."""
    mind = mind or Memory()
    number = 0
    while split.now < until:
        for world in split.worlds.values():
            world.advance(world.now + world.scale.cycle_seconds)
        decision, change = decide(promise, mind, split.observe(promise), levers=levers), None
        assert decision.plan is not None
        if decision.plan.steps:
            number += 1
            step = decision.plan.steps[0]
            result = ChangeResult.APPLIED if knobs.mode(promise, step) == "Auto" else ChangeResult.RECOMMENDED
            if result is ChangeResult.APPLIED:
                split.carry_out(step)
            change = Change(f"d{number}", split.now, step, result, decision.plan.why)
        mind, _ = conclude(promise, decision, change)
        yield replace(decision, memory=mind)


def _sum(histograms: list[Histogram]) -> LatencyReading:
    if not histograms:
        return NoTraffic()
    counts = tuple(math.fsum(each.counts[i] for each in histograms) for i in range(len(STOCK_BUCKETS)))
    return Histogram(STOCK_BUCKETS, counts)


def _total(signals: list[Signal]) -> Signal:
    values = [each.value if isinstance(each, Value) else 0.0 for each in signals]
    return (
        Value(math.fsum(values)) if not any(isinstance(each, Missing) for each in signals) else Missing("SeriesMissing")
    )
