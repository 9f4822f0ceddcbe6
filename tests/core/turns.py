"""Turns as a cycle would have come to them, reduced to what matters to a test."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import budget, identify
from perfslo.core.memory import BudgetSlice, Ledger, Memory, Sample
from perfslo.core.model import (
    Change,
    ChangeResult,
    Histogram,
    LatencyReading,
    Missing,
    Observation,
    Plan,
    Replicas,
    Target,
    Value,
)
from perfslo.core.steps import Scale, TargetRef
from perfslo.core.timescale import TimeScale
from perfslo.core.turn import Turn

NOW = 1_800_000_000.0
BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)
FAST = Histogram(BOUNDS, (900.0, 980.0, 1000.0, 1000.0, 1000.0), age_seconds=4.0)
SLOW = Histogram(BOUNDS, (500.0, 700.0, 950.0, 990.0, 1000.0), age_seconds=4.0)
"""P50, P95 and P99 are edges: 100 ms, 500 ms and 1 s."""


def spec(**changes: Any) -> PerformanceSLOSpec:
    """P95 below 200 ms with 1 to 10 replicas; changes as in YAML."""
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 10,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
            **changes,
        }
    )


def target(desired: int = 2, ready: int = 2, name: str = "web") -> Target:
    return Target(
        TargetRef("apps", "Deployment", name), "uid-web", Replicas(desired, ready, version="v1"), frozenset({name})
    )


def observation(
    latency: LatencyReading = FAST, replicas: Replicas | None = None, *, name: str = "p95", **changes: Any
) -> Observation:
    seen = Observation(
        time=NOW,
        scale=TimeScale(),
        replicas=replicas or Replicas(2, 2, version="v1"),
        latency={name: latency},
        completions_per_second=Value(20.0),
        in_flight=Missing("SeriesMissing"),
        error_ratio=Value(0.0),
    )
    return replace(seen, **changes)


def memory(**changes: Any) -> Memory:
    """One that has known a load of 20 requests a second for long."""
    known = Memory(time=NOW, known_since=NOW - 600, ready=2, ready_since=NOW - 600, arrivals=(Sample(NOW, 20.0),))
    return replace(known, **changes)


def spent(*hours: tuple[float, float], promise: PerformanceSLOSpec | None = None) -> Memory:
    """A memory of these (requests, bad ones) of the last hours, newest first, the running one left out."""
    promise = promise or spec()
    newest = int(NOW // 3600) - 1
    pieces = (BudgetSlice(newest - ago, 1, *counts, 3600.0) for ago, counts in enumerate(hours))
    ledger = Ledger(tuple(reversed(tuple(pieces))))
    return memory(ledgers={budget.key(promise, promise.primary_latency): ledger})


def turn(
    latency: LatencyReading = FAST,
    *,
    seen: Observation | None = None,
    promise: PerformanceSLOSpec | None = None,
    remembered: Memory | None = None,
    **changes: Any,
) -> Turn:
    """A turn that measured, and came to no plan."""
    promise, remembered = promise or spec(), remembered or memory()
    if isinstance(latency, Histogram) and latency.counts[1] < 0.95 * latency.total:
        remembered = replace(remembered, slow_ratios=(Sample(NOW, 6.0),))
    where = changes.pop("target", target())
    seen = seen or observation(latency, where.replicas if isinstance(where, Target) else None)
    made = Turn("shop", "web", 3, NOW, promise, where, ("replicas",), remembered, seen)
    made = replace(made, books=budget.books(promise, remembered, NOW))
    if "diagnosis" not in changes:
        changes["diagnosis"] = identify.diagnose(promise, remembered, seen)
    return replace(made, **changes)


def plan(current: int, wanted: int, *limits: str, proposed: int | None = None) -> Plan:
    return Plan(
        why=f"scale {current} -> {wanted}: load",
        steps=(Scale(current, wanted),) if current != wanted else (),
        proposed_replicas=wanted if proposed is None else proposed,
        final_replicas=wanted,
        limited_by=limits,
    )


def change(
    current: int, wanted: int, result: ChangeResult = ChangeResult.APPLIED, *, decision: str = "d1", time: float = NOW
) -> Change:
    return Change(decision, time, Scale(current, wanted), result, f"{result.value}!")
