"""What is done to a simulated service, and what it should be found to be: written without a look at the detector."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from perfslo.core.model import Bottleneck
from perfslo.simulate import shapes, traces
from perfslo.simulate.model import Dependency, Load, Scenario, Service, Shift

MINUTE = 60.0
DURATION_SECONDS = 36 * MINUTE
BEGIN_SECONDS = 20 * MINUTE
"""By then it is known what is usual."""
END_SECONDS = 35 * MINUTE
PODS = 6
RPS = 30.0 * PODS
HIGHEST = 1.3
"""Times RPS: what traces have above it is cut off, for the pods are to carry the load while nothing is the matter."""
SEVERITIES = ("mild", "medium", "severe")


@dataclass(frozen=True, slots=True)
class Case:
    """A service, and the background workers beside it that take work from a queue."""

    scenario: Scenario
    workers_share: float = 1.0
    """Of the workers, as long as the fault lasts; half of them can do what comes."""
    has_backends: bool = False
    """Whether it is three services behind one route; shifts then befall one of them."""

    def with_shifts(self, begin: Shift, end: Shift | None = None) -> Case:
        """With what changes when the fault begins, and when it ends."""
        new = [replace(begin, at_seconds=BEGIN_SECONDS)] + ([replace(end, at_seconds=END_SECONDS)] if end else [])
        shifts = sorted((*self.scenario.shifts, *new), key=lambda shift: shift.at_seconds)
        return replace(self, scenario=replace(self.scenario, shifts=tuple(shifts)))

    def with_load(self, factor: float) -> Case:
        """So many times the load as long as the fault lasts."""
        load = self.scenario.load
        edges = (BEGIN_SECONDS, END_SECONDS)
        before = [(t, r) for t, r in _points(load) if t < BEGIN_SECONDS]
        inside = [(t, r) for t, r in _points(load) if BEGIN_SECONDS < t < END_SECONDS]
        after = [(t, r) for t, r in _points(load) if t > END_SECONDS]
        first, last = (load.at(edge) for edge in edges)
        high = [(t, r * factor) for t, r in ((BEGIN_SECONDS, first), *inside, (END_SECONDS, last))]
        points = [*before, (BEGIN_SECONDS, first), *high, (END_SECONDS, last), *after]
        return self.changed(load=Load(tuple(t for t, _ in points), tuple(r for _, r in points)))

    def with_service(self, **changes: object) -> Case:
        return self.changed(service=replace(self.scenario.service, **changes))  # type: ignore[arg-type]

    def changed(self, **changes: object) -> Case:
        return replace(self, scenario=replace(self.scenario, **changes))  # type: ignore[arg-type]


Injection = Callable[[Case, random.Random, int], Case]
"""Does something to it, by chance and the severity, 0 to 2."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One class of it. Without `expected` it only looks like one, and nothing but load may be blamed."""

    inject: Injection
    expected: frozenset[Bottleneck] = frozenset()
    is_quiet: bool = False
    """Whether it does not even look like one."""
    is_paired: bool = True
    """Whether it is injected with others as well."""


def steady() -> Load:
    return Load((0.0, DURATION_SECONDS), (RPS, RPS))


def of_trace(trace: Load) -> Load:
    """The part of a trace around its peak, at RPS on average while the fault lasts."""
    part = traces.around_the_peak(trace, DURATION_SECONDS)
    part = traces.hurried(part, part.duration_seconds / DURATION_SECONDS)
    mean = traces.cut(part, BEGIN_SECONDS, END_SECONDS - BEGIN_SECONDS).mean_rps
    return Load(part.times_seconds, tuple(min(rate * RPS / mean, HIGHEST * RPS) for rate in part.rps))


def calm(load: Load) -> Case:
    """A service with a database behind a cache, with room for a third more pods."""
    database = Dependency(servers=60, mean_seconds=0.030)
    service = Service(mean_seconds=0.030, dependency=database, hit_ratio=0.8)
    return Case(Scenario("", load, service, min_replicas=PODS, max_replicas=PODS + 2, initial_replicas=PODS))


