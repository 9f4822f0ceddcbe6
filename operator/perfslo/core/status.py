"""What one cycle came to for one SLO, as status, conditions and words. The only place that makes conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from perfslo.api.v1alpha1 import (
    MAX_HISTORY,
    Condition,
    ConditionStatus,
    ConditionType,
    CostStatus,
    Decision,
    LeverState,
    LeverStatus,
    MemoryStatus,
    Objective,
    ObjectiveState,
    ObjectiveStatus,
    PerformanceSLOSpec,
    PerformanceSLOStatus,
    State,
    Summary,
)
from perfslo.core import memory as memory_codec
from perfslo.core import quantile, text
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Bottleneck,
    Change,
    ChangeResult,
    Diagnosis,
    Histogram,
    Missing,
    NoTraffic,
    ObjectiveReading,
    Observation,
    Plan,
    Signal,
    Stale,
    Target,
    TargetProblem,
    Value,
    Verdict,
)

AVAILABLE_LEVERS = ("replicas",)
"""Levers this version can pull; the others are accepted, validated and reported as LeverDisabled."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else writes the same field: who, and what the user can do."""

    message: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything one cycle came to for one SLO. None means that the turn did not get that far."""

    namespace: str
    name: str
    generation: int
    time: float
    spec: PerformanceSLOSpec
    target: Target | TargetProblem
    enabled_levers: tuple[str, ...]
    """Those the administrator enabled."""
    memory: Memory
    observation: Observation | None = None
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    change: Change | None = None
    verdict: Verdict | None = None
    conflict: Conflict | None = None

    @property
    def why(self) -> str:
        """The cycle's one sentence for this SLO."""
        if isinstance(self.target, TargetProblem):
            return f"hold: {self.target.message}"
        if self.spec.suspend:
            return "suspended: measured only, the levers stay where they are (set suspend: false to go on)"
        if self.change and self.change.result is not ChangeResult.APPLIED:
            return f"{self.plan.why if self.plan else ''} ({self.change.why})"
        return self.plan.why if self.plan else "hold: not measured yet"


def report(turn: Turn, previous: PerformanceSLOStatus | None) -> PerformanceSLOStatus:
    """The status to show. `previous` gives the history and the times of the conditions' last transitions."""
    previous = previous or PerformanceSLOStatus()
    decision = _decision(turn, previous.last_decision)
    replicas = turn.target.replicas if isinstance(turn.target, Target) else None
    return PerformanceSLOStatus(
        observed_generation=turn.generation,
        summary=_summary(turn, previous.summary),
        conditions=_conditions(turn, previous.conditions),
        objectives=tuple(
            _objective(turn, objective, reading) for objective, reading in _readings(turn) if reading is not None
        ),
        levers=_levers(turn),
        current_replicas=replicas.desired if replicas else None,
        ready_replicas=replicas.ready if replicas else None,
        desired_replicas=turn.plan.final_replicas if turn.plan else None,
        last_decision=decision,
        history=_history(turn, previous.history, decision),
        cost=_cost(turn),
        memory=MemoryStatus(version=memory_codec.VERSION, data=memory_codec.encode(turn.memory)),
    )


# --- columns -----------------------------------------------------------------------------------------------------


def state(turn: Turn) -> State:
    """One word for how the promise stands, the most urgent thing first."""
    if isinstance(turn.target, TargetProblem):
        return "NotReady"
    if turn.spec.suspend:
        return "Suspended"
    if not turn.diagnosis or not turn.observation:
        return "Unknown"
    if _in_fallback(turn):
        return "Fallback"
    match turn.diagnosis.bottleneck:
        case Bottleneck.NO_TRAFFIC:
            return "NoTraffic"
        case Bottleneck.INSUFFICIENT_DATA:
            return "InsufficientData"
        case Bottleneck.UNKNOWN if turn.diagnosis.slo_met is None:
            return "Unknown"
    if turn.diagnosis.slo_met is False:
        return "Recovering" if _acting(turn) else "Breaching"
    return "Healthy" if turn.diagnosis.slo_met else "Unknown"


def _summary(turn: Turn, previous: Summary) -> Summary:
    observation, diagnosis = turn.observation, turn.diagnosis
    histogram = _primary_histogram(turn)
    primary = turn.spec.primary_objective
    latency = turn.spec.primary_latency
    replicas = turn.target.replicas if isinstance(turn.target, Target) else None
    target = turn.spec.scale_target_ref
    return Summary(
        target=f"{target.kind}/{target.name}" if target else None,
        state=state(turn),
        p50=_quantile(histogram, 0.50),
        p95=_quantile(histogram, 0.95),
        p99=_quantile(histogram, 0.99),
        objective=f"{_short(primary)}<{latency.threshold}",
        replicas=f"{replicas.ready}/{replicas.desired}" if replicas else None,
        desired=str(turn.plan.final_replicas) if turn.plan and turn.plan.final_replicas is not None else None,
        requests_per_second=_value(observation.completions_per_second, text.rate) if observation else None,
        errors=_value(observation.error_ratio, text.percent) if observation else None,
        cpu=_cpu(turn),
        bottleneck=_bottleneck(diagnosis),
        last_action=_last_action(turn, previous),
        cost=_hourly(turn, replicas.desired) if replicas else None,
        observed_time=text.timestamp(turn.time),
    )


