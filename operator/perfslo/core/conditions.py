"""The conditions of an SLO: each has a reason, which docs/runbook.md explains, and a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from perfslo.api.v1alpha1 import Condition, ConditionStatus, ConditionType, Objective
from perfslo.core import shares, text
from perfslo.core.levers import knobs
from perfslo.core.model import Bottleneck, ChangeResult, Missing, ObjectiveReading, Stale, TargetProblem
from perfslo.core.turn import Turn

Finding = tuple[ConditionStatus, str, str]
"""Status, reason, message."""
MAX_MESSAGE = 2048


def conditions(turn: Turn, previous: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """All of them, always. `previous` gives the times of their last transitions."""
    return tuple(_condition(kind, find(turn), turn.generation, turn.time, previous) for kind, find in CONDITIONS)


def statuses(turn: Turn) -> Iterator[tuple[ConditionType, ConditionStatus]]:
    """The status of each condition alone."""
    return ((kind, find(turn)[0]) for kind, find in CONDITIONS)


def misfit(problem: str, generation: int, time: float, previous: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Those of an SLO whose specification does not fit this version's models: all else stays as it was last known."""
    fix = "correct the spec, or upgrade the operator to the version of its CustomResourceDefinition"
    ready = _condition("Ready", ("False", "SpecInvalid", f"{problem}: {fix}"), generation, time, previous)
    return ready, *(condition for condition in previous if condition.type != "Ready")


def _condition(
    kind: ConditionType, finding: Finding, generation: int, time: float, previous: tuple[Condition, ...]
) -> Condition:
    status, reason, message = finding
    before = next((condition for condition in previous if condition.type == kind), None)
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time
        if before and before.status == status
        else text.timestamp(time),
        reason=reason,
        message=text.clipped(message, MAX_MESSAGE),
    )


