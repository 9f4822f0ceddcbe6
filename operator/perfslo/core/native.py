"""What native histograms say: exponential buckets, and custom ones (NHCB), as Prometheus' API writes both.

A native histogram lists the buckets that are not empty, each with both of its edges. So the count at every listed
edge is exact, as is the one anywhere outside the buckets; within a bucket, quantile.py interpolates.

- The zero bucket (and a custom one without a lower edge) begins at 0: response times are not negative.
- A negative duration is a clock that was set back. It counts among the fastest, as it does in classic buckets.
- A duration that is not a number is in no bucket, only in the total: it counts as slower than every edge.
- Buckets of positive durations hold their upper edge, as `le` does, so the boundary rule need not be looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfslo.core.model import Histogram, Missing
from perfslo.core.quantile import share_over

Bucket = tuple[float, float, float]
"""Lower edge, upper edge, and the requests between them (not cumulative)."""
_SAME = 1 + 1e-9
"""Increases are extrapolated, so edges and counts that are meant to be equal differ in their last digits."""


def histogram(
    count: float, buckets: Sequence[Bucket], scale_to_seconds: float = 1.0, age_seconds: float = 0.0
) -> Histogram | Missing:
    """A histogram from one native one, or why there is none; `count` is its own total."""
    if not math.isfinite(count) or count < 0 or not all(math.isfinite(n) and n >= 0 for _, _, n in buckets):
        return Missing("NotANumber", "a native histogram's count is NaN, infinite or negative")
    if not all(low <= high for low, high, _ in buckets):
        return Missing("BucketInvalid", "an edge of a native histogram's bucket is not a number")
    bounds: list[float] = []
    cumulative: list[float] = []
    below = 0.0
    for low, high, requests in sorted(buckets):
        if low > 0 and (not bounds or low * scale_to_seconds > bounds[-1] * _SAME):
            bounds.append(low * scale_to_seconds)
            cumulative.append(below)
        below += requests
        if high > 0:
            bounds.append(high * scale_to_seconds)
            cumulative.append(below)
    if not bounds or math.isfinite(bounds[-1]):
        bounds.append(math.inf)
        cumulative.append(below)
    if count > below * _SAME:  # else the difference is rounding
        cumulative[-1] = count
    if len(bounds) == 1 and cumulative[-1] > 0:
        return Missing("BucketsMissing", "the native histogram has no edge above 0 but +Inf")
    return Histogram(tuple(bounds), tuple(cumulative), age_seconds, native=True)


def merged(parts: Sequence[Histogram]) -> Histogram:
    """Several histograms (at least one) of the pods of one workload as one.

    While a rollout changes the kind of histogram, some pods have classic buckets and some native ones. The classic
    edges stand then, and the native counts at them are interpolated, which is off by a part of one native bucket at
    most. Without classic ones, all edges stand: those of exponential histograms nest.
    """
    if len(parts) == 1:
        return parts[0]
    classic = [part for part in parts if not part.native]
    bounds = sorted({bound for part in classic or parts for bound in part.upper_bounds_seconds})
    counts = tuple(math.fsum(_requests_within(part, bound) for part in parts) for bound in bounds)
    return Histogram(tuple(bounds), counts, parts[0].age_seconds, native=not classic)


def _requests_within(of: Histogram, seconds: float) -> float:
    share = share_over(of, seconds) if math.isfinite(seconds) else None
    return of.total * (1.0 - share.value) if share else of.total
