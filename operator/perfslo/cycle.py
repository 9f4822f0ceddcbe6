"""The loop: measure -> identify -> optimize -> act -> validate -> iterate, for all SLOs at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field

import structlog

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import budget, codec, measure, members
from perfslo.core.backends import TRAFFIC
from perfslo.core.decide import conclude, decide
from perfslo.core.frozen import dataclass, replace
from perfslo.core.levers import knobs
from perfslo.core.measure import Series, Wanted
from perfslo.core.memory import Memory
from perfslo.core.model import ChangeResult, Plan, Replicas, Route, Target, TargetProblem
from perfslo.core.steps import TargetRef
from perfslo.core.turn import Conflict, Turn
from perfslo.edges.actuators.routes import original
from perfslo.edges.caretaker import Caretaker
from perfslo.edges.claims import Claims
from perfslo.edges.clock import Clock
from perfslo.edges.hands import Hands, find_conflict, find_route_conflict
from perfslo.edges.history import History
from perfslo.edges.hooks import Hooks
from perfslo.edges.kube.reference import Reference
from perfslo.edges.kube.world import World
from perfslo.edges.metrics import Metrics
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.prometheus.statistics import DatabaseStatistics
from perfslo.edges.scribe import Scribe, read_status
from perfslo.edges.standing import Survey
from perfslo.edges.watch import SLO, Registry
from perfslo.errors import NotLeading
from perfslo.settings import Settings

log = structlog.get_logger(__name__)

BREATH = 50
"""Deciding takes about a millisecond an SLO: after this many, let probes and watches have the event loop."""

NOT_MEASURED = measure.missing(measure.NOT_MEASURED)

Rivals = Mapping[tuple[str, ...], list[SLO]]
"""The SLOs that want a target, by its namespace, group, kind and name."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An SLO and its target, as both are seen at the start of a cycle."""

    slo: SLO
    spec: PerformanceSLOSpec
    target: Target | TargetProblem
    """That of all backends together, where each has its own."""
    backends: Mapping[str, Target] = field(default_factory=dict)
    route: Route | TargetProblem | None = None

    @property
    def namespace(self) -> str:
        return self.slo.namespace