def _target_resolved(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", turn.target.reason, turn.target.message
    if turn.parts:
        return "True", "TargetFound", f"The workloads of {', '.join(turn.parts)} are found and can be scaled"
    return "True", "TargetFound", f"{turn.target.ref} is found and can be scaled"


_CONFIGURATION = ("SourceNotDefined", "SourceNotAllowed", "PresetNotDefined", "QueryInvalid")
"""Reasons that only an administrator or a change of the spec can cure."""
_SIGNAL_CONFIGURATION = ("SignalNotDefined", "SignalNotAllowed", "SignalKindDiffers")
"""The same of one signal, without which everything else goes on."""


def _ready(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", turn.target.reason, turn.target.message
    problem = turn.metrics_problem
    if isinstance(problem, Missing) and problem.reason in _CONFIGURATION:
        return "False", problem.reason, problem.message
    for signal in turn.observation.signals.values() if turn.observation else ():
        if isinstance(signal, Missing) and signal.reason in _SIGNAL_CONFIGURATION:
            return "False", signal.reason, f"{signal.message}; everything else goes on without it"
    return "True", "Configured", "The target and the metrics source are resolved; how the promise stands is SLOMet"


SOURCE_FIXES = {
    "PrometheusUnreachable": "check that it runs, and that no NetworkPolicy is in between",
    "PrometheusRejected": "check the source's address and credentials",
    "PrometheusUnwell": "look at its log and limits",
    "PrometheusSlow": "look at its load, and give it what it needs",
    "QueryRejected": "correct spec.metrics.matchers, those of the objectives, and spec.metrics.custom",
    "QueryTooSlow": "make the queries of spec.metrics.custom cheaper, or write names there instead",
    "NotAsked": "see the other SLOs of this source",
    "SeriesMissing": "check that the pods are scraped, and that spec.metrics.preset names the metric they expose",
    "TooFewSamples": "wait for the next scrape",
    "ClockSkewed": "set the clocks of Prometheus and of what it scrapes",
    "NotANumber": "look at what the pods expose",
    "BucketInvalid": "look for a relabelling that changes le",
    "InfBucketMissing": 'look for a relabelling that drops le="+Inf"',
    "BucketsMissing": "look for a relabelling that drops buckets",
    "BucketsChanged": "wait for the rollout; if it stays, give all pods the same buckets",
    "NotMeasured": "wait for the next cycle",
}
"""What to do about each reason for which a signal is missing."""


def _metrics_available(turn: Turn) -> Finding:
    if not turn.observation:
        return "Unknown", "NotMeasured", "Nothing is measured until the target is resolved: see TargetResolved"
    match turn.metrics_problem:
        case Missing(reason=reason, message=message):
            words = f"{message or 'the series of this target give no usable number'}; nothing is reduced meanwhile"
            return "False", reason, f"{words}: {SOURCE_FIXES[reason]}" if reason in SOURCE_FIXES else words
        case Stale(age_seconds=age):
            return (
                "False",
                "MetricsStale",
                f"The newest sample is {text.seconds(age)} old, so nothing is reduced: "
                "check that Prometheus still scrapes the target's pods",
            )
    return "True", "MetricsFound", f"Measured over the last {text.seconds(turn.observation.scale.window_seconds)}"


def _slo_met(turn: Turn) -> Finding:
    if not turn.diagnosis:
        return "Unknown", "NotMeasured", "Nothing is measured until the target is resolved: see TargetResolved"
    words = "; ".join(_objective_words(objective, reading) for objective, reading in turn.readings if reading)
    match turn.diagnosis.slo_met:
        case True:
            return "True", "ObjectivesMet", f"{words}{_burning_words(turn)}"
        case False:
            return "False", turn.diagnosis.bottleneck.value, _with_fix(f"{words}. {turn.diagnosis.why}", turn)
    if turn.diagnosis.bottleneck in _LATENCY_HOLDS:
        return "Unknown", "ObjectiveUnknown", words
    return "Unknown", turn.diagnosis.bottleneck.value, _with_fix(turn.diagnosis.why, turn)


def _burning_words(turn: Turn) -> str:
    if not (burning := turn.books.burning):
        return ""
    return (
        f". The error budget of {burning.objective} burns {text.rate(burning.burn_rate)} times as fast as it may "
        f"(last {burning.hours} h): look at when requests were bad"
    )


_LATENCY_HOLDS = (Bottleneck.HEALTHY, Bottleneck.OVERPROVISIONED, Bottleneck.NODE_PRESSURE)
"""Verdicts under which it is another objective that is unknown."""

_BOTTLENECK_FIXES = {
    Bottleneck.CPU_THROTTLED: "raise or remove the pods' CPU limit",
    Bottleneck.BACKEND_SKEW: "look at that backend's pods",
    Bottleneck.MEMORY_PRESSURE: "raise the pods' memory limit",
    Bottleneck.ROLLOUT_REGRESSION: "look at what the new version does, or roll it back",
    Bottleneck.CACHE_COLD: "wait until the cache is warm, and look at why it is not",
    Bottleneck.CONNECTION_POOL_BOUND: "look at what holds connections, or let the pool be resized (levers.database)",
    Bottleneck.DEPENDENCY_BOUND: "look at what is slow there",
    Bottleneck.DEPENDENCY_SATURATED_BY_US: "give the dependency more room, or set maxReplicas to what it can bear",
    Bottleneck.FAST_FAILING: "look at the service's own errors",
    Bottleneck.NODE_PRESSURE: "look at the nodes, or add some",
    Bottleneck.UNREACHABLE_TARGET: "look at the service and at what it calls, or promise less",
    Bottleneck.INSUFFICIENT_DATA: "wait for more requests, or lower spec.metrics.minRequests",
    Bottleneck.UNKNOWN: "see MetricsAvailable",
}
"""What only the user can do; for the rest replicas are the cure."""


def _with_fix(words: str, turn: Turn) -> str:
    fix = _BOTTLENECK_FIXES.get(turn.diagnosis.bottleneck) if turn.diagnosis else None
    return f"{words}: {fix}" if fix else words


def _objective_words(objective: Objective, reading: ObjectiveReading) -> str:
    if objective.latency and reading.bad_ratio is not None and reading.allowed_bad_ratio is not None:
        now = f"{text.seconds(reading.current)}, " if reading.current is not None else ""
        return (
            f"{objective.name}: {now}{text.percent(reading.bad_ratio)} of {reading.samples:.0f} requests were slower "
            f"than {objective.latency.threshold} or failed, {text.percent(reading.allowed_bad_ratio)} may be"
        )
    if reading.current is None or (reading.met is None and reading.note):
        return f"{objective.name}: {reading.note or 'unknown'}"
    unit = text.rate if objective.throughput else text.percent
    return f"{objective.name}: {unit(reading.current)} against {unit(reading.threshold)}"


_DOING = {"ScaleUp": "ScalingUp", "ScaleDown": "ScalingDown"}


def _actuating(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", "TargetNotResolved", turn.why
    if turn.spec.suspend:
        return "False", "Suspended", turn.why
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        return "True", _DOING.get(turn.change.step.action, "Acting"), turn.why
    if turn.change:
        return "False", turn.change.result.value, turn.why
    if turn.parts and (hindrance := shares.hindrance(turn)):
        return "False", *hindrance
    if turn.acting:
        return "True", "Settling", turn.why
    return "False", "Holding", turn.why


LIMIT_FIXES = {
    "MaxReplicas": "raise maxReplicas if the promise needs it",
    "MinReplicas": "lower minReplicas to save more",
    "CostCap": "raise cost.maxHourly if the promise is worth it",
    "Tolerance": "nothing to do; behavior.*.tolerance sets it",
    "StabilizationWindow": "nothing to do: a dip must last; behavior.*.stabilizationWindowSeconds sets it",
    "FlapBudget": "wait: replicas come and go too often; if the load does not, look at what else swings",
    "LoadReturns": "nothing to do: a load that went away came back, and may again",
    "ScaleUpLimit": "the next step follows; behavior.scaleUp sets its size",
    "ScaleDownLimit": "the next step follows; behavior.scaleDown sets its size",
    "Fallback": "see MetricsAvailable",
    "MetricsUnknown": "see MetricsAvailable",
    "ColdStart": "wait: nothing is reduced before metrics were seen for long enough",
    "ObjectiveMissed": "nothing is reduced while an objective is missed: see SLOMet",
    "RollingOut": "wait for the rollout, or look at why it does not end",
    "PodsStarting": "wait for the pods, or look at why they do not get ready",
    "NoProof": "nothing to do: fewer replicas are not proven to keep the promise",
    "PodsPending": "look at the nodes, or add some",
    "DatabaseBudget": "lower connectionsPerReplica or the pool, or ask the administrator for a larger budget",
    "ColdCache": "nothing to do: these replicas are kept for the day that the cache is lost",
    "Experiment": "wait: another lever is being tried",
    "NotAsUsual": "look at the signal that is not as usual: pods that wait for it are not idle",
    "JustRemoved": "wait: the load is still being measured",
    "AlreadyOrdered": "wait for the pods that were ordered",
    "Weights": "wait: traffic is being moved between backends, and pods follow it",
}
"""What to do about each limit of the guardrails."""


def _scaling_limited(turn: Turn) -> Finding:
    plan = turn.plan
    if plan is None or not plan.limited_by or plan.proposed_replicas in (None, plan.final_replicas):
        return "False", "DesiredWithinRange", "No limit changed what was asked for"
    limit = plan.limited_by[-1]
    fix = f": {LIMIT_FIXES[limit]}" if limit in LIMIT_FIXES else ""
    return "True", limit, f"{plan.proposed_replicas} replicas were asked for, {plan.final_replicas} are allowed{fix}"


def _write_conflict(turn: Turn) -> Finding:
    if turn.route_conflict and turn.spec.lever_mode("traffic") != "Recommend":
        return "True", "OtherWriter", turn.route_conflict.message
    if turn.conflict and turn.spec.lever_mode("replicas") == "Recommend":
        return "False", "NotWriting", "Somebody else writes the target's replicas; in mode Recommend nothing is written"
    if turn.conflict:
        return "True", "OtherWriter", turn.conflict.message
    return "False", "OnlyWriter", "Nobody else is known to write the target's replicas"


def _fallback(turn: Turn) -> Finding:
    if turn.in_fallback and turn.spec.fallback:
        floor = turn.spec.fallback.min_replicas
        return (
            "True",
            "MetricsMissing",
            f"Series were missing {turn.memory.missing_cycles} times in a row: at least {floor} replicas are kept; "
            "see MetricsAvailable",
        )
    return "False", "NotNeeded", "The series are there, or have not been missing for long"


def _suspended(turn: Turn) -> Finding:
    if turn.spec.suspend:
        return "True", "SuspendedBySpec", "Measured only; set spec.suspend to false to go on"
    return "False", "Active", "Decisions are taken"


def _lever_disabled(turn: Turn) -> Finding:
    closed = [name for name in turn.spec.enabled_levers if name not in turn.enabled_levers]
    only_policy = knobs.policy(turn.spec) is not None  # with it, the lever has something to do without weights
    if not closed and not turn.parts and not only_policy and (alike := shares.hindrance(turn)):
        return "True", *alike
    if closed:
        return "True", "NotEnabled", f"{', '.join(closed)}: ask the administrator to add it to the chart's `levers`"
    return "False", "AllEnabled", "Every lever of the spec is enabled"


CONDITIONS: tuple[tuple[ConditionType, Callable[[Turn], Finding]], ...] = (
    ("Ready", _ready),
    ("TargetResolved", _target_resolved),
    ("MetricsAvailable", _metrics_available),
    ("SLOMet", _slo_met),
    ("Actuating", _actuating),
    ("ScalingLimited", _scaling_limited),
    ("WriteConflict", _write_conflict),
    ("Fallback", _fallback),
    ("Suspended", _suspended),
    ("LeverDisabled", _lever_disabled),
)
