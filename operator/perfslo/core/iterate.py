"""Memory -> Memory': `absorb` learns from what was seen, `record` keeps what was decided."""

from __future__ import annotations

import math
from dataclasses import replace

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core import capacity, objectives
from perfslo.core.memory import (
    MAX_HISTORY,
    BudgetSlice,
    Decision,
    Memory,
    Order,
    Recommendation,
    Sample,
    ScaleEvent,
)
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Histogram,
    Missing,
    Observation,
    Outcome,
    Plan,
    Stale,
    Verdict,
)

GAP_UNITS = 5.0
"""A longer pause between two observations (or a clock that went back) makes the fast facts those of another time."""
MAX_SAMPLES = 40
MAX_RECOMMENDATIONS = 400
MAX_SCALE_EVENTS = 400
LONGEST_BEHAVIOR_SECONDS = 3600.0
"""Longest stabilization window and policy period that autoscaling/v2 admits."""
SATURATED_RATIO = 0.3
"""Slow share from which windows tell about a backlog rather than about load."""
NOT_FALLING = 0.9
FAILING_RATIO = 0.05
"""Share of failed requests from which the windows are not learnt from: failing is often fast."""
BACKLOG_SIGMAS = 3.0
"""Of the Poisson spread of requests in flight."""
FREEZE_UNITS = 40.0
"""10 minutes at 15 s: nothing is reduced while a changed service is learnt anew."""
HOURLY_HOURS = 48
"""Hours of the error budget kept one by one; older ones are kept by the day."""


def absorb(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """Learn: arrivals, pods, capacity, budget. Call it once a cycle, before anything is decided."""
    now, scale = observation.time, observation.scale
    if memory.time is None or not 0 <= now - memory.time <= GAP_UNITS * scale.unit_seconds:
        memory = _slow_facts(memory)
    elapsed = now - memory.time if memory.time is not None else 0.0
    memory = _saw_load(memory, observation)
    memory = _saw_pods(memory, observation)
    memory = _judged_window(spec, memory, observation)
    memory = _learnt(spec, memory, observation, elapsed)
    memory = _counted(spec, memory, observation, elapsed)
    return replace(memory, time=now)


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
        budget=memory.budget,
        pending=memory.pending,
    )


def _saw_load(memory: Memory, observation: Observation) -> Memory:
    now = observation.time
    completions = objectives.number(observation.completions_per_second)
    series = (observation.completions_per_second, *observation.latency.values())
    complete = completions is not None and all(objectives.known(s) for s in series) and not observation.source_problem
    own_series_missing = not observation.source_problem and any(isinstance(s, Missing | Stale) for s in series)
    waiting = objectives.number(observation.in_flight)
    in_flight = (*memory.in_flight, Sample(now, waiting)) if waiting is not None else ()
    memory = replace(
        memory,
        known_since=None if not complete else memory.known_since if memory.known_since is not None else now,
        missing_cycles=memory.missing_cycles + 1 if own_series_missing else 0,
        in_flight=in_flight[-MAX_SAMPLES:],
    )
    if not complete or completions is None:
        return memory
    arriving = max(0.0, completions + _queued_per_second(memory, observation))
    return replace(memory, arrivals=(*memory.arrivals, Sample(now, arriving))[-MAX_SAMPLES:])


def _queued_per_second(memory: Memory, observation: Observation) -> float:
    """Arrivals that did not complete: growth of requests in flight over the window that completions were counted in."""
    start = observation.time - observation.scale.short_window_seconds
    if len(memory.in_flight) < 2:
        return 0.0
    now = memory.in_flight[-1]
    then = min(memory.in_flight[:-1], key=lambda sample: abs(sample.time - start))
    return (now.value - then.value) / (now.time - then.time) if now.time > then.time else 0.0


def _saw_pods(memory: Memory, observation: Observation) -> Memory:
    pods, now = observation.replicas, observation.time
    version = memory.capacities[0].version if memory.capacities else pods.version
    same = pods.ready == memory.ready and version == pods.version and not pods.rolling_out
    return replace(
        memory,
        startup_seconds=pods.startup_seconds if pods.startup_seconds is not None else memory.startup_seconds,
        ready=pods.ready,
        ready_since=memory.ready_since if same and memory.ready_since is not None else now,
        capacities=capacity.store(memory.capacities, capacity.select(memory.capacities, pods.version)),
    )


