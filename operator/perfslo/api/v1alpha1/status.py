"""What was measured, decided and done. Numbers are text with their unit; what is unknown is absent."""

from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.rules import ListMap
from perfslo.api.v1alpha1.common import LongText, Mode, Model, Text, Timestamp
from perfslo.api.v1alpha1.metrics import SignalKind

State = Literal[
    "Healthy",
    "AtRisk",
    "Breaching",
    "Recovering",
    "NoTraffic",
    "InsufficientData",
    "Unknown",
    "Fallback",
    "Suspended",
    "NotReady",
]
"""One word for the STATE column; the conditions are the API.

`Healthy` all objectives hold; `AtRisk` they hold, but the budget burns too fast or a forecast says they will not;
`Breaching` one does not hold; `Recovering` one does not hold and an action is taking effect; `NoTraffic` no requests;
`InsufficientData` fewer than `minRequests`; `Unknown` series are missing or stale, or the source is unwell;
`Fallback` they have been missing for so long that the fallback holds; `Suspended` by the spec or an annotation;
`NotReady` the configuration does not resolve (see the conditions).
"""

ObjectiveState = Literal["Met", "Missed", "NoTraffic", "InsufficientData", "Unknown"]
LeverState = Literal["Idle", "Acting", "Settling", "Limited", "Recommending", "Conflict", "Disabled", "Suspended"]
SignalState = Literal["Value", "NoTraffic", "Missing", "Stale"]
"""`Value` it is known; `NoTraffic` its series are fresh, and nothing happened that could be measured; `Missing` there
is no usable answer; `Stale` its newest sample is too old.
"""
ConditionStatus = Literal["True", "False", "Unknown"]
ConditionType = Literal[
    "Ready",
    "TargetResolved",
    "MetricsAvailable",
    "SLOMet",
    "Actuating",
    "ScalingLimited",
    "WriteConflict",
    "Fallback",
    "Suspended",
    "LeverDisabled",
]
"""The stable set of condition types. `Ready` is about configuration only: a breach never makes it False."""

Word = Annotated[str, Field(max_length=64)]
Count = Annotated[int, Field(ge=0)]

MAX_HISTORY = 10
MAX_MEMORY_BYTES = 8192


class Summary(Model):
    """Scalars for kubectl's columns."""

    target: Text | None = None
    """Kind and name of the target, such as Deployment/checkout."""
    state: State | None = None
    """One word for how the promise stands."""
    p50: Word | None = None
    """Median response time of the last minutes, such as 41ms."""
    p95: Word | None = None
    """95th percentile of the response time of the last minutes, such as 312ms."""
    p99: Word | None = None
    """99th percentile of the response time of the last minutes."""
    objective: Text | None = None
    """The primary objective, such as p95<200ms."""
    replicas: Word | None = None
    """Ready and existing replicas, such as 4/6."""
    desired: Word | None = None
    """Replicas that were decided, such as 6."""
    requests_per_second: Word | None = None
    """Requests a second, such as 52.3."""
    errors: Word | None = None
    """Share of failed requests, such as 0.2%."""
    cpu: Word | None = None
    """CPU used, as a share of what is requested, such as 71%."""
    throttled: Word | None = None
    """Share of CPU periods in which the CPU limit stopped the pods, such as 12%."""
    memory: Word | None = None
    """Memory used by all pods (working set), such as 412Mi."""
    memory_of_limit: Word | None = None
    """Memory used, as a share of the pods' limits, such as 81%: at 100% pods are killed."""
    disk: Word | None = None
    """Bytes read from and written to disks, such as 1.2MB/s."""
    network: Word | None = None
    """Bytes received and sent, such as 3.4MB/s."""
    budget: Word | None = None
    """Error budget that is left of the window, such as 93.1%."""
    bottleneck: Word | None = None
    """What stands in the way, such as Saturated; absent when healthy."""
    last_action: Text | None = None
    """The last change, such as replicas 2->5."""
    cost: Word | None = None
    """Price of an hour now, such as 0.16."""
    observed_time: Timestamp | None = None
    """When the numbers were measured."""


