"""The values of a simulation: the service, what happens to it, what a policy sees, and what came of it.

    Scenario + Policy + seed -> run.simulate() -> Run

Times are seconds since the start of the run, unless a name says otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from perfslo.core.model import Histogram

STOCK_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)
"""Of the OpenTelemetry conventions for HTTP."""


class Balancing(StrEnum):
    RANDOM = "random"
    ROUND_ROBIN = "round-robin"
    LEAST_REQUEST = "least-request"
    """Of two chosen at random the one with fewer requests, as Envoy does it."""


# --- the world ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dependency:
    """A database or the like that all pods share: `servers` requests at a time, the rest queue."""

    servers: int
    mean_seconds: float
    variation: float = 1.0
    """Standard deviation over mean; log-normal, as all service times here."""


@dataclass(frozen=True, slots=True)
class Service:
    """What serves, and what a request costs. The defaults are the service of the prototype that the law came from."""

    workers: int = 2
    """Requests that a pod works on at a time; the rest queue in the order of arrival."""
    mean_seconds: float = 0.040
    """Of a request's own work, without queueing, dependency or throttling."""
    variation: float = 1.0
    cpu_share: float = 1.0
    """Part of that work which is CPU time; the rest waits for something that is not modelled."""
    cpu_request_cores: float = 2.0
    """100 % for HPA's CPU utilization."""
    cpu_limit_cores: float | None = None
    """CFS quota, in periods of 100 ms; None: as many cores as workers."""
    dependency: Dependency | None = None
    """Called once by each request that misses the cache, while it holds its worker."""
    hit_ratio: float = 0.0
    """Share of requests that a cache answers in place of the dependency."""
    failing_ratio: float = 0.0
    """Share of requests that fail at once."""
    static_ratio: float = 0.0
    """Share of requests that are for static files, and call nothing."""
    static_seconds: float = 0.100
    """Mean time of the work for one of these, in place of `mean_seconds`."""
    startup_seconds: float = 30.0
    """Mean time from order to ready."""
    startup_variation: float = 0.15
    warmup_seconds: float = 0.0
    """After ready, for so long work takes `warmup_factor` times as long."""
    warmup_factor: float = 2.0
    drain_seconds: float = 30.0
    """Longest time that a pod which was removed may take for what it has accepted."""
    timeout_seconds: float = 5.0
    """After which clients give up. What still waits then is dropped; neither is seen in the server's histogram."""
    buckets_seconds: tuple[float, ...] = STOCK_BUCKETS_SECONDS
    has_in_flight: bool = True
    """Whether it exposes a gauge of requests in flight."""

    @property
    def work_seconds(self) -> float:
        """Mean time of a request's own work, be it for a static file or not."""
        return self.mean_seconds + self.static_ratio * (self.static_seconds - self.mean_seconds)

    @property
    def worker_seconds(self) -> float:
        """Mean time for which a request holds a worker, without queueing."""
        called = self.dependency.mean_seconds if self.dependency else 0.0
        return self.work_seconds + (1.0 - self.static_ratio) * (1.0 - self.hit_ratio) * called


@dataclass(frozen=True, slots=True)
class Shift:
    """Something that changes at a time. None: stays as it is."""

    at_seconds: float
    service_factor: float | None = None
    """Of `mean_seconds`, e.g. 1.6 for a release that is slower. A new release is a new version, too."""
    new_version: bool = False
    dependency_factor: float | None = None
    """Of the dependency's `mean_seconds`."""
    dependency_servers: int | None = None
    """That take requests, of those that there are, such as when connections to it are held elsewhere."""
    cpu_limit_cores: float | None = None
    """Of a service that has a limit below its workers from the beginning."""
    hit_ratio: float | None = None
    failing_ratio: float | None = None
    static_ratio: float | None = None
    startup_seconds: float | None = None
    metrics_up: bool | None = None
    """Whether Prometheus answers."""
    slow_pods_share: float | None = None
    """This share of the pods works `slow_pods_factor` times as long."""
    slow_pods_factor: float = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second as a function of time: straight lines between points, the last value from then on."""

    times_seconds: tuple[float, ...]
    """Ascending, beginning with 0. Two equal ones make a step."""
    rps: tuple[float, ...]

    @property
    def duration_seconds(self) -> float:
        return self.times_seconds[-1]

    @property
    def mean_rps(self) -> float:
        """Requests a second over the whole of it."""
        pieces = pairwise(zip(self.times_seconds, self.rps, strict=True))
        requests = sum((after - before) * (low + high) / 2 for (before, low), (after, high) in pieces)
        return requests / self.duration_seconds

    def at(self, seconds: float) -> float:
        """Requests a second at that time; of two points at one time the later counts."""
        after = bisect_right(self.times_seconds, seconds)
        if after == len(self.times_seconds):
            return self.rps[-1]
        begin, end = self.times_seconds[after - 1], self.times_seconds[after]
        first, last = self.rps[after - 1], self.rps[after]
        return first + (last - first) * (seconds - begin) / (end - begin)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A service, its load, and what befalls both."""

    name: str
    load: Load
    service: Service = field(default_factory=Service)
    target_seconds: float = 0.250
    percentile: float = 95.0
    shifts: tuple[Shift, ...] = ()
    """In the order of time."""
    balancing: Balancing = Balancing.RANDOM
    min_replicas: int = 1
    max_replicas: int = 200
    initial_replicas: int | None = None
    """None: what the oracle would have at the start."""
    scrape_seconds: float = 15.0
    room_replicas: int | None = None
    """Pods beyond so many find no node."""
    judged_from_seconds: float = 0.0
    """What happens before is not counted: every policy may settle."""

    @property
    def allowed_bad_ratio(self) -> float:
        return 1.0 - self.percentile / 100.0