def _judged_window(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """Whether the window is clean, saturated, or breaks a promise, and since when."""
    now, pods = observation.time, observation.replicas
    shares = [
        (objectives.slow(observation, o), o.latency.allowed_bad_ratio) for o in spec.latency_objectives if o.latency
    ]
    slow = max((share.ratio for share, _ in shares if share), default=0.0)
    relative = max((share.ratio / allowed for share, allowed in shares if share), default=None)
    breached = any(
        share.low > allowed and share.requests >= spec.metrics.min_requests for share, allowed in shares if share
    )
    backlog = _backlog(spec, memory)
    saturated = slow >= SATURATED_RATIO and (_growing(memory) if backlog is None else backlog and _growing(memory))
    if backlog is None and relative is not None and memory.slow_ratio is not None:
        saturated = saturated and relative >= NOT_FALLING * memory.slow_ratio
    failing = (objectives.number(observation.error_ratio) or 0.0) > FAILING_RATIO
    young = pods.youngest_ready_age_seconds is not None and (
        pods.youngest_ready_age_seconds < observation.scale.window_seconds
    )
    dirty = (
        memory.known_since is None
        or memory.ready_since == now
        or young
        or pods.rolling_out
        or bool(backlog)
        or slow >= SATURATED_RATIO
        or failing
    )
    return replace(
        memory,
        clean_since=now if dirty else memory.clean_since if memory.clean_since is not None else now,
        saturated_since=(memory.saturated_since if memory.saturated_since is not None else now) if saturated else None,
        breached_since=(memory.breached_since if memory.breached_since is not None else now) if breached else None,
        slow_ratio=relative,
        fruitless=0 if relative is not None and relative <= 1.0 else memory.fruitless,
    )


def _backlog(spec: PerformanceSLOSpec, memory: Memory) -> bool | None:
    """Whether more requests are in flight than a kept promise allows by Little's law; None without a gauge."""
    if not memory.in_flight or not memory.arrivals:
        return None
    threshold = max(o.latency.threshold_seconds for o in spec.latency_objectives if o.latency)
    expected = memory.arrivals[-1].value * threshold
    return memory.in_flight[-1].value > expected + BACKLOG_SIGMAS * math.sqrt(expected) + 1


def _growing(memory: Memory) -> bool:
    """Whether requests in flight do not get fewer; without two samples, nothing says that they do."""
    if len(memory.in_flight) < 2:
        return True
    return memory.in_flight[-1].value >= NOT_FALLING * memory.in_flight[-2].value


def _learnt(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed: float) -> Memory:
    now, scale, ready = observation.time, observation.scale, observation.replicas.ready
    if memory.known_since is None or memory.clean_since is None or memory.ready_since is None or ready < 1:
        return memory
    known, changed = memory.capacities[0], False
    steady = now - memory.ready_since
    completions = objectives.number(observation.completions_per_second) or 0.0
    if memory.saturated_since is not None and memory.saturated_since < now and steady >= scale.short_window_seconds:
        settled = now - memory.saturated_since >= scale.short_window_seconds
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


def _counted(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed: float) -> Memory:
    """Count good and bad requests for the error budget, the new part of each window once."""
    part = min(1.0, elapsed / observation.scale.window_seconds)
    hour = int(observation.time // 3600)
    budget = {}
    for objective in spec.latency_objectives:
        reading = observation.latency.get(objective.name, Missing("NotMeasured"))
        slices = memory.budget.get(objective.name, ())
        if objective.latency and objectives.known(reading) and part > 0:
            share = objectives.slow(observation, objective)
            errors = objectives.number(observation.error_ratio) or 0.0
            total = reading.total * part if isinstance(reading, Histogram) else 0.0
            bad = total * (share.ratio + errors * (1.0 - share.ratio)) if share else 0.0
            slices = _merged(slices, BudgetSlice(hour, 1, total, bad, elapsed))
        oldest = hour - math.ceil(spec.window_seconds / 3600)
        budget[objective.name] = tuple(s for s in slices if s.hour + s.hours > oldest)
    return replace(memory, budget=budget)


def _merged(slices: tuple[BudgetSlice, ...], new: BudgetSlice) -> tuple[BudgetSlice, ...]:
    if slices and slices[-1].hour == new.hour and slices[-1].hours == 1:
        return (*slices[:-1], _sum(slices[-1], new))
    out: list[BudgetSlice] = []
    for piece in slices:
        if piece.hours == 1 and piece.hour < new.hour - HOURLY_HOURS:
            piece = replace(piece, hour=piece.hour - piece.hour % 24, hours=24)
            if out and out[-1].hour == piece.hour and out[-1].hours == 24:
                piece = _sum(out.pop(), piece)
        out.append(piece)
    return (*out, new)


def _sum(one: BudgetSlice, other: BudgetSlice) -> BudgetSlice:
    return replace(
        one,
        total=one.total + other.total,
        bad=one.bad + other.bad,
        covered_seconds=one.covered_seconds + other.covered_seconds,
    )


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
