"""How many replicas the load needs, by what one pod was learnt to carry. Limits come later, in `guardrails`."""

from __future__ import annotations

import math
from dataclasses import field

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import capacity, identify, objectives, overload, proof, sizing, text
from perfslo.core.forecast import Forecast, forecast
from perfslo.core.frozen import dataclass
from perfslo.core.memory import Memory
from perfslo.core.model import Diagnosis, Observation

LEVER = "replicas"
PANIC = 4.0
"""Times the allowance: so many slow requests are acted on at once; fewer must persist for a window."""
TOLERANCE = 0.1
"""Of utilization targets, as HPA's."""
DEFAULT_STARTUP_UNITS = 2.0
"""Start-up time assumed until one was seen: 30 s at 15 s."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`replicas` is None when there is no basis to ask for any."""

    replicas: int | None
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Need:
    """What one objective asks for."""

    replicas: int
    reason: str
    capacity: float = 0.0


def startup_seconds(memory: Memory, observation: Observation) -> float:
    """Time from order to ready."""
    if memory.startup_seconds is not None:
        return memory.startup_seconds
    return DEFAULT_STARTUP_UNITS * observation.scale.unit_seconds


def horizon_seconds(memory: Memory, observation: Observation) -> float:
    """How far ahead pods are ordered: they must start, and the load was seen a scrape and a cycle ago."""
    scale = observation.scale
    return startup_seconds(memory, observation) + scale.scrape_seconds + scale.cycle_seconds


def under_way(memory: Memory, observation: Observation) -> str | None:
    """What of the newest scale-out has not had its effect yet; None when all of it has."""
    pods, now, order = observation.replicas, observation.time, memory.order
    if order is None or order.wanted != pods.desired or order.wanted <= order.current:
        return None
    ago, settle = text.seconds(now - order.time), observation.scale.window_seconds
    if pods.ready < order.wanted:
        count, takes = order.wanted - pods.ready, text.seconds(startup_seconds(memory, observation))
        return f"{count} {'pod' if count == 1 else 'pods'} ordered {ago} ago are still starting (they take {takes})"
    if now - (memory.ready_since or now) < settle:
        return f"the pods ordered {ago} ago show their effect {text.seconds(settle)} after they are ready"
    return None


def propose(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, diagnosis: Diagnosis) -> Proposal:
    """The count that the load needs, the most demanding objective winning."""
    if memory.known_since is None or not memory.arrivals:
        return Proposal(None, identify.blindness(spec, observation) or "the load is not known yet")
    scale, desired = observation.scale, observation.replicas.desired
    load = forecast(memory, scale, horizon_seconds(memory, observation))
    numbers = {"load": load.level, "demand": load.peak}
    if load.peak <= 0:
        return Proposal(0, "no requests", numbers)
    by_load = _by_capacity(spec, memory, observation, load)
    steady = _by_capacity(spec, memory, observation, load.without_trend()) if overload.flooded(memory) else by_load
    numbers["steady"] = float(max((need.replicas for need in steady), default=desired))
    by_load += _by_flood(spec, memory, observation, load, diagnosis)
    numbers["needed"] = float(max((need.replicas for need in by_load), default=0))
    outs = [*by_load, *_by_breach(spec, memory, observation, load, diagnosis)]
    outs += _by_utilization(spec, observation)
    most = max(outs, key=lambda need: need.replicas, default=None)
    if most and most.replicas > desired:
        return Proposal(most.replicas, _explained(spec, diagnosis, most), {**numbers, "capacity": most.capacity})
    if "replicas:down" in diagnosis.forbidden:
        return Proposal(desired, _resting(spec, memory, observation, diagnosis, load, most), numbers)
    fewest = proof.fewest(spec, memory, observation, load)
    keep = max([_Need(fewest, ""), *_by_utilization(spec, observation)], key=lambda need: need.replicas)
    if keep.replicas < desired:
        why = proof.sufficient(spec, memory, observation, load, keep.replicas) or f"load {text.rate(load.peak)}/s"
        return Proposal(keep.replicas, why, numbers)
    why = _resting(spec, memory, observation, diagnosis, load, most)
    if hidden := proof.unseen(observation):
        why += f"; {hidden} of {observation.replicas.ready} pods have no series, and may be as busy as the others"
    return Proposal(desired, why, numbers)


