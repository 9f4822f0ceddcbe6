"""How far a backend is trusted with traffic, by what came of the requests that it got.

Bad is slow or failed, so that failing fast attracts nobody. What is counted is the newest few hundred requests, however
long they took: a backend that was drained to a few requests a minute is judged, too, only later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from perfslo.core import quantile, text
from perfslo.core.apportion import shares_of
from perfslo.core.frozen import dataclass, replace
from perfslo.core.model import ObjectiveReading
from perfslo.core.objectives import CLUMPING
from perfslo.core.timescale import TimeScale
from perfslo.core.weights import Move, Traffic, Trim

REMEMBERED = 1.0
"""Times the requests that are enough to judge by."""
GOOD = 0.7
"""Of the allowance: a backend that uses less gets back what was taken from it, in steps, so that chance does little."""
GAIN = (0.05, 0.5)
"""Of the logarithm by which it is worse than allowed: halved when its sign flips, for then it was too much."""
STEADIER = 1.2
"""Times the gain, when the sign stays."""
FEW = 20.0
"""Requests from which a drained backend may be given back a little: with its share, what that may spoil is small."""
LEFT = 1.0 - math.exp(-1.0)
"""Of as many requests as are enough, when no more than so many are remembered."""
REGAIN = 2.8
"""Times the gain: the logarithm by which trust comes back, twice as much each time after a flip."""
LEAST = 0.03
"""Below it the least share holds anyhow."""
STRICTEST = 0.001
"""Smallest share of bad requests that is told from none."""
TELLING_REQUESTS = 1000.0
"""The shares of fewer are left to chance."""
MOST_REQUESTS = 20_000.0
TELLING_SIGMAS = 4.0
"""Of a binomial share: each cycle looks at each backend, and chance must not be called disobedience."""
ROUNDED = 0.02
"""Shares that proxies round, and counters that begin with a pod's second scrape, are off by less."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Share of a backend's requests that were slow or failed, in times of what is allowed, with its 90 % interval."""

    ratio: float
    low: float
    high: float
    allowed: float

    def __str__(self) -> str:
        return f"{text.percent(self.ratio * self.allowed)} slow or failed of {text.percent(self.allowed)} allowed"


def saw(
    traffic: Traffic,
    weights: Mapping[str, int],
    now: float,
    scale: TimeScale,
    original: Mapping[str, int] | None = None,
) -> Traffic:
    """What the route shows now. Weights that somebody else wrote are where everything begins anew.

    Args:
        original: what was found before these were written here; None when somebody else wrote them.
    """
    if weights == traffic.weights:
        return traffic
    ours_ago = now - traffic.moved_at if traffic.moved_at is not None else None
    if weights == traffic.before and ours_ago is not None and ours_ago < scale.window_seconds:
        return traffic  # what we wrote has not been seen yet
    if original is not None:
        return _forgotten(traffic, weights, original, now)
    total = max(1, sum(weights.values()))
    return Traffic(
        weights=weights,
        moved_at=now if traffic.weights else None,
        trims={name: Trim(found=weight / total) for name, weight in weights.items()},
        move=traffic.move,
    )


def _forgotten(traffic: Traffic, weights: Mapping[str, int], original: Mapping[str, int], now: float) -> Traffic:
    """We wrote these and ended before that was kept: what each has less than was found is what was taken from it."""
    shares = shares_of(weights)
    trims = {name: traffic.trims.get(name, Trim()) for name in weights}
    return Traffic(
        weights=weights,
        moved_at=now,
        trims={
            name: replace(
                trims[name],
                found=found,
                factor=min(trims[name].factor, max(LEAST, shares.get(name, 0.0) / found)) if found else 1.0,
                requests=0.0,
                bad=0.0,
            )
            for name, found in shares_of({name: original.get(name, 0) for name in weights}).items()
        },
        reasons=traffic.reasons,
        move=traffic.move,
    )


def wrote(traffic: Traffic, weights: Mapping[str, int], reasons: Mapping[str, str], move: Move) -> Traffic:
    """We wrote these: what was counted before is about other weights."""
    trims = {name: replace(trim, requests=0.0, bad=0.0) for name, trim in traffic.trims.items()}
    return replace(
        traffic,
        weights=weights,
        before=traffic.weights,
        moved_at=move.time,
        trims=trims,
        reasons=reasons,
        served={},
        move=move,
    )


def not_followed(served: Mapping[str, float], weights: Mapping[str, int], behind: Set[str] = frozenset()) -> str:
    """Which backend gets another share of the requests than its weight says; empty when none does, or too few tell.

    Those `behind` may answer fewer than they get, so that others seem to get more: the rest is compared with each
    other, and one of the former with the rest, which only tells whether it gets too much.
    """
    steady = {name: weight for name, weight in weights.items() if name not in behind}
    for name, weight in weights.items():
        among = {**steady, name: weight}
        requests, total = sum(served.get(each, 0.0) for each in among), sum(among.values())
        if requests < TELLING_REQUESTS or not total:
            continue
        share, seen = weight / total, served.get(name, 0.0) / requests
        chance = TELLING_SIGMAS * math.sqrt(max(share * (1.0 - share), 1.0 / requests) / requests)
        excess = seen - share if name in behind else abs(seen - share)
        if excess > chance + ROUNDED:
            others = ", ".join(sorted(weights.keys() - among))
            besides = f" that are not for {others}" if others else ""
            return (
                f"{name} is to get {text.percent(share)} of the requests{besides}, and got {text.percent(seen)} of the "
                f"last {text.count(requests)}"
            )
    return ""


def served_since(served: Mapping[str, float], requests: Mapping[str, float], new: float) -> Mapping[str, float]:
    """With the requests of a window, of which a part is new, 0..1; what is long ago counts for less."""
    told = {name: served.get(name, 0.0) + new * counted for name, counted in requests.items()}
    many = sum(told.values()) > MOST_REQUESTS
    return {name: counted / 2.0 for name, counted in told.items()} if many else told


def noted(trim: Trim, readings: Sequence[ObjectiveReading], enough: float, new: float) -> Trim:
    """With the requests of a window, of which a part is new, 0..1. The worst objective counts."""
    judged = [reading for reading in readings if reading.samples > 0 and _limit(reading) is not None]
    if not judged:
        return trim
    worst = max(judged, key=_times)
    counted = new * worst.samples
    kept = REMEMBERED * enough / (REMEMBERED * enough + counted)
    return replace(
        trim,
        requests=kept * trim.requests + counted,
        bad=kept * trim.bad + counted * _times(worst),
        allowed=_limit(worst) or trim.allowed,
    )


def bad(trim: Trim, enough: float) -> Bad | None:
    """What the counts say; None when they are too few. Nothing is surely bad of fewer than `enough`."""
    if trim.requests < max(1.0, min(FEW, LEFT * enough)):
        return None
    ratio, allowed = trim.bad / trim.requests, max(trim.allowed, STRICTEST)
    low, high = quantile.wilson(min(1.0, ratio * allowed), max(1.0, trim.requests / CLUMPING))
    return Bad(ratio, low / allowed if trim.requests >= enough else 0.0, high / allowed, allowed)


def judged(trims: Mapping[str, Trim], bads: Mapping[str, Bad | None]) -> Mapping[str, Trim]:
    """The trims after one more judgement. When most backends look bad, it is no backend's fault: all are trusted."""
    known = [each for each in bads.values() if each]
    if len(known) > 1 and 2 * sum(each.low > 1.0 for each in known) > len(known):
        return {name: replace(trim, factor=1.0) for name, trim in trims.items()}
    return {name: _judged(trim, each) if (each := bads.get(name)) else trim for name, trim in trims.items()}


def _judged(trim: Trim, seen: Bad) -> Trim:
    if seen.low > 1.0:
        direction, score = -1, math.log(seen.ratio)
    elif seen.ratio < GOOD and trim.factor < 1.0:
        direction, score = 1, -REGAIN
    else:
        return trim
    least, most = GAIN
    gain = trim.gain / 2.0 if direction == -trim.direction else trim.gain * STEADIER
    gain = min(max(gain, least), most)
    factor = min(max(trim.factor * math.exp(-gain * score), LEAST), 1.0)
    return replace(trim, factor=factor, gain=gain, direction=direction)


def _limit(reading: ObjectiveReading) -> float | None:
    """Share of bad requests that is allowed; None for objectives of something else."""
    if reading.bad_ratio is not None:
        return reading.allowed_bad_ratio
    return reading.threshold if reading.bad_ratio_low is not None else None


def _times(reading: ObjectiveReading) -> float:
    share = reading.bad_ratio if reading.bad_ratio is not None else reading.current
    return (share or 0.0) / max(_limit(reading) or 0.0, STRICTEST)
