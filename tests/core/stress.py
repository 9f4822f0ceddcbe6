"""A service with levers, by shares of slow requests instead of single ones, that the core's exact pipeline runs on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.databases import Connections
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.levers import knobs
from perfslo.core.measure import NOT_MEASURED
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Change,
    ChangeResult,
    Histogram,
    Knob,
    LatencyReading,
    Missing,
    Observation,
    Replicas,
    Signal,
    Standing,
    Target,
    Value,
    Verdict,
)
from perfslo.core.steps import Balance, Call, Scale, Switch, TargetRef
from perfslo.core.timescale import TimeScale
from tests.core.turns import NOW, spec

BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)
SCALE = TimeScale(15.0, 15.0)
NO_SERIES = Missing("SeriesMissing")
ALL = ("replicas", "traffic", "cache", "cdn", "database", "offload")


def promise(levers: dict[str, Any], **changes: Any) -> PerformanceSLOSpec:
    """P95 below 200 ms with 2 to 10 replicas and these levers."""
    return spec(levers=levers, minReplicas=2, **changes)


def tier(name: str = "redis", **changes: Any) -> dict[str, Any]:
    flag = {"configMap": "shop", "key": name.upper(), "onValue": "on", "offValue": "off"}
    return {"name": name, "flag": flag, "warmupSeconds": 60, **changes}


@dataclass
class Stress:
    """`slow(stress)` is the share of slow requests now."""

    spec: PerformanceSLOSpec
    slow: Callable[[Stress], float]
    rate: float = 100.0
    replicas: int = 4
    values: dict[Knob, str | Missing] = field(default_factory=dict)
    workloads: dict[Knob, int] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    named: dict[str, Signal] = field(default_factory=dict)
    in_flight: Signal = NO_SERIES
    takes_seconds: float = 0.5
    """At most, when it is slow: one of BOUNDS."""
    connections: Connections | Missing = NOT_MEASURED
    levers: tuple[str, ...] = ALL
    memory: Memory = field(default_factory=Memory)
    now: float = NOW
    known: bool = True
    shares: list[float] = field(default_factory=list)
    number: int = 0
    version: str = "v1"

    def is_on(self, *knob: str) -> bool:
        return self.values.get((knob[0], knob[1] if len(knob) > 1 else "")) == "on"

    def observation(self) -> Observation:
        recent = self.shares[-4:]
        share = sum(recent) / len(recent)
        total = self.rate * SCALE.window_seconds
        slow = share * total
        counts = [total if bound >= self.takes_seconds else total - slow for bound in BOUNDS]
        latency: LatencyReading = Histogram(BOUNDS, (0.8 * (total - slow), *counts[1:]))
        completions: Signal = Value(self.rate, 4.0)
        if not self.known:
            latency = completions = NO_SERIES
        return Observation(
            time=self.now,
            scale=SCALE,
            replicas=Replicas(self.replicas, self.replicas, version=self.version),
            latency={"p95": latency},
            completions_per_second=completions,
            in_flight=self.in_flight,
            error_ratio=Value(0.0),
            signals=self.signals,
            standing=Standing(
                values=dict(self.values),
                workloads={knob: _target(knob, count) for knob, count in self.workloads.items()},
                signals=self.named,
                connections=self.connections,
            ),
        )

    def turn(self) -> Happened:
        """One cycle, acted on at once."""
        self.now += SCALE.cycle_seconds
        self.shares.append(self.slow(self))
        decision = decide(self.spec, self.memory, self.observation(), levers=self.levers)
        plan, change = decision.plan, None
        assert plan is not None
        if plan.steps:
            step, self.number = plan.steps[0], self.number + 1
            mode = knobs.mode(self.spec, step)
            result = ChangeResult.APPLIED if mode == "Auto" else ChangeResult.RECOMMENDED
            change = Change(f"d{self.number}", self.now, step, result, plan.why)
            if result is ChangeResult.APPLIED:
                self._apply(step)
        self.memory, verdict = conclude(self.spec, decision, change)
        return Happened(decision, change, verdict)

    def turns(self, seconds: float) -> list[Happened]:
        return [self.turn() for _ in range(round(seconds / SCALE.cycle_seconds))]

    def _apply(self, step: object) -> None:
        match step:
            case Switch() | Call() | Balance():
                assert self.values[step.lever, step.subject] == step.current
                self.values[step.lever, step.subject] = step.wanted
            case Scale(target=None):
                self.replicas = step.wanted
            case Scale():
                self.workloads[step.lever, step.subject] = step.wanted


@dataclass(frozen=True)
class Happened:
    decision: Decision
    change: Change | None
    verdict: Verdict | None

    @property
    def did(self) -> str:
        return str(self.change.step) if self.change and self.change.result is ChangeResult.APPLIED else ""

    @property
    def why(self) -> str:
        return self.decision.plan.why if self.decision.plan else ""


def deeds(happened: list[Happened]) -> list[str]:
    return [one.did for one in happened if one.did]


def verdicts(happened: list[Happened]) -> list[str]:
    return [one.verdict.outcome.value for one in happened if one.verdict]


def _target(knob: Knob, count: int) -> Target:
    ref = TargetRef("apps", "Deployment", "-".join(knob))
    return Target(ref, f"uid-{ref.name}", Replicas(count, count, version="v1"), frozenset({ref.name}))
