"""Observation and Memory -> Diagnosis: what stands in the way, with the numbers that say so."""

from __future__ import annotations

from collections.abc import Mapping

from perfslo.api.v1alpha1 import Latency, Objective, PerformanceSLOSpec
from perfslo.core import capacity, objectives, proof, signals, text, usual
from perfslo.core.levers import offload
from perfslo.core.memory import Curve, Memory
from perfslo.core.model import (
    Bottleneck,
    Confidence,
    Diagnosis,
    Evidence,
    Missing,
    ObjectiveReading,
    Observation,
    Replicas,
    Value,
)

IDLE_SHARE = 0.3
"""Of the capacity: a promise broken below it is not broken by load."""
THROTTLED_RATIO = 0.05
"""Throttled CFS periods from which the CPU limit is what shapes the tail, as load does not."""
MOSTLY_THROTTLED = 0.25
"""With so many, hardly a slow request has met none: then it is the limit that makes pods short of CPU at this load."""
FRUITLESS_SCALE_OUTS = 2
"""One without relief may be chance."""
ROOM_SHARE = 0.6
"""Of the capacity: load per pod below it is room to spare."""
MEMORY_FULL = 0.9
"""Of the limits, on average: some pod is about to be killed, or collects garbage all the time."""
BY_LOAD = 1.1
"""Times what a pod carries: above it, load alone explains a broken promise."""
FELT_WINDOWS = 3.0
"""Within so many windows after pods are ready, a dependency feels their connections and requests."""
NO_USE = (
    Bottleneck.UNREACHABLE_TARGET,
    Bottleneck.FAST_FAILING,
    Bottleneck.DEPENDENCY_BOUND,
    Bottleneck.DEPENDENCY_SATURATED_BY_US,
    Bottleneck.CONNECTION_POOL_BOUND,
)
"""Where more pods would wait for the same thing, or take more of it."""
_LESS_WORK = ("cache", "cdn", "offload")
CURES: Mapping[Bottleneck, tuple[str, ...]] = {
    Bottleneck.SATURATED: ("replicas", "traffic", *_LESS_WORK),
    Bottleneck.OVERLOADED: ("replicas", "traffic", *_LESS_WORK),
    Bottleneck.CPU_THROTTLED: ("replicas", "traffic", *_LESS_WORK),
    Bottleneck.MEMORY_PRESSURE: ("replicas", *_LESS_WORK),
    Bottleneck.ROLLOUT_REGRESSION: ("replicas", *_LESS_WORK),
    Bottleneck.NODE_PRESSURE: _LESS_WORK,
    Bottleneck.UNREACHABLE_TARGET: _LESS_WORK,
    Bottleneck.BACKEND_SKEW: ("traffic",),
    Bottleneck.CACHE_COLD: ("cache", "replicas"),
    Bottleneck.CONNECTION_POOL_BOUND: ("database", "cache", "offload"),
    Bottleneck.DEPENDENCY_BOUND: ("cache", "cdn", "offload"),
    Bottleneck.DEPENDENCY_SATURATED_BY_US: ("cache", "cdn", "offload"),
    Bottleneck.QUEUE_BACKLOG: ("offload",),
}
"""Levers that may help, the most direct first."""
SURE_REQUESTS = 1000.0
"""The 90 % interval of a 5 % share is then +/- 1.1 points."""