class Cycle:
    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        world: World,
        sources: Sources,
        hands: Hands,
        claims: Claims,
        scribe: Scribe,
        caretaker: Caretaker,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._world = world
        self._sources = sources
        self._hands = hands
        self._claims = claims
        self._scribe = scribe
        self._caretaker = caretaker
        self._clock = clock
        self._memories: dict[tuple[str, ...], Memory] = {}
        self.turns: dict[str, Turn] = {}
        self.heartbeat: float | None = None
        """Monotonic: when the cycle was last seen moving; None on a standby."""
        self._history = History(sources)
        self._hooks = Hooks(settings.hooks)
        self._statistics = DatabaseStatistics(settings.databases, settings.sources, sources.look)
        self.metrics = Metrics(lambda: [*self.turns.values()], sources)  # a copy: it is scraped in another thread

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
        subjects = await self._look_up(slos, now)
        rivals = _rivals(subject.slo for subject in subjects.values())
        budgets = self._settings.databases if "database" in self._settings.levers else None
        survey = Survey(self._world, budgets, subjects.values(), now, self._statistics.of, self._hooks.stands)
        turned: list[str] = []
        for measuring in asyncio.as_completed([self._measure(those) for those in _by_source(subjects)]):
            those, measured = await measuring
            turned += await self._take_turns(those, measured, rivals, survey, now)
        self.turns = {key: self.turns[key] for key in turned}
        self._remember(slos)
        await self._tidy_up(slos, now)
        with self._contained("hooks not asked"):
            await self._hooks.refresh(survey.hooks)
        await self._fill_in(slos, subjects, now)
        if budgets:
            with self._contained("databases not looked at"):
                await self._statistics.refresh(survey.budgets)

    async def _look_up(self, slos: Mapping[str, SLO], now: float) -> Mapping[str, Subject]:
        subjects = {}
        for count, (key, slo) in enumerate(slos.items()):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            with self._contained("target not read", slo):
                if slo.spec:
                    subjects[key] = self._subject(slo, slo.spec, now)
        return subjects

    async def _measure(self, subjects: Mapping[str, Subject]) -> tuple[Mapping[str, Subject], dict[str, Series]]:
        measured: dict[str, Series] = {}
        with self._contained("not measured"):
            measured |= await self._sources.measure([*_wanted(subjects), *_wanted_of_backends(subjects)])
        return subjects, measured

    async def _take_turns(
        self,
        subjects: Mapping[str, Subject],
        measured: dict[str, Series],
        rivals: Rivals,
        survey: Survey,
        now: float,
    ) -> list[str]:
        """One after another, and with each what it is made of, and the one before it, may go: of thousands it is much.

        Returns whose turn it was.
        """
        turned: list[str] = []
        for count, (key, subject) in enumerate(subjects.items()):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            self.heartbeat = self._clock.monotonic()
            if self._has_changed(subject.slo):
                continue
            with self._contained("turn failed", subject.slo):
                series = measured.pop(key, None)
                parts = {name: measured.pop(_part_key(key, name), NOT_MEASURED) for name in subject.backends}
                self.turns[key] = await self._turn(subject, series, parts, rivals, survey, now)
                turned.append(key)
        return turned

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

    async def _turn(
        self,
        subject: Subject,
        series: Series | None,
        parts: Mapping[str, Series],
        rivals: Rivals,
        survey: Survey,
        now: float,
    ) -> Turn:
        """One SLO's turn, in the words of the loop."""
        slo, spec, target = subject.slo, subject.spec, subject.target
        memory = self._memory(slo)
        turn = Turn(slo.namespace, slo.name, slo.generation, now, spec, target, self._settings.levers, memory)
        if isinstance(target, TargetProblem) or series is None:
            return replace(turn, books=budget.books(spec, memory, now))

        cycle_seconds = self._settings.cycle_seconds
        observation = measure.observe(spec, target.replicas, series, cycle_seconds, now)
        if spec.levers:
            observation = replace(observation, standing=survey.standing(subject, series.lever_signals))
        if subject.backends:
            observation = replace(
                observation,
                backends={
                    name: measure.observe(spec, subject.backends[name].replicas, own, cycle_seconds, now)
                    for name, own in parts.items()
                },
                route=subject.route,
            )
        conflicts = _conflicts(subject, rivals)
        decision = decide(spec, memory, observation, conflicts.keys(), self._settings.levers)
        conflict = next((each for lever, each in conflicts.items() if lever != TRAFFIC), None)
        turn = replace(
            turn,
            memory=decision.memory,
            books=budget.books(spec, decision.memory, now),
            observation=observation,
            diagnosis=decision.diagnosis,
            parts=decision.parts,
            shift=decision.shift,
            conflict=conflict,
            route_conflict=conflicts.get(TRAFFIC),
        )
        if decision.plan is None:
            return turn

        change = await self._hands.act(slo, target, decision.plan, _of_step(conflicts, decision.plan), now)
        if change and change.result is ChangeResult.APPLIED:
            survey.ordered(subject, change.step)
        memory, verdict = conclude(spec, decision, change)
        turn = replace(turn, memory=memory, plan=decision.plan, change=change, verdict=verdict)
        self.metrics.count(turn)
        return turn

    def _subject(self, slo: SLO, spec: PerformanceSLOSpec, now: float) -> Subject:
        if spec.scale_target_ref:
            return Subject(slo, spec, self._world.target(slo.namespace, spec.scale_target_ref, now))
        found: dict[str, Target] = {}
        for backend in members.listed(spec):
            if backend.scale_target_ref:
                target = self._world.target(slo.namespace, backend.scale_target_ref, now)
                if isinstance(target, TargetProblem):
                    return Subject(slo, spec, replace(target, message=f"backend {backend.name}: {target.message}"))
                found[backend.name] = target
        ref = members.route_ref(spec)
        route = self._world.route(slo.namespace, ref, found.keys())
        if isinstance(route, Route):
            route = replace(route, original=original(self._claims, slo.namespace, route))
        whole = members.together(found, TargetRef(ref.group, ref.kind, ref.name))
        return Subject(slo, spec, whole, found, route)

    def _memory(self, slo: SLO) -> Memory:
        """What this process remembers, else what the status kept from before it: then nothing fast is known yet."""
        if (memory := self._memories.get(_memory_key(slo))) is not None:
            return memory
        kept = read_status(slo.status).memory
        return codec.decode(kept.data if kept else None)


