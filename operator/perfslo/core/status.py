"""What one cycle came to for one SLO, as its status."""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import (
    MAX_HISTORY,
    BudgetStatus,
    CostStatus,
    Decision,
    Objective,
    PerformanceSLOStatus,
    State,
    Summary,
    UtilizationStatus,
)
from perfslo.core import quantile, shares, signals, text
from perfslo.core.conditions import CONDITIONS, conditions, misfit
from perfslo.core.lever_states import MAX_LONG_TEXT, MAX_TEXT, levers
from perfslo.core.levers import knobs
from perfslo.core.memory import HOUR_SECONDS
from perfslo.core.model import (
    Bottleneck,
    ChangeResult,
    Diagnosis,
    Histogram,
    NoTraffic,
    Plan,
    Prediction,
    Signal,
    Target,
    TargetProblem,
    Verdict,
)
from perfslo.core.promises import objective_status
from perfslo.core.steps import Step
from perfslo.core.turn import Turn
from perfslo.core.utilization import disk, network, utilization, words

Gist = tuple[object, ...]


def gist(turn: Turn) -> Gist:
    """What `report` would say but for numbers and words: state, and each condition's status and reason."""
    return turn.generation, state(turn), *(find(turn)[:2] for _, find in CONDITIONS)


def report(turn: Turn, previous: PerformanceSLOStatus | None) -> PerformanceSLOStatus:
    """The status to show, apart from what is remembered.

    `previous` gives the history and the times of the conditions' last transitions.
    """
    previous = previous or PerformanceSLOStatus()
    decision = _decision(turn, previous.last_decision)
    replicas = turn.target.replicas if isinstance(turn.target, Target) else None
    return PerformanceSLOStatus(
        observed_generation=turn.generation,
        summary=_summary(turn, previous.summary),
        conditions=conditions(turn, previous.conditions),
        objectives=tuple(
            objective_status(turn, objective, reading) for objective, reading in turn.readings if reading is not None
        ),
        utilization=_utilization(turn),
        signals=signals.statuses(turn.spec, turn.observation) if turn.observation else (),
        levers=levers(turn),
        backends=shares.statuses(turn),
        current_replicas=replicas.desired if replicas else None,
        ready_replicas=replicas.ready if replicas else None,
        desired_replicas=turn.plan.final_replicas if turn.plan else None,
        last_decision=decision,
        history=_history(turn, previous.history, decision),
        budget=_budget(turn),
        cost=_cost(turn),
    )


def unreadable(
    problem: str, generation: int, time: float, previous: PerformanceSLOStatus | None
) -> PerformanceSLOStatus:
    """The status of an SLO whose specification does not fit this version's models; `problem` names the fields."""
    previous = previous or PerformanceSLOStatus()
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "summary": previous.summary.model_copy(update={"state": "NotReady"}),
            "conditions": misfit(problem, generation, time, previous.conditions),
        }
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
    if turn.in_fallback:
        return "Fallback"
    match turn.diagnosis.bottleneck:
        case Bottleneck.NO_TRAFFIC:
            return "NoTraffic"
        case Bottleneck.INSUFFICIENT_DATA:
            return "InsufficientData"
        case Bottleneck.UNKNOWN if turn.diagnosis.slo_met is None:
            return "Unknown"
    if turn.diagnosis.slo_met is False:
        return "Recovering" if turn.acting else "Breaching"
    if turn.diagnosis.slo_met is None:
        return "Unknown"
    return "AtRisk" if turn.books.burning else "Healthy"


