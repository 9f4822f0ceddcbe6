"""Where the levers of SLOs stand, as the watches show it: keys, workloads, and connections that others may open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from perfslo.api.v1alpha1 import DatabaseLever, PerformanceSLOSpec
from perfslo.core.databases import Connections, Statistics
from perfslo.core.levers import database, knobs
from perfslo.core.levers.knobs import Key
from perfslo.core.model import Knob, Missing, Signal, Standing, Target, TargetProblem
from perfslo.core.steps import Scale, Step, Switch, TargetRef
from perfslo.core.turn import Conflict
from perfslo.edges.hooks import NOT_READ
from perfslo.edges.kube.consents import ConfigMap
from perfslo.edges.kube.policies import Policy
from perfslo.edges.kube.reference import Reference
from perfslo.settings import Database

NO_POOL = Missing("NotMeasured")

Told = Callable[[str, str], Statistics | Missing]
"""What an SLO in a namespace may be told of the database behind a budget."""
Called = Callable[[str, str], str | Missing]
"""How a hook of a namespace stands."""


class Eyes(Protocol):
    """A World, as far as it is asked here."""

    def target(self, namespace: str, reference: Reference, now: float) -> Target | TargetProblem: ...
    def config_map(self, namespace: str, name: str) -> ConfigMap | TargetProblem: ...
    def policy(self, namespace: str, ref: TargetRef) -> Policy | TargetProblem: ...


class Subject(Protocol):
    """An SLO and its target."""

    @property
    def namespace(self) -> str: ...
    @property
    def spec(self) -> PerformanceSLOSpec: ...
    @property
    def target(self) -> Target | TargetProblem: ...


class Survey:
    """Of all SLOs at once, at `now` in Unix seconds: what one may draw from a database depends on the others.

    Without `budgets` nobody minds connections: the lever is not enabled.
    """

    def __init__(
        self,
        eyes: Eyes,
        budgets: Mapping[str, Database] | None,
        subjects: Iterable[Subject],
        now: float,
        statistics: Told = lambda namespace, budget: database.NOT_MEASURED,
        hooks: Called = lambda namespace, hook: NOT_READ,
    ) -> None:
        self._eyes = eyes
        self._budgets = budgets
        self._now = now
        self._statistics = statistics
        self._call = hooks
        self._drawn = Counter[str]()
        self.hooks: set[tuple[str, str]] = set()
        """That are named, with the namespaces of who does."""
        for subject in subjects:
            self.hooks |= {(subject.namespace, hook) for hook in knobs.hooks(subject.spec).values()}
            if lever := _lever(subject.spec):
                self._drawn[lever.budget] += database.drawn(lever, self._pods(subject), self._pool(subject))

    @property
    def budgets(self) -> Collection[str]:
        """Of databases, that are named."""
        return self._drawn.keys()

    def ordered(self, subject: Subject, step: Step) -> None:
        """Reckon with what was just ordered: SLOs whose turn comes later in this cycle share what is left now.

        What gives connections back does so only once the pods are gone.
        """
        if (lever := _lever(subject.spec)) is None:
            return
        pods, pool = self._pods(subject), self._pool(subject)
        match step:
            case Scale(lever="replicas", current=current, wanted=wanted):
                after = database.drawn(lever, pods + wanted - current, pool)
            case Switch(lever="database", wanted=size):
                after = database.drawn(lever, pods, size)
            case _:
                return
        self._drawn[lever.budget] += max(0, after - database.drawn(lever, pods, pool))

    def standing(self, subject: Subject, signals: Mapping[str, Signal]) -> Standing:
        """Of one SLO's levers; `signals` are those that they name."""
        spec, namespace = subject.spec, subject.namespace
        if spec.levers is None:
            return Standing()
        values = {knob: self._value(namespace, key) for knob, key in knobs.keys(spec).items()}
        called = {knob: self._call(namespace, hook) for knob, hook in knobs.hooks(spec).items()}
        return Standing(
            values=values | called | self._policy(namespace, spec),
            workloads={
                knob: self._eyes.target(namespace, ref, self._now) for knob, ref in knobs.workloads(spec).items()
            },
            signals=signals,
            connections=self._connections(subject, values.get(knobs.POOL, NO_POOL)),
            statistics=self._statistics(namespace, lever.budget) if (lever := _lever(spec)) else database.NOT_MEASURED,
        )

    def _policy(self, namespace: str, spec: PerformanceSLOSpec) -> dict[Knob, str | Missing]:
        if (ref := knobs.policy(spec)) is None:
            return {}
        found = self._eyes.policy(namespace, ref)
        if isinstance(found, TargetProblem):
            return {knobs.POLICY: Missing(found.reason, found.message)}
        if conflict := Conflict.of(found.other_writers, f"writes {ref}"):
            return {knobs.POLICY: Missing("PolicyNotOurs", conflict.message)}
        return {knobs.POLICY: found.value}

    def _value(self, namespace: str, key: Key) -> str | Missing:
        found = self._eyes.config_map(namespace, key.config_map)
        if isinstance(found, TargetProblem):
            return Missing(found.reason, found.message)
        where = f"ConfigMap {key.config_map} in namespace {namespace}"
        if found.immutable:
            return Missing("ConfigMapImmutable", f"{where} is immutable: replace it by one without immutable: true")
        if key.key not in found.data:
            return Missing("KeyMissing", f"{where} has no key {key.key}: add it with the value that holds now")
        return found.data[key.key]

    def _connections(self, subject: Subject, pool: str | Missing) -> Connections | Missing:
        if self._budgets is None or (lever := _lever(subject.spec)) is None:
            return Missing("NotMeasured")
        if (budget := self._budgets.get(lever.budget)) is None:
            defined = ", ".join(sorted(self._budgets)) or "none"
            return Missing(
                "BudgetNotDefined",
                f"no database {lever.budget!r} is defined (defined: {defined}): name one of these in "
                "spec.levers.database.budget, or ask the administrator to add it to the chart's value databases",
            )
        own = database.drawn(lever, self._pods(subject), pool)
        return Connections(budget.max_connections - budget.reserved, self._drawn[lever.budget] - own)

    def _pods(self, subject: Subject) -> int:
        """Those that may open connections; when they cannot be seen, as many as there may be."""
        target = subject.target
        return database.holding(target.replicas) if isinstance(target, Target) else subject.spec.max_replicas

    def _pool(self, subject: Subject) -> str | Missing:
        key = knobs.keys(subject.spec).get(knobs.POOL)
        return self._value(subject.namespace, key) if key else NO_POOL


def _lever(spec: PerformanceSLOSpec) -> DatabaseLever | None:
    return spec.levers.database if spec.levers else None