def _memory_key(slo: SLO) -> tuple[str, ...]:
    """An SLO that was replaced, or pointed at another target, starts with what its status kept, or with nothing."""
    return slo.uid, *(part for key in _target_keys(slo) for part in key)


def _target_keys(slo: SLO) -> list[tuple[str, ...]]:
    return [_target_key(slo.namespace, ref) for ref in slo.spec.scale_target_refs] if slo.spec else []


def _target_key(namespace: str, ref: Reference) -> tuple[str, ...]:
    return namespace, ref.group, ref.kind, ref.name


def _part_key(key: str, backend: str) -> str:
    """No name of Kubernetes contains the slash."""
    return f"{key}/{backend}"


def _by_source(subjects: Mapping[str, Subject]) -> Iterable[Mapping[str, Subject]]:
    """Apart, so that the SLOs of one source do not wait for another."""
    parts: dict[str, dict[str, Subject]] = defaultdict(dict)
    for key, subject in subjects.items():
        parts[subject.spec.metrics.source][key] = subject
    return parts.values()


def _rivals(slos: Iterable[SLO]) -> Rivals:
    rivals: dict[tuple[str, ...], list[SLO]] = defaultdict(list)
    for slo in slos:
        for key in _target_keys(slo):
            rivals[key].append(slo)
    return rivals


def _conflicts(subject: Subject, rivals: Rivals) -> Mapping[str, Conflict]:
    """By lever, and of backends by "replicas/" and its name."""
    slo, whole = subject.slo, {"replicas": subject.target} if not subject.backends else {}
    targets = whole | {f"replicas/{name}": target for name, target in subject.backends.items()}
    found = {
        lever: conflict
        for lever, target in targets.items()
        if isinstance(target, Target)
        and (conflict := find_conflict(slo, target, rivals[_target_key(slo.namespace, target.ref)]))
    }
    if isinstance(subject.route, Route) and (conflict := find_route_conflict(subject.route)):
        found[TRAFFIC] = conflict
    return found


def _of_step(conflicts: Mapping[str, Conflict], plan: Plan) -> Conflict | None:
    """That which stands against the plan's first step."""
    return next((conflicts.get(key) for key in map(knobs.lever_key, plan.steps)), None)


def _wanted(subjects: Mapping[str, Subject]) -> Iterator[Wanted]:
    for key, subject in subjects.items():
        if isinstance(subject.target, Target):
            yield _wanted_of(subject, key, subject.target)


def _wanted_of_backends(subjects: Mapping[str, Subject]) -> Iterator[Wanted]:
    """The same queries answer these, too."""
    for key, subject in subjects.items():
        for name, target in subject.backends.items():
            yield replace(_wanted_of(subject, _part_key(key, name), target), backend=name)


def _wanted_of(subject: Subject, key: str, target: Target) -> Wanted:
    return Wanted(
        key=key,
        namespace=subject.slo.namespace,
        workloads=target.pod_workloads,
        source=subject.spec.metrics.source,
        preset=subject.spec.metrics.preset,
        spec=subject.spec,
    )
