"""How much load one ready pod carries while the promise holds: learnt online, from counts.

The share of slow requests near the allowed share grows exponentially with the load per pod,

    slow(x) = allowed * exp(steepness * (x / capacity - 1)),

so that `capacity` is the load at which the promise is just kept. Both numbers are estimated by Poisson likelihood on
binned (load, requests, slow) counts, on a grid: two parameters are few enough to look at all of them, and the
result is a distribution, not a point. Scaling in trusts its 20th percentile, scaling out its median.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate
from math import exp

from perfslo.api.v1alpha1 import Latency
from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import Bin, Capacity, Curve

STEEPNESS = ((2.5, 0.2), (5.0, 0.3), (8.0, 0.3), (14.0, 0.2))
"""Prior of the exponent: from 3 for one worker and a tight target to a cliff for many workers."""
TYPICAL_STEEPNESS = 7.0
FLOOR_SHARE = 0.1
"""Of the allowance: slow requests rarer than this have other causes than load, and say nothing about it."""
MOST_FLOOR = 0.8
GRID_STEP = 0.05
GRID_SPAN = math.log(5.0)
"""The capacity is sought within a factor of 5 of the highest load seen."""
FRESH_GUESS = 1.3
FRESH_SPREAD = 0.5
"""Before evidence against it, a pod is thought to carry somewhat more than it was seen to carry (log-normal)."""
HINT_SPREAD = 0.2
SATURATED_SHARE = 0.65
"""Of the saturated throughput: where pods that queue apart keep a tail objective (M/M/2: 0.5 to 0.85 by target)."""
CLIFF_SHARE = 0.85
"""Of the saturated throughput: above it a well-balanced service falls off a cliff without any early warning."""
GOOD_SHARE = 0.6
"""Of the allowance: below it a load is proven to be carried."""
SPARED_SHARE = 0.2
"""Of the allowance: below it one pod less may be tried."""
BAD_SHARE = 2.0
"""Of the allowance: above it a load is known to be too much."""
GOOD_REQUESTS = 400.0
"""The 90 % interval of a 5 % share is then +/- 1.8 points."""
MARGIN = 1.1
"""At 10 % less load than capacity about half of the allowance is used: it holds in each window, not on average."""
SLACK = 1.05
"""Between the need that adds a pod and the one that removes it, so that rounding does not chatter."""
BIN_RATIO = 1.06
SATURATES = 0.95
"""Of the saturated throughput: more is not completed for long."""
EXPLORED = 1.15
"""Of the highest load that was carried well: nobody knows what comes beyond."""
UNKNOWN_SHARE = 0.2
"""Share of slow requests counted where nobody has seen the service: it may go on as before, or fall off a cliff."""
OVERLOADED = 2.0
"""Share of slow requests counted for overload: what it leaves in the queues makes later requests slow, too."""
RELEVANT_SHARE = 0.5
"""Windows at less than this part of the highest load say nothing about the knee."""
MAX_EVENTS = 60.0
"""Evidence of one bin: slow requests come in clumps, thousands of them are not thousands of facts."""
OVERDISPERSION = 0.5
HALF_LIFE_WINDOWS = 30.0
"""Half an hour at 15 s scrapes: long enough for a dozen load levels, short enough to forget yesterday's service."""
ALARM_WINDOWS = 1.25
"""Surprise, in whole windows, after which the service counts as changed: one odd window is not enough."""
KEPT_AFTER_CHANGE = 0.1
WELL_AGAIN_REQUESTS = 2.0 * GOOD_REQUESTS
"""Evidence of what was carried well before a service became slow, once it is better: for half an hour at 15 s scrapes,
within which the load shows how it is."""
NEW_VERSION_FACTOR = 0.9
"""Releases drift, and rarely for the better; the new version starts a little below the old one."""
MAX_BINS = 16
MAX_VERSIONS = 3

_STEPS = int(GRID_SPAN / GRID_STEP)
_GRID = tuple(math.exp(GRID_STEP * step) for step in range(-_STEPS, _STEPS + 1))
"""The capacities that are looked at, in parts of the one thought likeliest before evidence."""
_INVERSES = tuple(1.0 / factor for factor in _GRID)


@dataclass(frozen=True, slots=True)
class Window:
    """One window in which nothing but load moved latency."""

    load: float
    """Requests a second per ready pod."""
    requests: float
    slow: float
    new: float
    """Part of the window that no earlier one covered, 0..1."""


def promise_key(latency: Latency) -> str:
    """Names what a curve is about: an edited objective starts a new curve."""
    return _promise_key(latency.threshold_seconds, latency.allowed_bad_ratio)


