"""What the metrics said about one SLO -> Observation, with every kind of not knowing told apart.

    Wanted -> queries.py -> (the edge asks) -> Series -> observe() -> Observation

- `Missing`: nothing usable. No series, too few samples, NaN, infinite, negative, or the source gave no answer.
- `Stale`: there are series, and their newest sample is too old.
- `NoTraffic`: the series exist and are fresh, and nothing happened in the window.

`increase()` needs two samples of a series: requests that a counter already held when it was first scraped (a pod or a
status code seen for the first time) are not counted. That loses at most one scrape's worth for each new series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import NamedTuple

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import native, scrape
from perfslo.core.frozen import dataclass
from perfslo.core.model import (
    Histogram,
    LatencyReading,
    Missing,
    NoTraffic,
    Observation,
    Replicas,
    Requests,
    Signal,
    Stale,
    Value,
)
from perfslo.core.native import Bucket
from perfslo.core.quantile import histogram
from perfslo.core.scrape import Sampling
from perfslo.core.timescale import STALE_SCRAPES, TimeScale

FAILED = "perfslo_failed"
"""Label of rows of failed requests (see promql.Mark)."""
CLOCK_TOLERANCE_SECONDS = 30.0
"""How far a sample's time may be ahead of the source's clock: NTP keeps clocks far closer."""
NOT_MEASURED = Missing("NotMeasured")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One SLO, as far as its metrics are concerned."""

    key: str
    """Namespace and name, "shop/checkout"."""
    namespace: str
    workloads: frozenset[str]
    """Names that its pods' names give (promql.workload_of_pod)."""
    source: str
    preset: str
    spec: PerformanceSLOSpec
    backend: str = ""
    """Name of the one of its backends that is meant; empty for all of them."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the objects are called that a proxy's series go by.

        spec.metrics.service, or the target's name; of a backend that of its Service, and of several those of theirs.
        """
        if self.backend:
            return (self.backend,)
        if self.spec.metrics.service:
            return (self.spec.metrics.service,)
        if self.spec.scale_target_ref:
            return (self.spec.scale_target_ref.name,)
        traffic = self.spec.levers.traffic if self.spec.levers else None
        return tuple(backend.name for backend in traffic.backends) if traffic else ()


class Row(NamedTuple):
    """One element of an answer: a tuple, for there are hundreds of thousands of them."""

    labels: Mapping[str, str]
    value: float
    """The number; of a native histogram, its count."""
    buckets: tuple[Bucket, ...] | None = None
    """Of a native histogram; None for a number."""


Answer = tuple[Row, ...] | Missing
"""Rows of one SLO (none: no such series), or why there is no answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """All that the queries said for one SLO."""

    sampling: Sampling | Missing
    """Of the request counter."""
    scrape_seconds: float = scrape.DEFAULT_SECONDS
    histograms: Mapping[str, Answer] = field(default_factory=dict)
    """By latency objective: increases over the window, by `le`."""
    scale_to_seconds: float = 1.0
    """What a bucket's edge is multiplied by."""
    pods: Answer = ()
    """How many pods have fresh series; none where the series are a proxy's."""
    completions: Answer = ()
    """Increase of the request counter over the short window."""
    requests: Answer = ()
    """Increase of the request counter over the window, failed ones in rows of their own."""
    own_completions: Mapping[str, Answer] = field(default_factory=dict)
    """The same by objective, of those with matchers of their own; so are the next two."""
    own_requests: Mapping[str, Answer] = field(default_factory=dict)
    own_in_flight: Mapping[str, Answer] = field(default_factory=dict)
    tells_failed: bool = True
    """Whether the preset says which requests failed."""
    in_flight: Answer = ()
    resource_sampling: Sampling | Missing = NOT_MEASURED
    """Of the kubelet's series, which are scraped in a rhythm of their own."""
    resource_scrape_seconds: float = scrape.DEFAULT_SECONDS
    resource_window_seconds: float = 60.0
    cpu_seconds: Answer = ()
    """Increase over `resource_window_seconds`, as the next two."""
    cfs_periods: Answer = ()
    cfs_throttled_periods: Answer = ()
    memory_bytes: Answer = ()
    disk_read_bytes: Answer = ()
    """Increase over the resource window; so are the next three."""
    disk_written_bytes: Answer = ()
    network_received_bytes: Answer = ()
    network_sent_bytes: Answer = ()
    signals: Mapping[str, Signal] = field(default_factory=dict)
    """Named signals, by the SLO's names for them."""
    lever_signals: Mapping[str, Signal] = field(default_factory=dict)
    """Those that its levers name, by the administrator's names."""
    source_problem: Missing | None = None
    """Set when the whole source is unwell; the rest, but signals of other sources, is then not looked at."""


