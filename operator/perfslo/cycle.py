"""The loop: measure -> identify -> optimize -> act -> validate -> iterate, for all SLOs at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import budget, guardrails, identify, iterate, measure, optimize, validate
from perfslo.core import memory as memory_codec
from perfslo.core.measure import Series, Wanted
from perfslo.core.memory import Memory
from perfslo.core.model import Replicas, Target, TargetProblem
from perfslo.core.turn import Turn
from perfslo.edges.caretaker import Caretaker
from perfslo.edges.clock import Clock
from perfslo.edges.hands import Hands, find_conflict
from perfslo.edges.history import History
from perfslo.edges.kube.world import World
from perfslo.edges.metrics import Metrics
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.scribe import Scribe, read_status
from perfslo.edges.watch import SLO, Registry
from perfslo.errors import NotLeading
from perfslo.settings import Settings

log = structlog.get_logger(__name__)

BREATH = 50
"""Deciding takes about a millisecond an SLO: after this many, let probes and watches have the event loop."""

BACKENDS_NOT_YET = TargetProblem(
    "BackendsNotAvailable", "this version scales one target: write spec.scaleTargetRef instead of one for each backend"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """An SLO and its target, as both are seen at the start of a cycle."""

    slo: SLO
    spec: PerformanceSLOSpec
    target: Target | TargetProblem


class Cycle:
    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        world: World,
        sources: Sources,
        hands: Hands,
        scribe: Scribe,
        caretaker: Caretaker,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._world = world
        self._sources = sources
        self._hands = hands
        self._scribe = scribe
        self._caretaker = caretaker
        self._clock = clock
        self._memories: dict[tuple[str, ...], Memory] = {}
        self.turns: Mapping[str, Turn] = {}
        self.heartbeat: float | None = None
        """Monotonic: when the cycle was last seen moving; None on a standby."""
        self._history = History(sources)
        self.metrics = Metrics(lambda: self.turns.values(), sources)

    async def run(self) -> None:
        """One cycle after another, until cancelled.

        Raises:
            NotLeading: the lease was lost.
        """
        due = self._clock.monotonic()
        while True:
            started = self.heartbeat = self._clock.monotonic()
            self.metrics.loop_lag.set(max(0.0, started - due))
            due = started + self._settings.cycle_seconds
            with self.metrics.cycle_seconds.time():
                await self.once()
            self.heartbeat = self._clock.monotonic()
            self.metrics.cycle_finished.set(self._clock.time())
            await asyncio.sleep(max(0.0, due - self.heartbeat))

    async def once(self) -> None:
        now, slos = self._clock.time(), self._registry.snapshot()
        subjects = self._look_up(slos, now)
        rivals = _rivals(subject.slo for subject in subjects.values())
        turns: dict[str, Turn] = {}
        for measuring in asyncio.as_completed([self._measure(those) for those in _by_source(subjects)]):
            those, measured = await measuring
            turns |= await self._take_turns(those, measured, rivals, now)
        self.turns = turns
        self._remember(slos)
        await self._tidy_up(slos, now)
        await self._fill_in(slos, subjects, now)

    def _look_up(self, slos: Mapping[str, SLO], now: float) -> Mapping[str, Subject]:
        subjects = {}
        for key, slo in slos.items():
            with self._contained("target not read", slo):
                if slo.spec:
                    subjects[key] = self._subject(slo, slo.spec, now)
        return subjects

    async def _measure(self, subjects: Mapping[str, Subject]) -> tuple[Mapping[str, Subject], Mapping[str, Series]]:
        measured: Mapping[str, Series] = {}
        with self._contained("not measured"):
            measured = await self._sources.measure([*_wanted(subjects)])
        return subjects, measured

    async def _take_turns(
        self,
        subjects: Mapping[str, Subject],
        measured: Mapping[str, Series],
        rivals: Mapping[tuple[str, ...], list[SLO]],
        now: float,
    ) -> Mapping[str, Turn]:
        turns: dict[str, Turn] = {}
        for count, (key, subject) in enumerate(subjects.items()):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            self.heartbeat = self._clock.monotonic()
            if self._has_changed(subject.slo):
                continue
            with self._contained("turn failed", subject.slo):
                turns[key] = await self._turn(subject, measured.get(key), rivals[_target_key(subject.slo)], now)
        return turns

    def _remember(self, slos: Mapping[str, SLO]) -> None:
        """A turn that failed or was left out costs no memory; an SLO that is gone does."""
        memories = self._memories | {_memory_key(slos[key]): turn.memory for key, turn in self.turns.items()}
        self._memories = {key: memories[key] for key in map(_memory_key, slos.values()) if key in memories}

    async def _tidy_up(self, slos: Mapping[str, SLO], now: float) -> None:
        """Give back the levers of SLOs that are gone, and say what the others came to."""
        with self._contained("claims not looked after"):
            async with asyncio.timeout(self._settings.patience_seconds):
                await self._caretaker.look_round(slos.values(), self._clock.monotonic())
        self.heartbeat = self._clock.monotonic()
        with self._contained("statuses not all written"):
            async with asyncio.timeout(self._settings.patience_seconds):
                self.metrics.status_writes.inc(await self._scribe.publish(slos, self.turns, now))
        self.metrics.forget_others({(slo.namespace, slo.name) for slo in slos.values()})

    async def _fill_in(self, slos: Mapping[str, SLO], subjects: Mapping[str, Subject], now: float) -> None:
        """Count hours of the error budget that ended, or that nobody counted, now that all else is done."""
        with self._contained("hours not counted"):
            for batch, answers in await self._history.ask(self._unasked(subjects, now)):
                for wanted in batch.wanted:
                    if (series := answers.get(wanted.key)) and (slo := slos.get(wanted.key)):
                        self._settle(slo, wanted, batch.hour, series, now)
        self.heartbeat = self._clock.monotonic()

    def _unasked(self, subjects: Mapping[str, Subject], now: float) -> Iterator[tuple[Wanted, int]]:
        """The newest hour that the source was not asked about, of SLOs that can be measured.

        None of those with whole queries of their own: these say themselves when they look.
        """
        for wanted in _wanted(subjects):
            turn, custom = self.turns.get(wanted.key), wanted.spec.metrics.custom
            if custom and custom.queries:
                continue
            if turn and turn.observation and not turn.metrics_problem:
                hour = budget.next_hour(wanted.spec, turn.memory.ledgers, now)
                if hour is not None:
                    yield wanted, hour

    def _settle(self, slo: SLO, wanted: Wanted, hour: int, series: Series, now: float) -> None:
        memory = self._memory(slo)
        observation = measure.observe(wanted.spec, Replicas(0, 0), series, self._settings.cycle_seconds, now)
        ledgers = budget.settled(wanted.spec, memory.ledgers, hour, observation)
        self._memories[_memory_key(slo)] = replace(memory, ledgers=ledgers)

    @contextmanager
    def _contained(self, what: str, slo: SLO | None = None) -> Iterator[None]:
        """The trouble of one part is not that of all: it is reported and counted, and the cycle goes on."""
        try:
            yield
        except NotLeading:
            raise
        except Exception:
            self.metrics.cycle_errors.inc()
            log.exception(what, namespace=slo.namespace if slo else "", name=slo.name if slo else "")

    def _has_changed(self, slo: SLO) -> bool:
        """Edited, paused or deleted while the source was asked: what was seen before is not acted on."""
        seen = self._registry.by_uid(slo.uid)
        return seen is None or seen.generation != slo.generation

    async def _turn(self, subject: Subject, series: Series | None, rivals: Iterable[SLO], now: float) -> Turn:
        """One SLO's turn, in the words of the loop."""
        slo, spec, target = subject.slo, subject.spec, subject.target
        memory = self._memory(slo)
        turn = Turn(slo.namespace, slo.name, slo.generation, now, spec, target, self._settings.levers, memory)
        if isinstance(target, TargetProblem) or series is None:
            return replace(turn, books=budget.books(spec, memory, now))

        observation = measure.observe(spec, target.replicas, series, self._settings.cycle_seconds, now)
        memory = iterate.absorb(spec, memory, observation)
        diagnosis = identify.diagnose(spec, memory, observation)
        conflict = find_conflict(slo, target, rivals)
        books = budget.books(spec, memory, now)
        turn = replace(
            turn, memory=memory, books=books, observation=observation, diagnosis=diagnosis, conflict=conflict
        )
        if spec.suspend:
            return turn

        plan = optimize.plan(spec, memory, observation, diagnosis)
        plan = guardrails.guard(spec, memory, observation, diagnosis, plan)
        change = await self._hands.act(slo, target, plan, conflict, now)
        verdict = validate.judge(spec, memory, observation)
        memory = iterate.record(spec, memory, observation, diagnosis, plan, change, verdict)
        turn = replace(turn, memory=memory, plan=plan, change=change, verdict=verdict)
        self.metrics.count(turn)
        return turn

    def _subject(self, slo: SLO, spec: PerformanceSLOSpec, now: float) -> Subject:
        if spec.scale_target_ref is None:
            return Subject(slo, spec, BACKENDS_NOT_YET)
        return Subject(slo, spec, self._world.target(slo.namespace, spec.scale_target_ref, now))

    def _memory(self, slo: SLO) -> Memory:
        """What this process remembers, else what the status kept from before it: then nothing fast is known yet."""
        if (memory := self._memories.get(_memory_key(slo))) is not None:
            return memory
        kept = read_status(slo.status).memory
        return memory_codec.decode(kept.data if kept else None)


