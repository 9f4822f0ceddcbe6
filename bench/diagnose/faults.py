"""What is done to a simulated service, and what it should be found to be: written without a look at the detector."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from perfslo.core.model import Bottleneck
from perfslo.simulate import shapes
from perfslo.simulate.model import Dependency, Load, Scenario, Service, Shift

MINUTE = 60.0
DURATION_SECONDS = 45 * MINUTE
BEGIN_SECONDS = 20 * MINUTE
"""By then it is known what is usual."""
END_SECONDS = 35 * MINUTE
PODS = 6
RPS = 30.0 * PODS
SEVERITIES = ("mild", "medium", "severe")

Build = Callable[[random.Random, int], Scenario]
"""From chance and the severity, 0 to 2."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One class of it. Without `expected` it only looks like one, and nothing but load may be blamed."""

    build: Build
    expected: frozenset[Bottleneck] = frozenset()


def _scenario(load: Load | None = None, **changes: object) -> Scenario:
    """A service with a database behind a cache, with room for a third more pods."""
    database = Dependency(servers=60, mean_seconds=0.030)
    service = Service(mean_seconds=0.030, dependency=database, hit_ratio=0.8)
    steady = Load((0.0, DURATION_SECONDS), (RPS, RPS))
    plain = Scenario("", load or steady, service, min_replicas=PODS, max_replicas=PODS + 2, initial_replicas=PODS)
    return replace(plain, **changes)  # type: ignore[arg-type]


def _during(change: Shift, back: Shift) -> tuple[Shift, Shift]:
    return replace(change, at_seconds=BEGIN_SECONDS), replace(back, at_seconds=END_SECONDS)


def _draw(chance: random.Random, severity: int, *edges: float) -> float:
    """Anywhere within the severity's range; `edges` has four."""
    return chance.uniform(edges[severity], edges[severity + 1])


def _overload(chance: random.Random, severity: int) -> Scenario:
    high = RPS * _draw(chance, severity, 1.7, 2.0, 2.5, 3.5)
    return _scenario(shapes.step(DURATION_SECONDS, BEGIN_SECONDS, END_SECONDS, RPS, high))


def _slow_database(chance: random.Random, severity: int) -> Scenario:
    factor = _draw(chance, severity, 3.0, 5.0, 8.0, 12.0)
    return _scenario(shifts=_during(Shift(0, dependency_factor=factor), Shift(0, dependency_factor=1.0)))


def _cold_cache(chance: random.Random, severity: int) -> Scenario:
    ratio = 0.8 - _draw(chance, severity, 0.2, 0.4, 0.6, 0.8)
    scenario = _scenario(shifts=_during(Shift(0, hit_ratio=ratio), Shift(0, hit_ratio=0.8)))
    database = Dependency(servers=60, mean_seconds=0.090)
    return replace(scenario, service=replace(scenario.service, dependency=database))


def _exhausted_pool(chance: random.Random, severity: int) -> Scenario:
    """Connections to a database that needs 3.2 on average; it answers as fast as ever."""
    left = (4, 3, 2)[severity]
    scenario = _scenario(shifts=_during(Shift(0, dependency_servers=left), Shift(0, dependency_servers=60)))
    database = Dependency(servers=60, mean_seconds=_draw(chance, 0, 0.085, 0.095))
    return replace(scenario, service=replace(scenario.service, dependency=database))


def _low_limit(chance: random.Random, severity: int) -> Scenario:
    """Of pods that use 0.9 cores on average, and more for moments."""
    limit = _draw(chance, 2 - severity, 0.75, 0.95, 1.1, 1.25)
    scenario = _scenario(shifts=_during(Shift(0, cpu_limit_cores=limit), Shift(0, cpu_limit_cores=1.9)))
    return replace(scenario, service=replace(scenario.service, cpu_limit_cores=1.9, cpu_request_cores=1.0))


def _slow_release(chance: random.Random, severity: int) -> Scenario:
    factor = _draw(chance, severity, 1.6, 2.0, 2.5, 3.5)
    release, back = Shift(0, service_factor=factor, new_version=True), Shift(0, service_factor=1.0, new_version=True)
    return _scenario(shifts=_during(release, back))


def _failing(chance: random.Random, severity: int) -> Scenario:
    ratio = _draw(chance, severity, 0.07, 0.15, 0.4, 0.8)
    return _scenario(shifts=_during(Shift(0, failing_ratio=ratio), Shift(0, failing_ratio=0.0)))


def _no_nodes(chance: random.Random, severity: int) -> Scenario:
    high = RPS * _draw(chance, severity, 1.5, 1.8, 2.2, 3.0)
    load = shapes.step(DURATION_SECONDS, BEGIN_SECONDS, END_SECONDS, RPS, high)
    return _scenario(load, room_replicas=PODS, max_replicas=5 * PODS)


def _quiet(chance: random.Random, severity: int) -> Scenario:
    return _scenario()


def _wandering(chance: random.Random, severity: int) -> Scenario:
    shape = shapes.noisy(DURATION_SECONDS, chance.randrange(10**6), deviation=0.05 * (severity + 1))
    return _scenario(Load(shape.times_seconds, tuple(rate * RPS / shape.mean_rps for rate in shape.rps)))


def _release_with_a_rise(chance: random.Random, severity: int) -> Scenario:
    high = RPS * _draw(chance, severity, 1.1, 1.2, 1.35, 1.5)
    load = shapes.step(DURATION_SECONDS, BEGIN_SECONDS, END_SECONDS, RPS, high)
    return _scenario(load, shifts=(Shift(BEGIN_SECONDS, new_version=True),), max_replicas=3 * PODS)


def _busy_neighbour(chance: random.Random, severity: int) -> Scenario:
    factor = _draw(chance, severity, 1.1, 1.3, 1.6, 2.0)
    sick = Shift(0, slow_pods_share=1 / PODS, slow_pods_factor=factor)
    return _scenario(shifts=_during(sick, Shift(0, slow_pods_share=0.0)), max_replicas=3 * PODS)


LOAD = frozenset({Bottleneck.SATURATED, Bottleneck.OVERLOADED})
FAULTS: Mapping[str, Fault] = {
    "overload": Fault(_overload, LOAD),
    "slow database": Fault(_slow_database, frozenset({Bottleneck.DEPENDENCY_BOUND})),
    "cold cache": Fault(_cold_cache, frozenset({Bottleneck.CACHE_COLD})),
    "exhausted pool": Fault(_exhausted_pool, frozenset({Bottleneck.CONNECTION_POOL_BOUND})),
    "low CPU limit": Fault(_low_limit, frozenset({Bottleneck.CPU_THROTTLED})),
    "slow release": Fault(_slow_release, frozenset({Bottleneck.ROLLOUT_REGRESSION})),
    "failing fast": Fault(_failing, frozenset({Bottleneck.FAST_FAILING})),
    "no nodes": Fault(_no_nodes, frozenset({Bottleneck.NODE_PRESSURE})),
    "quiet": Fault(_quiet),
    "wandering load": Fault(_wandering),
    "release, load rises": Fault(_release_with_a_rise),
    "busy neighbour": Fault(_busy_neighbour),
}
