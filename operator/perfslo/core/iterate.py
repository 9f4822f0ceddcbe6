"""Memory -> Memory': `absorb` learns from what was seen, `record` keeps what was decided."""

from __future__ import annotations

from typing import TypeVar

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core import budget, capacity, evidence, experiment, objectives, overload, regret, sizing, usual
from perfslo.core.frozen import replace
from perfslo.core.levers import knobs, offload
from perfslo.core.memory import (
    MAX_HISTORY,
    Decision,
    Memory,
    Order,
    Recommendation,
    Regret,
    Sample,
    ScaleEvent,
)
from perfslo.core.model import Change, ChangeResult, Diagnosis, Observation, Outcome, Plan, Verdict
from perfslo.core.steps import Scale
from perfslo.core.timescale import TimeScale

GAP_UNITS = 5.0
"""A longer pause between two observations (or a clock that went back) makes the fast facts those of another time."""
UNSEEN_UNITS = 2.5
"""After a longer pause than that of one cycle, more may have been asked for in between than before and after it."""
MAX_RECOMMENDATIONS = 400
MAX_SCALE_EVENTS = 400
LONGEST_BEHAVIOR_SECONDS = 3600.0
"""Longest stabilization window and policy period that autoscaling/v2 admits."""
Event = TypeVar("Event", Sample, Recommendation, ScaleEvent, Regret)
FEW_NEW = 0.8
"""Of the pods: with so many that are not new, completions per pod are at most a quarter more than they seem."""