class Condition(Model):
    """metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Type in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Count | None = None
    """Generation of the spec that this is about."""
    last_transition_time: Timestamp
    """When the status changed last."""
    reason: Annotated[str, Field(min_length=1, max_length=256)]
    """Reason in CamelCase."""
    message: Annotated[str, Field(max_length=2048)]
    """What is the matter, and what to do next."""


class ObjectiveStatus(Model):
    """How one promise stands."""

    name: Word
    """Name of the objective."""
    state: ObjectiveState
    """Whether it is met."""
    current: Word | None = None
    """Value measured, with its unit, such as 312ms."""
    target: Word | None = None
    """Value promised, with its unit, such as 200ms."""
    bad_percent: Word | None = None
    """Percentage of bad (slow or failed) requests, such as 7.5."""
    bad_percent_low: Word | None = None
    """Lower end of the 90 % interval that their number and the bucket edges leave open, such as 6.1."""
    bad_percent_high: Word | None = None
    """Upper end of the same interval, such as 9.2."""
    allowed_bad_percent: Word | None = None
    """Percentage of bad requests that the promise allows, such as 5."""
    budget_remaining_percent: Word | None = None
    """Error budget of the window that is left, such as 93.1; negative when overspent."""
    requests: Count | None = None
    """Requests that are the evidence."""
    age_seconds: Count | None = None
    """Age of the newest sample in seconds."""
    interpolated: bool | None = None
    """Whether the threshold lies between two bucket edges, so that the share is interpolated."""
    add_bucket: Word | None = None
    """Bucket edge, in seconds, that would make the measurement exact."""
    message: LongText | None = None
    """Why the state is what it is."""


class UtilizationStatus(Model):
    """What all pods together use, over the last minutes. A known zero is shown; what is unknown is absent."""

    cpu: Word | None = None
    """CPU in use, in thousandths of a core, such as 750m."""
    cpu_of_request: Word | None = None
    """The same as a share of what the ready pods request, such as 71%; absent when a container requests none."""
    cpu_throttled: Word | None = None
    """Share of CPU periods in which the CPU limit stopped the pods, such as 12%; absent without a limit."""
    memory: Word | None = None
    """Memory in use (working set), such as 412Mi."""
    memory_of_request: Word | None = None
    """The same as a share of what the ready pods request, such as 95%; absent when a container requests none."""
    memory_of_limit: Word | None = None
    """The same as a share of the ready pods' limits, such as 81%: at 100% pods are killed; absent without limits."""
    disk_read: Word | None = None
    """Bytes read from disks, such as 1.2MB/s; absent when no container ever used one."""
    disk_write: Word | None = None
    """Bytes written to disks, such as 85kB/s."""
    network_receive: Word | None = None
    """Bytes received, such as 3.4MB/s; absent when the pods are in their node's network, with its traffic."""
    network_transmit: Word | None = None
    """Bytes sent, such as 3.4MB/s."""


class SignalStatus(Model):
    """How one named signal stands."""

    name: Word
    """Name of the signal in spec.metrics.signals."""
    kind: SignalKind
    """What it measures."""
    state: SignalState
    """Whether its value is known."""
    value: Word | None = None
    """The value with its unit, such as 12ms or 93%; absent when it is not known."""
    age_seconds: Count | None = None
    """Age in seconds of the oldest series that it rests on."""
    message: LongText | None = None
    """Why it is not known."""


class LeverStatus(Model):
    """How one lever stands."""

    name: Word
    """Name of the lever, such as replicas."""
    mode: Mode | None = None
    """Mode in effect."""
    state: LeverState
    """What the lever does now."""
    observed: Text | None = None
    """Value observed, such as 4 or a=60,b=40."""
    desired: Text | None = None
    """Value decided."""
    message: LongText | None = None
    """Why the state is what it is."""
    recommendations: Annotated[tuple[LongText, ...], Field(strict=False, max_length=8)] = ()
    """What people should look at, such as slow statements and missing indexes, biggest first; never executed."""


class BackendStatus(Model):
    """How one backend stands."""

    name: Word
    """Name of the backend."""
    weight_percent: Word | None = None
    """Share of the traffic that the route asks for."""
    observed_percent: Word | None = None
    """Share of the traffic that was seen."""
    p95: Word | None = None
    """95th percentile of the response time of the last minutes."""
    ready_replicas: Count | None = None
    """Ready replicas behind it."""
    message: LongText | None = None
    """Why its weight moved last, or is about to, and what is not known of it."""