@lru_cache(1024)
def _promise_key(threshold_seconds: float, allowed: float) -> str:
    return f"{threshold_seconds:g}s/{allowed:.4g}"


def curve_of(capacities: tuple[Capacity, ...], version: str, latency: Latency) -> Curve:
    """What is known of how `version` keeps the promise."""
    return select(capacities, version).curves.get(promise_key(latency), Curve())


def slow_share(load: float, capacity: float, allowed: float) -> float:
    """Predicted share of slow requests, at most 1."""
    return min(1.0, allowed * math.exp(min(50.0, TYPICAL_STEEPNESS * (load / capacity - 1.0))))


def carried(load: float, share: float, allowed: float) -> float:
    """The capacity that a single window implies: `slow_share` solved for it."""
    excess = math.log(max(share, FLOOR_SHARE * allowed) / allowed) / TYPICAL_STEEPNESS
    return load / (1.0 + excess)


def likely(curve: Curve, allowed: float) -> float | None:
    """Load per pod beyond which pods are added; None before evidence."""
    if curve.median is None:
        return None
    return max(curve.median / MARGIN, SLACK * (proven(curve, allowed) or 0.0))


def least(known: Capacity) -> float | None:
    """Load per pod that probably keeps every promise; None before evidence."""
    return min((curve.median for curve in known.curves.values() if curve.median), default=None)


def spared(curve: Curve, allowed: float, load: float) -> bool:
    """Whether windows of about this load used next to nothing of the allowance."""
    near = [b for b in curve.bins if load / BIN_RATIO <= b.load <= load * BIN_RATIO]
    requests, slow = sum(b.requests for b in near), sum(b.slow for b in near)
    return requests >= GOOD_REQUESTS and slow <= SPARED_SHARE * allowed * requests


def proven(curve: Curve, allowed: float) -> float | None:
    """The highest load that was carried well, for long enough; None when there is none."""
    good = (b.load for b in curve.bins if b.requests >= GOOD_REQUESTS and b.slow <= GOOD_SHARE * allowed * b.requests)
    return max(good, default=None)


def select(capacities: tuple[Capacity, ...], version: str) -> Capacity:
    """What is known of `version`, or what the one before lets expect."""
    for known in capacities:
        if known.version == version:
            return known
    if not capacities:
        return Capacity(version)
    before = capacities[0]
    curves = {
        key: Curve(hint=hint, low=hint * NEW_VERSION_FACTOR, median=hint)
        for key, curve in before.curves.items()
        if curve.median and (hint := curve.median * NEW_VERSION_FACTOR)
    }
    return Capacity(version, curves=curves)


def store(capacities: tuple[Capacity, ...], newest: Capacity) -> tuple[Capacity, ...]:
    """With `newest` first, and few."""
    return (newest, *(c for c in capacities if c.version != newest.version))[:MAX_VERSIONS]


def explored(curve: Curve, allowed: float) -> float:
    """The highest load per pod that the curve tells of: seen to keep the promise, or little more than carried well.

    Infinite before anything was carried well.
    """
    well = proven(curve, allowed)
    if well is None:
        return math.inf
    kept = (b.load for b in curve.bins if b.requests >= GOOD_REQUESTS and b.slow <= allowed * b.requests)
    return max(EXPLORED * well, *kept)


def predicted(curve: Curve, allowed: float, carried: float, limits: tuple[float, float], load: float) -> float:
    """Share of slow requests to expect at `load` per pod, if `carried` keeps the promise.

    `limits`: beyond the first nothing is known, beyond the second nothing is completed.
    """
    known, most = limits
    if load > most:
        return OVERLOADED
    steepness = curve.steepness or TYPICAL_STEEPNESS
    share = min(OVERLOADED, allowed * math.exp(min(50.0, steepness * (load / carried - 1.0))))
    return max(share, UNKNOWN_SHARE) if load > known else share


def learn(capacity: Capacity, key: str, allowed: float, window: Window) -> Capacity:
    """With a clean window more; with little of what was known before, when it shows that the service changed.

    Args:
        key: the promise, see `promise_key`.
        allowed: share of requests that may be slow.
    """
    curve = capacity.curves.get(key, Curve())
    best = max((load for load in (curve.best, proven(curve, allowed)) if load), default=None)
    curve = _surprised(replace(curve, best=best), allowed, window)
    if max(curve.worse, curve.better) > ALARM_WINDOWS:
        curve = _forgotten(curve, allowed, window)
        capacity = replace(capacity, ceiling=None, ceiling_settled=False)
    if capacity.ceiling is not None and window.slow <= GOOD_SHARE * allowed * window.requests:
        capacity = replace(capacity, ceiling=max(capacity.ceiling, window.load))
    remembered = _scaled(curve.bins, 0.5 ** (window.new / HALF_LIFE_WINDOWS))
    curve = fit(replace(curve, bins=_consistent(_add(remembered, window), allowed)), allowed, capacity)
    return replace(capacity, curves={**capacity.curves, key: curve})


