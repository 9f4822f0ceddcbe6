"""Why fewer pods surely do: without such a reason, nothing is taken away."""

from __future__ import annotations

import math
from itertools import pairwise

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core import capacity, objectives, sizing, text
from perfslo.core.forecast import Forecast
from perfslo.core.memory import Memory
from perfslo.core.model import Histogram, Observation, Value
from perfslo.core.sizing import Curves

IDLE_CONCURRENCY = 0.25
"""Requests that a pod works on at a time, on average: a quarter of one worker queues next to nothing."""
CHANCE = 2.0
"""Standard deviations of what was counted, so that chance does not take away what it orders again."""
REGRET_WINDOWS = 6.0
"""Scale-down windows (20 minutes at 15 s) for which nothing is tried after a reduction had to be taken back."""
BLIND_STEP = 3
"""Fewest pods that may be tried while the saturated throughput is unknown: fewer would each get half as much again."""


def fewest(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: Forecast) -> int:
    """The smallest number of pods, at least 1, that is proven to carry `load`; the present number when none is."""
    desired = observation.replicas.desired
    whole = load.times(_doubt_factor(observation, load))
    known = max((_fewest(memory, observation, o, whole) for o in spec.latency_objectives), default=desired)
    if known >= desired > 1 and sufficient(spec, memory, observation, load, desired - 1):
        return desired - 1
    return min(known, desired)


def sufficient(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: Forecast, pods: int
) -> str | None:
    """Why `pods` surely carry `load` for every latency objective; None when they may not."""
    reason, load = "", load.times(_doubt_factor(observation, load))
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


def _doubt_factor(observation: Observation, load: Forecast) -> float:
    """What the load may be more than was counted: by chance, and as pods that are not seen may be as busy."""
    ready, hidden = observation.replicas.ready, unseen(observation)
    unseen_factor = ready / (ready - hidden) if hidden < ready else 1.0
    counted = load.level * observation.scale.counted_seconds
    return unseen_factor * (1.0 + CHANCE / math.sqrt(max(counted, CHANCE**2)))


def _sufficient(
    memory: Memory, observation: Observation, objective: Objective, load: Forecast, pods: int
) -> str | None:
    if load.peak <= 0:
        return "there are no requests"
    if objective.latency is None or pods < 1:
        return None
    by, idle = _sure(memory, observation, objective), idle_load(observation, objective)
    kept = sizing.keep(by, load, pods, sizing.left_share(memory)) if by else load.peak / pods <= idle
    if kept and load.peak / pods <= idle:
        return f"at {text.rate(load.peak)}/s {pods} are idle most of the time"
    if kept and by:
        limit = text.seconds(objective.latency.threshold_seconds)
        count = f"{pods} {'pod keeps' if pods == 1 else 'pods keep'}"
        return (
            f"{count} {text.rate(load.peak)}/s under {limit} with margin ({text.rate(by.carried)}/s per pod is learnt)"
        )
    return _worth_trying(memory, observation, objective, load.peak, pods)


def idle_load(observation: Observation, objective: Objective) -> float:
    """Requests a second per pod up to which pods are idle most of the time; 0 when unknown."""
    reading = observation.latency.get(objective.name)
    # An upper estimate of the mean response time; 0 without requests.
    seconds = objectives.response_seconds(reading, 0.8) if isinstance(reading, Histogram) else 0.0
    return IDLE_CONCURRENCY / seconds if seconds > 0 else 0.0


def _fewest(memory: Memory, observation: Observation, objective: Objective, load: Forecast) -> int:
    if by := _sure(memory, observation, objective):
        return sizing.fewest(by, load, sizing.left_share(memory))
    idle = idle_load(observation, objective)
    return max(1, math.ceil(load.peak / idle - 1e-9)) if idle else observation.replicas.desired


def _sure(memory: Memory, observation: Observation, objective: Objective) -> Curves | None:
    if objective.latency is None:
        return None
    known = capacity.select(memory.capacities, observation.replicas.version)
    curve = capacity.curve_of(memory.capacities, observation.replicas.version, objective.latency)
    idle = idle_load(observation, objective)
    return sizing.sure(known, curve, objective.latency.allowed_bad_ratio, idle)


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
