"""What Prometheus would answer about the simulated pods: its arithmetic, extrapolation included.

Each pod is scraped at its own offset within the interval. Its counters never go back: a pod that is gone leaves its
samples to the windows that still hold them, as in a Prometheus.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perfslo.core import scrape
from perfslo.core.model import Missing
from perfslo.core.scrape import Sampling
from perfslo.simulate import loop
from perfslo.simulate.engine import Engine
from perfslo.simulate.heap import compiled

LOOKBACK_SECONDS = 300.0
"""An instant query finds samples so old."""
THRESHOLD = 1.1
"""Mean intervals between samples from which the edge of a window is taken to be where the series begins or ends."""
Floats = npt.NDArray[np.float64]


class Prometheus:
    """Asked at the engine's present."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def up(self) -> bool:
        """Whether it answers; while it does not, it scrapes nothing."""
        return bool(self._engine.state.scraping)

    def increase(self, window_seconds: float) -> Floats:
        """`sum(increase(...[window]))` over the pods, of each counter: columns as in `loop`, the last buckets."""
        now, (at, what) = float(self._engine.state.now), self._engine.scrapes
        total = np.zeros(what.shape[2])
        add_increases(at, what, now - window_seconds, now, total)
        return total

    def buckets(self, window_seconds: float) -> Floats:
        """`sum by (le) (increase(..._bucket[window]))`."""
        return self.increase(window_seconds)[loop.BUCKETS :]

    def requests(self, window_seconds: float) -> float:
        """`sum(increase(..._count[window]))`."""
        return float(self.increase(window_seconds)[-1])

    def in_flight(self) -> float | None:
        """`sum(in_flight)`; None without such series."""
        (rows,) = np.nonzero(self._newest() > self._engine.state.now - LOOKBACK_SECONDS)
        if not len(rows):
            return None
        at, what = self._engine.scrapes
        return float(what[rows, at[rows].argmax(axis=1), loop.IN_FLIGHT].sum())

    def pods(self, age_seconds: float) -> int:
        """How many have a sample that is not older."""
        return int((self._newest() >= self._engine.state.now - age_seconds).sum())

    def sampling(self) -> Sampling | Missing:
        """How often, and when last, the series with the most samples were scraped."""
        now, newest = float(self._engine.state.now), float(self._newest().max())
        if newest < now - LOOKBACK_SECONDS:
            return Missing("SeriesMissing", "no pod has been scraped since its first request")
        *_, shorter, longest = scrape.WINDOWS_SECONDS
        counts = tuple(self._most(now - window, now) for window in scrape.WINDOWS_SECONDS)
        return Sampling(now - newest, counts, self._most(now - longest, now - longest + shorter) > 0)

    def _newest(self) -> Floats:
        """When the newest sample of each pod was taken; what a pod that is gone said is marked as stale."""
        return np.where(self._engine.pods.gone, -np.inf, self._engine.scrapes[0].max(axis=1))

    def _most(self, begin: float, end: float) -> float:
        """Samples of one pod between two times."""
        at, _ = self._engine.scrapes
        return float(((at > begin) & (at <= end)).sum(axis=1).max())


@compiled
def add_increases(scraped_at: Floats, scraped: Floats, begin: float, end: float, total: Floats) -> None:
    """`extrapolatedRate` of Prometheus 3, whose windows are open at the left, added up over the series of all pods."""
    rows, kept, columns = scraped.shape
    for row in range(rows):
        count, first, last = 0, 0, 0
        for at in range(kept):
            if begin < scraped_at[row, at] <= end:
                if count == 0 or scraped_at[row, at] < scraped_at[row, first]:
                    first = at
                if count == 0 or scraped_at[row, at] > scraped_at[row, last]:
                    last = at
                count += 1
        if count < 2:
            continue
        sampled = scraped_at[row, last] - scraped_at[row, first]
        interval = sampled / (count - 1)
        to_start, to_end = scraped_at[row, first] - begin, end - scraped_at[row, last]
        if to_start >= THRESHOLD * interval:
            to_start = interval / 2
        if to_end >= THRESHOLD * interval:
            to_end = interval / 2
        for column in range(columns):
            before = scraped[row, first, column]
            rise = scraped[row, last, column] - before
            if rise > 0:
                # A counter was not below zero: it is not extrapolated to before that.
                since = min(to_start, sampled * before / rise)
                total[column] += rise * (sampled + since + to_end) / sampled
