"""Asks for named signals: each once a cycle, and only those that some SLO uses.

What fails for a signal is that signal's trouble alone: no promise is held for it. One that goes on failing is left
alone for a while, for a query that hangs would hold up each cycle until its timeout.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from perfslo.api.v1alpha1 import Signal as Named
from perfslo.core import signals
from perfslo.core.levers import knobs
from perfslo.core.measure import Row, Wanted
from perfslo.core.model import Missing, Signal
from perfslo.core.promql import Matcher
from perfslo.core.signals import Definition, Readings
from perfslo.errors import QueryRejected
from perfslo.settings import NamedSignal, Source

FAILURES_TO_REST = 2
"""One may be a restart."""
REST_SECONDS = 120.0
"""Eight of the default cycles: a signal is evidence, and no promise waits for it."""

_REFUSED = Missing(
    QueryRejected.reason, "the source does not take the signal's query: the administrator should try it there"
)

Query = Callable[[str], Awaitable[tuple[Row, ...] | Missing]]
"""Sends one to a signal's source."""
Said = Mapping[str, Readings | Missing]
"""What the queries of signals said, by the administrator's names."""


@dataclass(frozen=True, slots=True)
class _Failures:
    in_a_row: int
    last: Missing
    rests_until: float
    """Monotonic."""


class NamedSignals:
    """The administrator's signals."""

    def __init__(self, named: Mapping[str, NamedSignal], sources: Mapping[str, Source]) -> None:
        self._definitions = {name: _definition(signal, sources[signal.source]) for name, signal in named.items()}
        self._failures: dict[str, _Failures] = {}

    def used(self, wanted: Iterable[Wanted]) -> Mapping[str, frozenset[str]]:
        """By source: the signals that any of these SLOs may use, and does."""
        names: dict[str, set[str]] = {}
        for one in wanted:
            for named in (*one.spec.metrics.signals, *knobs.signals(one.spec)):
                if not signals.refused(named, one.namespace, self._definitions):
                    names.setdefault(self._definitions[named.ref].source, set()).add(named.ref)
        return {source: frozenset(its) for source, its in names.items()}

    async def ask(self, names: Iterable[str], query: Query) -> Said:
        """Those of one source. Those that failed last go last, so that they keep no other from its answer."""
        now = time.monotonic()
        resting = {name: its.last for name in names if (its := self._failures.get(name)) and now < its.rests_until}
        due = sorted({*names} - resting.keys(), key=lambda name: (name in self._failures, name))
        async with asyncio.TaskGroup() as group:
            asking = {name: group.create_task(self._ask(name, query)) for name in due}
        return resting | {name: task.result() for name, task in asking.items()}

    def of(self, wanted: Wanted, said: Said) -> Mapping[str, Signal]:
        """What an SLO's signals are, by its own names for them."""
        return self._seen(wanted.spec.metrics.signals, wanted, said, "spec.metrics.signals")

    def of_levers(self, wanted: Wanted, said: Said) -> Mapping[str, Signal]:
        """What the signals are that an SLO's levers look at, by the administrator's names."""
        return self._seen(knobs.signals(wanted.spec), wanted, said, "spec.levers")

    def _seen(self, every: Iterable[Named], wanted: Wanted, said: Said, where: str) -> Mapping[str, Signal]:
        seen: dict[str, Signal] = {}
        for named in every:
            answer = signals.refused(named, wanted.namespace, self._definitions, where) or said[named.ref]
            seen[named.name] = answer if isinstance(answer, Missing) else answer.of(wanted)
        return seen

    async def _ask(self, name: str, query: Query) -> Readings | Missing:
        definition = self._definitions[name]
        rows = await query(definition.text)
        if not isinstance(rows, Missing):
            self._failures.pop(name, None)
            return Readings(definition, rows)
        problem = _REFUSED if rows.reason == QueryRejected.reason else rows
        if problem.reason != "NotAsked":
            before = self._failures.get(name)
            in_a_row = before.in_a_row + 1 if before else 1
            rest = REST_SECONDS if in_a_row >= FAILURES_TO_REST else 0.0
            self._failures[name] = _Failures(in_a_row, problem, time.monotonic() + rest)
        return problem


def _definition(signal: NamedSignal, source: Source) -> Definition:
    matchers = [Matcher(matcher.label, matcher.op, matcher.value) for matcher in source.matchers]
    return Definition(
        kind=signal.kind,
        source=signal.source,
        text=signals.asked(signal.query, signal.per, matchers),
        per=signal.per,
        namespaces=signal.namespaces or source.namespaces,
        stale_after_seconds=signal.stale_after_seconds,
    )