def diagnose(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Diagnosis:
    """What is the matter. `memory` has absorbed `observation`."""
    readings = objectives.read(spec, observation)
    bottleneck, why = _classify(spec, memory, observation, readings)
    samples = max((r.samples for r in readings), default=0.0)
    sure = Confidence.HIGH if samples >= SURE_REQUESTS else Confidence.MEDIUM
    return Diagnosis(
        bottleneck=bottleneck,
        why=why,
        objectives=readings,
        confidence=sure if samples >= spec.metrics.min_requests and memory.known_since is not None else Confidence.LOW,
        allowed=CURES.get(bottleneck, ()),
        forbidden=_forbidden(bottleneck, why, readings, memory, next(usual.troubles(spec, memory, observation), None)),
    )


def describe(spec: PerformanceSLOSpec, diagnosis: Diagnosis) -> str:
    """The worst latency objective in a few words: "p95 412ms > 200ms"."""
    promises = {o.name: o.latency for o in spec.latency_objectives}
    known = [r for r in diagnosis.objectives if r.name in promises and r.current is not None]
    if not known:
        return ""
    worst = max(known, key=lambda r: (r.bad_ratio or 0.0) / (r.allowed_bad_ratio or 1.0))
    return _against(worst, promises[worst.name])


def _against(reading: ObjectiveReading, latency: Latency | None) -> str:
    if latency is None or reading.current is None:
        return reading.name
    sign = ">" if reading.current > reading.threshold else "<="
    percentile = f"p{latency.promised_percent:g}"
    return f"{percentile} {text.seconds(reading.current)} {sign} {text.seconds(reading.threshold)}"


def _classify(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, readings: tuple[ObjectiveReading, ...]
) -> tuple[Bottleneck, str]:
    if why := blindness(spec, observation):
        return Bottleneck.UNKNOWN, why
    if memory.known_since is None or not memory.arrivals:
        return Bottleneck.UNKNOWN, "the load is not known yet"
    if memory.arrivals[-1].value <= 0:
        return Bottleneck.NO_TRAFFIC, "no requests in the window"
    pods = observation.replicas
    if pods.ready < 1:
        return Bottleneck.WARMING_UP, f"no pod is ready, {pods.starting} starting, {pods.pending} pending"
    broken = [r for r in readings if r.met is False]
    if broken:
        return _broken(spec, memory, observation, broken)
    counted = {o.name for o in spec.objectives if o.latency or (o.error_rate and _errors_known(o, observation))}
    thin = next((r for r in readings if r.name in counted and r.met is None), None)
    if thin:
        return Bottleneck.INSUFFICIENT_DATA, f"{thin.name}: {thin.note}"
    return _unbroken(spec, memory, observation)


def _errors_known(objective: Objective, observation: Observation) -> bool:
    return objectives.known(objectives.requests_of(objective, observation).error_ratio)


def blindness(spec: PerformanceSLOSpec, observation: Observation) -> str:
    """Why load or latency is unknown; empty when both are known."""
    if observation.source_problem:
        return (
            f"the metrics source is unwell ({observation.source_problem.message or observation.source_problem.reason})"
        )
    readings = (observation.latency.get(o.name, Missing("NotMeasured")) for o in spec.latency_objectives)
    reasons = (objectives.unknown(s) for s in (observation.completions_per_second, *readings))
    return next((reason for reason in reasons if reason), "")


def _broken(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, broken: list[ObjectiveReading]
) -> tuple[Bottleneck, str]:
    pods = observation.replicas
    promises = {o.name: o.latency for o in spec.latency_objectives}
    slow = [r for r in broken if r.name in promises and (memory.slow_ratio or 0.0) > 1.0]
    if not slow:
        names = ", ".join(f"{r.name} ({_number(r.current)} against {_number(r.threshold)})" for r in broken)
        errors = objectives.number(observation.error_ratio) or 0.0
        if errors > 0 and any(r.name in promises or r.bad_ratio is None for r in broken):
            return Bottleneck.FAST_FAILING, f"{text.percent(errors)} of the requests fail, while latency holds: {names}"
        return Bottleneck.SATURATED, f"broken: {names}"
    words = _against(slow[0], promises[slow[0].name])
    if pods.pending and not pods.starting:
        return Bottleneck.NODE_PRESSURE, f"{words}, and {pods.pending} pods find no node"
    if pods.starting:
        return Bottleneck.WARMING_UP, f"{words}, and {pods.starting} pods are starting"
    per_pod = memory.arrivals[-1].value / pods.ready
    medians = [_median(memory, observation, o.latency) for o in spec.latency_objectives if o.latency]
    least = min((m for m in medians if m), default=None)
    if cause := _behind(spec, memory, observation, per_pod, least):
        return cause[0], f"{words} at {text.rate(per_pod)}/s per pod, and {cause[1]}"
    if memory.fruitless >= FRUITLESS_SCALE_OUTS:
        return Bottleneck.UNREACHABLE_TARGET, f"{words}, and the last {memory.fruitless} scale-outs brought no relief"
    throttled = observation.cpu_throttled_ratio
    if isinstance(throttled, Value) and throttled.value > THROTTLED_RATIO and least and per_pod < least:
        share = text.percent(throttled.value)
        return Bottleneck.CPU_THROTTLED, f"{words} at {text.rate(per_pod)}/s per pod, {share} of CPU periods throttled"
    if least and per_pod < IDLE_SHARE * least:
        return Bottleneck.UNREACHABLE_TARGET, f"{words} at only {text.rate(per_pod)}/s per pod of {text.rate(least)}/s"
    load = f"{words} at {text.rate(per_pod)}/s per pod"
    if (used := objectives.memory_limit_ratio(observation)) is not None and used >= MEMORY_FULL:
        return Bottleneck.MEMORY_PRESSURE, f"{load}, and {text.percent(used)} of the memory limits are used"
    if before := _before_rollout(spec, memory, observation):
        return Bottleneck.ROLLOUT_REGRESSION, f"{load}; the version before carried {text.rate(before)}/s per pod"
    if isinstance(throttled, Value) and throttled.value > MOSTLY_THROTTLED:
        return Bottleneck.CPU_THROTTLED, f"{load}, and {text.percent(throttled.value)} of CPU periods throttled"
    if memory.saturated_since is not None:
        return Bottleneck.OVERLOADED, f"{load}: more requests arrive than the pods complete"
    return Bottleneck.SATURATED, load


def _behind(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, per_pod: float, least: float | None
) -> tuple[Bottleneck, str] | None:
    """What signals say of a cause behind the service that a broken promise has; None when load explains it."""
    trouble = next(usual.troubles(spec, memory, observation), None)
    if trouble is None or trouble.bottleneck == Bottleneck.QUEUE_BACKLOG:
        return None
    if trouble.bottleneck != Bottleneck.DEPENDENCY_BOUND:
        return trouble.bottleneck, trouble.words
    if _since_scale_out(memory, observation):
        return Bottleneck.DEPENDENCY_SATURATED_BY_US, f"{trouble.words} since replicas were added"
    if least and per_pod > BY_LOAD * least:
        return None
    return trouble.bottleneck, trouble.words


def _since_scale_out(memory: Memory, observation: Observation) -> bool:
    """Whether the trouble began with pods that were added."""
    order, since = memory.order, memory.troubled_since
    if order is None or since is None or order.wanted <= order.current:
        return False
    startup = memory.startup_seconds or 2.0 * observation.scale.unit_seconds
    return order.time < since <= order.time + startup + FELT_WINDOWS * observation.scale.window_seconds


def _before_rollout(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> float | None:
    """Load per pod with which the version before this one kept all promises, when no more breaks them now.

    What it was thought to carry besides tells nothing: nobody has seen it do so. What breaks a promise now is the load
    of the whole window, on the pods that there were.
    """
    if observation.replicas.rolling_out or len(memory.capacities) < 2:
        return None
    now, before = memory.capacities[:2]
    if now.version != observation.replicas.version or not before.version:
        return None
    carried = [
        capacity.proven(before.curves.get(capacity.promise_key(o.latency), Curve()), o.latency.allowed_bad_ratio)
        for o in spec.latency_objectives
        if o.latency
    ]
    if not all(carried):
        return None
    least = min(each or 0.0 for each in carried)
    start = observation.time - observation.scale.window_seconds
    pods = min([observation.replicas.ready, *(sample.value for sample in memory.readies if sample.time > start)])
    return least if _came(memory, observation) <= BY_LOAD * least * pods else None


def _came(memory: Memory, observation: Observation) -> float:
    """Requests a second of the whole window: those completed, and by how many more are in flight since it began."""
    completed = objectives.number(observation.completions_per_second) or 0.0
    start = observation.time - observation.scale.window_seconds
    waiting = [sample for sample in memory.in_flight if sample.time >= start]
    if len(waiting) < 2:
        return completed
    first, last = waiting[0], waiting[-1]
    return completed + max(0.0, last.value - first.value) / (last.time - first.time)


def _unbroken(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> tuple[Bottleneck, str]:
    pods = observation.replicas
    if pods.pending and not pods.starting:
        return Bottleneck.NODE_PRESSURE, f"{pods.pending} pods find no node"
    if behind := offload.backlog(spec, observation):
        return Bottleneck.QUEUE_BACKLOG, f"objectives hold, but {behind}"
    for trouble in usual.troubles(spec, memory, observation):
        if trouble.bottleneck == Bottleneck.QUEUE_BACKLOG:
            return trouble.bottleneck, f"objectives hold, but {trouble.words}"
    per_pod = memory.arrivals[-1].value / pods.ready
    lows = [_curve_low(memory, observation, o.latency) for o in spec.latency_objectives if o.latency]
    low = min((m for m in lows if m), default=None)
    if low and per_pod < ROOM_SHARE * low and pods.ready > spec.min_replicas:
        return Bottleneck.OVERPROVISIONED, f"{text.rate(per_pod)}/s per pod of {text.rate(low)}/s that each carries"
    return Bottleneck.HEALTHY, f"objectives hold at {text.rate(per_pod)}/s per pod"


def _forbidden(
    bottleneck: Bottleneck,
    why: str,
    readings: tuple[ObjectiveReading, ...],
    memory: Memory,
    trouble: usual.Trouble | None,
) -> dict[str, str]:
    forbidden = {}
    if bottleneck in NO_USE:
        forbidden["replicas:up"] = f"more pods than the load needs would not help: {why}"
    broken = [r.name for r in readings if r.met is False]
    if broken:
        forbidden["replicas:down"] = f"{', '.join(broken)} not met"
    elif trouble and memory.troubled_since is not None:
        forbidden["replicas:down"] = f"pods that wait look idle, and {trouble.words}"
    return forbidden


def evidence(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> tuple[Evidence, ...]:
    """The numbers that a diagnosis rests on."""
    pods, out = observation.replicas, []
    if memory.known_since is not None and memory.arrivals:
        load = memory.arrivals[-1].value
        out.append(Evidence("load", f"{text.rate(load)}/s", _age(observation)))
        if pods.ready:
            out.append(Evidence("load per pod", f"{text.rate(load / pods.ready)}/s", _age(observation)))
    for objective in spec.latency_objectives:
        if objective.latency and (median := _median(memory, observation, objective.latency)):
            low = _curve_low(memory, observation, objective.latency) or median
            out.append(
                Evidence(f"capacity for {objective.name}", f"{text.rate(median)}/s per pod (at least {text.rate(low)})")
            )
    if isinstance(observation.in_flight, Value):
        out.append(Evidence("in flight", f"{observation.in_flight.value:.0f}", observation.in_flight.age_seconds))
    if (cpu := objectives.cpu_ratio(observation)) is not None:
        out.append(Evidence("cpu", f"{text.percent(cpu)} of requests"))
    if isinstance(observation.cpu_throttled_ratio, Value):
        out.append(Evidence("cpu throttled", f"{text.percent(observation.cpu_throttled_ratio.value)} of periods"))
    out += signals.evidence(spec, observation)
    hidden = proof.unseen(observation)
    out.append(Evidence("pods", _pods(pods) + (f", {hidden} without series" if hidden else "")))
    return tuple(out)


def _pods(pods: Replicas) -> str:
    return f"{pods.ready} ready, {pods.starting} starting, {pods.pending} pending"


def _age(observation: Observation) -> float | None:
    signal = observation.completions_per_second
    return signal.age_seconds if isinstance(signal, Value) else None


def _median(memory: Memory, observation: Observation, latency: Latency) -> float | None:
    return capacity.curve_of(memory.capacities, observation.replicas.version, latency).median


def _curve_low(memory: Memory, observation: Observation, latency: Latency) -> float | None:
    return capacity.curve_of(memory.capacities, observation.replicas.version, latency).low


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