# --- what a policy sees, and says --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod as Kubernetes and the metrics server show it."""

    created_seconds: float
    """Negative for pods from before the run."""
    ready_seconds: float | None
    """When it became ready; None while it is not."""
    cpu_cores: float | None
    """Mean use over the metrics server's newest window of 15 s, which may be as old; None before the first one."""
    cpu_measured_seconds: float | None
    """When that window ended. HPA ignores samples of a new pod that reach back to before it was ready."""
    pending: bool = False
    """Whether it has no node yet. Such a pod is not ready and has no CPU."""


class View(Protocol):
    """The world as it shows itself outside: nothing here knows more than Kubernetes and Prometheus would."""

    @property
    def now_seconds(self) -> float: ...

    @property
    def desired(self) -> int:
        """What the scale's spec says."""

    @property
    def pods(self) -> Sequence[PodView]:
        """Not those that are terminating."""

    @property
    def scenario(self) -> Scenario: ...

    def histogram(self, window_seconds: float) -> Histogram | None:
        """`sum by (le) (increase(...[window]))`, as Prometheus extrapolates it; None while it does not answer."""

    def requests_per_second(self, window_seconds: float) -> float | None:
        """`sum(rate(..._count[window]))` of completions; None while Prometheus does not answer."""

    def in_flight(self) -> float | None:
        """`sum(in_flight)` at the newest scrape; None without such a gauge or without Prometheus."""

    def concurrency(self, window_seconds: float) -> float | None:
        """Mean requests in flight over the window, sampled each second at the pods, as Knative does it."""


class Policy(Protocol):
    """Decides the number of replicas. One instance serves one run, and may remember."""

    @property
    def name(self) -> str:
        """As on the command line: "hpa-cpu=60"."""

    @property
    def period_seconds(self) -> float:
        """How often it decides."""

    def decide(self, view: View) -> int:
        """The replicas wanted from now on, within the scenario's bounds; `view.desired` for no change."""

    def explain(self) -> Mapping[str, float | str]:
        """Numbers behind the newest decision, for plots and debugging; may be empty."""


# --- what came of it ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a run, as users and the bill saw it."""

    at_seconds: float
    requests: int
    """That arrived in it."""
    bad: int
    """Of those: slower than the target, failed, timed out or dropped. By the client's own clock."""
    percentile_seconds: float
    """The promised percentile of their latency; a request that failed counts as the timeout. 0 without requests."""
    replicas: float
    """Mean number of pods that are paid for: from order to termination."""
    ready: float
    desired: int
    """At the end of the minute."""


@dataclass(frozen=True, slots=True)
class Instant:
    """How things stood right after a decision."""

    at_seconds: float
    desired: int
    ready: int
    rps: float
    """The load's own, without the chance of single arrivals."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a policy made of a scenario."""

    scenario: str
    policy: str
    seed: int
    allowed_bad_ratio: float
    minutes: tuple[Minute, ...]
    """From `judged_from_seconds` on."""
    actions: int
    """Times that the number of replicas was changed."""
    reversals: int
    """Changes in the other direction than the one before."""
    decision_seconds: tuple[float, ...] = ()
    """CPU time of each decision: how long it takes on a machine that does nothing else."""
    instants: tuple[Instant, ...] = ()
    """From the start on, one for each decision."""

    @property
    def requests(self) -> int:
        return sum(minute.requests for minute in self.minutes)

    @property
    def bad_ratio(self) -> float:
        return sum(minute.bad for minute in self.minutes) / max(1, self.requests)

    @property
    def violation_minutes(self) -> int:
        """Minutes of 20 requests and more in which the promise was broken."""
        return sum(m.requests >= 20 and m.bad > self.allowed_bad_ratio * m.requests for m in self.minutes)

    @property
    def replica_minutes(self) -> float:
        return sum(minute.replicas for minute in self.minutes)

    @property
    def failed(self) -> bool:
        """Over the whole run the promise was broken."""
        return self.bad_ratio > self.allowed_bad_ratio
