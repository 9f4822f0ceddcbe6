"""Each objective against what was measured."""

from __future__ import annotations

import math
from functools import lru_cache

from perfslo.api.v1alpha1 import Latency, Objective, PerformanceSLOSpec, Utilization
from perfslo.core import quantile, text
from perfslo.core.frozen import dataclass
from perfslo.core.model import (
    Histogram,
    LatencyReading,
    Missing,
    NoTraffic,
    ObjectiveReading,
    Observation,
    Requests,
    Signal,
    Stale,
    Value,
)

ASKED_AGAIN = 16
"""Readings of the SLO whose turn it is: each step of a turn asks for the same shares and durations."""
WIDE_BUCKET = 1.25
"""Edges of a native bucket further apart than this leave too much open; client libraries' default is 1.1."""
CLUMPING = 2.0
"""Slow requests come in clumps (a queue is shared by its neighbours): variance over that of independent ones."""


@dataclass(frozen=True, slots=True)
class Share:
    """Share of requests slower than a threshold, with the 90 % interval that their number leaves open."""

    ratio: float
    low: float
    high: float
    requests: float
    edge_low: float
    """Between these the truth is, whatever the shape of the response times within a bucket."""
    edge_high: float


def known(signal: Signal | LatencyReading) -> bool:
    """Whether it says something about now; a known zero does."""
    return isinstance(signal, Value | NoTraffic | Histogram)


def number(signal: Signal) -> float | None:
    """The value, 0 without traffic, None when unknown."""
    match signal:
        case Value(value=value):
            return value
        case NoTraffic():
            return 0.0
    return None


def unknown(signal: Signal | LatencyReading) -> str:
    """Why it is unknown, as part of a sentence."""
    match signal:
        case Stale(age_seconds=age):
            return f"metrics are stale ({text.seconds(age)} old)"
        case Missing(reason=reason, message=message):
            return f"metrics are missing ({message or reason})"
    return ""


def requests_of(objective: Objective, observation: Observation) -> Requests:
    """The requests that an objective is about: those its own matchers choose, else all of the SLO."""
    everything = Requests(
        observation.completions_per_second,
        observation.in_flight,
        observation.error_ratio,
        observation.requests_counted,
    )
    return observation.own_requests.get(objective.name, everything)


def slow(observation: Observation, objective: Objective) -> Share | None:
    """Share of requests slower than a latency objective's threshold; None when unknown or without requests."""
    reading, latency = observation.latency.get(objective.name), objective.latency
    if latency is None or not isinstance(reading, Histogram) or reading.total <= 0:
        return None
    return _slow(reading, latency.threshold_seconds)


def failed_or(slow_ratio: float, objective: Objective, observation: Observation) -> float:
    """Share of bad requests: those that failed are thought to be as often slow as the others."""
    about = observation.own_requests.get(objective.name, observation)
    errors = number(about.error_ratio) or 0.0
    return slow_ratio + errors * (1.0 - slow_ratio)


@lru_cache(ASKED_AGAIN)
def _slow(reading: Histogram, threshold_seconds: float) -> Share | None:
    of = quantile.share_over(reading, threshold_seconds)
    if of is None:
        return None
    low, high = _interval(of.value, of.samples)
    return Share(of.value, low, high, of.samples, of.edge_low, of.edge_high)


def _interval(ratio: float, requests: float) -> tuple[float, float]:
    """The 90 % interval of a share that was seen among so many requests."""
    return quantile.wilson(ratio, max(1.0, requests / CLUMPING))


def is_thin(spec: PerformanceSLOSpec, observation: Observation) -> bool:
    """Whether a latency objective has requests, but not enough to be judged by."""
    shares = (slow(observation, objective) for objective in spec.latency_objectives)
    return any(share is not None and share.requests < spec.metrics.min_requests for share in shares)


@lru_cache(ASKED_AGAIN)
def response_seconds(reading: Histogram, ratio: float) -> float:
    """Duration that `ratio` of the requests do not exceed; 0 without requests."""
    estimate = quantile.quantile(reading, ratio)
    return estimate.value if estimate else 0.0


def read(spec: PerformanceSLOSpec, observation: Observation) -> tuple[ObjectiveReading, ...]:
    """All objectives, in the order of the spec."""
    return tuple(_read(spec, objective, observation) for objective in spec.objectives)


def cpu_ratio(observation: Observation) -> float | None:
    """CPU used over CPU requested by the ready pods; None when either is unknown."""
    return _used(observation.cpu_cores, observation.replicas.cpu_request_cores, observation.replicas.ready)


def memory_ratio(observation: Observation) -> float | None:
    """Memory used over memory requested by the ready pods; None when either is unknown."""
    return _used(observation.memory_bytes, observation.replicas.memory_request_bytes, observation.replicas.ready)


def memory_limit_ratio(observation: Observation) -> float | None:
    """Memory used over the ready pods' limits: at 1 the average pod is killed. None when either is unknown."""
    return _used(observation.memory_bytes, observation.replicas.memory_limit_bytes, observation.replicas.ready)


