"""The metrics sources of all SLOs: a few rounds of shared queries a cycle, at most four of a source at a time; then one
query for each named signal that any of them uses.

A source that does not answer, or not all within its patience, is unwell as a whole (common mode): every SLO of it is
told so, and the rest of the cycle's queries are not sent. After a few such cycles the first query of a cycle goes
alone, and the others follow only if it is answered. Sources do not wait for one another.

Signals come last, are not asked of a source that failed, and leave its breaker alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from perfslo.api.v1alpha1 import CUSTOM
from perfslo.core import custom, hours, queries, scrape
from perfslo.core.frozen import replace
from perfslo.core.measure import Answer, Row, Series, Wanted, missing
from perfslo.core.model import Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import Matcher, texts
from perfslo.core.queries import Answers, Ask, Asks, Samplings, Subject
from perfslo.core.scrape import Rhythm, Sampling
from perfslo.core.signals import Readings
from perfslo.core.table import Table, identity
from perfslo.edges.prometheus.client import Client
from perfslo.edges.prometheus.signals import NamedSignals, Said
from perfslo.edges.prometheus.state import State, Stats
from perfslo.errors import QueryRejected
from perfslo.settings import NamedSignal, Source

MAX_IN_FLIGHT = 4
"""A fifth of the server's default `--query.max-concurrency`: dashboards and rules need the rest."""
HOUR_PATIENCE_SECONDS = 5.0
"""For all queries about one hour: what takes longer is asked about fewer SLOs, and the next cycle does not wait."""
MAX_REFUSALS = 12
"""Of one query in a cycle: enough to find the one namespace of a thousand that a query cannot be answered for."""


