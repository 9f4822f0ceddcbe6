"""Queues, and what a flood asks for beyond the load that is seen: what arrives and is never counted, and to empty them.

Queues are emptied only where pods complete as much as they ever did. Pods that complete less are not short of company:
something behind them is slow, or they are another service now.
"""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import capacity, objectives
from perfslo.core.memory import Memory
from perfslo.core.model import Histogram, Observation

FLOODED = 4.0
"""Times the allowance."""
DRAIN_UNITS = 2.0
"""30 s at 15 s, in which queues should be empty once pods are there."""
LEAVING = 1.3
"""Arrivals over completions from which many requests leave unanswered: then completions are no measure of the pods."""
AS_EVER = 0.9
BACKLOG_SIGMAS = 3.0
"""Of the Poisson spread of requests in flight."""
STAYS = 0.99
"""The percentile of latency that stands for how long requests stay: in a flood nearly all wait as long as they may."""


def flooded(memory: Memory) -> bool:
    """Whether so many requests are slow that completions follow pods, and no longer arrivals."""
    return bool(memory.slow_ratios) and memory.slow_ratios[-1].value >= FLOODED


def was_flooded(memory: Memory) -> bool:
    """Whether they were a cycle ago."""
    return len(memory.slow_ratios) > 1 and memory.slow_ratios[-2].value >= FLOODED


def behind(memory: Memory, load: float) -> bool:
    """Whether a promise is broken because more requests a second come than the ready pods are thought to carry.

    They complete as much as they ever did then; if they complete less, what seems to come is a queue that grows.
    """
    carried = capacity.least(memory.capacities[0]) if memory.capacities else None
    if carried is None or (memory.slow_ratio or 0.0) <= 1.0:
        return False
    together = carried * memory.ready
    return load > together and (memory.completions or 0.0) >= AS_EVER * together


def backlog(spec: PerformanceSLOSpec, memory: Memory) -> bool | None:
    """Whether more requests are in flight than a kept promise allows by Little's law; None without a gauge."""
    if not memory.in_flight or not memory.arrivals:
        return None
    threshold = max(o.latency.threshold_seconds for o in spec.latency_objectives if o.latency)
    expected = memory.arrivals[-1].value * threshold
    return memory.in_flight[-1].value > expected + BACKLOG_SIGMAS * math.sqrt(expected) + 1


def queues(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> bool:
    """Whether there is a queue that grows or drains; what stays as it is all through the window is none."""
    return bool(backlog(spec, memory)) and not _lasting(memory, observation)


def standing(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> float | None:
    """Requests in flight, where they are a queue that neither grows nor drains."""
    return memory.in_flight[-1].value if backlog(spec, memory) and _lasting(memory, observation) else None


def _lasting(memory: Memory, observation: Observation) -> bool:
    start = observation.time - observation.scale.window_seconds
    recent = [sample.value for sample in memory.in_flight if sample.time >= start]
    chance = BACKLOG_SIGMAS * math.sqrt(max(recent))
    return max(recent) - min(recent) <= chance


def fewer(memory: Memory, before: float | None) -> bool:
    """Whether requests in flight are fewer than before by more than chance; not so when either is unknown."""
    if before is None or not memory.in_flight:
        return False
    return memory.in_flight[-1].value < before - BACKLOG_SIGMAS * math.sqrt(before)


def drained_per_second(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> float:
    """What has to be completed besides what arrives; 0 while nobody waits too long."""
    if not memory.in_flight or not flooded(memory) or not _complete_as_ever(spec, memory, observation):
        return 0.0
    threshold = max(o.latency.threshold_seconds for o in spec.latency_objectives if o.latency)
    waiting = memory.in_flight[-1].value - memory.arrivals[-1].value * threshold
    return max(0.0, waiting) / (DRAIN_UNITS * observation.scale.unit_seconds)


def by_little(memory: Memory, observation: Observation) -> float:
    """Requests a second that arrive in a flood, by Little's law: those in flight over the time that they stay.

    Clients that give up are in no histogram, so completions say little of what arrives then; but while they wait they
    are in flight. 0 without a flood or a gauge.
    """
    if not memory.in_flight or not flooded(memory):
        return 0.0
    readings = [reading for reading in observation.latency.values() if isinstance(reading, Histogram)]
    stays = max((objectives.response_seconds(reading, STAYS) for reading in readings), default=0.0)
    return memory.in_flight[-1].value / stays if stays > 0 else 0.0


def leave_unanswered(memory: Memory, observation: Observation) -> bool:
    """Whether so many give up that what pods complete is not what they can."""
    completions = objectives.number(observation.completions_per_second) or 0.0
    return was_flooded(memory) and by_little(memory, observation) > LEAVING * completions


def _complete_as_ever(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> bool:
    """Whether each pod completes about what pods of this version carried well, or nothing is known of that."""
    completions = objectives.number(observation.completions_per_second) or 0.0
    for objective in spec.latency_objectives:
        if objective.latency is None:
            continue
        curve = capacity.curve_of(memory.capacities, observation.replicas.version, objective.latency)
        carried = capacity.proven(curve, objective.latency.allowed_bad_ratio)
        if carried and completions < AS_EVER * carried * observation.replicas.ready:
            return False
    return True
