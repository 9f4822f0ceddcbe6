"""Replicas that are taken away and ordered again: each time some users meet cold pods, and little is saved.

Within an hour a few such turns are free: load does fall and rise. Each one beyond them doubles the time for which fewer
must have been enough before any is taken away. So an oscillation slows down until it ends, whatever keeps it going, and
nothing ever holds back an increase. Turns are forgotten after an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from perfslo.core.memory import Recommendation, ScaleEvent

MEMORY_SECONDS = 3600.0
FREE_TURNS = 2
"""An hour. Simulated, more of them broke the promise where load comes in bursts; fewer cost more and kept no more."""
LONGEST_SECONDS = 1800.0
"""Half an hour without a turn leaves few of the hour before to count."""


def turns(events: Iterable[ScaleEvent], now: float) -> int:
    """How often within the last hour replicas were added after some had been taken away."""
    changes = [event.change for event in events if event.time > now - MEMORY_SECONDS]
    return sum(before < 0 < after for before, after in pairwise(changes))


def quiet_seconds(events: Iterable[ScaleEvent], now: float, window_seconds: float) -> float:
    """For how long fewer replicas must have been enough: `window_seconds`, more once the free turns are used up."""
    doublings = turns(events, now) - FREE_TURNS
    if doublings <= 0:
        return window_seconds
    return max(window_seconds, min(window_seconds * 2.0**doublings, LONGEST_SECONDS))


def highest(recommendations: Iterable[Recommendation], now: float, seconds: float, wanted: int) -> int:
    """The most replicas that were asked for within so many seconds, `wanted` included."""
    return max([wanted, *(r.replicas for r in recommendations if r.time > now - seconds)])
