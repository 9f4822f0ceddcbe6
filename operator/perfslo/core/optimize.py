"""Diagnosis -> Plan: the arbiter over the levers.

Replicas follow the load and are never blocked. Everything else is an intervention: asked for when a promise is broken
and replicas cannot mend it, ranked by what it should bring for its price, and one at a time for a workload.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Set

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.frozen import replace
from perfslo.core.levers import balancing, cache, cdn, database, knobs, offload, replicas
from perfslo.core.levers.option import Case, Option, name
from perfslo.core.memory import Memory, workloads
from perfslo.core.model import ActionKind, Bottleneck, Diagnosis, Observation, Plan
from perfslo.core.steps import Scale, Step

STRATEGIES: tuple[tuple[str, Callable[[Case], Iterable[Option]]], ...] = (
    ("traffic", balancing.options),
    ("cache", cache.options),
    ("cdn", cdn.options),
    ("database", database.options),
    ("offload", offload.options),
)
"""By lever, in the order in which equals are tried."""
NOT_REPLICAS = (
    Bottleneck.CACHE_COLD,
    Bottleneck.DEPENDENCY_BOUND,
    Bottleneck.DEPENDENCY_SATURATED_BY_US,
    Bottleneck.CONNECTION_POOL_BOUND,
)
"""What more replicas do not cure: another lever is tried at once."""
AT_MOST = frozenset({"MaxReplicas", "CostCap", "DatabaseBudget", "PodsPending"})
"""Limits with which replicas are all that they can be."""
FREE = 1e-6
"""Price of what costs nothing, so that something can be divided by it."""


def plan(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, diagnosis: Diagnosis) -> Plan:
    """How many replicas there should be, before any limit. `guardrails.guard` has the last word."""
    proposal = replicas.propose(spec, memory, observation, diagnosis)
    desired = observation.replicas.desired
    final = desired if proposal.replicas is None else proposal.replicas
    return Plan(
        why=proposal.reason,
        steps=steps(desired, final),
        proposed_replicas=proposal.replicas,
        final_replicas=final,
        numbers=proposal.numbers,
    )


def steps(current: int, wanted: int) -> tuple[Step, ...]:
    return (Scale(current, wanted),) if wanted != current else ()


def intervene(
    spec: PerformanceSLOSpec,
    memory: Memory,
    observation: Observation,
    diagnosis: Diagnosis,
    plan: Plan,
    levers: Collection[str],
    held: Set[str] = frozenset(),
) -> Plan:
    """`plan`, which has passed the guardrails, with what else is to be done by the other `levers` that are enabled.

    `held`: levers that somebody else moves.
    """
    case = Case(spec, memory, observation, diagnosis)
    usable = [options for lever, options in STRATEGIES if lever in levers and lever in spec.enabled_levers]
    pending = memory.trials.pending
    if pending and pending.outcome:
        return _put_back(case, plan, held)
    if not usable:
        return plan
    grows = (plan.final_replicas or 0) > observation.replicas.desired
    if offload.options in usable and not grows and (behind := offload.followed(case)):
        step, why = behind
        return replace(plan, why=f"scale workers {step.current} -> {step.wanted}: {why}", steps=(step,))
    options = [option for strategy in usable for option in strategy(case)]
    judged = [(option, _waits(case, option.step, plan, held) or _forbidden(case, option, plan)) for option in options]
    alternatives = tuple(f"{option}; but {why}" if why and option.step else str(option) for option, why in judged)
    allowed = [option for option, why in judged if option.step and not why]
    if not allowed:
        return replace(plan, alternatives=alternatives)
    chosen = max(allowed, key=lambda option: _rank(case, option))
    others = tuple(words for (option, _), words in zip(judged, alternatives, strict=True) if option is not chosen)
    verb = "give back" if chosen.prediction and chosen.prediction.releases else "pull"
    return replace(
        plan,
        why=f"{verb} {chosen.step}: {chosen.why} ({diagnosis.why})",
        steps=(chosen.step,) if chosen.step else (),
        kind=ActionKind.INTERVENTION,
        prediction=chosen.prediction,
        alternatives=(f"replicas: {plan.why}", *others),
    )


def _put_back(case: Case, plan: Plan, held: Set[str]) -> Plan:
    """What an experiment has shown to be of no use goes back before anything else is tried."""
    pending = case.memory.trials.pending
    if pending is None or case.memory.known_since is None:
        return plan
    step = knobs.step(case.spec, case.observation.standing, pending.knob, pending.found)
    if step is None or _go_first(case.spec, plan.steps, step, held):
        return plan
    why = f"put back {step}: it was tried, and the verdict is {pending.outcome}"
    return replace(plan, why=why, steps=(step,), kind=ActionKind.INTERVENTION, alternatives=(f"replicas: {plan.why}",))


def _waits(case: Case, step: Step | None, plan: Plan, held: Set[str]) -> str:
    """What comes before an intervention; empty when nothing does."""
    if _go_first(case.spec, plan.steps, step, held):
        return f"{plan.steps[0]} comes first"
    if pending := case.memory.trials.pending:
        return f"{name(pending.knob)} is being tried"
    return ""


def _go_first(spec: PerformanceSLOSpec, steps: Iterable[Step], step: Step | None, held: Set[str]) -> bool:
    """Whether one of `steps` stands before `step`, as they do if both are carried out, or neither is."""
    acts = step is not None and knobs.is_carried_out(spec, step, held)
    return any(not acts or knobs.is_carried_out(spec, each, held) for each in steps)


def _forbidden(case: Case, option: Option, plan: Plan) -> str:
    """Why this one must not be pulled now; empty when it may."""
    memory, diagnosis, now = case.memory, case.diagnosis, case.observation.time
    if option.prediction and option.prediction.releases:
        return "" if diagnosis.slo_met else "an objective is missed or unknown"
    if why := _unneeded(case, option, plan):
        return why
    if option.knob[0] not in diagnosis.allowed:
        return f"it does not cure {diagnosis.bottleneck}"
    if why := memory.trials.barred(option.knob, diagnosis.bottleneck, now):
        return why
    return _unaffordable(case, option, plan)


def _unneeded(case: Case, option: Option, plan: Plan) -> str:
    """Why nothing but replicas is called for."""
    memory, observation, diagnosis = case.memory, case.observation, case.diagnosis
    if diagnosis.slo_met is not False:
        return "no objective is missed"
    if memory.breached_since is None or memory.known_since is None:
        return "it is not sure yet that one is missed"
    if observation.time - memory.breached_since < observation.scale.window_seconds:
        return "it has not been missed for long"
    if memory.easing:
        return "it is easing"
    if diagnosis.bottleneck in NOT_REPLICAS:
        return ""
    if waiting := _pods_on_their_way(memory, observation):
        return waiting
    if option.knob == knobs.POLICY or "replicas:up" in diagnosis.forbidden or AT_MOST & {*plan.limited_by}:
        return ""
    return "replicas can mend it"


def _pods_on_their_way(memory: Memory, observation: Observation) -> str | None:
    """Of the workload, or of that of any backend."""
    waiting = (replicas.under_way(*each) for each in workloads(memory, observation))
    return next((why for why in waiting if why), None)


def _unaffordable(case: Case, option: Option, plan: Plan) -> str:
    cost = case.spec.cost
    if cost.max_hourly is None or cost.replica_hourly is None:
        return ""
    pods = plan.final_replicas or case.observation.replicas.desired
    price = float(cost.replica_hourly) * pods + running_cost(case.spec, case.observation) + (option.hourly_cost or 0.0)
    return f"it would cost {price:.2f} an hour, of cost.maxHourly {cost.max_hourly}" if price > cost.max_hourly else ""


def running_cost(spec: PerformanceSLOSpec, observation: Observation) -> float:
    """What an hour of all that is turned on costs."""
    return sum(
        float(switch.hourly_cost)
        for knob, switch in knobs.switches(spec).items()
        if switch.hourly_cost is not None and knobs.stands(observation.standing, knob) == knobs.on_value(spec, knob)
    )


def _rank(case: Case, option: Option) -> tuple[bool, float, float]:
    """What is only recommended must not stand in the way of what is done; then by relief for the price."""
    price = option.hourly_cost
    if price is None:  # it is thought to cost as much as a replica
        price = float(case.spec.cost.replica_hourly or 1)
    automatic = option.step is not None and knobs.mode(case.spec, option.step) == "Auto"
    return automatic, -price if price < 0 else math.inf, option.score / max(abs(price), FREE)
