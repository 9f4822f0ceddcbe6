"""What share of a route's traffic a backend should get: what it was found with, as far as it is to be trusted.

A share is taken away for two reasons: requests were slow or failed (trust in the backend falls, see `trust`), or there
is more load than its ready pods were learnt to carry. It is given back, more slowly, while all is well. Weights move in
bounded steps, each judged before the next; what is unknown stays as it is, nobody gets more than it can take, and while
the backends are well everything stays as somebody wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field

from perfslo.core import text
from perfslo.core.frozen import dataclass
from perfslo.core.timescale import TimeScale
from perfslo.core.trust import GOOD, Bad
from perfslo.core.weights import Traffic, Trim

LEVER = "traffic"
LEAST_SHARE = 0.01
"""Of the traffic: so much is left to the worst backend, else nobody would see it recover."""
STEP = 0.1
"""Of the traffic: the most that a backend gains or loses in one move."""
DEAD_BAND = 0.1
"""Of a backend's own share: less is not worth a write, nor what it unsettles."""
LEAST_MOVE = 0.003
"""Of the traffic: the same for the smallest shares."""
SETTLE_WINDOWS = 2.0
"""From one move to the next: the window must have begun after it, and then say something."""
RETURN_WINDOWS = 5.0
"""The same before something is given back: that is not urgent, and loads come and go."""
FULL = 0.9
"""Of a backend's capacity: more than that is not predicted for anybody, and with more it gives some away."""
CALM = 0.6
"""Of a backend's capacity: up to it a share is given back."""
TRIED = 1.2
"""Times the present share: so much is tried where nearly nothing is bad, whatever was learnt before."""
DOUBLED = 2.0
"""The same where it carries more than was thought possible already, or has so little that little is risked."""
SMALL = 0.05
ALARM = 4.0
"""Times the allowance: so many bad requests are moved away from without a limit to the step, and after one window."""
SPREAD = 0.2
"""Backends of one service differ so much before anything is known (standard deviation of the logarithm)."""
LOW_SIGMAS = 0.84
"""Of a capacity's 20th percentile below its median."""
MOST_FACTOR = 1e12


@dataclass(frozen=True, slots=True)
class Carried:
    """What one pod was learnt to carry, in requests a second: the median, and what it does with 80 % certainty."""

    median: float
    low: float


@dataclass(frozen=True, slots=True)
class Part:
    """One backend as the law sees it. Weights are in the route's unit."""

    weight: int
    least: int
    most: int
    """What its own bounds admit."""
    ready: int
    carried: Carried | None = None
    """None before evidence."""
    bad: Bad | None = None
    """None while it has had too few requests to be judged by, or they are not known."""
    trim: Trim = field(default_factory=Trim)


