"""One source: how it is, what is remembered of it, and its answer to one query."""

from __future__ import annotations

import math
import time
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from perfslo.core.measure import CLOCK_TOLERANCE_SECONDS, Row
from perfslo.core.model import Missing
from perfslo.core.queries import Ask, Samplings, Subject
from perfslo.core.scrape import Rhythm
from perfslo.edges.prometheus.client import Client
from perfslo.errors import QueryRejected, SourceError

FAILED_CYCLES_TO_OPEN = 2
"""One may be a restart."""
SAMPLING_CYCLES = 4
"""How series are sampled is a third of all rows, and says the same for months: it is asked for every so many cycles.

In between, a rhythm that has become slower looks stale, which is safe; one that has become faster does no harm.
"""

_NOT_ASKED = Missing("NotAsked", "the source failed before this was asked")
_OWN_TOO_SLOW = Missing("QueryTooSlow", "the time for queries of SLOs' own was used up")
_TOO_SLOW = Missing("PrometheusSlow", "it answers, but all that is asked in a cycle takes it longer than one")
_WENT_BACK = Missing("ClockSkewed", "its clock went back, so that it tells of a time that is over")


@dataclass(slots=True)
class Stats:
    """Totals of one source since the start, for the operator's own metrics."""

    queries: int = 0
    empty: int = 0
    rows: int = 0
    body_bytes: int = 0
    """Of all answers, decompressed."""
    remarks: int = 0
    duration_seconds: float = 0.0
    """Of all queries together."""
    errors: dict[str, int] = field(default_factory=dict)
    """By reason."""


@dataclass(slots=True)
class State:
    """What is remembered of one source from cycle to cycle, and of the cycle it is in."""

    client: Client
    pool: ThreadPoolExecutor
    stats: Stats = field(default_factory=Stats)
    samplings: dict[str, Samplings] = field(default_factory=dict)
    rhythms: dict[str, tuple[Rhythm | None, Rhythm | None]] = field(default_factory=dict)
    variants: dict[str, int] = field(default_factory=dict)
    """Which of a preset's names an SLO's series have, by its key; absent until they are found."""
    native: frozenset[Subject] = frozenset()
    """Those that had native histograms in the last cycle."""
    refused: dict[Ask, frozenset[str]] = field(default_factory=dict)
    """Namespaces that a query could not be answered for in the last cycle: they are asked about apart from others."""
    failed_cycles: int = 0
    problem: Missing | None = None
    """Set in a cycle once the source turned out to be unwell."""
    deadline: float = math.inf
    """Monotonic: from then on it gets no more queries in this cycle."""
    newest: float = -math.inf
    """By its own clock: it has answered for that time. What it says of an earlier one is history."""
    asks_own: bool = False
    """Only queries that SLOs wrote are asked: what is wrong with them is theirs, not the source's."""
    turn: int = -1
    """Counts cycles."""

    def begin(self, patience_seconds: float) -> None:
        """A new cycle."""
        self.allow(patience_seconds)
        self.turn += 1

    def allow(self, patience_seconds: float) -> None:
        """Questions for so long, whatever became of those before."""
        self.problem, self.deadline, self.asks_own = None, time.monotonic() + patience_seconds, False

    def remember_only(self, keys: Set[str]) -> None:
        """Forget SLOs that are no longer asked about."""
        self.samplings = {key: samplings for key, samplings in self.samplings.items() if key in keys}
        self.rhythms = {key: rhythms for key, rhythms in self.rhythms.items() if key in keys}
        self.variants = {key: variant for key, variant in self.variants.items() if key in keys}

    @property
    def asks_all(self) -> bool:
        """Whether this cycle asks what seldom changes, too."""
        return self.turn % SAMPLING_CYCLES == 0

    def failed(self, problem: Missing, common: bool = True) -> Missing:
        """Count a problem; a common one is that of all SLOs, for this cycle."""
        self.stats.errors[problem.reason] = self.stats.errors.get(problem.reason, 0) + 1
        if common:
            self.problem = problem
        return problem

    @property
    def is_open(self) -> bool:
        return self.failed_cycles >= FAILED_CYCLES_TO_OPEN

    def query(self, text: str) -> tuple[Row, ...] | Missing:
        """The rows, or why there are none.

        For a thread of the pool. The counters of `stats` may lose an increment to a race, which does no harm.
        """
        if self.asks_own and time.monotonic() > self.deadline:
            return _OWN_TOO_SLOW
        if self.problem is None and time.monotonic() > self.deadline:
            self.failed(_TOO_SLOW)
        if self.problem:
            return _NOT_ASKED
        started = time.monotonic()
        self.stats.queries += 1
        try:
            answered = self.client.query(text)
        except SourceError as error:
            its_own = isinstance(error, QueryRejected) or self.asks_own
            return self.failed(Missing(error.reason, str(error)), common=not its_own)
        finally:
            self.stats.duration_seconds += time.monotonic() - started
        if answered.evaluated_at is not None:
            if answered.evaluated_at < self.newest - CLOCK_TOLERANCE_SECONDS:
                return self.failed(_WENT_BACK)
            self.newest = max(self.newest, answered.evaluated_at)
        self.stats.rows += len(answered.rows)
        self.stats.body_bytes += answered.body_bytes
        self.stats.remarks += len(answered.remarks)
        self.stats.empty += not answered.rows
        return answered.rows