def _points(load: Load) -> list[tuple[float, float]]:
    return list(zip(load.times_seconds, load.rps, strict=True))


def _draw(chance: random.Random, severity: int, *edges: float) -> float:
    """Anywhere within the severity's range; `edges` has four."""
    return chance.uniform(edges[severity], edges[severity + 1])


def _overload(case: Case, chance: random.Random, severity: int) -> Case:
    return case.with_load(_draw(chance, severity, 1.7, 2.0, 2.5, 3.5))


def _slow_database(case: Case, chance: random.Random, severity: int) -> Case:
    factor = _draw(chance, severity, 3.0, 5.0, 8.0, 12.0)
    return case.with_shifts(Shift(0, dependency_factor=factor), Shift(0, dependency_factor=1.0))


def _cold_cache(case: Case, chance: random.Random, severity: int) -> Case:
    ratio = 0.8 - _draw(chance, severity, 0.2, 0.4, 0.6, 0.8)
    slower = case.with_service(dependency=Dependency(servers=60, mean_seconds=0.090))
    return slower.with_shifts(Shift(0, hit_ratio=ratio), Shift(0, hit_ratio=0.8))


def _exhausted_pool(case: Case, chance: random.Random, severity: int) -> Case:
    """Connections to a database that needs 3.2 on average; it answers as fast as ever."""
    left = (4, 3, 2)[severity]
    database = Dependency(servers=60, mean_seconds=_draw(chance, 0, 0.085, 0.095))
    slower = case.with_service(dependency=database)
    return slower.with_shifts(Shift(0, dependency_servers=left), Shift(0, dependency_servers=60))


def _low_limit(case: Case, chance: random.Random, severity: int) -> Case:
    """Of pods that use 0.9 cores on average, and more for moments."""
    limit = _draw(chance, 2 - severity, 0.75, 0.95, 1.1, 1.25)
    limited = case.with_service(cpu_limit_cores=1.9, cpu_request_cores=1.0)
    return limited.with_shifts(Shift(0, cpu_limit_cores=limit), Shift(0, cpu_limit_cores=1.9))


def _slow_release(case: Case, chance: random.Random, severity: int) -> Case:
    factor = _draw(chance, severity, 1.6, 2.0, 2.5, 3.5)
    release, back = Shift(0, service_factor=factor, new_version=True), Shift(0, service_factor=1.0, new_version=True)
    return case.with_shifts(release, back)


def _heavy_work(case: Case, chance: random.Random, severity: int) -> Case:
    """Requests ask for more: pods are short of time, whatever it is that they do."""
    factor = _draw(chance, severity, 1.6, 2.0, 2.5, 3.5)
    return case.with_shifts(Shift(0, service_factor=factor), Shift(0, service_factor=1.0))


def _slow_backend(case: Case, chance: random.Random, severity: int) -> Case:
    factor = _draw(chance, severity, 2.0, 2.5, 3.5, 5.0)
    several = replace(case, has_backends=True).changed(max_replicas=3 * PODS)
    return several.with_shifts(Shift(0, service_factor=factor), Shift(0, service_factor=1.0))


def _static_requests(case: Case, chance: random.Random, severity: int) -> Case:
    """A share of what is asked for is files, each of which takes three times as long as a usual request."""
    ratio = _draw(chance, severity, 0.3, 0.45, 0.6, 0.8)
    return case.with_shifts(Shift(0, static_ratio=ratio), Shift(0, static_ratio=0.0))


def _failing(case: Case, chance: random.Random, severity: int) -> Case:
    ratio = _draw(chance, severity, 0.07, 0.15, 0.4, 0.8)
    return case.with_shifts(Shift(0, failing_ratio=ratio), Shift(0, failing_ratio=0.0))


def _no_nodes(case: Case, chance: random.Random, severity: int) -> Case:
    busier = case.with_load(_draw(chance, severity, 1.5, 1.8, 2.2, 3.0))
    return busier.changed(room_replicas=PODS, max_replicas=5 * PODS)


