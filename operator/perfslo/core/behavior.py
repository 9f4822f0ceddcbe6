"""How fast replicas may change: the semantics of autoscaling/v2 `behavior`, which also spell our own limits.

The rules are those of k8s.io/kubernetes/pkg/controller/podautoscaler (stabilizeRecommendationWithBehaviors,
calculateScaleUpLimitWithScalingRules, calculateScaleDownLimitWithBehaviors).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from perfslo.api.v1alpha1 import Behavior, ScalingRules
from perfslo.core.frozen import dataclass
from perfslo.core.memory import Recommendation, ScaleEvent
from perfslo.core.timescale import TimeScale

MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Policy:
    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits in one direction."""

    window_seconds: float
    policies: tuple[Policy, ...]
    select: str = "Max"
    tolerance_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    up: Rules
    down: Rules


def limits(behavior: Behavior | None, scale: TimeScale) -> Limits:
    """The author's limits with autoscaling/v2's defaults, or ours when there are none."""
    if behavior is None:
        return _ours(scale)
    up = Rules(0.0, (Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)))
    down = Rules(300.0, (Policy("Percent", 100, 15.0),))
    return Limits(_overridden(up, behavior.scale_up), _overridden(down, behavior.scale_down))


def tolerated(limits: Limits, current: int, wanted: int) -> bool:
    """Whether the difference is too small to be worth a change (Tolerances.isWithin). Left out, a tolerance is 0."""
    return 1 - limits.down.tolerance_ratio <= wanted / current <= 1 + limits.up.tolerance_ratio


def stabilized(rules: Limits, recommendations: Iterable[Recommendation], now: float, current: int, wanted: int) -> int:
    """`wanted`, unless the up window wanted less or the down window more."""
    recent = tuple(recommendations)
    lowest = min([wanted, *(r.replicas for r in recent if r.time > now - rules.up.window_seconds)])
    highest = max([wanted, *(r.replicas for r in recent if r.time > now - rules.down.window_seconds)])
    return min(max(current, lowest), highest)


def upper_limit(rules: Rules, events: Iterable[ScaleEvent], now: float, current: int) -> int:
    """The most replicas that the policies admit now."""
    if rules.select == "Disabled":
        return current
    changes = tuple(events)
    candidates = []
    for policy in rules.policies:
        start = current - _moved(changes, now, policy.period_seconds)
        if policy.type == "Pods":
            candidates.append(start + policy.value)
        else:
            candidates.append(math.ceil(start * (1 + policy.value / 100)))
    limit = min(candidates) if rules.select == "Min" else max(candidates)
    return max(current, min(limit, MAX_INT32))


def lower_limit(rules: Rules, events: Iterable[ScaleEvent], now: float, current: int) -> int:
    """The fewest replicas that the policies admit now."""
    if rules.select == "Disabled":
        return current
    changes = tuple(events)
    candidates = []
    for policy in rules.policies:
        start = current - _moved(changes, now, policy.period_seconds)
        if policy.type == "Pods":
            candidates.append(start - policy.value)
        else:
            candidates.append(int(start * (1 - policy.value / 100)))
    limit = max(candidates) if rules.select == "Min" else min(candidates)
    return min(current, max(limit, 0))


def _ours(scale: TimeScale) -> Limits:
    """Up at once, fourfold a cycle at most; down after a quiet window, a fifth (or one) a minute at 15 s."""
    unit = scale.unit_seconds
    up = Rules(0.0, (Policy("Percent", 300, unit), Policy("Pods", 4, unit)))
    down = Rules(scale.down_window_seconds, (Policy("Percent", 20, 4 * unit), Policy("Pods", 1, 4 * unit)))
    return Limits(up, down)


def _overridden(default: Rules, given: ScalingRules | None) -> Rules:
    if given is None:
        return default
    policies = tuple(Policy(p.type, p.value, float(p.period_seconds)) for p in given.policies or ())
    window = given.stabilization_window_seconds
    return Rules(
        window_seconds=default.window_seconds if window is None else float(window),
        policies=policies or default.policies,
        select=given.select_policy or default.select,
        tolerance_ratio=float(given.tolerance_ratio or 0),
    )


def _moved(events: tuple[ScaleEvent, ...], now: float, period_seconds: float) -> int:
    """Replicas added less removed within the period."""
    return sum(event.change for event in events if event.time > now - period_seconds)
