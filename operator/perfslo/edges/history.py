"""Asks the sources, batch by batch, about hours that nobody counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from perfslo.core import history
from perfslo.core.history import MOST_SLOS, Batch, Kind
from perfslo.core.measure import Series, Wanted
from perfslo.edges.prometheus.source import Sources

REST_SECONDS = 300.0
"""A kind of SLOs whose hour was not answered waits so long, and comes back with half as many."""
GROWTH = 10
"""SLOs more, each time that a batch is answered: what is too much is found again, but not often."""


class History:
    def __init__(self, sources: Sources, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._resting: dict[Kind, float] = {}
        self._sizes: dict[Kind, int] = {}

    async def ask(self, unasked: Iterable[tuple[Wanted, int]]) -> list[tuple[Batch, Mapping[str, Series]]]:
        """What the sources say of each SLO's newest hour that was not asked about, as far as the turn has come.

        SLOs that were not answered are not among the series: they are asked about again later.
        """
        now = self._clock()
        self._resting = {kind: until for kind, until in self._resting.items() if until > now}
        batches = [*history.batches(unasked, self._resting, self._sizes)]
        answers = await asyncio.gather(*(self._sources.count(batch.wanted, batch.hour) for batch in batches))
        for batch, answered in zip(batches, answers, strict=True):
            self._adapt(batch, all_answered=len(answered) == len(batch.wanted))
        return [*zip(batches, answers, strict=True)]

    def _adapt(self, batch: Batch, all_answered: bool) -> None:
        if all_answered:
            self._sizes[batch.kind] = min(self._sizes.get(batch.kind, MOST_SLOS) + GROWTH, MOST_SLOS)
        else:
            self._sizes[batch.kind] = max(1, len(batch.wanted) // 2)
            self._resting[batch.kind] = self._clock() + REST_SECONDS