def saturate(capacity: Capacity, completions_per_pod: float, settled: bool, allowed: dict[str, float]) -> Capacity:
    """Take the throughput of saturated pods as a hard fact.

    Args:
        completions_per_pod: a second, over a window at whose end they were saturated.
        settled: the whole window was; before, the throughput is a lower bound of what they complete.
        allowed: share of requests that may be slow, by promise.
    """
    ceiling = completions_per_pod
    if not settled and capacity.ceiling is not None:
        ceiling = max(ceiling, capacity.ceiling)
        settled = capacity.ceiling_settled and ceiling == capacity.ceiling
    capacity = replace(capacity, ceiling=ceiling, ceiling_settled=settled)
    curves = dict(capacity.curves)
    for key, share in allowed.items():
        curve = capacity.curves.get(key, Curve())
        if settled:
            # Evidence of more than saturated pods can carry is about another service than this one.
            kept = tuple(b for b in curve.bins if b.load <= CLIFF_SHARE * ceiling)
            curve = Curve(bins=kept, hint=curve.hint if len(kept) == len(curve.bins) else None, best=curve.best)
        curves[key] = fit(curve, share, capacity)
    return replace(capacity, curves=curves)


def fit(curve: Curve, allowed: float, capacity: Capacity) -> Curve:
    """With `low` and `median` from the evidence; unchanged when there is none at all."""
    highest = max((b.load for b in curve.bins), default=0.0)
    ceiling, settled = capacity.ceiling, capacity.ceiling if capacity.ceiling_settled else None
    if ceiling:
        centre, spread = SATURATED_SHARE * ceiling, HINT_SPREAD if settled else FRESH_SPREAD
    elif curve.hint:
        centre, spread = curve.hint, HINT_SPREAD
    elif highest:
        centre, spread = FRESH_GUESS * highest, FRESH_SPREAD
    else:
        return curve
    low, median, steepness = _quantiles(curve.bins, allowed, centre, spread, highest)
    if settled:
        low, median = min(low, CLIFF_SHARE * settled), min(median, CLIFF_SHARE * settled)
    return replace(curve, low=low, median=median, steepness=steepness)


def _quantiles(
    bins: tuple[Bin, ...], allowed: float, centre: float, spread: float, highest: float
) -> tuple[float, float, float]:
    """20th and 50th percentile of the capacity's posterior, and the steepness to expect."""
    evidence = [_weighed(b, allowed, centre) for b in bins if b.load > RELEVANT_SHARE * highest]
    floor, log_allowed = math.log(_floor(bins, allowed)), math.log(allowed)
    rows = [
        _scores(prior, steepness, evidence, log_allowed, floor)
        for (steepness, _), prior in zip(STEEPNESS, _priors(spread), strict=True)
    ]
    best = max(map(max, rows))
    weights = [[exp(score - best) for score in row] for row in rows]
    below: list[float] = list(accumulate(map(sum, zip(*weights, strict=True))))
    typical = sum(steepness * sum(row) for (steepness, _), row in zip(STEEPNESS, weights, strict=True)) / below[-1]
    return centre * _percentile(below, 0.2), centre * _percentile(below, 0.5), typical


@lru_cache
def _priors(spread: float) -> tuple[tuple[float, ...], ...]:
    """Logarithms, for each steepness and each capacity of the grid."""
    return tuple(
        tuple(-0.5 * (math.log(factor) / spread) ** 2 + math.log(weight) for factor in _GRID) for _, weight in STEEPNESS
    )


def _floor(bins: tuple[Bin, ...], allowed: float) -> float:
    """Share of slow requests that no load explains, in parts of the allowance: what the quietest windows had."""
    shares = [b.slow / b.requests for b in bins if b.requests >= GOOD_REQUESTS]
    return min(max(FLOOR_SHARE, min(shares, default=0.0) / allowed), MOST_FLOOR)


def _weighed(b: Bin, allowed: float, centre: float) -> tuple[float, float, float]:
    """Load in parts of the centre, slow requests and all requests, these two as far as they are evidence."""
    weight = OVERDISPERSION * min(1.0, MAX_EVENTS / max(b.slow, allowed * b.requests, 1e-9))
    return b.load / centre, weight * b.slow, weight * b.requests


