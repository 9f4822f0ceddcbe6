"""Memory -> Memory': `absorb` learns from what was seen, `record` keeps what was decided."""

from __future__ import annotations

from dataclasses import replace

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core import budget, capacity, evidence, objectives
from perfslo.core.memory import (
    MAX_HISTORY,
    Decision,
    Memory,
    Order,
    Recommendation,
    ScaleEvent,
)
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Observation,
    Outcome,
    Plan,
    Verdict,
)

GAP_UNITS = 5.0
"""A longer pause between two observations (or a clock that went back) makes the fast facts those of another time."""
MAX_RECOMMENDATIONS = 400
MAX_SCALE_EVENTS = 400
LONGEST_BEHAVIOR_SECONDS = 3600.0
"""Longest stabilization window and policy period that autoscaling/v2 admits."""
FREEZE_UNITS = 40.0
"""10 minutes at 15 s: nothing is reduced while a changed service is learnt anew."""


def absorb(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """Learn: arrivals, pods, capacity, budget. Call it once a cycle, before anything is decided."""
    now, scale = observation.time, observation.scale
    if memory.time is None or not 0 <= now - memory.time <= GAP_UNITS * scale.unit_seconds:
        memory = _slow_facts(memory)
    elapsed = now - memory.time if memory.time is not None else 0.0
    memory = evidence.gathered(spec, memory, observation)
    memory = _learnt(spec, memory, observation, elapsed)
    return replace(budget.counted(spec, memory, observation, elapsed), time=now)


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
        memory = _with_verdict(memory, verdict)
    now, desired = observation.time, observation.replicas.desired
    if plan.proposed_replicas is not None:
        memory = replace(memory, recommendations=_recommended(memory, now, plan.proposed_replicas))
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
    memory = replace(memory, last_decision=decision)
    if change is None:
        return memory
    memory = replace(memory, history=_remembered(memory.history, decision))
    if change.result != ChangeResult.APPLIED:
        return memory
    moved = change.step.wanted - change.step.current
    completions = objectives.number(observation.completions_per_second)
    return replace(
        memory,
        scale_events=(*memory.scale_events, ScaleEvent(now, moved))[-MAX_SCALE_EVENTS:],
        order=Order(
            decision_id=change.decision_id,
            time=now,
            current=change.step.current,
            wanted=change.step.wanted,
            demand=plan.numbers.get("demand", 0.0),
            completions=completions or 0.0,
            slow_ratio=memory.slow_ratio,
        ),
    )


def _slow_facts(memory: Memory) -> Memory:
    return Memory(
        capacities=memory.capacities,
        startup_seconds=memory.startup_seconds,
        last_decision=memory.last_decision,
        history=memory.history,
        ledgers=memory.ledgers,
        counts=memory.counts,
        pending=memory.pending,
    )


def _learnt(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed: float) -> Memory:
    now, scale, ready = observation.time, observation.scale, observation.replicas.ready
    if memory.known_since is None or memory.clean_since is None or memory.ready_since is None or ready < 1:
        return memory
    known, changed = memory.capacities[0], False
    steady = now - memory.ready_since
    completions = objectives.number(observation.completions_per_second) or 0.0
    if memory.strained and steady >= scale.short_window_seconds:
        saturated_since = now if memory.saturated_since is None else memory.saturated_since
        settled = now - saturated_since >= scale.short_window_seconds
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
                known, odd = capacity.learn(known, key, allowed_ratio, window)
                changed = changed or odd
    frozen = now + FREEZE_UNITS * scale.unit_seconds if changed else memory.frozen_until
    return replace(memory, capacities=capacity.store(memory.capacities, known), frozen_until=frozen)


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


def _recommended(memory: Memory, now: float, wanted: int) -> tuple[Recommendation, ...]:
    """Runs of equal recommendations, as long as any stabilization window could look back."""
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


def _with_verdict(memory: Memory, verdict: Verdict) -> Memory:
    def judged(decision: Decision) -> Decision:
        return replace(decision, verdict=verdict.outcome) if decision.id == verdict.decision_id else decision

    order = memory.order
    if order and order.decision_id == verdict.decision_id:
        order = replace(order, judged=True)
    fruitless = memory.fruitless
    if verdict.outcome in (Outcome.NO_EFFECT, Outcome.WORSE):
        fruitless += 1
    elif verdict.outcome == Outcome.IMPROVED:
        fruitless = 0
    return replace(memory, order=order, fruitless=fruitless, history=tuple(judged(d) for d in memory.history))