def _short(objective: Objective) -> str:
    latency = objective.latency
    if latency is None:
        return objective.name
    return f"p{latency.percentile}" if latency.percentile is not None else f"{latency.promised_percent}%"


def _primary_histogram(turn: Turn) -> Histogram | None:
    reading = turn.observation.latency.get(turn.spec.primary_objective.name) if turn.observation else None
    return reading if isinstance(reading, Histogram) else None


def _quantile(histogram: Histogram | None, q: float) -> str | None:
    estimate = quantile.quantile(histogram, q) if histogram else None
    return text.seconds(estimate.value) if estimate and math.isfinite(estimate.value) else None


def _value(signal: Signal, words: Callable[[float], str]) -> str | None:
    match signal:
        case Value(value=value):
            return words(value)
        case NoTraffic():
            return words(0.0)
    return None


def _cpu(turn: Turn) -> str | None:
    """Use of what is requested, as HPA counts it; nothing when a container has no request."""
    if not turn.observation or not isinstance(turn.observation.cpu_cores, Value):
        return None
    replicas = turn.observation.replicas
    if not replicas.cpu_request_cores or not replicas.ready:
        return None
    return text.percent(turn.observation.cpu_cores.value / (replicas.cpu_request_cores * replicas.ready))


def _bottleneck(diagnosis: Diagnosis | None) -> str | None:
    if diagnosis is None or diagnosis.bottleneck in (Bottleneck.HEALTHY, Bottleneck.NO_TRAFFIC):
        return None
    return diagnosis.bottleneck.value


def _last_action(turn: Turn, previous: Summary) -> str | None:
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        step = turn.change.step
        return f"{step.lever} {step.current}->{step.wanted}"
    return previous.last_action


# --- promises ----------------------------------------------------------------------------------------------------


def _readings(turn: Turn) -> list[tuple[Objective, ObjectiveReading | None]]:
    readings = {reading.name: reading for reading in turn.diagnosis.objectives} if turn.diagnosis else {}
    return [(objective, readings.get(objective.name)) for objective in turn.spec.objectives]


def _objective(turn: Turn, objective: Objective, reading: ObjectiveReading) -> ObjectiveStatus:
    unit: Callable[[float], str] = (
        text.seconds if objective.latency else text.rate if objective.throughput else text.percent
    )
    return ObjectiveStatus(
        name=objective.name,
        state=_objective_state(turn, reading),
        current=unit(reading.current) if reading.current is not None and math.isfinite(reading.current) else None,
        target=unit(reading.threshold),
        bad_percent=_percent_number(reading.bad_ratio),
        allowed_bad_percent=_percent_number(reading.allowed_bad_ratio),
        requests=round(reading.samples),
        message=reading.note or None,
    )


def _objective_state(turn: Turn, reading: ObjectiveReading) -> ObjectiveState:
    if reading.met is not None:
        return "Met" if reading.met else "Missed"
    match turn.diagnosis.bottleneck if turn.diagnosis else None:
        case Bottleneck.NO_TRAFFIC:
            return "NoTraffic"
        case Bottleneck.INSUFFICIENT_DATA:
            return "InsufficientData"
    return "Unknown"


def _percent_number(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio * 100:.3g}"


# --- levers, decisions, cost --------------------------------------------------------------------------------------


def _levers(turn: Turn) -> tuple[LeverStatus, ...]:
    return tuple(
        LeverStatus(
            name=name,
            mode=turn.spec.lever_mode(name),
            state=_lever_state(turn) if name in _usable(turn) else "Disabled",
            observed=str(turn.target.replicas.desired)
            if name == "replicas" and isinstance(turn.target, Target)
            else None,
            desired=_desired(turn) if name == "replicas" else None,
        )
        for name in turn.spec.enabled_levers
    )


def _usable(turn: Turn) -> list[str]:
    return [name for name in turn.enabled_levers if name in AVAILABLE_LEVERS]


def _lever_state(turn: Turn) -> LeverState:
    if turn.spec.suspend:
        return "Suspended"
    if turn.conflict:
        return "Conflict"
    if turn.spec.lever_mode("replicas") == "Recommend":
        return "Recommending"
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        return "Acting"
    if _acting(turn):
        return "Settling"
    return "Limited" if turn.plan and turn.plan.limited_by else "Idle"


def _desired(turn: Turn) -> str | None:
    return str(turn.plan.final_replicas) if turn.plan and turn.plan.final_replicas is not None else None


def _acting(turn: Turn) -> bool:
    """An action was just taken, or pods it ordered are still on their way."""
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        return True
    return isinstance(turn.target, Target) and turn.target.replicas.ready < turn.target.replicas.desired