@dataclass(frozen=True, slots=True)
class Shift:
    """What should be done. `weights` are the present ones when nothing should."""

    weights: Mapping[str, int]
    why: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By backend, of those whose weight moves."""
    short: Mapping[str, float] = field(default_factory=dict)
    """Requests a second that backends would get, could they take it: pods are needed there first."""
    room: Mapping[str, float] = field(default_factory=dict)
    """Requests a second that each could get besides what it has; nothing while that is not looked at."""
    aims: Mapping[str, int] | None = None
    """Where weights are going, step by step; None while that is not looked at."""


def bounds(weights: Mapping[str, int], percents: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]] | None:
    """Least and most weight of each backend, by the bounds of its share in percent; None when they cannot be met.

    Nobody is brought below LEAST_SHARE, unless the least shares leave no room for that. What weighs nothing was turned
    off by somebody, and stays so unless its own least share says otherwise.
    """
    total = sum(weights.values())
    spare = max(1, math.ceil(LEAST_SHARE * total))
    own, kept = {}, {}
    for name, weight in weights.items():
        low, high = percents[name]
        least, most = -(-low * total // 100), high * total // 100
        own[name] = (least, most if weight or low else 0)
        kept[name] = (max(least, min(spare, weight, most)), own[name][1])
    for bounded in (kept, own):
        if sum(least for least, _ in bounded.values()) <= total <= sum(most for _, most in bounded.values()):
            return bounded
    return None


def propose(parts: Mapping[str, Part], load: float, traffic: Traffic, now: float, scale: TimeScale) -> Shift:
    """The next move, within all bounds of shares and of what can be taken.

    Args:
        load: requests a second of all of them together.
        traffic: when weights moved last.
    """
    current = {name: part.weight for name, part in parts.items()}
    total = sum(current.values())
    if not any(part.ready and part.weight for part in parts.values()):
        return Shift(current, "no backend has a ready endpoint")
    if any(not part.least <= part.weight <= part.most for part in parts.values()):
        return _within_bounds(parts)
    law = _Law(parts, load)
    windows = 0.0 if law.dead else 1.0 if law.alarming else SETTLE_WINDOWS if law.shed else RETURN_WINDOWS
    if not is_due(traffic.moved_at, now, scale, windows):
        ago, settle = text.seconds(now - (traffic.moved_at or now)), text.seconds(windows * scale.window_seconds)
        why = f"weights moved {ago} ago show their effect, or may move back, after {settle}"
        return Shift(current, why, room=law.room)
    weights = _projected(law.wanted, law.limits(), total)
    aims = _projected(law.wanted, law.limits(far=True), total)
    short = _short(parts, load, weights, _projected(law.wanted, law.limits(boundless=True), total))
    if not any(_is_worth_it(current[name], weights[name], total) for name in parts):
        why = law.stuck if law.shed else "the backends are well with their weights"
        return Shift(current, why, {}, short, law.room, aims)
    reasons = {
        name: law.cause(name, weights[name]) + _move(part.weight, weights[name], total)
        for name, part in parts.items()
        if weights[name] != part.weight
    }
    return Shift(weights, _together(reasons, weights, current), reasons, short, law.room, aims)


class _Law:
    """What holds for each backend before shares are weighed against each other."""

    def __init__(self, parts: Mapping[str, Part], load: float) -> None:
        self.parts, self.load = parts, load
        self.total = sum(part.weight for part in parts.values())
        self.capacity = capacities(parts)
        self.wanted = {name: self._wanted(part) for name, part in parts.items()}
        self.dead = {name for name, part in parts.items() if part.ready == 0 and part.weight > part.least}
        self.alarming = {
            name for name, part in parts.items() if part.bad and part.bad.low > ALARM and part.trim.factor < 1.0
        }
        self.hot = {name for name in self.capacity if self._is_hot(parts[name], name)}
        self.shed = self.dead | self.hot | {name for name, part in parts.items() if self._is_distrusted(part)}

    @property
    def stuck(self) -> str:
        """Why nothing moves though something should."""
        return f"{', '.join(sorted(self.shed))} should get less, but no other backend could take it"

    @property
    def room(self) -> Mapping[str, float]:
        """Requests a second that each could get besides what it has; failing fast leaves no room for anybody."""
        return {
            name: max(0.0, FULL - self.used(name)) * capacity
            for name, capacity in self.capacity.items()
            if name not in self.shed and self._is_trusted(self.parts[name])
        }

    def used(self, name: str) -> float:
        """The part of its capacity that its share of the load uses."""
        return self.load * self.parts[name].weight / self.total / self.capacity[name]

    def limits(self, far: bool = False, boundless: bool = False) -> Mapping[str, tuple[int, int]]:
        """Least and most weight of each after this move.

        `far`: after as many as it takes. `boundless`: if each could take anything.
        """
        step = self.total if far else max(1, int(STEP * self.total))
        limits = {name: self._limits(name, step, boundless) for name in self.parts}
        missing = self.total - sum(high for _, high in limits.values())
        for name in sorted(self.shed, key=lambda name: (name in self.dead, name not in self.hot, name)):
            low, high = limits[name]  # what nobody can take stays where it is
            kept = min(max(0, missing), self.parts[name].weight - high)
            limits[name], missing = (low, high + kept), missing - kept
        return limits

    def cause(self, name: str, wanted: int) -> str:
        """Why its weight moves."""
        part = self.parts[name]
        share = _share(part.weight, self.total)
        if part.ready == 0:
            return f"no ready endpoint at {share} of the traffic"
        if wanted > part.weight:
            return str(part.bad) if part.bad and part.weight < part.trim.found * self.total else "takes it over"
        if name in self.hot:
            load = text.rate(self.load * part.weight / self.total)
            return f"{load}/s for pods that carry {text.rate(self.capacity[name])}/s"
        return f"{part.bad} at {share} of the traffic" if name in self.shed else "gives back what it took over"

    def _limits(self, name: str, step: int, boundless: bool) -> tuple[int, int]:
        part = self.parts[name]
        low, high = max(part.least, part.weight - step), min(part.most, part.weight + step)
        if name in self.dead | self.alarming:
            low = part.least
        elif self.dead or self.alarming:
            high = part.most
        if name in self.shed:
            return low, max(low, min(part.weight, math.ceil(self._kept(name))))
        if part.ready == 0 or not part.weight:
            high = part.weight
        elif not boundless or not part.bad:
            high = min(high, max(part.weight, int(min(self._most(name), self.total))))
        return (low if part.bad or part.ready == 0 else part.weight), high

    def _wanted(self, part: Part) -> float:
        """Where its weight should be in the end, were there nobody else."""
        if part.ready == 0:
            return float(min(part.least, part.weight))
        return part.trim.factor * part.trim.found * self.total if part.bad else float(part.weight)

    def _is_trusted(self, part: Part) -> bool:
        return part.trim.factor == 1.0 and not (part.bad and part.bad.low > 1.0)

    def _is_distrusted(self, part: Part) -> bool:
        return bool(part.bad and part.bad.low > 1.0 and self._wanted(part) < part.weight)

    def _is_hot(self, part: Part, name: str) -> bool:
        return bool(part.bad and part.bad.low > GOOD and self.used(name) > FULL and self._fair(name))

    def _fair(self, name: str) -> float:
        """The weight that would use it as much as the others that are known; 0 unless it has clearly more."""
        known = [other for other in self.capacity if self.parts[other].bad]
        weights = sum(self.parts[other].weight for other in known)
        fair = weights * self.capacity[name] / sum(self.capacity[other] for other in known)
        return fair if fair < (1.0 - DEAD_BAND) * self.parts[name].weight else 0.0

    def _kept(self, name: str) -> float:
        """The weight that one which sheds may keep."""
        part = self.parts[name]
        kept = self._fair(name) if name in self.hot else float(part.weight)
        return min(kept, self.wanted[name]) if name in self.dead or self._is_distrusted(part) else kept

    def _most(self, name: str) -> float:
        """The weight that one which does not shed may get."""
        part = self.parts[name]
        if not part.bad:  # nothing is known for it: but somebody has to take what the dead leave
            takes = self.dead and (name in self.capacity or not self.capacity)
            return self._full(name, FULL) if takes else float(part.weight)
        if part.bad.low > 1.0:
            return float(part.weight)
        if name in self.capacity and part.trim.factor == 1.0 and (self.shed or part.weight >= self.wanted[name]):
            return max(self._full(name, FULL), self._tried(part, name))
        calm = self._full(name, CALM) if name in self.capacity else 0.0
        return min(self.wanted[name], max(calm, self._tried(part, name)))

    def _full(self, name: str, share: float) -> float:
        """The weight that uses that part of its capacity."""
        if name not in self.capacity or self.load <= 0:
            return float(self.total)
        return share * self.capacity[name] / self.load * self.total

    def _tried(self, part: Part, name: str) -> float:
        """The weight that is tried whatever was learnt before."""
        if not part.bad or part.bad.ratio > GOOD:
            return 0.0
        is_new = name not in self.capacity or self.used(name) > TRIED or part.weight < SMALL * self.total
        return (DOUBLED if is_new else TRIED) * part.weight + 1.0


def capacities(parts: Mapping[str, Part]) -> Mapping[str, float]:
    """Requests a second that each backend's ready pods carry; of those only that anything is known of.

    Each drawn to the mean of all, as far as its own evidence is weak (the usual shrinkage of normal means).
    """
    known = {name: part.carried for name, part in parts.items() if part.carried and part.ready}
    sigmas = {name: max(0.03, math.log(each.median / each.low) / LOW_SIGMAS) for name, each in known.items()}
    logs = {name: math.log(each.median) for name, each in known.items()}
    mean = _mean(logs, {name: 1.0 / (sigma**2 + SPREAD**2) for name, sigma in sigmas.items()})
    return {
        name: parts[name].ready * math.exp(mean + SPREAD**2 / (SPREAD**2 + sigmas[name] ** 2) * (own - mean))
        for name, own in logs.items()
    }


def _mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[name] * value for name, value in values.items()) / sum(weights.values()) if values else 0.0


def judged_after(bads: Iterable[Bad | None]) -> float:
    """Windows from a move to the next judgement of backends."""
    return 1.0 if any(bad and bad.low > ALARM for bad in bads) else SETTLE_WINDOWS


def is_due(since: float | None, now: float, scale: TimeScale, windows: float = SETTLE_WINDOWS) -> bool:
    """Whether the next move or judgement may come, after one at `since`."""
    return since is None or now - since >= windows * scale.window_seconds


def _projected(wanted: Mapping[str, float], limits: Mapping[str, tuple[int, int]], total: int) -> Mapping[str, int]:
    """Whole weights of that sum, within their limits and in the proportions that are wanted as far as these admit."""

    def clipped(factor: float) -> Mapping[str, float]:
        return {name: min(max(factor * wanted[name], low), high) for name, (low, high) in limits.items()}

    low, high = 0.0, 1.0
    while sum(clipped(high).values()) < total and high < MOST_FACTOR:
        high *= 2.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if sum(clipped(middle).values()) < total else (low, middle)
    exact = clipped(high)
    weights = {name: math.floor(weight + 1e-9) for name, weight in exact.items()}
    by_rest = sorted(weights, key=lambda name: (weights[name] - exact[name], name))
    while (left := total - sum(weights.values())) > 0:
        open_ones = [name for name in by_rest if weights[name] < limits[name][1]]
        for name in open_ones[:left]:
            weights[name] += 1
    return weights


def _short(
    parts: Mapping[str, Part], load: float, limited: Mapping[str, int], unlimited: Mapping[str, int]
) -> Mapping[str, float]:
    """The load that receivers would get, could they take it."""
    total = sum(limited.values())
    return {
        name: load * unlimited[name] / total
        for name, part in parts.items()
        if part.trim.factor == 1.0
        and unlimited[name] > part.weight
        and unlimited[name] - limited[name] >= max(1.0, LEAST_MOVE * total)
    }


def _is_worth_it(weight: int, wanted: int, total: int) -> bool:
    return abs(wanted - weight) >= max(1.0, LEAST_MOVE * total, DEAD_BAND * weight)


def _within_bounds(parts: Mapping[str, Part]) -> Shift:
    """Back to where the bounds want them, whatever else there is."""
    current = {name: part.weight for name, part in parts.items()}
    total = sum(current.values())
    limits = {name: (part.least, part.most) for name, part in parts.items()}
    weights = _projected({name: max(1.0, float(weight)) for name, weight in current.items()}, limits, total)
    reasons = {
        name: f"its share may be {_share(part.least, total)} to {_share(part.most, total)}"
        + _move(part.weight, weights[name], total)
        for name, part in parts.items()
        if weights[name] != part.weight
    }
    return Shift(weights, _together(reasons, weights, current), reasons)


def _move(weight: int, wanted: int, total: int) -> str:
    return f": {_share(weight, total)} -> {_share(wanted, total)}"


def _share(weight: int, total: int) -> str:
    return text.percent(weight / total)


def _together(reasons: Mapping[str, str], weights: Mapping[str, int], current: Mapping[str, int]) -> str:
    """Those that lose most first."""
    order = sorted(reasons, key=lambda name: weights[name] - current[name])
    return "; ".join(f"{name}: {reasons[name]}" for name in order)
