"""How often a workload is scraped, found from how many samples there are.

With samples every I seconds, a window of D seconds that was covered whole holds n of them with
(n - 1) I <= D < (n + 1) I. A window that a young series covers in part still gives the upper bound. A window was
covered whole when there are more samples before it.

Samples that stop coming must grow stale, not look like a longer interval: while one is overdue, windows are taken to
end with the newest sample instead of now. The same holds as long as nothing was found before.
"""

from __future__ import annotations

import math

from perfslo.core.frozen import dataclass

DEFAULT_SECONDS = 15.0
"""Until the data say otherwise: the most common interval."""
WINDOWS_SECONDS = (20.0, 60.0, 300.0)
"""A young workload, a minute that shows a changed interval soon, and the server's lookback for certainty."""
COMMON_SECONDS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0)
"""What people write. Found intervals are taken for these where they may be: workloads with equal ones share queries."""
OVERDUE = 1.05
"""Intervals after which the next sample is late."""
PATIENCE = 1.25
"""Lengths of a window after which a gap must have left it."""
_NOISE = 1.02
"""Scrapes are jittered by some milliseconds, and late by more under load."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Samples of a workload's most often sampled series."""

    age_seconds: float
    """Of the newest one, by the server's clock; slightly negative when the sample's clock runs ahead."""
    counts: tuple[float, ...] = (0.0, 0.0, 0.0)
    """How many are in each of WINDOWS_SECONDS."""
    existed_before: bool = False
    """Whether the series existed at the beginning of the longest window."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The scrape interval as it is remembered from cycle to cycle."""

    seconds: float
    longer_since: float | None = None
    """When the samples began to look further apart than that."""


def follow(known: Rhythm | None, sampling: Sampling, now: float) -> Rhythm:
    """What is remembered next; `now` is any clock in seconds.

    A shorter interval is believed at once, a longer one when a gap can no longer explain it (the server was away: its
    windows then hold few samples too). Meanwhile the series are stale if it is real, which is safe.
    """
    if known is None:
        return Rhythm(interval(sampling))
    found = interval(sampling, known.seconds)
    since = known.longer_since if known.longer_since is not None else now
    _, minute, longest = WINDOWS_SECONDS
    window = minute if _bounds(minute, sampling.counts[1])[0] > known.seconds else longest
    if found <= known.seconds or now - since >= PATIENCE * window:
        return Rhythm(found)
    return Rhythm(known.seconds, since)


def interval(sampling: Sampling, previous: float | None = None) -> float:
    """The scrape interval in seconds; `previous`, what was found before, stands while the samples allow it."""
    age = sampling.age_seconds
    overdue = previous is None or age > OVERDUE * previous
    low, high, likely, covered = 0.0, math.inf, DEFAULT_SECONDS, 0.0
    more_before = (*sampling.counts[1:], math.inf if sampling.existed_before else 0.0)
    for seconds, count, more in zip(WINDOWS_SECONDS, sampling.counts, more_before, strict=True):
        length = seconds - (max(age, 0.0) if overdue else 0.0)
        if length <= 0:
            continue
        window_low, window_high = _bounds(length, count)
        if window_high < low:
            break  # the shorter windows say otherwise: the interval has changed since
        high = min(high, window_high)
        if count < more and window_low <= high:
            low, likely, covered = max(low, window_low), length / max(count - overdue / 2, 0.5), seconds
    if covered and previous is not None and low <= previous <= high:
        return previous
    if covered <= WINDOWS_SECONDS[0] and low <= DEFAULT_SECONDS <= high:
        return DEFAULT_SECONDS
    if fitting := [common for common in COMMON_SECONDS if low <= common <= high]:
        return min(fitting, key=lambda common: abs(math.log(common / likely)))
    return float(math.ceil(min(max(likely, low), high)))


def _bounds(seconds: float, count: float) -> tuple[float, float]:
    high = seconds / (count - 1) * _NOISE if count > 1 else math.inf
    return seconds / (count + 1) / _NOISE, high
