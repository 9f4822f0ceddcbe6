"""The load to expect when pods ordered now are ready."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from perfslo.core.memory import Sample

LEVEL_SAMPLES = 4
"""One window: what differs from its mean by no more than chance is the mean."""
TREND_SAMPLES = 6
"""75 s at 15 s: shorter follows noise, longer follows the past."""
DAMPING = 0.8
"""Trends end; a little less than straight on was best over many shapes."""
MAX_GROWTH = 1.3
"""A step seen through a moving window looks like a ramp: what goes beyond this is measured a cycle later."""
SIGNIFICANT = 3.0
"""Standard deviations of counting noise that a rise must exceed; a lower bar adds pods by chance once an hour."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Requests a second."""

    level: float
    """Now."""
    peak: float
    """The most until the horizon; never below `level`."""


def forecast(arrivals: Sequence[Sample], counted_seconds: float, horizon_seconds: float) -> Forecast:
    """Level and damped trend. A falling trend is not extrapolated.

    Args:
        arrivals: requests a second, oldest first, not empty.
        counted_seconds: window that each of them was counted over.
        horizon_seconds: how far to look ahead.
    """
    now, usual = arrivals[-1].value, sum(s.value for s in arrivals[-LEVEL_SAMPLES:]) / len(arrivals[-LEVEL_SAMPLES:])
    noise = math.sqrt(max(now, usual) / counted_seconds)
    level = usual if abs(now - usual) <= SIGNIFICANT * noise else now
    rise = _slope(arrivals[-TREND_SAMPLES:], math.sqrt(2.0) * noise) * DAMPING * horizon_seconds
    return Forecast(level, max(level, min(level + rise, MAX_GROWTH * level)))


def _slope(samples: Sequence[Sample], noise: float) -> float:
    """Least-squares slope per second; 0 when the rise is not told from `noise`.

    The windows of neighbours overlap, so their residuals are no measure of noise: the counts are.
    """
    if len(samples) < 3:
        return 0.0
    mean_t = sum(s.time for s in samples) / len(samples)
    mean_v = sum(s.value for s in samples) / len(samples)
    spread = sum((s.time - mean_t) ** 2 for s in samples)
    if spread <= 0:
        return 0.0
    slope = sum((s.time - mean_t) * (s.value - mean_v) for s in samples) / spread
    return slope if slope * (samples[-1].time - samples[0].time) > SIGNIFICANT * noise else 0.0
