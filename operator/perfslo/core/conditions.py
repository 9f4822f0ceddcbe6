"""The conditions of an SLO: each has a reason, which docs/runbook.md explains, and a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable

from perfslo.api.v1alpha1 import Condition, ConditionStatus, ConditionType, Objective
from perfslo.core import text
from perfslo.core.model import ChangeResult, Missing, ObjectiveReading, Stale, TargetProblem
from perfslo.core.turn import AVAILABLE_LEVERS, Turn

Finding = tuple[ConditionStatus, str, str]
"""Status, reason, message."""


def conditions(turn: Turn, previous: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """All of them, always. `previous` gives the times of their last transitions."""
    since = {condition.type: condition for condition in previous}
    made = []
    for kind, find in CONDITIONS:
        status, reason, message = find(turn)
        before = since.get(kind)
        made.append(
            Condition(
                type=kind,
                status=status,
                observed_generation=turn.generation,
                last_transition_time=before.last_transition_time
                if before and before.status == status
                else text.timestamp(turn.time),
                reason=reason,
                message=message[:2048],
            )
        )
    return tuple(made)


def _target_resolved(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", turn.target.reason, turn.target.message
    return "True", "TargetFound", f"{turn.target.ref} is found and can be scaled"


_CONFIGURATION = ("SourceNotDefined", "SourceNotAllowed", "PresetNotDefined")
"""Reasons that only an administrator or a change of the spec can cure."""


def _ready(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", turn.target.reason, turn.target.message
    problem = turn.metrics_problem
    if isinstance(problem, Missing) and problem.reason in _CONFIGURATION:
        return "False", problem.reason, problem.message
    return "True", "Configured", "The target and the metrics source are resolved; how the promise stands is SLOMet"


def _metrics_available(turn: Turn) -> Finding:
    if not turn.observation:
        return "Unknown", "NotMeasured", "Nothing is measured until the target is resolved"
    match turn.metrics_problem:
        case Missing(reason=reason, message=message):
            return "False", reason, message or "The series of this target give no usable number; nothing is reduced"
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
        return "Unknown", "NotMeasured", "Nothing is measured until the target is resolved"
    words = "; ".join(_objective_words(objective, reading) for objective, reading in turn.readings if reading)
    match turn.diagnosis.slo_met:
        case True:
            return "True", "ObjectivesMet", words
        case False:
            return "False", turn.diagnosis.bottleneck.value, f"{words}. {turn.diagnosis.why}"
    return "Unknown", turn.diagnosis.bottleneck.value, turn.diagnosis.why


def _objective_words(objective: Objective, reading: ObjectiveReading) -> str:
    if objective.latency and reading.bad_ratio is not None and reading.allowed_bad_ratio is not None:
        now = f"{text.seconds(reading.current)}, " if reading.current is not None else ""
        return (
            f"{objective.name}: {now}{text.percent(reading.bad_ratio)} of {reading.samples:.0f} requests were slower "
            f"than {objective.latency.threshold} or failed, {text.percent(reading.allowed_bad_ratio)} may be"
        )
    if reading.current is None:
        return f"{objective.name}: {reading.note or 'unknown'}"
    unit = text.rate if objective.throughput else text.percent
    return f"{objective.name}: {unit(reading.current)} against {unit(reading.threshold)}"


def _actuating(turn: Turn) -> Finding:
    if isinstance(turn.target, TargetProblem):
        return "False", "TargetNotResolved", turn.why
    if turn.spec.suspend:
        return "False", "Suspended", turn.why
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        return "True", "ScalingUp" if turn.change.step.wanted > turn.change.step.current else "ScalingDown", turn.why
    if turn.change:
        return "False", turn.change.result.value, turn.why
    if turn.acting:
        return "True", "Settling", turn.why
    return "False", "Holding", turn.why


_FIXES = {
    "MaxReplicas": "raise maxReplicas if the promise needs it",
    "MinReplicas": "lower minReplicas to save more",
    "CostCap": "raise cost.maxHourly if the promise is worth it",
    "ScaleDownStabilization": "nothing to do: a dip must last before replicas go",
}


def _scaling_limited(turn: Turn) -> Finding:
    plan = turn.plan
    if plan is None or not plan.limited_by or plan.proposed_replicas in (None, plan.final_replicas):
        return "False", "DesiredWithinRange", "No limit changed what was asked for"
    limit = plan.limited_by[-1]
    fix = f": {_FIXES[limit]}" if limit in _FIXES else ""
    return "True", limit, f"{plan.proposed_replicas} replicas were asked for, {plan.final_replicas} are allowed{fix}"


def _write_conflict(turn: Turn) -> Finding:
    if turn.conflict:
        return "True", "OtherWriter", turn.conflict.message
    return "False", "OnlyWriter", "Nobody else is known to write the target's replicas"


def _fallback(turn: Turn) -> Finding:
    if turn.in_fallback and turn.spec.fallback:
        floor = turn.spec.fallback.min_replicas
        return (
            "True",
            "MetricsMissing",
            f"Series were missing {turn.memory.missing_cycles} times in a row: at least {floor}",
        )
    return "False", "NotNeeded", "The series are there, or have not been missing for long"


def _suspended(turn: Turn) -> Finding:
    if turn.spec.suspend:
        return "True", "SuspendedBySpec", "Measured only; set spec.suspend to false to go on"
    return "False", "Active", "Decisions are taken"


def _lever_disabled(turn: Turn) -> Finding:
    missing = [name for name in turn.spec.enabled_levers if name not in AVAILABLE_LEVERS]
    closed = [name for name in turn.spec.enabled_levers if name in AVAILABLE_LEVERS and name not in turn.enabled_levers]
    if closed:
        return "True", "NotEnabled", f"{', '.join(closed)}: ask the administrator to add it to the chart's `levers`"
    if missing:
        return (
            "True",
            "NotAvailable",
            f"{', '.join(missing)}: accepted and checked, but this version does not pull it yet",
        )
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
