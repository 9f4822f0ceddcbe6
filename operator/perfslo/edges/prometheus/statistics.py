"""Asks for the statistics of databases: one query for each every few minutes, however many SLOs name it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from perfslo.core.databases import Statistics
from perfslo.core.frozen import dataclass
from perfslo.core.levers import advice
from perfslo.core.levers.database import NOT_MEASURED
from perfslo.core.measure import Answer
from perfslo.core.model import Missing
from perfslo.core.promql import Matcher
from perfslo.settings import Database, Source

REFRESH_SECONDS = 300.0
"""Half of the window that they are about: people do not mend statements faster."""

Look = Callable[[str, str], Awaitable[Answer]]
"""Sends a query to a source."""


@dataclass(frozen=True, slots=True)
class _Known:
    statistics: Statistics | Missing
    due: float
    """Monotonic."""


class DatabaseStatistics:
    """Of the databases whose budgets say where these are."""

    def __init__(
        self,
        databases: Mapping[str, Database],
        sources: Mapping[str, Source],
        look: Look,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = {name: its.statistics for name, its in databases.items() if its.statistics}
        self._sources = sources
        self._look = look
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def refresh(self, used: Collection[str]) -> None:
        """Ask about one of the `used` budgets: that which is overdue the longest, if one is."""
        now = self._clock()
        dues = {name: self._known[name].due if name in self._known else 0.0 for name in self._settings if name in used}
        if not dues:
            return
        name = min(dues, key=lambda one: dues[one])
        if dues[name] > now:
            return
        its = self._settings[name]
        every = (*self._sources[its.source].matchers, *its.matchers)
        matchers = (Matcher(matcher.label, matcher.op, matcher.value) for matcher in every)
        answered = await self._look(its.source, advice.asked(matchers))
        said = answered if isinstance(answered, Missing) else advice.read(answered)
        self._known[name] = _Known(said, now + REFRESH_SECONDS)

    def of(self, namespace: str, budget: str) -> Statistics | Missing:
        """What an SLO in this namespace may be told of the database behind a budget."""
        if (its := self._settings.get(budget)) is None:
            return NOT_MEASURED
        allowed = its.namespaces or self._sources[its.source].namespaces
        if allowed and namespace not in allowed:
            return NOT_MEASURED
        return self._known[budget].statistics if budget in self._known else NOT_MEASURED
