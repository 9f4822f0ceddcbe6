"""What cumulative buckets say about response times, and how far they leave it open.

A bucket says how many requests took between its two edges, not where between them. So every answer here is a point
with the interval that holds the truth. The point takes durations as log-normal between the two edges: the normal
quantile of the share is linear in the logarithm of time. Response times fall off within a bucket; spread evenly over
it, as in Prometheus' classic `histogram_quantile`, 2 % over a threshold would read as 7 %. In the first bucket, which
begins at 0, the point is linear.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from statistics import NormalDist

from perfslo.core.frozen import dataclass
from perfslo.core.model import Histogram, Missing

Z_90_PERCENT = 1.645
"""Two-sided 90 %: the two ends of an interval are each missed once in 20 times."""
_NORMAL = NormalDist()
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantile in seconds. The truth of the sample lies in [low, high]; high is infinite in the last bucket."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Share:
    """A share of requests, 0..1, with what is open because of bucket edges."""

    value: float
    edge_low: float
    edge_high: float
    samples: float


def histogram(
    rows: Iterable[tuple[str, float]], scale_to_seconds: float = 1.0, age_seconds: float = 0.0
) -> Histogram | Missing:
    """A histogram from (`le`, cumulative count) pairs in any order, or why there is none.

    Pods of two versions may write an edge in two ways ("1" and "1.0": the counts add up) or have different edges
    (counts that fall from one edge to the next: lifted to the highest before, as Prometheus does).
    """
    counts: dict[float, float] = {}
    for le, count in rows:
        try:
            bound = float(le)
        except ValueError:
            bound = math.nan
        if math.isnan(bound):
            return Missing("BucketInvalid", "a bucket's le is not a number")
        if not math.isfinite(count) or count < 0:
            return Missing("NotANumber", "a bucket's count is NaN, infinite or negative")
        bound *= scale_to_seconds
        counts[bound] = counts.get(bound, 0.0) + count
    if not counts:
        return Missing("SeriesMissing", "no bucket series")
    if math.inf not in counts:
        return Missing("InfBucketMissing", 'the histogram has no le="+Inf" bucket, so its total is unknown')
    if len(counts) == 1:
        return Missing("BucketsMissing", 'the histogram has no bucket but le="+Inf"')
    bounds = tuple(sorted(counts))
    cumulative: list[float] = []
    for bound in bounds:
        cumulative.append(max(counts[bound], cumulative[-1] if cumulative else 0.0))
    return Histogram(bounds, tuple(cumulative), age_seconds)


def quantile(of: Histogram, ratio: float) -> Estimate | None:
    """The duration that `ratio` (0..1) of the requests did not exceed, or None without requests.

    In the last bucket the point is its lower edge, as Prometheus has it: the truth is higher.
    """
    if of.total <= 0:
        return None
    rank = ratio * of.total
    index = next(i for i, count in enumerate(of.counts) if count >= rank and count > 0)
    low, high = _edges(of, index)
    if math.isinf(high):
        return Estimate(low, low, high)
    below = of.counts[index - 1] if index else 0.0
    if low > 0:
        z_low, z_high = _normal_quantile(below, of.total), _normal_quantile(of.counts[index], of.total)
        within = (_normal_quantile(rank, of.total) - z_low) / (z_high - z_low) if z_high > z_low else 1.0
        value = high if within >= 1.0 else low * math.exp(math.log(high / low) * within)
    else:
        value = high * (rank - below) / (of.counts[index] - below)
    return Estimate(min(max(value, low), high), low, high)


def share_over(of: Histogram, threshold_seconds: float) -> Share | None:
    """The share of requests that took longer than the threshold, or None without requests.

    [edge_low, edge_high] holds the truth about the requests seen; `wilson` of these adds what their number leaves open
    about the rate behind them. Beyond the last finite edge nothing is known of the shape: the point is then the
    pessimistic end.
    """
    if of.total <= 0:
        return None
    index = _bucket_of(of.upper_bounds_seconds, threshold_seconds)
    low, high = _edges(of, index)
    under, above = of.counts[index - 1] if index else 0.0, of.counts[index]
    if _same(threshold_seconds, high):
        under = above
    if math.isinf(high) or above <= under:
        fast = under
    elif low > 0:
        within = math.log(threshold_seconds / low) / math.log(high / low)
        z = (1 - within) * _normal_quantile(under, of.total) + within * _normal_quantile(above, of.total)
        fast = of.total * _NORMAL.cdf(z)
    else:
        fast = under + (above - under) * threshold_seconds / high
    edge_low, edge_high = 1 - above / of.total, 1 - under / of.total
    return Share(
        value=min(max(1 - fast / of.total, edge_low), edge_high),
        edge_low=edge_low,
        edge_high=edge_high,
        samples=of.total,
    )


def wilson(share: float, samples: float, z: float = Z_90_PERCENT) -> tuple[float, float]:
    """Wilson's score interval (E. B. Wilson 1927), at `z` standard deviations, of a share (0..1) of `samples` (> 0)."""
    middle = (share * samples + z * z / 2) / (samples + z * z)
    half = z * math.sqrt(samples * share * (1 - share) + z * z / 4) / (samples + z * z)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def bracket(of: Histogram, threshold_seconds: float) -> tuple[float, float]:
    """The bucket edges around a threshold, both the threshold itself when it is an edge.

    A native histogram is exact between its buckets, too: those without requests are not listed.
    """
    index = _bucket_of(of.upper_bounds_seconds, threshold_seconds)
    low, high = _edges(of, index)
    if of.native and of.counts[index] == (of.counts[index - 1] if index else 0.0):
        return threshold_seconds, threshold_seconds
    return (high, high) if _same(threshold_seconds, high) else (low, high)


def bucket_to_add(of: Histogram, threshold_seconds: float) -> float | None:
    """The edge that would make the threshold exact, in seconds; None when it is one already.

    None too for native histograms: it is their resolution that is chosen, not their edges.
    """
    low, high = bracket(of, threshold_seconds)
    return None if low == high or of.native else threshold_seconds


def _normal_quantile(count: float, total: float) -> float:
    """Of the share that `count` is; half a request stands for none and for all, which have no quantile."""
    half = min(0.5, 0.25 * total)
    share = min(max(count, half), total - half) / total
    return _NORMAL.inv_cdf(min(max(share, _SAME), 1 - _SAME))  # of next to no requests even a half may round to none


def _edges(of: Histogram, index: int) -> tuple[float, float]:
    low = of.upper_bounds_seconds[index - 1] if index else 0.0
    return max(low, 0.0), of.upper_bounds_seconds[index]


def _bucket_of(bounds: tuple[float, ...], seconds: float) -> int:
    index = bisect_left(bounds, seconds)
    return index - 1 if index and _same(seconds, bounds[index - 1]) else index


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)
