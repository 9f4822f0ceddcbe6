"""Whether all buckets of a histogram speak of the same requests.

Pods of two versions may have different buckets, and a relabelling may drop some. Requests then are in +Inf, and in no
bucket between: summed over pods, such a histogram looks slow. So one that breaks its promise is checked before it is
believed: a bucket with fewer samples in the window than +Inf was not there all the time, or not in every pod.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from perfslo.core import quantile
from perfslo.core.measure import Row
from perfslo.core.model import Histogram, Missing

_CHANGED = Missing("BucketsChanged", "no bucket but +Inf is in every pod and in the whole window")


def look_broken(rows: Sequence[Row], scale_to_seconds: float, threshold_seconds: float, allowed_ratio: float) -> bool:
    """Whether more requests than allowed seem slower than the threshold."""
    rows = [row for row in rows if row.buckets is None]  # a native histogram is there as a whole, or not at all
    counts = _by_bound(rows)
    edge = max((bound for bound in counts if bound * scale_to_seconds <= threshold_seconds), default=None)
    total = counts.get(math.inf, 0.0)
    if edge is not None and total - counts[edge] <= allowed_ratio * total:
        return False
    of = quantile.histogram(((row.labels.get("le", ""), row.value) for row in rows), scale_to_seconds)
    share = quantile.share_over(of, threshold_seconds) if isinstance(of, Histogram) else None
    return share is not None and share.value > allowed_ratio


def complete(rows: Sequence[Row], samples: Sequence[Row]) -> tuple[Row, ...] | Missing:
    """The rows of buckets that have as many `samples` in the window as +Inf, or why there are none besides it."""
    counts = _by_bound(samples)
    whole = {bound for bound, count in counts.items() if count >= counts.get(math.inf, 0.0)}
    if len(whole) < 2:
        return _CHANGED
    return tuple(row for row in rows if row.buckets is not None or _bound(row) in whole)


def _by_bound(rows: Iterable[Row]) -> Mapping[float, float]:
    counts: dict[float, float] = {}
    for row in rows:
        if not math.isnan(bound := _bound(row)):
            counts[bound] = counts.get(bound, 0.0) + row.value
    return counts


def _bound(row: Row) -> float:
    try:
        return float(row.labels.get("le", ""))
    except ValueError:
        return math.nan
