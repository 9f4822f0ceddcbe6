"""The values that flow through one cycle, each frozen, each with a `why` a person can read.

    Observation -> Diagnosis -> Plan -> Change -> Verdict -> Memory'

Times are Unix seconds as the caller's clock gave them; nothing in the core reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from perfslo.core.databases import Connections, Statistics
from perfslo.core.frozen import dataclass
from perfslo.core.steps import Step, TargetRef
from perfslo.core.timescale import TimeScale

# --- what was seen -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """A finite number that was measured, and how old its newest sample is (by the source's own clock)."""

    value: float
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NoTraffic:
    """The series exist and are fresh, but nothing happened in the window: a known zero, not an unknown."""

    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no usable answer: no series, NaN, Inf, negative, or the source is unwell. `reason` is CamelCase."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Stale:
    """The newest sample is older than two scrape intervals: what it says may no longer be true."""

    age_seconds: float


Signal = Value | NoTraffic | Missing | Stale


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests of one window by duration, as cumulative counts (not rates), ready pods of all versions together."""

    upper_bounds_seconds: tuple[float, ...]
    """Ascending; the last one is infinity."""
    counts: tuple[float, ...]
    """Cumulative: `counts[i]` requests took at most `upper_bounds_seconds[i]`; the last one is the total."""
    age_seconds: float = 0.0
    native: bool = False
    """Whether the edges are a native histogram's: of its non-empty buckets only, and chosen by its resolution."""

    @property
    def total(self) -> float:
        return self.counts[-1]

    def __hash__(self) -> int:
        return hash((self.counts[-1], self.counts[0], len(self.counts)))  # enough to tell them apart, and quick


LatencyReading = Histogram | NoTraffic | Missing | Stale


@dataclass(frozen=True, slots=True)
class Replicas:
    """The pods of one target, from watches. `desired` is what the scale's spec says, `ordered` ones included."""

    desired: int
    ready: int
    starting: int = 0
    """Scheduled, not ready yet."""
    pending: int = 0
    """Not scheduled (no room in the cluster)."""
    youngest_ready_age_seconds: float | None = None
    startup_seconds: float | None = None
    """90th percentile of created -> ready over the pods seen so far; None when no start was seen."""
    version: str = ""
    """Names the workload's version (hash of its pod template); "" when it cannot be told."""
    rolling_out: bool = False
    cpu_request_cores: float | None = None
    """Per pod; None when a container has no request."""
    cpu_limit_cores: float | None = None
    memory_request_bytes: float | None = None
    memory_limit_bytes: float | None = None
    host_network: bool = False
    """The pods are in the networks of their nodes."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What was seen of some of the requests. What no objective needs is not measured."""

    completions_per_second: Signal = Missing("NotMeasured")
    in_flight: Signal = Missing("NotMeasured")
    error_ratio: Signal = Missing("NotMeasured")
    counted: Signal = Missing("NotMeasured")
    """How many completed in the window that `error_ratio` is over."""


Knob = tuple[str, str]
"""What is set: lever and subject, as a step names them: ("cache", "redis"), ("cdn", ""), ("offload", "workers")."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where levers stand. What the SLO does not name is not in here; what could not be read is Missing."""

    values: Mapping[Knob, str | Missing] = field(default_factory=dict)
    """Of ConfigMap keys: flags of cache tiers by the tier's name, ("cdn", ""), ("offload", ""), ("database", "pool")"""
    workloads: Mapping[Knob, Target | TargetProblem] = field(default_factory=dict)
    """Workloads of cache tiers by the tier's name, and ("offload", "workers")."""
    signals: Mapping[str, Signal] = field(default_factory=dict)
    """Those that the levers name (hitRatio, confirm, queueAge), by the administrator's names.

    One named as `confirm` is the share (0..1) of the pods that say that it is on.
    """
    connections: Connections | Missing = Missing("NotMeasured")
    """Of the database lever's budget."""
    statistics: Statistics | Missing = Missing("NotMeasured")
    """Of the database behind that budget; NotMeasured when the administrator does not say where they are."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one cycle knows about one SLO's workload."""

    time: float
    scale: TimeScale
    replicas: Replicas
    latency: Mapping[str, LatencyReading]
    """By objective name, latency objectives only, over `scale.window_seconds`."""
    completions_per_second: Signal
    """Requests that finished, over the short window (`scale.short_window_seconds`)."""
    in_flight: Signal
    """Requests being served or queued now, all pods; Missing when the service has no such gauge."""
    error_ratio: Signal
    """Failed share of requests, 0..1, over `scale.window_seconds`."""
    requests_counted: Signal = Missing("NotMeasured")
    """How many completed in that window."""
    own_requests: Mapping[str, Requests] = field(default_factory=dict)
    """By name, of the objectives that have matchers of their own: the requests that these choose."""
    pods_seen: Signal = Missing("NotMeasured")
    """Pods that requests are counted of. Missing where proxies count them."""
    cpu_cores: Signal = Missing("NotMeasured")
    cpu_throttled_ratio: Signal = Missing("NotMeasured")
    """Throttled share of CFS periods, 0..1."""
    memory_bytes: Signal = Missing("NotMeasured")
    """Working set of all pods: what the kernel counts against their limits, less what it can reclaim."""
    disk_read_bytes_per_second: Signal = Missing("NotMeasured")
    """All pods, all devices. A container that never touched a device has no series, which is Missing."""
    disk_write_bytes_per_second: Signal = Missing("NotMeasured")
    network_receive_bytes_per_second: Signal = Missing("NotMeasured")
    """All pods, all interfaces but the loopback. Missing where pods are in their node's network, with its traffic."""
    network_transmit_bytes_per_second: Signal = Missing("NotMeasured")
    signals: Mapping[str, Signal] = field(default_factory=dict)
    """Named signals, by the name that the SLO gives them; in seconds, ratios 0..1 or counts, as their kind has it."""
    standing: Standing = Standing()
    """Where the levers stand that are not the target's own replicas."""
    source_problem: Missing | None = None
    """Set when the whole metrics source is unwell (common mode): everything is held."""
    backends: Mapping[str, Observation] = field(default_factory=dict)
    """By name, where each backend has a workload of its own; the rest is about all of them together."""
    route: Route | TargetProblem | None = None
    """What shares the requests among them; None where nothing does."""


# --- what it means -----------------------------------------------------------------------------------------------


class Bottleneck(StrEnum):
    HEALTHY = "Healthy"
    OVERPROVISIONED = "Overprovisioned"
    SATURATED = "Saturated"
    OVERLOADED = "Overloaded"
    CPU_THROTTLED = "CpuThrottled"
    MEMORY_PRESSURE = "MemoryPressure"
    BACKEND_SKEW = "BackendSkew"
    CACHE_COLD = "CacheCold"
    CONNECTION_POOL_BOUND = "ConnectionPoolBound"
    DEPENDENCY_BOUND = "DependencyBound"
    DEPENDENCY_SATURATED_BY_US = "DependencySaturatedByUs"
    QUEUE_BACKLOG = "QueueBacklog"
    WARMING_UP = "WarmingUp"
    ROLLOUT_REGRESSION = "RolloutRegression"
    FAST_FAILING = "FastFailing"
    NODE_PRESSURE = "NodePressure"
    UNREACHABLE_TARGET = "UnreachableTarget"
    NO_TRAFFIC = "NoTraffic"
    INSUFFICIENT_DATA = "InsufficientData"
    UNKNOWN = "Unknown"


class Confidence(StrEnum):
    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number a diagnosis rests on, as a person would quote it: name "load per pod", text "14.2/s"."""

    name: str
    text: str
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ObjectiveReading:
    """One objective against what was measured. Unknown values are None, never zero."""

    name: str
    current: float | None
    """In the objective's own unit (seconds, ratio, per second); None when unknown."""
    threshold: float
    met: bool | None
    bad_ratio: float | None = None
    """Latency objectives: share of requests slower than the threshold or failed."""
    bad_ratio_low: float | None = None
    bad_ratio_high: float | None = None
    """Ends of the 90 % interval that counts and bucket edges leave open, of latency and error objectives."""
    allowed_bad_ratio: float | None = None
    samples: float = 0.0
    note: str = ""
    """E.g. which bucket to add, or why it is unknown."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    bottleneck: Bottleneck
    why: str
    objectives: tuple[ObjectiveReading, ...] = ()
    confidence: Confidence = Confidence.LOW
    allowed: tuple[str, ...] = ()
    """Levers that may cure it."""
    forbidden: Mapping[str, str] = field(default_factory=dict)
    """Levers (and directions, "replicas:up") that must not be pulled now, each with its reason."""

    @property
    def slo_met(self) -> bool | None:
        """False when any objective is broken; None when none is broken but some are unknown."""
        verdicts = [o.met for o in self.objectives]
        if False in verdicts:
            return False
        return None if not verdicts or None in verdicts else True


# --- what to do, what was done, and whether it helped ----------------------------------------------------------


class ActionKind(StrEnum):
    TRACKING = "Tracking"
    """Follows load: never blocked, judged by the model's residual."""
    INTERVENTION = "Intervention"
    """An experiment with a prediction and a verdict; one in flight for a workload."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an intervention should bring."""

    relief: float
    """Part of the slow requests that it should take away at equal load, 0..1; 0 of a release."""
    settle_seconds: float
    """Until its effect can be seen, once it is followed."""
    releases: bool = False
    """It gives a lever back that is thought to be needed no more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered steps; empty when nothing is to be done. `why` is the cycle's one sentence for this SLO."""

    why: str
    steps: tuple[Step, ...] = ()
    kind: ActionKind = ActionKind.TRACKING
    proposed_replicas: int | None = None
    """What the law asked for before any limit; None when it had no basis to ask."""
    final_replicas: int | None = None
    limited_by: tuple[str, ...] = ()
    """CamelCase names of the limits that changed the proposal, in the order they bit."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The numbers behind the proposal: load, forecast, capacity (low, median), margin, ..."""
    prediction: Prediction | None = None
    alternatives: tuple[str, ...] = ()
    """What else was considered, each with what it would bring, or what forbids it."""


class ChangeResult(StrEnum):
    APPLIED = "Applied"
    RECOMMENDED = "Recommended"
    """Decided, but the mode says to touch nothing."""
    REFUSED = "Refused"
    """The world would not have it. `why` says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a plan's step."""

    decision_id: str
    time: float
    step: Step
    result: ChangeResult
    why: str


class Outcome(StrEnum):
    IMPROVED = "Improved"
    NO_EFFECT = "NoEffect"
    WORSE = "Worse"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    decision_id: str
    outcome: Outcome
    why: str
    lever: str = "replicas"


@dataclass(frozen=True, slots=True)
class OtherWriter:
    """Somebody else who writes the same field, and what the user can do about it."""

    kind: str
    name: str
    fix: str


@dataclass(frozen=True, slots=True)
class Target:
    """A scale target as the watches show it."""

    ref: TargetRef
    uid: str
    replicas: Replicas
    pod_workloads: frozenset[str]
    """The workload names that its pods' names give (see promql.workload_label): how its series are found."""
    other_writers: tuple[OtherWriter, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """What shares requests among backends, as the watches show it: one rule of it, and the backends that an SLO lists.

    A backend's share among them is its weight over the sum of these weights.
    """

    ref: TargetRef
    rule: str
    """Name of the rule; "" when it needs none."""
    uid: str
    weights: Mapping[str, int]
    """By backend, 0 or more. They add up to `total`, as those do that are written: two weights of 1 are two of 500."""
    total: int
    """At least 1. Where a rule has other backends, it is what keeps their share."""
    followed: bool | None = None
    """Whether each proxy says that it serves the route as it is now; None where the kind has no such proof."""
    note: str = ""
    """Why it is not followed, and what to look at."""
    other_writers: tuple[OtherWriter, ...] = ()
    """Tools that would put the weights back."""
    original: Mapping[str, int] | None = None
    """What was found before these were written here, as the LeverClaim has it; None when somebody else wrote them."""


@dataclass(frozen=True, slots=True)
class TargetProblem:
    """Why a target, or a route, cannot be acted on: reason is CamelCase, message says what to do."""

    reason: str
    message: str


JSON = dict[str, Any]