def _few_workers(case: Case, chance: random.Random, severity: int) -> Case:
    """Background work piles up, for half of the workers would do."""
    return replace(case, workers_share=_draw(chance, 2 - severity, 0.0, 0.2, 0.35, 0.45))


def _unattainable(case: Case, chance: random.Random, severity: int) -> Case:
    """A target from the beginning that even an idle service misses: 95 of 100 requests have up to 83 ms of work."""
    target = _draw(chance, 2 - severity, 0.03, 0.045, 0.06, 0.075)
    quicker = case.with_service(dependency=Dependency(servers=60, mean_seconds=0.003))
    return quicker.changed(target_seconds=round(target, 3), max_replicas=3 * PODS)


def _quiet(case: Case, chance: random.Random, severity: int) -> Case:
    return case


def _quiet_backends(case: Case, chance: random.Random, severity: int) -> Case:
    return replace(case, has_backends=True)


def _wandering(case: Case, chance: random.Random, severity: int) -> Case:
    shape = shapes.noisy(DURATION_SECONDS, chance.randrange(10**6), deviation=0.05 * (severity + 1))
    return case.changed(load=traces.averaging(shape, RPS))


def _release_with_a_rise(case: Case, chance: random.Random, severity: int) -> Case:
    busier = case.with_load(_draw(chance, severity, 1.1, 1.2, 1.35, 1.5)).changed(max_replicas=3 * PODS)
    return busier.with_shifts(Shift(0, new_version=True))


def _busy_neighbour(case: Case, chance: random.Random, severity: int) -> Case:
    factor = _draw(chance, severity, 1.1, 1.3, 1.6, 2.0)
    sick = Shift(0, slow_pods_share=1 / PODS, slow_pods_factor=factor)
    return case.changed(max_replicas=3 * PODS).with_shifts(sick, Shift(0, slow_pods_share=0.0))


def _rare_route(case: Case, chance: random.Random, severity: int) -> Case:
    """The database is slow for the one request of a hundred that asks it."""
    factor = _draw(chance, severity, 3.0, 5.0, 8.0, 12.0)
    rarely = case.with_service(hit_ratio=0.99)
    return rarely.with_shifts(Shift(0, dependency_factor=factor), Shift(0, dependency_factor=1.0))


LOAD = frozenset({Bottleneck.SATURATED, Bottleneck.OVERLOADED})
FAULTS: Mapping[str, Fault] = {
    "overload": Fault(_overload, LOAD),
    "heavy work": Fault(_heavy_work, LOAD),
    "slow database": Fault(_slow_database, frozenset({Bottleneck.DEPENDENCY_BOUND})),
    "cold cache": Fault(_cold_cache, frozenset({Bottleneck.CACHE_COLD})),
    "exhausted pool": Fault(_exhausted_pool, frozenset({Bottleneck.CONNECTION_POOL_BOUND})),
    "low CPU limit": Fault(_low_limit, frozenset({Bottleneck.CPU_THROTTLED})),
    "slow release": Fault(_slow_release, frozenset({Bottleneck.ROLLOUT_REGRESSION})),
    "slow backend": Fault(_slow_backend, frozenset({Bottleneck.BACKEND_SKEW}), is_paired=False),
    "static requests": Fault(_static_requests, LOAD),
    "failing fast": Fault(_failing, frozenset({Bottleneck.FAST_FAILING})),
    "no nodes": Fault(_no_nodes, frozenset({Bottleneck.NODE_PRESSURE})),
    "few workers": Fault(_few_workers, frozenset({Bottleneck.QUEUE_BACKLOG})),
    "unattainable target": Fault(_unattainable, frozenset({Bottleneck.UNREACHABLE_TARGET})),
    "quiet": Fault(_quiet, is_quiet=True),
    "quiet backends": Fault(_quiet_backends, is_quiet=True),
    "wandering load": Fault(_wandering, is_quiet=True),
    "release, load rises": Fault(_release_with_a_rise),
    "busy neighbour": Fault(_busy_neighbour),
    "slow rare route": Fault(_rare_route),
}
