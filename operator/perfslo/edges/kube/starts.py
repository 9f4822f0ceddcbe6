"""How long pods take from being created to being ready, remembered for each workload."""

from __future__ import annotations

import math

REMEMBERED = 50
"""Enough for a 90th percentile that one odd start does not decide, few enough to follow a new release."""
WORKLOADS = 20_000
"""Owners that come and go (jobs) push out the one that has been silent for longest."""
QUANTILE = 0.9


class Starts:
    def __init__(self) -> None:
        self._seconds: dict[str, tuple[float, ...]] = {}

    def saw(self, uid: str, seconds: float) -> None:
        seen = self._seconds.pop(uid, ())
        self._seconds[uid] = (*seen, max(0.0, seconds))[-REMEMBERED:]
        if len(self._seconds) > WORKLOADS:
            del self._seconds[next(iter(self._seconds))]

    def forget(self, uid: str) -> None:
        self._seconds.pop(uid, None)

    def seconds(self, uid: str) -> float | None:
        """The 90th percentile (nearest rank) of what was seen of this workload; None when nothing was."""
        seen = sorted(self._seconds.get(uid, ()))
        return seen[math.ceil(QUANTILE * len(seen)) - 1] if seen else None