def _memory_key(slo: SLO) -> tuple[str, ...]:
    """An SLO that was replaced, or pointed at another target, starts with what its status kept, or with nothing."""
    return slo.uid, *_target_key(slo)


def _target_key(slo: SLO) -> tuple[str, ...]:
    ref = slo.spec.scale_target_ref if slo.spec else None
    return (slo.namespace, ref.group, ref.kind, ref.name) if ref else (slo.namespace, slo.name)


def _by_source(subjects: Mapping[str, Subject]) -> Iterable[Mapping[str, Subject]]:
    """Apart, so that the SLOs of one source do not wait for another."""
    parts: dict[str, dict[str, Subject]] = defaultdict(dict)
    for key, subject in subjects.items():
        parts[subject.spec.metrics.source][key] = subject
    return parts.values()


def _rivals(slos: Iterable[SLO]) -> Mapping[tuple[str, ...], list[SLO]]:
    rivals: dict[tuple[str, ...], list[SLO]] = defaultdict(list)
    for slo in slos:
        rivals[_target_key(slo)].append(slo)
    return rivals


def _wanted(subjects: Mapping[str, Subject]) -> Iterator[Wanted]:
    for key, subject in subjects.items():
        if isinstance(subject.target, Target):
            yield Wanted(
                key=key,
                namespace=subject.slo.namespace,
                workloads=subject.target.pod_workloads,
                source=subject.spec.metrics.source,
                preset=subject.spec.metrics.preset,
                spec=subject.spec,
            )
