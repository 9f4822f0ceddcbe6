"""SLOs with a target for each backend, through the cycle. Doubles are the cluster, Prometheus and the levers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from perfslo.api.v1alpha1 import ClaimTarget, PerformanceSLOSpec
from perfslo.core import codec
from perfslo.core.measure import Answer, Row, Series, Wanted
from perfslo.core.model import (
    Change,
    ChangeResult,
    OtherWriter,
    Plan,
    Replicas,
    Route,
    Target,
    TargetProblem,
)
from perfslo.core.scrape import Sampling
from perfslo.core.status import report
from perfslo.core.steps import TargetRef, Weigh
from perfslo.core.turn import Conflict, Turn
from perfslo.cycle import Cycle
from perfslo.edges.caretaker import Caretaker
from perfslo.edges.claims import Claims
from perfslo.edges.clock import Clock
from perfslo.edges.hands import Hands
from perfslo.edges.kube.reference import Reference
from perfslo.edges.kube.world import World
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.scribe import Scribe
from perfslo.edges.watch import SLO, Registry
from perfslo.settings import Settings
from tests.core import split
from tests.core.turns import NOW
from tests.edges.slos import slo

GOOD, BAD = 0.0, 0.6
SPEC = split.spec("a", "b", "c")


class Stage:
    """Doubles of what is around the cycle. `slow` are shares of slow requests by backend."""

    def __init__(self, *slos: SLO) -> None:
        self.slos = {each.key: each for each in slos}
        self.now = NOW
        self.weights = {"a": 334, "b": 333, "c": 333}
        self.replicas = {"a": Replicas(4, 4, version="v1"), "b": Replicas(4, 4, version="v1"), "c": Replicas(4, 4)}
        self.problems: dict[str, TargetProblem] = {}
        self.writers: tuple[OtherWriter, ...] = ()
        self.slow = {"a": GOOD, "b": GOOD, "c": GOOD}
        self.dark: set[str] = set()
        self.asked: list[Wanted] = []
        self.acted: list[tuple[Plan, Conflict | None]] = []
        self.claimed: dict[str, str] = {}
        """What was found, by what was written."""
        self.cycle = Cycle(
            Settings(levers=("replicas", "traffic")),
            cast(Registry, self),
            cast(World, self),
            cast(Sources, self),
            cast(Hands, self),
            cast(Claims, self),
            cast(Scribe, self),
            cast(Caretaker, self),
            cast(Clock, self),
        )
        self.stats: dict[str, Any] = {}
        self.open_breakers: frozenset[str] = frozenset()

    def snapshot(self) -> Mapping[str, SLO]:
        return self.slos

    def by_uid(self, uid: str) -> SLO | None:
        return next((each for each in self.slos.values() if each.uid == uid), None)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def target(self, namespace: str, ref: Reference, now: float) -> Target | TargetProblem:
        if problem := self.problems.get(ref.name):
            return problem
        pods = self.replicas[ref.name]
        return Target(
            TargetRef(ref.group, ref.kind, ref.name), f"uid-{ref.name}", pods, frozenset({f"{ref.name}-pods"})
        )

    def route(self, namespace: str, ref: Reference, names: Collection[str]) -> Route:
        return Route(split.ROUTE, "", "uid", {name: self.weights[name] for name in names}, 1000, None, "", self.writers)

    async def measure(self, wanted: Sequence[Wanted]) -> dict[str, Series]:
        self.asked = list(wanted)
        return {one.key: self._series(one.backend) for one in wanted}

    async def look(self, source: str, query: str) -> Answer:
        return ()

    def _series(self, backend: str) -> Series:
        if backend in self.dark:
            return Series(Sampling(1.0, (4.0, 4.0, 4.0, 4.0), True))
        slow = self.slow[backend] if backend else sum(self.slow.values()) / 3
        requests = 3000.0 * (self.weights[backend] / sum(self.weights.values()) if backend else 1.0)
        return Series(
            Sampling(1.0, (4.0, 4.0, 4.0, 4.0), True),
            histograms={"p95": (_row(requests * (1 - slow), le="0.2"), _row(requests, le="+Inf"))},
            completions=(_row(requests * 37.5 / 60),),
            requests=(_row(requests),),
        )

    async def act(self, slo: SLO, target: Target, plan: Plan, conflict: Conflict | None, now: float) -> Change | None:
        if not plan.steps:
            return None
        self.acted.append((plan, conflict))
        step = plan.steps[0]
        if conflict:
            return Change("d1", now, step, ChangeResult.REFUSED, f"WriteConflict: {conflict.message}")
        if isinstance(step, Weigh):
            found = _text(step.current)
            self.claimed = {_text(step.wanted): self.claimed.get(found, found)}
            self.weights = dict(step.wanted)
        return Change("d1", now, step, ChangeResult.APPLIED, "")

    def original(self, namespace: str, target: ClaimTarget, field: str, value: str) -> str | None:
        return self.claimed.get(value)

    async def look_round(self, slos: object, now: float) -> None:
        return None

    async def publish(self, slos: object, turns: object, now: float) -> int:
        return 0

    async def count(self, wanted: object, hour: int) -> Mapping[str, Series]:
        return {}

    async def cycles(self, count: int) -> Turn:
        for _ in range(count):
            self.now += 15.0
            await self.cycle.once()
        return self.turn()

    def turn(self) -> Turn:
        (key,) = self.slos
        return self.cycle.turns[key]


def _text(weights: Mapping[str, int]) -> str:
    return json.dumps(dict(weights), separators=(",", ":"), sort_keys=True)


def _row(value: float, **labels: str) -> Row:
    return Row(labels, value)


def stage(promise: PerformanceSLOSpec = SPEC) -> Stage:
    return Stage(slo(spec=promise))


async def test_each_backend_is_measured_beside_all_of_them() -> None:
    world = stage()
    turn = await world.cycles(1)
    asked = {one.key: (one.backend, one.workloads, one.names) for one in world.asked}
    assert asked["shop/web"] == ("", frozenset({"a-pods", "b-pods", "c-pods"}), ("a", "b", "c"))
    assert asked["shop/web/b"] == ("b", frozenset({"b-pods"}), ("b",))
    assert turn.observation
    assert turn.observation.backends.keys() == {"a", "b", "c"}
    status = report(turn, None)
    assert status.summary.replicas == "12/12"
    assert [backend.observed_percent for backend in status.backends] == ["33.4", "33.3", "33.3"]


async def test_a_backend_that_is_slow_loses_traffic_and_says_why() -> None:
    world = stage()
    await world.cycles(12)
    world.slow["b"] = BAD
    turn = await world.cycles(6)
    assert world.weights["b"] < 150
    assert sum(world.weights.values()) == 1000
    (backend,) = (each for each in report(turn, None).backends if each.name == "b")
    assert backend.message
    assert "slow or failed of 5.0% allowed" in backend.message
    assert turn.memory.traffic.moved_at


async def test_a_missing_workload_holds_all_and_names_its_backend() -> None:
    world = stage()
    world.problems["b"] = TargetProblem("TargetNotFound", "there is no Deployment/b in namespace shop: create it")
    turn = await world.cycles(1)
    assert turn.why == "hold: backend b: there is no Deployment/b in namespace shop: create it"
    assert world.asked == []


async def test_a_backend_without_series_is_left_alone() -> None:
    world = stage()
    await world.cycles(12)
    world.slow["b"], world.dark = BAD, {"b"}
    turn = await world.cycles(6)
    assert world.weights == {"a": 334, "b": 333, "c": 333}
    assert turn.parts["b"].memory.missing_cycles > 0


async def test_another_writer_of_the_route_is_a_conflict() -> None:
    world = stage()
    world.writers = (OtherWriter("Application", "shop", "add ignoreDifferences"),)
    await world.cycles(12)
    world.slow["b"] = BAD
    turn = await world.cycles(4)
    assert world.weights["b"] == 333
    assert turn.route_conflict
    assert turn.route_conflict.message == (
        "Application shop also writes the weights of HTTPRoute/web: add ignoreDifferences"
    )
    assert not any(isinstance(plan.steps[0], Weigh) and conflict is None for plan, conflict in world.acted)


async def test_of_two_slos_for_one_backend_the_older_scales_it() -> None:
    older = slo("older", created="2025-01-01T00:00:00Z", spec=split.spec("a", "d"))
    younger = slo("younger", spec=split.spec("a", "b"))
    world = Stage(older, younger)
    world.replicas["d"] = Replicas(1, 1)
    world.weights["d"] = 1
    world.slow["d"] = GOOD
    await world.cycle.once()
    conflict = world.cycle.turns["shop/younger"].conflict
    assert conflict
    assert "already scaled for the older PerformanceSLO older" in conflict.message
    assert world.cycle.turns["shop/older"].conflict is None


@pytest.mark.parametrize("mode", ["Recommend", "Auto"])
async def test_what_it_remembers_of_each_survives_in_the_status(mode: str) -> None:
    world = stage(split.spec("a", "b", "c", mode=mode))
    turn = await world.cycles(12)
    learnt = {name: own.capacities[0].curves for name, own in turn.memory.backends.items()}
    assert all(learnt.values())
    (only,) = world.slos.values()
    again = Stage(replace(slo(spec=only.spec, status=kept(world))))
    revived = await again.cycles(1)
    assert revived.memory.backends["a"].capacities[0].curves.keys() == learnt["a"].keys()


def kept(world: Stage) -> dict[str, Any]:
    """The status as it would be written now."""
    turn = world.turn()
    status = report(turn, None).model_dump(mode="json", exclude_none=True)
    return {**status, "memory": {"version": codec.VERSION, "data": codec.encode(turn.memory)}}


@pytest.mark.parametrize("remembers", [True, False])
async def test_weights_that_were_found_return_though_the_operator_ended_before_it_wrote_its_status(
    remembers: bool,
) -> None:
    world = stage()
    await world.cycles(12)
    status, before = kept(world) if remembers else {}, dict(world.weights)
    world.slow["b"] = BAD
    while world.weights == before:
        await world.cycles(1)
    assert world.weights["b"] < 250

    again = Stage(replace(slo(spec=SPEC, status=status)))
    again.now, again.weights, again.claimed, again.slow = world.now, world.weights, world.claimed, dict(world.slow)
    turn = await again.cycles(6)
    assert again.weights["b"] <= world.weights["b"], "what is bad gets nothing back"
    assert turn.memory.traffic.trims["b"].found == pytest.approx(0.333)
    again.slow["b"] = GOOD
    await again.cycles(120)
    assert again.weights["b"] > 300


async def test_weights_that_somebody_else_wrote_meanwhile_are_what_is_found() -> None:
    world = stage()
    await world.cycles(12)
    again = Stage(replace(slo(spec=SPEC, status=kept(world))))
    again.weights = {"a": 500, "b": 100, "c": 400}
    turn = await again.cycles(6)
    assert turn.memory.traffic.trims["b"].found == pytest.approx(0.1)
