"""How many pods a load needs: the fewest that are expected to keep part of the allowance.

What is expected is a mean over what may come: the forecast's errors, each with its chance, put through the learnt
curve. So a load that jumps gets room for its jumps, a steady one gets none, and a service with a cliff gets more than
one whose tail grows slowly, without a margin that somebody has to choose.
"""

from __future__ import annotations

import math

from perfslo.core import capacity, overload
from perfslo.core.forecast import Forecast
from perfslo.core.frozen import dataclass
from perfslo.core.memory import Capacity, Curve, Memory
from perfslo.core.timescale import TimeScale

USED_SHARE = 0.6
"""Of the allowance: what is planned to be used. The rest is for what nobody expected."""
LEFT_SHARE = 0.85
"""Of that, when something is taken away: so that rounding and chance do not chatter."""


PEAK_SHARE = 0.8
"""Of the allowance, at the forecast itself: what was saved before is for surprises only."""
MOST_PODS = 100_000
BOLDER = 1.1
"""Times what is assumed to be carried when something is taken away: what is there already is given more credit."""
SPEND = (0.5, 4.0)
"""Limits of the factor by which the planned part follows what is used: it corrects a model, it does not replace it."""
CLIFF = 10.0
"""Steepness of a curve (see `capacity`) at which nothing is slow until all is, as behind least-request balancing: what
was saved there buys no cheaper hours, only floods."""
MORE_BEFORE_CLIFF = 2.0
"""Times the plan for each unit of steepness below it."""
SPEND_UNITS = 20.0
"""5 minutes at 15 s: with nothing used, the plan nearly doubles in that time."""


def spent(memory: Memory, scale: TimeScale, elapsed_seconds: float) -> float:
    """The factor on the planned part of the allowance, now that it is known what the newest window used.

    Slow, bounded, and still while something else than the plan decides: then it would only wind up.
    """
    used = memory.slow_ratio
    if used is None or memory.known_since is None or overload.flooded(memory):
        return memory.spend
    pace = min(1.0, elapsed_seconds / (SPEND_UNITS * scale.unit_seconds))
    factor = math.exp(pace * max(-2.0, USED_SHARE - used))
    return min(max(memory.spend * factor, SPEND[0]), _most_spend(memory))


def _most_spend(memory: Memory) -> float:
    """The more gradually slow requests become more with load, the more; at a cliff the plan stays below itself."""
    curves = memory.capacities[0].curves.values() if memory.capacities else ()
    steepest = max((curve.steepness or 0.0 for curve in curves), default=0.0)
    return min(max(MORE_BEFORE_CLIFF * (CLIFF - steepest), SPEND[0]), SPEND[1])


def used_share(memory: Memory) -> float:
    """The part of the allowance that may be expected to be used, when pods are added."""
    return memory.spend * USED_SHARE


def left_share(memory: Memory) -> float:
    """The same when some are taken away."""
    return LEFT_SHARE * used_share(memory)


@dataclass(frozen=True, slots=True)
class Curves:
    """What one promise is sized by."""

    curve: Curve
    allowed: float
    carried: float
    """Load per pod that keeps the promise."""
    limits: tuple[float, float]
    """Load per pod beyond which nothing is known, and beyond which nothing is completed."""
    idle: float
    """Load per pod up to which pods are idle most of the time: whatever is slow there, more of them are no faster."""


def likely(known: Capacity, curve: Curve, allowed: float, idle: float) -> Curves | None:
    """As things probably are; None before evidence."""
    if curve.median is None:
        return None
    unknown, most = _limits(known, curve, allowed)
    return Curves(curve, allowed, curve.median, (BOLDER * unknown, most), idle)


def sure(known: Capacity, curve: Curve, allowed: float, idle: float) -> Curves | None:
    """As they are with some certainty; None before evidence."""
    if curve.low is None:
        return None
    return Curves(curve, allowed, curve.low, _limits(known, curve, allowed), idle)


def keep(by: Curves, load: Forecast, pods: int, used_share: float) -> bool:
    """Whether `pods` are expected to use at most that part of the allowance, and keep the promise at the forecast."""
    if pods < 1:
        return False
    if _slow_share(by, load.peak / pods) > min(used_share, PEAK_SHARE) * by.allowed:
        return False
    return expected_share(by, load, pods) <= used_share * by.allowed


def expected_share(by: Curves, load: Forecast, pods: int) -> float:
    """Share of slow requests to expect of `pods`, at least 1."""
    requests = slow = 0.0
    for rate, chance in load.cases:
        requests += rate * chance
        slow += rate * chance * _slow_share(by, rate / pods)
    return slow / requests if requests > 0 else 0.0


def _slow_share(by: Curves, load: float) -> float:
    """Share of requests that more pods would make faster, at `load` per pod."""
    if load <= by.idle:
        return 0.0
    return capacity.predicted(by.curve, by.allowed, by.carried, by.limits, load)


def fewest(by: Curves, load: Forecast, used_share: float) -> int:
    """The fewest pods, at least 1, that are expected to use at most that part of the allowance."""
    low, high = 1, 1
    while not keep(by, load, high, used_share):
        low, high = high + 1, 2 * high
        if high > MOST_PODS:
            return high
    while low < high:
        middle = (low + high) // 2
        if keep(by, load, middle, used_share):
            high = middle
        else:
            low = middle + 1
    return low


def _limits(known: Capacity, curve: Curve, allowed: float) -> tuple[float, float]:
    if known.ceiling and known.ceiling_settled:
        most = capacity.SATURATES * known.ceiling
        return most, most
    # Not settled, it is the least that saturated pods complete, and no limit.
    return max(capacity.explored(curve, allowed), capacity.SATURATED_SHARE * (known.ceiling or 0.0)), math.inf
