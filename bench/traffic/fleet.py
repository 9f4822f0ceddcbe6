"""Several of the simulator's services behind one route: the operator's law moves their weights and replicas."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import measure, members
from perfslo.core.apportion import shares_of
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.levers import knobs
from perfslo.core.measure import Answer, Row, Series
from perfslo.core.memory import Memory
from perfslo.core.model import Bottleneck, Change, ChangeResult, Missing, Observation, Replicas, Route, Target
from perfslo.core.steps import Scale, Step, TargetRef, Weigh
from perfslo.simulate.model import Minute, Scenario, Shift
from perfslo.simulate.policies.perfslo import BEGIN, Sight, promised
from perfslo.simulate.run import first_replicas, minutes
from perfslo.simulate.world import World

CYCLE_SECONDS = 15.0
NAMES = ("a", "b", "c")
ROUTE = TargetRef("gateway.networking.k8s.io", "HTTPRoute", "shared")
TOTAL = 1000
"""Weights add up to so much."""
LOOK_SECONDS = 1.0
"""From one look of a proxy at its outstanding requests to the next."""
Mode = Literal["Auto", "Recommend"]


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a run."""

    minutes: tuple[Minute, ...]
    """Of all backends together; percentiles of all together are not known."""
    turned: int
    """How often the weight that did so most often changed its direction."""
    found: tuple[Bottleneck, ...]
    """What the operator took it for: in each cycle, the first at CYCLE_SECONDS."""


class Fleet:
    """Equal backends at first, each with as many pods as its share of the load needs."""

    def __init__(
        self,
        scenario: Scenario,
        befalls: Mapping[str, tuple[Shift, ...]],
        weights: Mode,
        seed: int,
        *,
        least_request: bool = False,
    ) -> None:
        """`befalls`: what happens to which backend. `weights`: whether they are moved, or only recommended to be.

        `least_request`: the proxy heeds no weights, but outstanding requests over the pods of all backends.
        """
        self._scenario = scenario
        self._least_request = least_request
        self._spec = _shared(scenario, weights)
        self._memory = Memory()
        self._weights = dict(zip(NAMES, _equal(len(NAMES)), strict=True))
        self._moves: dict[str, list[int]] = {name: [] for name in NAMES}
        self._found: list[Bottleneck] = []
        replicas = math.ceil(first_replicas(scenario) / len(NAMES))
        self._worlds = {
            name: World(replace(scenario, shifts=befalls.get(name, ())), len(NAMES) * seed + number, replicas)
            for number, name in enumerate(NAMES)
        }
        self._sights = {name: Sight(self._spec, CYCLE_SECONDS) for name in NAMES}
        self._share_out()

    def play(self) -> Came:
        """All of it, to the end."""
        end = self._scenario.load.duration_seconds
        for number in range(1, math.ceil(end / CYCLE_SECONDS)):
            now = number * CYCLE_SECONDS
            self._advance(now)
            self._turn(f"d{number}", BEGIN + now)
        for world in self._worlds.values():
            world.advance(end)
            world.engine.finish()
        each = [minutes(self._scenario, world) for world in self._worlds.values()]
        together = tuple(map(_together, zip(*each, strict=True)))
        return Came(together, max(map(_turns, self._moves.values())), tuple(self._found))

    def _advance(self, until: float) -> None:
        looks = math.ceil(CYCLE_SECONDS / LOOK_SECONDS) if self._least_request else 1
        for look in range(1, looks + 1):
            for world in self._worlds.values():
                world.advance(until - CYCLE_SECONDS * (1.0 - look / looks))
            if self._least_request:
                self._share_out()

    def _turn(self, decision_id: str, now: float) -> None:
        decision, change = decide(self._spec, self._memory, self._observe(now)), None
        self._found.append(decision.diagnosis.bottleneck)
        if decision.plan and decision.plan.steps:
            change = self._carried_out(decision, decision.plan.steps[0], decision_id, now)
        self._memory, _ = conclude(self._spec, decision, change)

    def _carried_out(self, decision: Decision, step: Step, decision_id: str, now: float) -> Change:
        why = decision.plan.why if decision.plan else ""
        if knobs.mode(self._spec, step) == "Recommend":
            return Change(decision_id, now, step, ChangeResult.RECOMMENDED, why)
        if isinstance(step, Weigh):
            for name, weight in step.wanted.items():
                self._moves[name].append(weight - self._weights[name])
            self._weights = dict(step.wanted)
            self._share_out()
        elif isinstance(step, Scale):
            self._worlds[step.subject].scale_to(step.wanted)
        return Change(decision_id, now, step, ChangeResult.APPLIED, why)

    def _share_out(self) -> None:
        shares = self._picked() if self._least_request else shares_of(self._weights)
        for name, world in self._worlds.items():
            world.engine.take(shares[name])

    def _picked(self) -> Mapping[str, float]:
        return picked({
            name: [int(world.engine.pods[row].in_flight) for row in world.engine.ready_rows]
            for name, world in self._worlds.items()
        })  # fmt: skip

    def _observe(self, now: float) -> Observation:
        pods = {name: self._sights[name].replicas(world) for name, world in self._worlds.items()}
        series = {name: self._sights[name].series(world) for name, world in self._worlds.items()}
        targets = {
            name: Target(TargetRef("apps", "Deployment", name), name, own, frozenset({name}))
            for name, own in pods.items()
        }
        whole = members.together(targets, ROUTE).replicas
        return replace(
            self._seen(whole, _sum(series.values()), now),
            backends={name: self._seen(pods[name], series[name], now) for name in NAMES},
            route=Route(ROUTE, "", "uid", dict(self._weights), TOTAL),
        )

    def _seen(self, replicas: Replicas, series: Series, now: float) -> Observation:
        return measure.observe(self._spec, replicas, series, CYCLE_SECONDS, now)