def missing(problem: Missing, common: bool = False) -> Series:
    """What is known of an SLO whose source cannot be asked; `common`: it is the whole source that is unwell."""
    return Series(problem, resource_sampling=problem, source_problem=problem if common else None)


def observe(
    spec: PerformanceSLOSpec, replicas: Replicas, series: Series, cycle_seconds: float, now: float
) -> Observation:
    """What one cycle knows about an SLO. `now` (Unix seconds) is only noted: ages come from the source's clock."""
    scale = TimeScale(series.scrape_seconds, cycle_seconds)
    requests = _Freshness.of(series.sampling, scale.stale_after_seconds)
    resources = _Freshness.of(series.resource_sampling, STALE_SCRAPES * series.resource_scrape_seconds)
    if series.source_problem:
        requests = resources = _Freshness(series.source_problem)
    received, sent = series.network_received_bytes, series.network_sent_bytes
    if replicas.host_network:  # what is counted there is the node's
        received = sent = NOT_MEASURED
    return Observation(
        time=now,
        scale=scale,
        replicas=replicas,
        latency={
            objective.name: requests.latency(
                series.histograms.get(objective.name, ()),
                series.scale_to_seconds,
                counted=() if objective.latency and objective.latency.matchers else series.requests,
            )
            for objective in spec.latency_objectives
        },
        completions_per_second=requests.happened(series.completions, scale.short_window_seconds),
        pods_seen=requests.value(series.pods),
        in_flight=requests.value(series.in_flight),
        error_ratio=requests.failed_ratio(series.requests) if series.tells_failed else NOT_MEASURED,
        requests_counted=requests.value(series.requests),
        own_requests={
            objective.name: _own_requests(objective.name, requests, series, scale)
            for objective in spec.objectives
            if objective.matchers
        },
        cpu_cores=resources.happened(series.cpu_seconds, series.resource_window_seconds),
        cpu_throttled_ratio=resources.ratio(series.cfs_throttled_periods, series.cfs_periods),
        memory_bytes=resources.value(series.memory_bytes),
        disk_read_bytes_per_second=resources.happened(series.disk_read_bytes, series.resource_window_seconds),
        disk_write_bytes_per_second=resources.happened(series.disk_written_bytes, series.resource_window_seconds),
        network_receive_bytes_per_second=resources.happened(received, series.resource_window_seconds),
        network_transmit_bytes_per_second=resources.happened(sent, series.resource_window_seconds),
        signals=series.signals,
        source_problem=series.source_problem,
    )


def _own_requests(name: str, judge: _Freshness, series: Series, scale: TimeScale) -> Requests:
    counted = series.own_requests.get(name, NOT_MEASURED)
    return Requests(
        completions_per_second=judge.happened(
            series.own_completions.get(name, NOT_MEASURED), scale.short_window_seconds
        ),
        in_flight=judge.value(series.own_in_flight.get(name, NOT_MEASURED)),
        error_ratio=judge.failed_ratio(counted) if series.tells_failed else NOT_MEASURED,
        counted=judge.value(counted),
    )