def used_ratio(utilization: Utilization, observation: Observation) -> float | None:
    """Use over request of the ready pods; None when either is unknown."""
    return cpu_ratio(observation) if utilization.resource == "cpu" else memory_ratio(observation)


def _used(usage: Signal, each: float | None, ready: int) -> float | None:
    used = number(usage)
    return used / (each * ready) if used is not None and each and ready else None


def _read(spec: PerformanceSLOSpec, objective: Objective, observation: Observation) -> ObjectiveReading:
    if objective.latency:
        return _latency(spec, objective, objective.latency, observation)
    if objective.error_rate:
        return _errors(spec, objective.name, objective.error_rate.max_ratio, requests_of(objective, observation))
    if objective.throughput:
        least = float(objective.throughput.min_per_second)
        return _throughput(objective.name, least, requests_of(objective, observation))
    if objective.utilization is None:
        raise ValueError("an objective has exactly one kind, by the rules of Objective")
    used, target = used_ratio(objective.utilization, observation), float(objective.utilization.target_ratio)
    signal = observation.cpu_cores if objective.utilization.resource == "cpu" else observation.memory_bytes
    note = "" if used is not None else _why_unknown(signal) or "the containers request none, so there is no ratio"
    return ObjectiveReading(objective.name, used, target, None if used is None else used <= target, note=note)


def _errors(spec: PerformanceSLOSpec, name: str, limit: float, requests: Requests) -> ObjectiveReading:
    if not isinstance(requests.error_ratio, Value):  # a share of no requests is none at all
        return ObjectiveReading(name, None, limit, None, note=_why_unknown(requests.error_ratio))
    ratio, counted = requests.error_ratio.value, number(requests.counted)
    note = "" if counted is None else _too_few(spec, counted)
    low, high = _interval(ratio, counted) if counted else (None, None)
    return ObjectiveReading(
        name=name,
        current=ratio,
        threshold=limit,
        met=None if note else ratio <= limit,
        bad_ratio_low=low,
        bad_ratio_high=high,
        samples=counted or 0.0,
        note=note,
    )


def _throughput(name: str, least: float, requests: Requests) -> ObjectiveReading:
    served, waiting = number(requests.completions_per_second), number(requests.in_flight)
    met = True if served is not None and served >= least else None
    if met is None and served is not None and waiting is not None:
        # Fewer than promised is a breach only while more are waiting to be served.
        met = waiting <= max(1.0, served)
    return ObjectiveReading(name, served, least, met, note=_why_unknown(requests.completions_per_second))


def _too_few(spec: PerformanceSLOSpec, counted: float) -> str:
    """Why so many requests are no evidence; empty when they are."""
    least = spec.metrics.min_requests
    return f"{counted:.0f} of at least {least} requests in the window" if counted < least else ""


def _why_unknown(signal: Signal | LatencyReading) -> str:
    return "no requests" if isinstance(signal, NoTraffic) else unknown(signal)


def _latency(
    spec: PerformanceSLOSpec, objective: Objective, latency: Latency, observation: Observation
) -> ObjectiveReading:
    name = objective.name
    reading = observation.latency.get(name, Missing("NotMeasured"))
    threshold, allowed = latency.threshold_seconds, latency.allowed_bad_ratio
    share = slow(observation, objective)
    if share is None or not isinstance(reading, Histogram):
        return ObjectiveReading(
            name, None, threshold, None, allowed_bad_ratio=allowed, note=_why_unknown(reading) or "no requests"
        )
    bad, least, most = (
        failed_or(ratio, objective, observation) for ratio in (share.ratio, share.edge_low, share.edge_high)
    )
    note = _interpolation(reading, threshold)
    met: bool | None = bad <= allowed
    if too_few := _too_few(spec, share.requests):
        met, note = None, too_few
    return ObjectiveReading(
        name=name,
        current=response_seconds(reading, float(latency.promised_percent) / 100),
        threshold=threshold,
        met=met,
        bad_ratio=bad,
        bad_ratio_low=_interval(least, share.requests)[0],
        bad_ratio_high=_interval(most, share.requests)[1],
        allowed_bad_ratio=allowed,
        samples=share.requests,
        note=note,
    )


def _interpolation(reading: Histogram, threshold_seconds: float) -> str:
    """What would make the share exact, where that is worth a word."""
    if to_add := quantile.bucket_to_add(reading, threshold_seconds):
        return f"interpolated between bucket edges: add a bucket at {to_add:g} s for an exact share"
    low, high = quantile.bracket(reading, threshold_seconds)
    if low < high and (low == 0.0 or high / low > WIDE_BUCKET):
        width = f"{text.seconds(low)} to {text.seconds(high)}" if math.isfinite(high) else f"over {text.seconds(low)}"
        return (
            f"interpolated within a wide bucket ({width}): raise the native histogram's resolution, or add a bucket at "
            f"{threshold_seconds:g} s where its buckets are custom ones"
        )
    return ""
