"""How often a workload is scraped, found from how many samples there are.

With samples every I seconds, a window of D seconds that was covered whole holds n of them with
(n - 1) I <= D < (n + 1) I. A window that a young series covers in part still gives the upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_SECONDS = 15.0
"""Until the data say otherwise: the most common interval."""
SHORT_SECONDS = 60.0
LONG_SECONDS = 300.0
COMMON_SECONDS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0)
"""What people write. Found intervals are taken for these where they may be: workloads with equal ones share queries."""
_NOISE = 1.02
"""Scrapes are jittered by some milliseconds, and late by more under load."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Samples of a workload's most often sampled series."""

    age_seconds: float
    """Of the newest one, by the server's clock; slightly negative when the sample's clock runs ahead."""
    in_short: float = 0
    """How many are in the last SHORT_SECONDS."""
    in_long: float = 0
    """How many are in the last LONG_SECONDS."""
    existed_long: bool = False
    """Whether there were samples at the beginning of the last LONG_SECONDS."""


def interval(sampling: Sampling, previous: float | None = None) -> float:
    """The scrape interval in seconds; `previous`, what was found before, stands while the samples allow it."""
    low, high, likely = _bounds(sampling)
    if previous is not None and low <= previous <= high:
        return previous
    fitting = [common for common in COMMON_SECONDS if low <= common <= high]
    if fitting:
        return min(fitting, key=lambda common: abs(math.log(common / likely)))
    return float(math.ceil(min(max(likely, low), high)))


def _bounds(sampling: Sampling) -> tuple[float, float, float]:
    """Least, greatest and likely interval."""
    short_low, short_high = _window(SHORT_SECONDS, sampling.in_short)
    long_low, long_high = _window(LONG_SECONDS, sampling.in_long)
    if sampling.existed_long and max(short_low, long_low) <= min(short_high, long_high):
        return max(short_low, long_low), min(short_high, long_high), LONG_SECONDS / sampling.in_long
    if sampling.in_long > sampling.in_short:
        # The last minute was covered whole. If the five minutes contradict it, the interval has changed.
        return short_low, short_high, SHORT_SECONDS / max(sampling.in_short, 1)
    high = min(short_high, long_high)
    return 0.0, high, min(DEFAULT_SECONDS, high)


def _window(seconds: float, samples: float) -> tuple[float, float]:
    low = seconds / (samples + 1) / _NOISE
    return low, seconds / (samples - 1) * _NOISE if samples > 1 else math.inf