@dataclass(frozen=True, slots=True)
class _Freshness:
    """Judges answers about series of one rhythm: none counts when these are missing or stale."""

    problem: Missing | Stale | None = None
    age_seconds: float = 0.0
    samples: float = math.inf

    @classmethod
    def of(cls, sampling: Sampling | Missing, stale_after_seconds: float) -> _Freshness:
        if isinstance(sampling, Missing):
            return cls(sampling)
        age = sampling.age_seconds
        if not math.isfinite(age) or age < -CLOCK_TOLERANCE_SECONDS:
            return cls(Missing("ClockSkewed", "the newest sample is from the future: check the clocks"))
        if age > stale_after_seconds:
            return cls(Stale(age))
        return cls(None, max(age, 0.0), sampling.counts[-1])

    def value(self, answer: Answer) -> Signal:
        """The sum of what the rows say now."""
        total = self._sum(answer)
        return Value(total, self.age_seconds) if isinstance(total, float) else total

    def happened(self, answer: Answer, window_seconds: float) -> Signal:
        """What the rows say happened in the window, a second."""
        total = self._sum(answer)
        if not isinstance(total, float):
            return total
        return Value(total / window_seconds, self.age_seconds) if total > 0 else NoTraffic(self.age_seconds)

    def failed_ratio(self, answer: Answer) -> Signal:
        """The share of rows marked as failed. None is a zero: the series of a status begin with its first use."""
        failed = () if isinstance(answer, Missing) else tuple(row for row in answer if row.labels.get(FAILED) == "true")
        return self.ratio(failed, answer, no_part_is_zero=True)

    def ratio(self, part: Answer, whole: Answer, no_part_is_zero: bool = False) -> Signal:
        total = self._sum(whole)
        if not isinstance(total, float):
            return total
        if total == 0:
            return NoTraffic(self.age_seconds)
        share = 0.0 if no_part_is_zero and part == () else self._sum(part)
        return Value(min(share / total, 1.0), self.age_seconds) if isinstance(share, float) else share

    def latency(self, answer: Answer, scale_to_seconds: float, counted: Answer) -> LatencyReading:
        """Buckets as a histogram. `counted` are the same requests, counted without them."""
        if self.problem is None and answer == () and _rows(counted):
            return Missing(
                "BucketsMissing",
                "requests are counted but have no buckets, or some have exponential native ones and some custom ones, "
                "which Prometheus cannot add up",
            )
        if (problem := self._problem(answer)) is not None:
            return problem
        buckets = _histogram(_rows(answer), scale_to_seconds, self.age_seconds)
        return NoTraffic(self.age_seconds) if not isinstance(buckets, Missing) and buckets.total == 0 else buckets

    def _sum(self, answer: Answer) -> float | Missing | Stale:
        if (problem := self._problem(answer)) is not None:
            return problem
        values = [row.value for row in _rows(answer)]
        if min(values) >= 0 and math.isfinite(total := math.fsum(values)):  # of a NaN or infinity, so is the sum
            return total
        return Missing("NotANumber", "the series are NaN, infinite or negative")

    def _problem(self, answer: Answer) -> Missing | Stale | None:
        if self.problem is not None:
            return self.problem
        if isinstance(answer, Missing):
            return answer
        if answer:
            return None
        if self.samples < 2:
            return Missing("TooFewSamples", "the series have been scraped once so far; two samples are needed")
        return Missing("SeriesMissing", "no series match, or none has two samples in the window")


def _rows(answer: Answer) -> tuple[Row, ...]:
    return () if isinstance(answer, Missing) else answer


def _histogram(rows: Iterable[Row], scale_to_seconds: float, age_seconds: float) -> Histogram | Missing:
    """One histogram from the rows of classic buckets, of native histograms, or of both: of different pods then."""
    classic: list[tuple[str, float]] = []
    parts: list[Histogram | Missing] = []
    for row in rows:
        if row.buckets is None:
            classic.append((row.labels.get("le", ""), row.value))
        else:
            parts.append(native.histogram(row.value, row.buckets, scale_to_seconds, age_seconds))
    if classic:
        parts.append(histogram(classic, scale_to_seconds, age_seconds))
    unusable = next((part for part in parts if isinstance(part, Missing)), None)
    return unusable or native.merged([part for part in parts if isinstance(part, Histogram)])
