"""Reductions that had to be taken back, and how long nothing is reduced for them.

A load that comes back every quarter of an hour looks, in between, like one that has gone. Forecasts of a minute cannot
know better, but the workload's own history can: when pods that were removed lately would have kept the promise, the
peaks of that much time are held from then on, for a while, up to the pods that were missing.
"""

from __future__ import annotations

import math
from itertools import accumulate

from perfslo.core import capacity, flapping, objectives, overload
from perfslo.core.frozen import replace
from perfslo.core.memory import Counted, Memory, Regret
from perfslo.core.model import Observation
from perfslo.core.timescale import TimeScale

ENOUGH = 0.8
"""Of the pods that the load needs: with fewer the promise would have been broken, too."""
RETURNED = 1.15
"""Times the load that pods were removed for: with less, it was not the load that came back."""
LOOK_BACK_UNITS = 240.0
"""An hour at 15 s: what was removed earlier is not what is missing now."""
LASTING_UNITS = 480.0
"""Two hours at 15 s; then the load may have changed its ways, and a reduction is tried again."""
LONGER = 1.5
"""Times the gap that a reduction lasted: periods vary."""
COSTLY = 0.5
"""Of the allowance of the last hour: while less was used, a reduction that was taken back did no harm."""
HALF_LIFE_UNITS = 160.0
"""40 minutes at 15 s."""
MOST_SECONDS = 3600.0
"""As the longest stabilization window of autoscaling/v2."""


def noted(memory: Memory, desired: int, scale: TimeScale) -> Memory:
    """Remember a reduction that is regretted now: the promise has just been broken badly."""
    now = memory.time or 0.0
    begun = overload.flooded(memory) and not overload.was_flooded(memory)
    if not begun or memory.lately.bad < COSTLY * memory.lately.total:
        return memory
    carried = capacity.least(memory.capacities[0]) if memory.capacities else None
    if not carried or not memory.arrivals:
        return memory
    load = memory.arrivals[-1].value
    new = _missing(memory, desired, load, load / carried, scale)
    if new is None:
        return memory
    return replace(memory, regrets=(*_lasting(memory, now, scale), new)[-8:])


def used(memory: Memory, observation: Observation, elapsed_seconds: float) -> Counted:
    """Requests of the last hour or so, and which part of them, in allowances, was slow."""
    ratio, rate = memory.slow_ratio, objectives.number(observation.completions_per_second)
    keep = 0.5 ** (elapsed_seconds / (HALF_LIFE_UNITS * observation.scale.unit_seconds))
    if ratio is None or not rate:
        return Counted(keep * memory.lately.total, keep * memory.lately.bad)
    requests = rate * elapsed_seconds
    return Counted(keep * memory.lately.total + requests, keep * memory.lately.bad + requests * ratio)


def held(memory: Memory, now: float, scale: TimeScale, wanted: int) -> tuple[int, float]:
    """How many pods regrets keep, at least `wanted`, and for how long ago they were asked for."""
    best = (wanted, 0.0)
    for one in _lasting(memory, now, scale):
        seconds = min(MOST_SECONDS, LONGER * one.gap_seconds)
        asked = flapping.highest(memory.recommendations, now, seconds, wanted)
        best = max(best, (max(wanted, min(asked, one.pods)), seconds))
    return best


def _lasting(memory: Memory, now: float, scale: TimeScale) -> tuple[Regret, ...]:
    return tuple(one for one in memory.regrets if now - one.time < LASTING_UNITS * scale.unit_seconds)


def _missing(memory: Memory, desired: int, load: float, needed: float, scale: TimeScale) -> Regret | None:
    """The pods that are missing, and since when they have not been asked for; None when there were none."""
    now = memory.time or 0.0
    enough = max(ENOUGH * needed, desired + 1)
    recent = [event for event in memory.scale_events if now - event.time < LOOK_BACK_UNITS * scale.unit_seconds]
    before = list(accumulate((-event.change for event in reversed(recent)), initial=desired))
    for event, pods in zip(reversed(recent), before[1:], strict=True):
        if event.change < 0 and pods >= enough and event.demand * RETURNED <= load:
            return Regret(now, now - event.time + scale.down_window_seconds, max(pods, math.ceil(needed)))
    return None