def _decision(turn: Turn, previous: Decision | None) -> Decision | None:
    """The newest decision that differs from the one before: a hold that goes on is not a new decision."""
    plan, change = turn.plan, turn.change
    if plan is None or change is None:
        return previous
    return Decision(
        id=change.decision_id,
        time=text.timestamp(change.time),
        action="ScaleUp" if change.step.wanted > change.step.current else "ScaleDown",
        lever=change.step.lever,
        from_=str(change.step.current),
        to=str(change.step.wanted),
        proposed=None if plan.proposed_replicas is None else str(plan.proposed_replicas),
        limited_by=plan.limited_by[:8],
        bottleneck=turn.diagnosis.bottleneck.value if turn.diagnosis else None,
        mode=turn.spec.lever_mode(change.step.lever),
        result=change.result.value,
        why=plan.why[:1024],
    )


def _history(turn: Turn, previous: tuple[Decision, ...], newest: Decision | None) -> tuple[Decision, ...]:
    """Newest first. A recommendation or refusal that is only repeated replaces the one before."""
    judged = tuple(
        entry.model_copy(update={"verdict": turn.verdict.outcome.value})
        if turn.verdict and entry.id == turn.verdict.decision_id
        else entry
        for entry in previous
    )
    if turn.change is None or newest is None:
        return judged
    if judged and newest.result != ChangeResult.APPLIED.value and _same_but_for_time(judged[0], newest):
        judged = judged[1:]
    return (newest, *judged)[:MAX_HISTORY]


def _same_but_for_time(one: Decision, other: Decision) -> bool:
    return (one.action, one.from_, one.to, one.result) == (other.action, other.from_, other.to, other.result)


def _hourly(turn: Turn, replicas: int) -> str | None:
    price = turn.spec.cost.replica_hourly
    return None if price is None else f"{price * replicas:.2f}"


def _cost(turn: Turn) -> CostStatus | None:
    if turn.spec.cost.replica_hourly is None or not isinstance(turn.target, Target):
        return None
    desired = turn.plan.final_replicas if turn.plan and turn.plan.final_replicas else turn.target.replicas.desired
    return CostStatus(
        current_hourly=_hourly(turn, turn.target.replicas.desired),
        projected_hourly=_hourly(turn, desired),
        saved_hourly=_hourly(turn, max(0, turn.spec.max_replicas - desired)),
    )


# --- conditions ---------------------------------------------------------------------------------------------------

Finding = tuple[ConditionStatus, str, str]
"""Status, reason, message."""


def _conditions(turn: Turn, previous: tuple[Condition, ...]) -> tuple[Condition, ...]:
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
    problem = _metrics_problem(turn)
    if isinstance(problem, Missing) and problem.reason in _CONFIGURATION:
        return "False", problem.reason, problem.message
    return "True", "Configured", "The target and the metrics source are resolved; how the promise stands is SLOMet"


def _metrics_problem(turn: Turn) -> Missing | Stale | None:
    if not turn.observation:
        return None
    if turn.observation.source_problem:
        return turn.observation.source_problem
    reading = turn.observation.latency.get(turn.spec.primary_objective.name)
    return reading if isinstance(reading, Missing | Stale) else None


def _metrics_available(turn: Turn) -> Finding:
    if not turn.observation:
        return "Unknown", "NotMeasured", "Nothing is measured until the target is resolved"
    match _metrics_problem(turn):
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
    words = "; ".join(_objective_words(objective, reading) for objective, reading in _readings(turn) if reading)
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
            f"{objective.name}: {now}{text.percent(reading.bad_ratio)} of {reading.samples:.0f} requests were slower than "
            f"{objective.latency.threshold} or failed, {text.percent(reading.allowed_bad_ratio)} may be"
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
    if _acting(turn):
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
    if plan is None or not plan.limited_by or plan.proposed_replicas == plan.final_replicas:
        return "False", "DesiredWithinRange", "No limit changed what was asked for"
    limit = plan.limited_by[-1]
    fix = f": {_FIXES[limit]}" if limit in _FIXES else ""
    return "True", limit, f"{plan.proposed_replicas} replicas were asked for, {plan.final_replicas} are allowed{fix}"


def _write_conflict(turn: Turn) -> Finding:
    if turn.conflict:
        return "True", "OtherWriter", turn.conflict.message
    return "False", "OnlyWriter", "Nobody else is known to write the target's replicas"


def _in_fallback(turn: Turn) -> bool:
    """The SLO's own series have been missing for so long that the fallback's floor holds."""
    return bool(
        turn.spec.fallback
        and turn.observation
        and not turn.observation.source_problem
        and _metrics_problem(turn)
        and turn.memory.missing_cycles >= turn.spec.fallback.failure_threshold
    )


def _fallback(turn: Turn) -> Finding:
    if _in_fallback(turn) and turn.spec.fallback:
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
