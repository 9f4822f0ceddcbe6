"""Why fewer pods surely do: without such a reason, nothing is taken away."""

from __future__ import annotations

import math
from itertools import pairwise

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core import capacity, objectives, text
from perfslo.core.memory import Memory
from perfslo.core.model import Histogram, Observation, Value

IDLE_CONCURRENCY = 0.25
"""Requests that a pod works on at a time, on average: a quarter of one worker queues next to nothing."""
REGRET_WINDOWS = 6.0
"""Scale-down windows (20 minutes at 15 s) for which nothing is tried after a reduction had to be taken back."""
BLIND_STEP = 3
"""Fewest pods that may be tried while the saturated throughput is unknown: fewer would each get half as much again."""


def fewest(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: float) -> int:
    """The smallest number of pods, at least 1, that is proven to carry `load`; the present number when none is."""
    desired = observation.replicas.desired
    whole = load * _unseen_factor(observation)
    known = max((_fewest(memory, observation, o, whole) for o in spec.latency_objectives), default=desired)
    if known >= desired > 1 and sufficient(spec, memory, observation, load, desired - 1):
        return desired - 1
    return min(known, desired)


def sufficient(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: float, pods: int
) -> str | None:
    """Why `pods` surely carry `load` for every latency objective; None when they may not."""
    reason, load = "", load * _unseen_factor(observation)
    for objective in spec.latency_objectives:
        why = _sufficient(memory, observation, objective, load, pods)
        if why is None:
            return None
        reason = reason or why
    return reason


def unseen(observation: Observation) -> int:
    """Ready pods that no requests are counted of: they may be idle, or not be scraped."""
    seen = observation.pods_seen
    return max(0, observation.replicas.ready - round(seen.value)) if isinstance(seen, Value) else 0


def _unseen_factor(observation: Observation) -> float:
    """What the load is more than was counted, if pods that are not seen are as busy as the others."""
    ready, hidden = observation.replicas.ready, unseen(observation)
    return ready / (ready - hidden) if hidden < ready else 1.0


def _sufficient(memory: Memory, observation: Observation, objective: Objective, load: float, pods: int) -> str | None:
    if load <= 0:
        return "there are no requests"
    if objective.latency is None or pods < 1:
        return None
    per_pod = load / pods
    if per_pod <= (_sure(memory, observation, objective) or 0.0):
        limit = text.seconds(objective.latency.threshold_seconds)
        count = f"{pods} {'pod keeps' if pods == 1 else 'pods keep'}"
        return f"{count} {text.rate(load)}/s under {limit} with margin ({text.rate(per_pod)}/s per pod is proven)"
    if per_pod * _busy_seconds(observation, objective) <= IDLE_CONCURRENCY:
        return f"at {text.rate(load)}/s {pods} are idle most of the time"
    return _worth_trying(memory, observation, objective, load, pods)


def _fewest(memory: Memory, observation: Observation, objective: Objective, load: float) -> int:
    by_proof = load / sure if (sure := _sure(memory, observation, objective)) else math.inf
    by_idleness = load * _busy_seconds(observation, objective) / IDLE_CONCURRENCY
    best = min(by_proof, by_idleness)
    return observation.replicas.desired if math.isinf(best) else max(1, math.ceil(best - 1e-9))


def _sure(memory: Memory, observation: Observation, objective: Objective) -> float | None:
    if objective.latency is None:
        return None
    curve = capacity.curve_of(memory.capacities, observation.replicas.version, objective.latency)
    return capacity.sure(curve, objective.latency.allowed_bad_ratio)


def _busy_seconds(observation: Observation, objective: Objective) -> float:
    """An upper estimate of the mean response time; infinite when unknown."""
    reading = observation.latency.get(objective.name)
    if not isinstance(reading, Histogram) or reading.total <= 0:
        return math.inf
    return objectives.response_seconds(reading, 0.8)


def _worth_trying(memory: Memory, observation: Observation, objective: Objective, load: float, pods: int) -> str | None:
    """One pod less than now, when the present load leaves nearly all of the allowance and saturation is far."""
    desired = observation.replicas.desired
    if objective.latency is None or pods != desired - 1:
        return None
    known = capacity.select(memory.capacities, observation.replicas.version)
    curve = capacity.curve_of(memory.capacities, observation.replicas.version, objective.latency)
    likely = capacity.likely(curve, objective.latency.allowed_bad_ratio)
    if likely is None or load / pods > likely:
        return None
    if not capacity.spared(curve, objective.latency.allowed_bad_ratio, load / desired):
        return None
    if load / pods > capacity.CLIFF_SHARE * known.ceiling if known.ceiling else pods < BLIND_STEP:
        return None
    if _regretted(memory, observation):
        return None
    spared = f"{text.rate(load / desired)}/s per pod leave nearly all of the allowance"
    return f"trying {pods} for {text.rate(load)}/s: {spared}"


def _regretted(memory: Memory, observation: Observation) -> bool:
    """Whether pods were added again after a reduction, not long ago."""
    start = observation.time - REGRET_WINDOWS * observation.scale.down_window_seconds
    recent = [event.change for event in memory.scale_events if event.time > start]
    return any(before < 0 < after for before, after in pairwise(recent))