def _scores(
    prior: tuple[float, ...],
    steepness: float,
    evidence: list[tuple[float, float, float]],
    log_allowed: float,
    floor: float,
) -> list[float]:
    """Logarithms of how likely each capacity of the grid is, with what bins hold.

    Where the predicted share is at a limit it is the same for many capacities: there it is `steps` from one to the next
    that are added up. Only those in between are computed one by one, for this is most of what a decision costs.
    """
    scores, steps = list(prior), [0.0] * (len(_GRID) + 1)
    flat, lowest = 1.0 + floor / steepness, log_allowed + floor
    for load, slow, requests in evidence:
        begin = bisect_left(_GRID, load / (1.0 - log_allowed / steepness))
        end = bisect_right(_GRID, load / flat) if flat > 0 else len(_GRID)
        steps[0] -= requests  # a capacity so low that all requests are slow
        steps[begin] += requests
        steps[end] += slow * lowest - requests * exp(lowest)
        slope, start = steepness * load, log_allowed - steepness
        scores[begin:end] = [
            score + slow * (share := start + slope * inverse) - requests * exp(share)
            for score, inverse in zip(scores[begin:end], _INVERSES[begin:end], strict=True)
        ]
    return list(map(operator.add, scores, accumulate(steps)))


def _percentile(below: list[float], share: float) -> float:
    """In parts of the centre; `below` is how likely it is to be at most each capacity of the grid."""
    return _GRID[bisect_left(below, share * below[-1])]


def _surprised(curve: Curve, allowed: float, window: Window) -> Curve:
    """Cumulative sums of how far windows are from the prediction, each limited so that no single one decides."""
    if curve.median is None or not curve.bins or window.requests <= 0:
        return curve
    share = slow_share(window.load, curve.median, allowed)
    # Slower than a third of the allowance is news; slower than nothing is noise.
    expected = window.requests * max(share, 0.5 * GOOD_SHARE * allowed)
    worse = (window.slow - 2.0 * expected) / max(3.0, expected)
    # Far below capacity the curve is only a guess: nothing there says that the service became faster.
    expected = window.requests * share if share > SPARED_SHARE * allowed else 0.0
    better = (0.5 * expected - window.slow) / max(3.0, expected) if expected else 0.0
    return replace(
        curve,
        worse=max(0.0, curve.worse + window.new * max(-1.0, min(1.0, worse))),
        better=max(0.0, curve.better + window.new * max(-1.0, better)),
    )


def _forgotten(curve: Curve, allowed: float, window: Window) -> Curve:
    """A little of the evidence of lower loads, as the service is another one now; higher loads tell nothing of it.

    One that became better and is well is thought to be what it was before it was slow, until load shows that it is not.
    """
    below = _scaled(tuple(b for b in curve.bins if b.load < window.load), KEPT_AFTER_CHANGE)
    well = curve.better > ALARM_WINDOWS and window.slow <= GOOD_SHARE * allowed * window.requests
    if well and curve.best is not None and curve.best > window.load:
        before = Bin(curve.best, WELL_AGAIN_REQUESTS, 0.5 * GOOD_SHARE * allowed * WELL_AGAIN_REQUESTS)
        return Curve(bins=(*below, before), best=curve.best)
    hint = carried(window.load, window.slow / window.requests, allowed)
    return Curve(bins=below, hint=hint, best=curve.best)


def _consistent(bins: tuple[Bin, ...], allowed: float) -> tuple[Bin, ...]:
    """Without good evidence of more load than is known to be too much: it is older than what contradicts it."""
    bad = (b.load for b in bins if b.requests >= GOOD_REQUESTS and b.slow > BAD_SHARE * allowed * b.requests)
    limit = min(bad, default=math.inf)
    return tuple(b for b in bins if b.load <= limit or b.slow > GOOD_SHARE * allowed * b.requests)


def _scaled(bins: tuple[Bin, ...], factor: float) -> tuple[Bin, ...]:
    return tuple(Bin(b.load, b.requests * factor, b.slow * factor) for b in bins)


def _add(bins: tuple[Bin, ...], window: Window) -> tuple[Bin, ...]:
    load, requests, slow = window.load, window.new * window.requests, window.new * window.slow
    if load <= 0 or requests <= 0:
        return bins
    same = next((b for b in bins if max(b.load, load) <= BIN_RATIO * min(b.load, load)), None)
    if same:
        total = same.requests + requests
        merged = Bin((same.load * same.requests + load * requests) / total, total, same.slow + slow)
    else:
        merged = Bin(load, requests, slow)
    rest = (b for b in bins if b is not same and b.requests >= 1.0)
    # The emptiest bin is the oldest evidence.
    kept = sorted((merged, *rest), key=lambda b: -b.requests)[:MAX_BINS]
    return tuple(sorted(kept, key=lambda b: b.load))