class Sources:
    """Asks the administrator's sources. One `measure` of a source at a time."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        presets: Mapping[str, Preset],
        patience_seconds: float = 15.0,
        named: Mapping[str, NamedSignal] | None = None,
    ) -> None:
        """Raises nothing: a source that cannot work shows at its first query.

        `patience_seconds`: for all queries of a source together, above 0. One in flight then has its own timeout left.
        """
        self._settings = sources
        self._presets = {name: preset.variants for name, preset in presets.items()}
        self._matchers = {
            name: tuple(Matcher(matcher.label, matcher.op, matcher.value) for matcher in source.matchers)
            for name, source in sources.items()
        }
        self._states = {
            name: State(Client(source), ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix=f"source-{name}"))
            for name, source in sources.items()
        }
        self._patience_seconds = patience_seconds
        self._signals = NamedSignals(named or {}, sources)

    @property
    def stats(self) -> Mapping[str, Stats]:
        """By source."""
        return {name: state.stats for name, state in self._states.items()}

    @property
    def open_breakers(self) -> frozenset[str]:
        """Sources that get one query a cycle until it is answered."""
        return frozenset(name for name, state in self._states.items() if state.is_open)

    async def measure(self, wanted: Sequence[Wanted]) -> Mapping[str, Series]:
        """The series of each SLO, by its key. Trouble is in the values; none is raised."""
        series = {one.key: missing(problem) for one in wanted if (problem := self._misconfigured(one))}
        by_source: dict[str, list[Wanted]] = {}
        for one in wanted:
            if one.key not in series:
                by_source.setdefault(one.source, []).append(one)
        used = self._signals.used(wanted)
        async with asyncio.TaskGroup() as group:
            visits = [
                group.create_task(self._visit(self._states[name], by_source.get(name, ()), used.get(name, ())))
                for name in {*by_source, *used}
            ]
        said: dict[str, Readings | Missing] = {}
        for measured, its in (visit.result() for visit in visits):
            series |= measured
            said |= its
        for one in wanted:
            if one.spec.metrics.signals or one.spec.levers:
                own, levers = self._signals.of(one, said), self._signals.of_levers(one, said)
                series[one.key] = replace(series[one.key], signals=own, lever_signals=levers)
        return series

    async def _visit(
        self, state: State, wanted: Sequence[Wanted], signals: Collection[str]
    ) -> tuple[Mapping[str, Series], Said]:
        """What one source says about its SLOs, and then of its signals."""
        state.begin(self._patience_seconds)
        series = await self._measure(state, wanted) if wanted else {}
        if state.problem:
            return series, dict.fromkeys(signals, state.problem)

        async def query(text: str) -> tuple[Row, ...] | Missing:
            return await asyncio.get_running_loop().run_in_executor(state.pool, state.query, text)

        return series, await self._signals.ask(signals, query)  # what fails now comes too late to harm the series

    async def _measure(self, state: State, wanted: Sequence[Wanted]) -> Mapping[str, Series]:
        """The same for SLOs of one source: first those that share queries, then those with whole ones of their own."""
        state.remember_only({one.key for one in wanted})
        shared = [one for one in wanted if not _has_own_queries(one)]
        own = [one for one in wanted if _has_own_queries(one)]
        series = await self._rounds(state, shared) if shared else {}
        state.failed_cycles = state.failed_cycles + 1 if state.problem else 0
        if state.problem:
            return {one.key: missing(state.problem, common=True) for one in wanted}
        if own:
            begin = state.turn % len(own)  # when time is short, not always the same ones go without
            state.asks_own = True
            series |= await self._rounds(state, own[begin:] + own[:begin])
            state.asks_own = False
        return series

    async def _rounds(self, state: State, wanted: Sequence[Wanted]) -> dict[str, Series]:
        asking, found = await self._sample(state, await self._subjects(state, wanted))
        intervals = {key: _intervals(state.rhythms[key], samplings) for key, samplings in found.items()}
        second = await self._round(
            state, ((one, queries.value_asks(subject, *intervals[one.key])) for one, subject in asking)
        )
        third = await self._round(
            state,
            (
                (one, queries.checking_asks(one, subject, intervals[one.key][0], second[one.key]))
                for one, subject in asking
            ),
        )

        def together() -> dict[str, Series]:
            return {
                one.key: queries.series(
                    subject, found[one.key], *intervals[one.key], {**second[one.key], **third[one.key]}
                )
                for one, subject in asking
            }

        return await asyncio.to_thread(together)

    async def _sample(
        self, state: State, asking: Sequence[tuple[Wanted, Subject]]
    ) -> tuple[Sequence[tuple[Wanted, Subject]], Mapping[str, Samplings]]:
        """How the series are sampled: all of it now and then and for new ones, else only how old they are.

        Where native histograms turn up, both kinds are asked for at once and from then on; so who asks is returned too.
        """
        whole = {subject for one, subject in asking if state.asks_all or _is_new(state.samplings.get(one.key))}

        async def answered() -> Mapping[str, Answers]:
            asks = ((one, queries.sampling_asks(subject, subject in whole)) for one, subject in asking)
            return await self._round(state, asks)

        answers = await answered()
        if native := {subject for one, subject in asking if queries.found_native(answers[one.key])}:
            asking = [(one, replace(subject, native=True) if subject in native else subject) for one, subject in asking]
            whole |= {subject for _, subject in asking if subject.native}
            answers = await answered()
        if not state.asks_own:
            state.native = frozenset(replace(subject, native=False) for _, subject in asking if subject.native)
        found = {}
        for one, subject in asking:
            known, rhythm = state.samplings.get(one.key), state.rhythms.get(one.key, (None, None))
            fresh = subject in whole
            found[one.key] = samplings = queries.sampling(answers[one.key], None if fresh else known)
            state.rhythms[one.key] = _follow(rhythm, samplings) if fresh else rhythm
            if isinstance(samplings[0], Missing) and samplings[0].reason == "SeriesMissing":
                state.variants.pop(one.key, None)
        state.samplings |= found
        return asking, found

    async def _subjects(self, state: State, wanted: Sequence[Wanted]) -> Sequence[tuple[Wanted, Subject]]:
        """What each SLO's queries are made of. Of a preset's names those are looked for that its series have."""
        new = [
            one
            for one in wanted
            if one.key not in state.variants
            and len(self._presets.get(one.preset, ())) > 1
            and (state.asks_all or one.key not in state.samplings)
        ]
        looking = [(one, queries.look_asks(one, self._presets[one.preset], self._matchers[one.source])) for one in new]
        answers = await self._round(state, looking)
        looked = {one.key: queries.looked(answers[one.key], self._presets[one.preset]) for one in new}
        state.variants |= {key: number for key, number in looked.items() if number is not None}
        return [(one, self._its_subject(one, state.variants.get(one.key, 0))) for one in wanted]

    def _its_subject(self, wanted: Wanted, variant: int) -> Subject:
        if its := wanted.spec.metrics.custom:
            label = self._settings[wanted.source].tenant_label
            subject = queries.custom_subject(wanted, its, label, self._matchers[wanted.source])
        else:
            subject = queries.subject(wanted, self._presets[wanted.preset][variant], self._matchers[wanted.source])
        return replace(subject, native=True) if subject in self._states[wanted.source].native else subject

    async def count(self, wanted: Sequence[Wanted], hour: int) -> Mapping[str, Series]:
        """The requests of a whole hour (Unix seconds / 3600), by the keys of those SLOs that were answered.

        All are of one source, which `measure` is not asking. This has no say in whether the source is unwell: an hour
        is a heavier question than a window. Where rules record requests, these are read, and the series themselves for
        what was not recorded.
        """
        state = self._states[wanted[0].source]
        if state.is_open:
            return {}
        state.allow(HOUR_PATIENCE_SECONDS)
        variants = {one.key: state.variants.get(one.key, 0) for one in wanted}
        asking = [(one, self._its_subject(one, variants[one.key])) for one in wanted if not self._misconfigured(one)]
        raw = asking
        answers: dict[str, Answers] = {}
        if self._settings[wanted[0].source].recorded_requests:
            named = [(one, subject, hours.recorded_name(one.preset, variants[one.key])) for one, subject in asking]
            recorded = [(one, hours.asks(subject, hour, name)) for one, subject, name in named if one.preset != CUSTOM]
            answers |= await self._round(state, recorded)
            raw = [(one, subject) for one, subject in asking if not any(answers.get(one.key, {}).values())]
        answers |= await self._round(state, [(one, hours.asks(subject, hour)) for one, subject in raw])
        counted = ((one.key, hours.series(subject, answers[one.key])) for one, subject in asking)
        return {key: series for key, series in counted if series}

    async def look(self, source: str, query: str) -> Answer:
        """The rows of one query beside all that a cycle asks. As with `count`, `measure` is not asking the source."""
        state = self._states[source]
        if state.is_open:
            return Missing("NotAsked", "the source is unwell")
        state.allow(HOUR_PATIENCE_SECONDS)
        return await asyncio.get_running_loop().run_in_executor(state.pool, state.query, query)

    async def close(self) -> None:
        """Ask no more; queries in flight end by their own deadline."""
        for state in self._states.values():
            state.pool.shutdown(wait=False, cancel_futures=True)
            state.client.close()

    def _misconfigured(self, wanted: Wanted) -> Missing | None:
        source = self._settings.get(wanted.source)
        if source is None:
            return Missing("SourceNotDefined", _unknown("source", wanted.source, self._settings))
        if source.namespaces and wanted.namespace not in source.namespaces:
            return Missing(
                "SourceNotAllowed",
                f"the source {wanted.source!r} may not be used in namespace {wanted.namespace}: name another in "
                "spec.metrics.source, or ask the administrator to add the namespace to the source",
            )
        for path, why in custom.problems(wanted.spec.metrics.custom) if wanted.spec.metrics.custom else ():
            return Missing("QueryInvalid", f"spec.metrics.custom.{'.'.join(path)}: {why}")
        if wanted.preset not in self._presets and wanted.preset != CUSTOM:
            return Missing("PresetNotDefined", _unknown("preset", wanted.preset, self._presets))
        return None

    async def _round(self, state: State, asking: Iterable[tuple[Wanted, Asks]]) -> Mapping[str, Answers]:
        """`asking` is gone through in a thread, as all is that is done for each SLO: others have the event loop."""

        def grouped() -> tuple[Sequence[tuple[Asks, list[Wanted]]], Mapping[Ask, list[str]]]:
            groups: dict[int, tuple[Asks, list[Wanted]]] = {}
            for wanted, asks in asking:
                groups.setdefault(id(asks), (asks, []))[1].append(wanted)  # equal subjects have the same one
            namespaces: dict[Ask, list[str]] = {}
            for asks, those in groups.values():
                for ask in asks.values():
                    namespaces.setdefault(ask, []).extend(wanted.namespace for wanted in those)
            return [*groups.values()], namespaces

        groups, namespaces = await asyncio.to_thread(grouped)
        tables = await self._ask_all(state, namespaces) if namespaces else {}

        def sorted_out() -> Mapping[str, Answers]:
            answers: dict[str, Answers] = {}
            for asks, those in groups:
                named = [(name, tables[ask]) for name, ask in asks.items()]
                answers |= {wanted.key: {name: table.of(wanted) for name, table in named} for wanted in those}
            return answers

        return await asyncio.to_thread(sorted_out)

    async def _ask_all(self, state: State, namespaces: Mapping[Ask, list[str]]) -> Mapping[Ask, Table]:
        answers: dict[Ask, Table] = {}

        async def answer(ask: Ask) -> None:
            answers[ask] = await self._ask(state, ask, namespaces[ask])

        first, *others = namespaces
        if state.is_open:
            await answer(first)
        else:
            others.append(first)
        async with asyncio.TaskGroup() as group:
            for ask in others:
                group.create_task(answer(ask))
        return answers

    async def _ask(self, state: State, ask: Ask, namespaces: Sequence[str]) -> Table:
        """One query for all, but what is refused is asked anew for each half: the trouble of one is not that of all."""
        rows: list[Row] = []
        unanswered: dict[str, Missing] = {}
        workloads = Counter(namespaces)
        apart = state.refused.pop(ask, frozenset()) & workloads.keys()
        parts = [part for part in (sorted(workloads.keys() - apart), *([one] for one in apart)) if part]
        refusals = 0
        while parts:
            part = parts.pop()
            answered = await self._rows(state, ask, [one for one in part for _ in range(workloads[one])])
            if not isinstance(answered, Missing):
                rows += answered
                continue
            refusals += answered.reason == QueryRejected.reason
            if answered.reason == QueryRejected.reason and len(part) > 1 and refusals <= MAX_REFUSALS:
                parts += part[: len(part) // 2], part[len(part) // 2 :]
            else:
                unanswered |= dict.fromkeys(part, answered)
        if refusals and len(unanswered) < min(len(workloads), MAX_REFUSALS):
            state.refused[ask] = frozenset(unanswered)
        return await asyncio.to_thread(Table, rows, identity(ask.query), unanswered)

    async def _rows(self, state: State, ask: Ask, namespaces: Iterable[str]) -> list[Row] | Missing:
        rows: list[Row] = []
        for text in texts(ask.query, namespaces):
            answered = await asyncio.get_running_loop().run_in_executor(state.pool, state.query, text)
            if isinstance(answered, Missing):
                return answered
            rows += answered
        return rows


def _has_own_queries(wanted: Wanted) -> bool:
    return wanted.spec.metrics.custom is not None and wanted.spec.metrics.custom.queries is not None


def _is_new(samplings: Samplings | None) -> bool:
    return samplings is None or queries.JUST_APPEARED in samplings


def _follow(
    known: tuple[Rhythm | None, Rhythm | None], samplings: Iterable[Sampling | Missing]
) -> tuple[Rhythm | None, Rhythm | None]:
    now = time.monotonic()
    requests, resources = (
        scrape.follow(before, sampling, now) if isinstance(sampling, Sampling) else before
        for sampling, before in zip(samplings, known, strict=True)
    )
    return requests, resources


def _intervals(
    rhythms: tuple[Rhythm | None, Rhythm | None], samplings: Iterable[Sampling | Missing]
) -> tuple[float | None, float | None]:
    requests, resources = (
        rhythm.seconds if rhythm and isinstance(sampling, Sampling) else None
        for sampling, rhythm in zip(samplings, rhythms, strict=True)
    )
    return requests, resources


def _unknown(what: str, name: str, defined: Iterable[str]) -> str:
    names = ", ".join(sorted(defined)) or "none"
    return (
        f"no {what} {name!r} is defined (defined: {names}): name one of these in spec.metrics.{what}, "
        "or ask the administrator to define it"
    )