def _resting(
    spec: PerformanceSLOSpec,
    memory: Memory,
    observation: Observation,
    diagnosis: Diagnosis,
    load: Forecast,
    most: _Need | None,
) -> str:
    """Why the count is right as it is."""
    now = identify.describe(spec, diagnosis) or "no latency known yet"
    if diagnosis.slo_met is False and (waiting := under_way(memory, observation)):
        return f"{now}, but {waiting}"
    if "replicas:up" in diagnosis.forbidden:
        return diagnosis.forbidden["replicas:up"]
    return (
        f"{now}, {most.reason}" if most else f"{now} at {text.rate(load.level)}/s, what a pod carries is being learnt"
    )


def _explained(spec: PerformanceSLOSpec, diagnosis: Diagnosis, need: _Need) -> str:
    now = identify.describe(spec, diagnosis)
    return f"{need.reason} ({now})" if now else need.reason


def _by_capacity(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: Forecast) -> list[_Need]:
    needs = []
    for objective in spec.latency_objectives:
        if objective.latency is None:
            continue
        known = capacity.select(memory.capacities, observation.replicas.version)
        curve = capacity.curve_of(memory.capacities, observation.replicas.version, objective.latency)
        idle = proof.idle_load(observation, objective)
        if by := sizing.likely(known, curve, objective.latency.allowed_bad_ratio, idle):
            pods = sizing.fewest(by, load, sizing.used_share(memory))
            expected = f"{text.rate(load.peak)}/s{', as on both days before,' if load.announced else ''}"
            reason = f"load {expected} needs {pods} pods at {text.rate(load.peak / pods)}/s per pod"
            needs.append(_Need(pods, reason, by.carried))
    return needs


def _need(load: float, carried: float) -> _Need:
    pods = load / carried
    reason = f"load {text.rate(load)}/s needs {pods:.1f} pods at {text.rate(carried)}/s per pod"
    return _Need(math.ceil(pods - 1e-9), reason, carried)


def _by_flood(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: Forecast, diagnosis: Diagnosis
) -> list[_Need]:
    """What queues ask for besides the load."""
    if "replicas:up" in diagnosis.forbidden:
        return []
    drained = overload.drained_per_second(spec, memory, observation)
    return _by_capacity(spec, memory, observation, load.plus(drained)) if drained else []


def _by_breach(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, load: Forecast, diagnosis: Diagnosis
) -> list[_Need]:
    """What the current window alone implies when a promise is broken and everything that was ordered has settled."""
    pods, now, scale = observation.replicas, observation.time, observation.scale
    settled = (
        memory.ready_since is not None
        and now - memory.ready_since >= scale.window_seconds
        and 1 <= pods.desired <= pods.ready
        and not pods.rolling_out
    )
    if memory.breached_since is None or memory.easing or not settled or "replicas:up" in diagnosis.forbidden:
        return []
    if now - memory.breached_since < scale.window_seconds and (memory.slow_ratio or 0.0) < PANIC:
        return []
    needs = []
    for objective in spec.latency_objectives:
        share = objectives.slow(observation, objective)
        if share is None or objective.latency is None or share.low <= objective.latency.allowed_bad_ratio:
            continue
        per_pod = load.level / pods.ready
        carried = capacity.carried(per_pod, share.ratio, objective.latency.allowed_bad_ratio)
        completions = objectives.number(observation.completions_per_second)
        if memory.saturated_since is not None and completions:
            carried = min(carried, capacity.SATURATED_SHARE * completions / pods.ready)
        if carried > 0:
            needs.append(_need(load.peak, carried / capacity.MARGIN))
    return needs


def _by_utilization(spec: PerformanceSLOSpec, observation: Observation) -> list[_Need]:
    """As a HorizontalPodAutoscaler sizes by utilization; an unknown one asks for what there is."""
    needs, pods = [], observation.replicas
    for objective in spec.objectives:
        if objective.utilization is None:
            continue
        used, target = (
            objectives.used_ratio(objective.utilization, observation),
            float(objective.utilization.target_ratio),
        )
        if used is None:
            needs.append(_Need(pods.desired, f"{objective.name} is unknown"))
            continue
        ratio = used / target
        wanted = pods.desired if abs(ratio - 1.0) <= TOLERANCE else math.ceil(ratio * pods.ready)
        reason = f"{objective.utilization.resource} {text.percent(used)} of {text.percent(target)} needs {wanted} pods"
        needs.append(_Need(wanted, reason))
    return needs
