"""The Horizontal Pod Autoscaler: its replica calculator, and what it makes of a proposal.

The rules are those of k8s.io/kubernetes/pkg/controller/podautoscaler: replica_calculator.go, metrics/utilization.go and
horizontal.go, with the integer arithmetic and the defaults that they have there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from perfslo.core import behavior
from perfslo.core.memory import Recommendation, ScaleEvent
from perfslo.simulate.model import PodView, View

SYNC_SECONDS = 15.0
TOLERANCE = 0.1
CPU_INITIALIZATION_SECONDS = 300.0
METRICS_WINDOW_SECONDS = 15.0
"""Of the metrics server's samples."""
STABILIZATION_SECONDS = 300.0
"""--horizontal-pod-autoscaler-downscale-stabilization."""
KEPT_SECONDS = 3600.0
"""The longest window that `behavior` may have."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a metric asks for, before limits."""

    replicas: int
    numbers: Mapping[str, float] = field(default_factory=dict)


Metric = Callable[[View], Proposal | None]
"""None: the metric cannot be had, so nothing is changed."""


class Hpa:
    """One HPA with one metric. Without limits its `spec.behavior` is nil, as it is when an author says nothing."""

    period_seconds = SYNC_SECONDS

    def __init__(self, name: str, metric: Metric, limits: behavior.Limits | None = None) -> None:
        self.name = name
        self._metric = metric
        self._limits = limits
        self._recommendations: list[Recommendation] = []
        self._events: list[ScaleEvent] = []
        self._numbers: Mapping[str, float] = {}

    def decide(self, view: View) -> int:
        """As reconcileAutoscaler: a count outside the bounds is put right before any metric is read."""
        now, current = view.now_seconds, view.desired
        least, most = view.scenario.min_replicas, view.scenario.max_replicas
        if not self._recommendations:
            self._recommendations.append(Recommendation(now, now, current))
        if not least <= current <= most:
            wanted = min(max(current, least), most)
        elif (proposal := self._metric(view)) is None:
            self._numbers = {}
            return current
        else:
            wanted = self._normalized(now, current, proposal.replicas, least, most)
            self._numbers = {**proposal.numbers, "proposed": proposal.replicas}
        if wanted != current:
            self._events.append(ScaleEvent(now, wanted - current))
        return wanted

    def explain(self) -> Mapping[str, float | str]:
        return dict(self._numbers)

    def _normalized(self, now: float, current: int, proposed: int, least: int, most: int) -> int:
        if self._limits is None:
            wanted = without_behavior(now, current, proposed, self._recommendations, least, most)
        else:
            wanted = with_behavior(
                self._limits, now, current, proposed, self._recommendations, self._events, least, most
            )
        self._recommendations = [r for r in self._recommendations if r.time >= now - KEPT_SECONDS]
        self._recommendations.append(Recommendation(now, now, proposed))
        self._events = [e for e in self._events if e.time >= now - KEPT_SECONDS]
        return wanted


def cpu(target_percent: int) -> Metric:
    """CPU utilization, in percent of what the pods request."""

    def metric(view: View) -> Proposal | None:
        request = view.scenario.service.cpu_request_cores
        return cpu_proposal(view.pods, view.now_seconds, view.desired, request, target_percent)

    return metric


def cpu_proposal(
    pods: Sequence[PodView], now: float, current: int, request_cores: float, target_percent: int
) -> Proposal | None:
    """GetResourceReplicas. None when no pod that counts has a sample."""
    request = round(request_cores * 1000)
    usage, unready, missing = _grouped(pods, now)
    if not usage:
        return None
    utilization = sum(usage) * 100 // (len(usage) * request)
    ratio = utilization / target_percent
    numbers = {"utilization_percent": float(utilization)}
    rising = bool(unready) and ratio > 1.0
    if not rising and not missing:
        return Proposal(current if _tolerable(ratio) else math.ceil(ratio * len(usage)), numbers)
    if ratio < 1.0:
        usage = usage + [request * max(100, target_percent) // 100] * missing
    elif ratio > 1.0:
        usage = usage + [0] * missing
    if rising:
        usage = usage + [0] * unready
    again = sum(usage) * 100 // (len(usage) * request) / target_percent
    replicas = math.ceil(again * len(usage))
    turned = (ratio < 1.0 < again) or (again < 1.0 < ratio)
    backwards = (again < 1.0 and replicas > current) or (again > 1.0 and replicas < current)
    return Proposal(current if _tolerable(again) or turned or backwards else replicas, numbers)


def value_proposal(usage: float, target: float, current: int, ready: int) -> int:
    """GetExternalMetricReplicas, with both numbers in thousandths as Kubernetes has them: a target of type Value."""
    ratio = milli(usage) / milli(target)
    if current == 0:
        return math.ceil(ratio)
    return current if _tolerable(ratio) else min(math.ceil(ratio * ready), behavior.MAX_INT32)


def average_value_proposal(usage: float, target: float, pods: int) -> int:
    """GetExternalPerPodMetricReplicas: a target of type AverageValue. `pods` is the number in the scale's status."""
    if pods and _tolerable(milli(usage) / (milli(target) * pods)):
        return pods
    return min(math.ceil(milli(usage) / milli(target)), behavior.MAX_INT32)


def without_behavior(
    now: float, current: int, proposed: int, recommendations: Sequence[Recommendation], least: int, most: int
) -> int:
    """normalizeDesiredReplicas: the most that was asked for in five minutes, at most doubled (or four) at a time."""
    recent = [r.replicas for r in recommendations if r.time >= now - STABILIZATION_SECONDS]
    stable = max([proposed, *recent])
    highest = min(most, max(2 * current, 4))
    return least if stable < least else min(stable, highest)


def with_behavior(
    limits: behavior.Limits,
    now: float,
    current: int,
    proposed: int,
    recommendations: Sequence[Recommendation],
    events: Sequence[ScaleEvent],
    least: int,
    most: int,
) -> int:
    """normalizeDesiredReplicasWithBehaviors."""
    stable = behavior.stabilized(limits, recommendations, now, current, proposed)
    if stable > current:
        return min(stable, most, behavior.upper_limit(limits.up, events, now, current))
    if stable < current:
        return max(stable, least, behavior.lower_limit(limits.down, events, now, current))
    return stable


def milli(value: float) -> int:
    """Thousandths, as external metrics carry them."""
    return round(value * 1000)


def _tolerable(ratio: float) -> bool:
    """Tolerances.isWithin: both ends belong to it."""
    return 1.0 - TOLERANCE <= ratio <= 1.0 + TOLERANCE


def _grouped(pods: Sequence[PodView], now: float) -> tuple[list[int], int, int]:
    """groupPods: thousandths of a core of the pods that count, how many are unready, how many have no sample.

    Pods that are terminating or have failed count nowhere, and a view does not show them.
    """
    usage, unready, missing = [], 0, 0
    for pod in pods:
        if pod.pending:
            unready += 1
        elif pod.cpu_cores is None or pod.cpu_measured_seconds is None:
            missing += 1
        elif pod.ready_seconds is None or (
            pod.created_seconds + CPU_INITIALIZATION_SECONDS > now
            and pod.cpu_measured_seconds < pod.ready_seconds + METRICS_WINDOW_SECONDS
        ):
            unready += 1
        else:
            usage.append(math.ceil(pod.cpu_cores * 1000))
    return usage, unready, missing