def picked(outstanding: Mapping[str, Sequence[int]]) -> Mapping[str, float]:
    """Share of the requests of each backend when of two pods chosen at random that with fewer outstanding gets one.

    Args:
        outstanding: requests of each pod, by backend.
    """
    pods = sorted(itertools.chain.from_iterable(outstanding.values()))
    fewer = {count: bisect_left(pods, count) for count in pods}
    odds = {count: 2 * (len(pods) - fewer[count]) - pods.count(count) for count in fewer}
    return shares_of({name: float(sum(odds[count] for count in each)) for name, each in outstanding.items()})


def _shared(scenario: Scenario, weights: Mode) -> PerformanceSLOSpec:
    written = promised(scenario).model_dump(mode="json", by_alias=True, exclude_none=True)
    del written["scaleTargetRef"]
    deployments = [
        {"name": name, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}
        for name in NAMES
    ]
    traffic = {"mode": weights, "routeRef": {"name": ROUTE.name}, "backends": deployments}
    return PerformanceSLOSpec.model_validate({**written, "minReplicas": len(NAMES), "levers": {"traffic": traffic}})


def _equal(count: int) -> list[int]:
    return [TOTAL // count + (number < TOTAL % count) for number in range(count)]


def _sum(parts: Iterable[Series]) -> Series:
    """What Prometheus would say of the pods of all of them."""
    told = list(parts)
    known = [each for each in told if not isinstance(each.sampling, Missing)]
    if not known:
        return told[0]
    return replace(
        known[0],
        histograms={name: _rows(each.histograms.get(name, ()) for each in told) for name in known[0].histograms},
        pods=_rows(each.pods for each in told),
        completions=_rows(each.completions for each in told),
        requests=_rows(each.requests for each in told),
        in_flight=_rows(each.in_flight for each in told),
        cpu_seconds=_rows(each.cpu_seconds for each in told),
    )


def _rows(answers: Iterable[Answer]) -> Answer:
    """Sums by labels."""
    told, found = list(answers), dict[tuple[tuple[str, str], ...], float]()
    if problems := [each for each in told if isinstance(each, Missing)]:
        return problems[0]
    for row in itertools.chain.from_iterable(each for each in told if not isinstance(each, Missing)):
        key = tuple(sorted(row.labels.items()))
        found[key] = found.get(key, 0.0) + row.value
    return tuple(Row(dict(labels), value) for labels, value in found.items())


def _together(parts: tuple[Minute, ...]) -> Minute:
    return Minute(
        at_seconds=parts[0].at_seconds,
        requests=sum(each.requests for each in parts),
        bad=sum(each.bad for each in parts),
        percentile_seconds=0.0,
        replicas=sum(each.replicas for each in parts),
        ready=sum(each.ready for each in parts),
        desired=sum(each.desired for each in parts),
    )


def _turns(moves: list[int]) -> int:
    signs = np.sign([move for move in moves if move])
    return int((signs[1:] != signs[:-1]).sum())
