"""Every time constant of the law, as multiples of what the data can show.

A control loop cannot be faster than its signal: with samples every 60 s, a window of 60 s holds one of them. So windows
and delays are counted in units of the slower of scrape interval and cycle, and come out at the familiar
numbers (60 s window, 200 s before a reduction) for the common 15 s.
"""

from __future__ import annotations

from perfslo.core.frozen import dataclass

WINDOW_SCRAPES = 4
"""`rate()` needs two samples and survives one lost scrape with four (the Prometheus documentation's own rule)."""
SHORT_WINDOW_SCRAPES = 2.5
"""Two samples for sure, wherever in the interval the query falls."""
STALE_SCRAPES = 2.5
"""One scrape may be late or lost; two in a row are a fault."""
DOWN_WINDOW_UNITS = 200 / 15
"""Longest dip that scale-down must sit out; 200 s at 15 s traded cost for violations best in simulation."""


@dataclass(frozen=True, slots=True)
class TimeScale:
    """`scrape_seconds` is the interval found in the data, `cycle_seconds` the operator's own."""

    scrape_seconds: float = 15.0
    cycle_seconds: float = 15.0

    @property
    def unit_seconds(self) -> float:
        return max(self.scrape_seconds, self.cycle_seconds)

    @property
    def window_seconds(self) -> float:
        return WINDOW_SCRAPES * self.scrape_seconds

    @property
    def short_window_seconds(self) -> float:
        return SHORT_WINDOW_SCRAPES * self.scrape_seconds

    @property
    def counted_seconds(self) -> float:
        """What the short window counts: from the first of its samples to the last; the rest is extrapolated."""
        return (SHORT_WINDOW_SCRAPES - 1.0) * self.scrape_seconds

    @property
    def stale_after_seconds(self) -> float:
        return STALE_SCRAPES * self.scrape_seconds

    @property
    def down_window_seconds(self) -> float:
        return DOWN_WINDOW_UNITS * self.unit_seconds
