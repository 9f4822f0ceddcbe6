"""What a query gives, as Prometheus computes it: the other policies see latency through nothing else."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

from perfslo.core.model import Histogram


def histogram_quantile(ratio: float, of: Histogram) -> float:
    """Seconds that `ratio` (0..1) of the requests did not exceed; NaN without requests.

    The bucketQuantile of prometheus/promql/quantile.go: requests are spread evenly over their bucket, the first of
    which begins at 0; in the last one the answer is the highest finite edge. Counts that fall from one edge to the
    next, as extrapolation leaves them, are lifted to the highest before.
    """
    edges, counts = of.upper_bounds_seconds, tuple(accumulate(of.counts, max))
    if counts[-1] == 0:
        return math.nan
    rank = ratio * counts[-1]
    index = bisect_left(counts, rank, hi=len(counts) - 1)
    if index == len(counts) - 1:
        return edges[-2]
    if index == 0 and edges[0] <= 0:
        return edges[0]
    start, below = (edges[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    inside = counts[index] - below
    return start + (edges[index] - start) * (rank - below) / inside if inside else math.nan