def absorb(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """Learn: arrivals, pods, capacity, budget. Call it once a cycle, before anything is decided."""
    now, scale = observation.time, observation.scale
    if memory.time is None or not 0 <= now - memory.time <= GAP_UNITS * scale.unit_seconds:
        memory = _slow_facts(memory, now)
    memory = _asked_unseen(memory, observation)
    elapsed = now - memory.time if memory.time is not None else 0.0
    memory = usual.noticed(spec, memory, observation)
    memory = evidence.gathered(spec, memory, observation)
    memory = usual.learnt(spec, memory, observation, elapsed)
    memory = offload.noticed(spec, experiment.gathered(spec, memory, observation, elapsed), observation)
    memory = _learnt(spec, memory, observation, elapsed)
    memory = budget.counted(spec, memory, observation, elapsed)
    memory = replace(
        memory,
        spend=sizing.spent(memory, scale, elapsed),
        lately=regret.used(memory, observation, elapsed),
    )
    return regret.noted(memory, observation.replicas.desired, scale)


def record(
    spec: PerformanceSLOSpec,
    memory: Memory,
    observation: Observation,
    diagnosis: Diagnosis,
    plan: Plan,
    change: Change | None,
    verdict: Verdict | None,
) -> Memory:
    """Keep what was decided and what came of it. Call it once a cycle, after acting."""
    if verdict:
        memory = _with_verdict(memory, verdict, observation)
    now, desired = observation.time, observation.replicas.desired
    decision = Decision(
        id=change.decision_id if change else "",
        time=now,
        bottleneck=diagnosis.bottleneck,
        current=desired,
        final=desired if plan.final_replicas is None else plan.final_replicas,
        proposed=plan.proposed_replicas,
        why=plan.why,
        limited_by=plan.limited_by,
        result=change.result if change else "",
        numbers=plan.numbers,
    )
    wanted = plan.proposed_replicas
    if wanted is not None and overload.flooded(memory):  # what empties queues is not what the load will need
        wanted = min(wanted, int(plan.numbers.get("steady", wanted)))
    memory = replace(memory, last_decision=decision, recommendations=_recommended(memory, now, wanted), desired=desired)
    if change is None:
        return memory
    memory = replace(memory, history=_remembered(memory.history, decision))
    step = change.step
    if change.result != ChangeResult.APPLIED:
        return memory
    if not isinstance(step, Scale) or step.target is not None:
        if isinstance(step, Scale) and (step.lever, step.subject) == knobs.WORKERS:
            return offload.moved(memory, step, now)
        return experiment.begun(spec, memory, observation, diagnosis.bottleneck.value, plan, change)
    demand = plan.numbers.get("demand", 0.0)
    completions = objectives.number(observation.completions_per_second)
    return replace(
        memory,
        desired=step.wanted,
        scale_events=(*memory.scale_events, ScaleEvent(now, step.wanted - step.current, demand))[-MAX_SCALE_EVENTS:],
        order=Order(
            decision_id=change.decision_id,
            time=now,
            current=step.current,
            wanted=step.wanted,
            demand=demand,
            completions=completions or 0.0,
            slow_ratio=memory.slow_ratio,
        ),
    )


def _slow_facts(memory: Memory, now: float) -> Memory:
    """What outlives a pause. Nothing of it is of a time to come, which a clock that went back would wait for."""
    return Memory(
        capacities=memory.capacities,
        startup_seconds=memory.startup_seconds,
        last_decision=memory.last_decision,
        history=memory.history,
        ledgers=memory.ledgers,
        counts=memory.counts,
        backends=memory.backends,
        traffic=memory.traffic,
        trials=memory.trials,
        usual=memory.usual,
        errors=memory.errors,
        highs=_past(memory.highs, now),
        recommendations=_past(memory.recommendations, now),
        scale_events=_past(memory.scale_events, now),
        regrets=_past(memory.regrets, now),
        season=memory.season,
        lately=memory.lately,
        spend=memory.spend,
    )


def _asked_unseen(memory: Memory, observation: Observation) -> Memory:
    """All replicas that there are count as asked for, if somebody else ordered some, or may have had use for them.

    That is whoever writes to the workload by hand, or a leader before us who could not write down what it did.
    """
    now, desired = observation.time, observation.replicas.desired
    if memory.time is None or memory.desired is None:
        return memory
    if desired <= memory.desired and now - memory.time <= UNSEEN_UNITS * observation.scale.unit_seconds:
        return memory
    return replace(memory, recommendations=_recommended(memory, now, desired))


def _past(events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
    return tuple(event for event in events if event.time <= now)


def _learnt(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed: float) -> Memory:
    now, scale, ready = observation.time, observation.scale, observation.replicas.ready
    if memory.known_since is None or memory.clean_since is None or memory.ready_since is None or ready < 1:
        return memory
    known = memory.capacities[0]
    steady = now - memory.ready_since
    completions = objectives.number(observation.completions_per_second) or 0.0
    unanswered = overload.leave_unanswered(memory, observation)
    if memory.troubled_since is not None:  # what they complete is not what they can
        return memory
    if memory.strained and _few_are_new(memory, scale) and not unanswered:
        saturated_since = now if memory.saturated_since is None else memory.saturated_since
        settled = min(steady, now - saturated_since) >= scale.short_window_seconds
        allowed = {
            capacity.promise_key(o.latency): o.latency.allowed_bad_ratio for o in spec.latency_objectives if o.latency
        }
        known = capacity.saturate(known, completions / ready, settled, allowed)
    elif now - memory.clean_since >= scale.window_seconds:
        new = min(1.0, elapsed / scale.window_seconds)
        for objective in spec.latency_objectives:
            window = _window(memory, observation, objective, new)
            if window and objective.latency:
                key, allowed_ratio = capacity.promise_key(objective.latency), objective.latency.allowed_bad_ratio
                known = capacity.learn(known, key, allowed_ratio, window)
    return replace(memory, capacities=capacity.store(memory.capacities, known))


def _few_are_new(memory: Memory, scale: TimeScale) -> bool:
    """Whether nearly all pods, all of one version, have been ready for as long as completions are counted."""
    now = memory.readies[-1].time
    if now - memory.readies[0].time < scale.counted_seconds:
        return False
    counted = [sample.value for sample in memory.readies if sample.time > now - scale.short_window_seconds]
    return min(counted) >= FEW_NEW * memory.ready


def _window(memory: Memory, observation: Observation, objective: Objective, new: float) -> capacity.Window | None:
    if objective.latency is None or (share := objectives.slow(observation, objective)) is None:
        return None
    seconds, ready = observation.scale.window_seconds, observation.replicas.ready
    arriving = share.requests / seconds
    if objective.latency.matchers:
        # The objective sees some of the requests; the pods carry all of them.
        recent = [s.value for s in memory.arrivals if s.time > observation.time - seconds]
        arriving = sum(recent) / len(recent) if recent else 0.0
    return capacity.Window(arriving / ready, share.requests, share.ratio * share.requests, new)


def _recommended(memory: Memory, now: float, wanted: int | None) -> tuple[Recommendation, ...]:
    """Runs of equal recommendations, as long as any stabilization window could look back."""
    if wanted is None:
        return memory.recommendations
    kept = [r for r in memory.recommendations if r.time >= now - LONGEST_BEHAVIOR_SECONDS]
    if kept and kept[-1].replicas == wanted:
        kept[-1] = replace(kept[-1], time=now)
    else:
        kept.append(Recommendation(now, now, wanted))
    return tuple(kept[-MAX_RECOMMENDATIONS:])


def _remembered(history: tuple[Decision, ...], new: Decision) -> tuple[Decision, ...]:
    """A recommendation that nobody follows is one decision, not one for each cycle."""
    if history and new.result == history[0].result != ChangeResult.APPLIED:
        same = (new.current, new.final) == (history[0].current, history[0].final)
        history = history[1:] if same else history
    return (new, *history)[:MAX_HISTORY]


def _with_verdict(memory: Memory, verdict: Verdict, observation: Observation) -> Memory:
    def judged(decision: Decision) -> Decision:
        return replace(decision, verdict=verdict.outcome) if decision.id == verdict.decision_id else decision

    memory = replace(memory, history=tuple(judged(d) for d in memory.history))
    order = memory.order
    if order is None or order.decision_id != verdict.decision_id:
        return experiment.concluded(memory, verdict, observation)
    fruitless = memory.fruitless
    if verdict.outcome in (Outcome.NO_EFFECT, Outcome.WORSE):
        fruitless += 1
    elif verdict.outcome == Outcome.IMPROVED:
        fruitless = 0
    return replace(memory, order=replace(order, judged=True), fruitless=fruitless)