class Decision(Model):
    """A decision with its numbers, explainable from this record alone."""

    id: Word
    """Identifier, also in the log, the Event and the LeverClaim."""
    time: Timestamp
    """When it was taken."""
    action: Word
    """What was decided, such as ScaleUp, ScaleDown or Hold."""
    lever: Word | None = None
    """Lever that it is about."""
    from_: Annotated[Text | None, Field(alias="from")] = None
    """Value before."""
    to: Text | None = None
    """Value after all limits."""
    proposed: Text | None = None
    """Value before limits."""
    limited_by: Annotated[tuple[Word, ...], Field(strict=False, max_length=8)] = ()
    """Limits that applied, such as MaxReplicas."""
    bottleneck: Word | None = None
    """Verdict that it rests on."""
    mode: Mode | None = None
    """Mode it was taken in; Recommend wrote nothing."""
    predicted: Text | None = None
    """What it should bring."""
    result: Text | None = None
    """What became of the write: Applied, Recommended, Lost (re-planned) or an error."""
    verdict: Word | None = None
    """What it brought: Improved, NoEffect, Worse or Inconclusive."""
    judgement: LongText | None = None
    """Why the verdict is what it is."""
    alternatives: Annotated[tuple[Text, ...], Field(strict=False, max_length=8)] = ()
    """What else was considered, with what it would bring or what forbids it; of the newest decision only."""
    why: LongText | None = None
    """The decision in one sentence."""


class BudgetStatus(Model):
    """Error budget of the primary objective, of the requests that were counted."""

    window: Word
    """The window, such as 28d."""
    remaining_percent: Word | None = None
    """Budget that is left; negative when overspent."""
    covered_percent: Word | None = None
    """Part of the window for which there is data."""
    burn_rate1h: Annotated[Word | None, Field(alias="burnRate1h")] = None
    """Burn rate of the last hour; 1 spends the budget exactly within the window."""
    burn_rate6h: Annotated[Word | None, Field(alias="burnRate6h")] = None
    """Burn rate of the last six hours."""
    exhausts_at: Timestamp | None = None
    """When the budget will be spent at the rate of the last six hours, to the hour; absent when it will not be."""


class CostStatus(Model):
    """Prices of an hour, in the currency of spec.cost."""

    current_hourly: Word | None = None
    """Price now."""
    projected_hourly: Word | None = None
    """Price with what was decided."""
    saved_hourly: Word | None = None
    """Difference to maxReplicas."""


class MemoryStatus(Model):
    """What was learnt; opaque."""

    version: Count
    """Version of the format."""
    data: Annotated[str, Field(max_length=MAX_MEMORY_BYTES)]
    """The facts, opaque."""


class PerformanceSLOStatus(Model):
    """What was measured, decided and done."""

    observed_generation: Count | None = None
    """Generation of the spec that was acted on last."""
    summary: Summary = Summary()
    """Scalars for kubectl's columns."""
    conditions: Annotated[tuple[Condition, ...], Field(strict=False, max_length=20), ListMap("type")] = ()
    """Conditions with reasons that say what to do."""
    objectives: Annotated[tuple[ObjectiveStatus, ...], Field(strict=False, max_length=10), ListMap("name")] = ()
    """How each promise stands."""
    utilization: UtilizationStatus | None = None
    """What the pods use."""
    signals: Annotated[tuple[SignalStatus, ...], Field(strict=False, max_length=16), ListMap("name")] = ()
    """How each named signal stands."""
    levers: Annotated[tuple[LeverStatus, ...], Field(strict=False, max_length=16), ListMap("name")] = ()
    """How each lever stands."""
    backends: Annotated[tuple[BackendStatus, ...], Field(strict=False, max_length=16), ListMap("name")] = ()
    """How each backend stands."""
    current_replicas: Count | None = None
    """Replicas that exist."""
    ready_replicas: Count | None = None
    """Replicas that are ready."""
    desired_replicas: Count | None = None
    """Replicas that were decided."""
    last_decision: Decision | None = None
    """The newest decision."""
    history: Annotated[tuple[Decision, ...], Field(strict=False, max_length=MAX_HISTORY)] = ()
    """The last decisions that changed something, newest first."""
    budget: BudgetStatus | None = None
    """Error budget."""
    cost: CostStatus | None = None
    """Prices."""
    memory: MemoryStatus | None = None
    """What was learnt; opaque."""
