"""Was it worth it? Judges the newest order, and the newest move of weights, once its effect can be seen."""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import capacity, objectives
from perfslo.core.levers import replicas, traffic
from perfslo.core.memory import Memory, Order
from perfslo.core.model import Observation, Outcome, Verdict

RELIEF_SHARE = 0.3
"""Of the predicted relief: with less, it was not for want of pods that the promise was broken."""
SERVED_SIGMAS = 3.0
"""Of the Poisson spread of requests counted before and after: fewer more are chance, not relief."""
WORSENED = 1.3
"""Times the slow requests before: more is not chance."""
EASED = 0.1
"""Of the slow requests, by which a step that moves a tenth of the traffic should lower them at least."""
PATIENCE = 3.0
"""Start-up times after which pods that are not ready cannot be judged."""


def judge(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Verdict | None:
    """The verdict on the newest scale-out, or None while it is not due."""
    order = memory.order
    if order is None or order.judged or order.wanted <= order.current:
        return None
    now, pods, window = observation.time, observation.replicas, observation.scale.window_seconds
    if pods.desired != order.wanted:
        return Verdict(order.decision_id, Outcome.INCONCLUSIVE, "replicas were changed again before it could be judged")
    ready = pods.ready >= order.wanted and memory.ready_since is not None
    if ready and memory.known_since is not None and now - (memory.ready_since or now) >= window:
        if objectives.is_thin(spec, observation):
            return Verdict(order.decision_id, Outcome.INCONCLUSIVE, "there were too few requests to compare")
        return _judged(memory, observation, order)
    deadline = order.time + PATIENCE * replicas.startup_seconds(memory, observation) + 2 * window
    if now <= deadline:
        return None
    why = "metrics were not known" if ready else f"only {pods.ready} of {order.wanted} pods were ready in time"
    return Verdict(order.decision_id, Outcome.INCONCLUSIVE, why)


def judge_shift(memory: Memory, observation: Observation, moves_on: bool) -> Verdict | None:
    """The verdict on the newest move of weights, or None while it is not due.

    `moves_on`: the next one was just made.
    """
    move, now = memory.traffic.move, observation.time
    if move is None:
        return None
    before, after = move.slow_ratio, memory.slow_ratio
    due = traffic.is_due(move.time, now, observation.scale)
    if memory.traffic.moved_at != move.time or (moves_on and not due):
        outcome, why = Outcome.INCONCLUSIVE, "weights were changed again before it could be judged"
    elif not due:
        return None
    elif before is None or after is None:
        outcome, why = Outcome.INCONCLUSIVE, "there were too few requests to compare"
    elif after <= 1.0:
        outcome, why = (Outcome.IMPROVED if before > 1.0 else Outcome.NO_EFFECT), "latency objectives hold"
    elif observation.replicas.desired != move.replicas:
        outcome, why = Outcome.INCONCLUSIVE, "replicas were changed before it could be judged"
    else:
        eased, worse = after <= (1.0 - EASED) * before, after > WORSENED * before
        outcome = Outcome.IMPROVED if eased else Outcome.WORSE if worse else Outcome.NO_EFFECT
        why = _went(before, after)
    return Verdict(move.decision_id, outcome, f"traffic: {why}", traffic.LEVER)


def _judged(memory: Memory, observation: Observation, order: Order) -> Verdict:
    before, after = order.slow_ratio, memory.slow_ratio
    if after is None or before is None:
        return Verdict(order.decision_id, Outcome.INCONCLUSIVE, "there were too few requests to compare")
    if after <= 1.0:
        return Verdict(order.decision_id, Outcome.IMPROVED, "latency objectives hold")
    growth = order.wanted / order.current - 1.0 if order.current else math.inf
    completions = objectives.number(observation.completions_per_second) or 0.0
    served = completions / order.completions - 1.0 if order.completions > 0 else 0.0
    counted = min(completions, order.completions) * observation.scale.counted_seconds
    chance = SERVED_SIGMAS * math.sqrt(2.0 / counted) if counted > 0 else math.inf
    if served >= max(RELIEF_SHARE * growth, chance) and _queued(memory, order, growth):
        return Verdict(order.decision_id, Outcome.IMPROVED, f"{served:.0%} more requests are served")
    # At unchanged load, load per pod fell by growth / (1 + growth).
    predicted = 1.0 - math.exp(-capacity.TYPICAL_STEEPNESS * growth / (1.0 + growth)) if growth < math.inf else 1.0
    relief = 1.0 - after / before if before > 0 else 0.0
    if relief >= RELIEF_SHARE * predicted:
        return Verdict(order.decision_id, Outcome.IMPROVED, f"{relief:.0%} fewer requests are slow")
    outcome = Outcome.WORSE if after > WORSENED * before else Outcome.NO_EFFECT
    return Verdict(order.decision_id, outcome, _went(before, after))


def _queued(memory: Memory, order: Order, growth: float) -> bool:
    """Whether so much came that was not served when pods were ordered; else more is served because more comes.

    Without a gauge of requests in flight nobody knows, and what is served is all that tells of a flood.
    """
    return not memory.in_flight or order.demand >= (1.0 + RELIEF_SHARE * growth) * order.completions


def _went(before: float, after: float) -> str:
    return f"slow requests went from {before:.1f} to {after:.1f} times what is allowed"