def _summary(turn: Turn, previous: Summary) -> Summary:
    observation, diagnosis = turn.observation, turn.diagnosis
    used = _utilization(turn) or UtilizationStatus()
    histogram = _primary_histogram(turn)
    primary = turn.spec.primary_objective
    latency = turn.spec.primary_latency
    replicas = turn.target.replicas if isinstance(turn.target, Target) else None
    target = turn.spec.scale_target_ref or (turn.target.ref if isinstance(turn.target, Target) else None)
    return Summary(
        target=text.clipped(f"{target.kind}/{target.name}", MAX_TEXT) if target else None,
        state=state(turn),
        p50=_quantile(histogram, 0.50),
        p95=_quantile(histogram, 0.95),
        p99=_quantile(histogram, 0.99),
        objective=f"{_short(primary)}<{latency.threshold}",
        replicas=f"{replicas.ready}/{replicas.desired}" if replicas else None,
        desired=str(turn.plan.final_replicas) if turn.plan and turn.plan.final_replicas is not None else None,
        requests_per_second=words(observation.completions_per_second, text.rate) if observation else None,
        errors=_errors(observation.error_ratio) if observation else None,
        cpu=used.cpu_of_request,
        throttled=used.cpu_throttled,
        memory=used.memory,
        memory_of_limit=used.memory_of_limit,
        disk=disk(observation) if observation else None,
        network=network(observation) if observation else None,
        budget=_budget_left(turn),
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


def _errors(signal: Signal) -> str | None:
    """A share of no requests is none at all."""
    return None if isinstance(signal, NoTraffic) else words(signal, text.percent)


def _utilization(turn: Turn) -> UtilizationStatus | None:
    used = utilization(turn.observation) if turn.observation else UtilizationStatus()
    return used if used != UtilizationStatus() else None


def _budget_left(turn: Turn) -> str | None:
    """Nothing while less was counted than a burn rate is told of: a bad minute of two is not a month's budget."""
    account = turn.books.accounts.get(turn.spec.primary_objective.name)
    least_seconds = min(HOUR_SECONDS, turn.spec.window_seconds / 2)
    if account is None or account.covered_ratio * turn.spec.window_seconds < least_seconds - 1:
        return None
    return f"{text.percent_number(account.remaining_ratio)}%"


def _bottleneck(diagnosis: Diagnosis | None) -> str | None:
    if diagnosis is None or diagnosis.bottleneck in (Bottleneck.HEALTHY, Bottleneck.NO_TRAFFIC):
        return None
    return diagnosis.bottleneck.value


def _last_action(turn: Turn, previous: Summary) -> str | None:
    if turn.change and turn.change.result is ChangeResult.APPLIED:
        return text.clipped(str(turn.change.step), MAX_TEXT)
    return previous.last_action


def _budget(turn: Turn) -> BudgetStatus | None:
    """The primary objective's."""
    account = turn.books.accounts.get(turn.spec.primary_objective.name)
    if account is None:
        return None
    return BudgetStatus(
        window=turn.spec.window,
        remaining_percent=text.percent_number(account.remaining_ratio),
        covered_percent=text.percent_number(account.covered_ratio),
        burn_rate1h=_burn_rate(account.burn_rate_1h),
        burn_rate6h=_burn_rate(account.burn_rate_6h),
        exhausts_at=_to_the_hour(account.exhausts_at),
    )


def _burn_rate(rate: float | None) -> str | None:
    return None if rate is None else text.rate(rate)


def _to_the_hour(time: float | None) -> str | None:
    """An estimate moves with each cycle; to the hour it is not written each time."""
    return None if time is None else text.timestamp(time - time % 3600)


# --- decisions, cost --------------------------------------------------------------------------------------


def _decision(turn: Turn, previous: Decision | None) -> Decision | None:
    """The newest decision. One that is only repeated, because it may not be carried out, is still the one before."""
    plan, change = turn.plan, turn.change
    previous = previous and _judged(previous, turn.verdict)
    if plan is None or change is None:
        return previous
    found, wanted = (text.clipped(value, MAX_TEXT) for value in change.step.values)
    asked = _asked_for(turn, change.step)
    decision = Decision(
        id=change.decision_id,
        time=text.timestamp(change.time),
        action=change.step.action,
        lever=change.step.lever,
        from_=found,
        to=wanted,
        proposed=str(asked.proposed_replicas) if asked and asked.proposed_replicas is not None else None,
        limited_by=asked.limited_by[:8] if asked else (),
        bottleneck=turn.diagnosis.bottleneck.value if turn.diagnosis else None,
        mode=knobs.mode(turn.spec, change.step),
        result=change.result.value,
        predicted=_predicted(plan.prediction),
        why=text.clipped(plan.why, MAX_LONG_TEXT),
        alternatives=tuple(text.clipped(words, MAX_TEXT) for words in plan.alternatives[:8]),
    )
    return previous if previous and _repeats(decision, previous) else decision


def _predicted(prediction: Prediction | None) -> str | None:
    if prediction is None:
        return None
    return "nothing is missed" if prediction.releases else f"{text.percent(prediction.relief)} fewer slow requests"


def _asked_for(turn: Turn, step: Step) -> Plan | None:
    """The plan whose replicas a step is about: that of its backend, where each has its own."""
    if not turn.parts:
        return turn.plan
    return turn.parts[step.subject].plan if step.subject in turn.parts else None


def _history(turn: Turn, previous: tuple[Decision, ...], newest: Decision | None) -> tuple[Decision, ...]:
    """Newest first."""
    judged = tuple(_judged(entry, turn.verdict) for entry in previous)
    if newest is None or (judged and judged[0].id == newest.id):
        return judged
    return (newest.model_copy(update={"alternatives": ()}), *judged)[:MAX_HISTORY]


def _judged(decision: Decision, verdict: Verdict | None) -> Decision:
    if verdict is None or decision.id != verdict.decision_id:
        return decision
    why = text.clipped(verdict.why, MAX_LONG_TEXT)
    return decision.model_copy(update={"verdict": verdict.outcome.value, "judgement": why})


def _repeats(decision: Decision, before: Decision) -> bool:
    unchanged = (decision.action, decision.from_, decision.to) == (before.action, before.from_, before.to)
    return unchanged and decision.result == before.result != ChangeResult.APPLIED.value


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
