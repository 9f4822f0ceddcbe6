"""A scenario as it comes to pass: pods that start and leave, a service that shifts, and who looks at it when.

Simpler than in a cluster: a new version is in all pods at once; a pod that has drained is found gone at the next look
(of the metrics server, or a decision), and may be scraped until then; nobody sends requests to a pod that was removed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfslo.core.model import Histogram
from perfslo.simulate.engine import Engine
from perfslo.simulate.model import PodView, Scenario, Service, Shift
from perfslo.simulate.prometheus import Prometheus

METRICS_SERVER_SECONDS = 15.0
"""Its resolution: it takes the CPU use of each pod between two looks."""
KEPT_SECONDS = 660.0
"""Longest window that anybody asks Prometheus for, and some more."""
LONG_AGO_SECONDS = -3600.0
"""When the first pods were ordered."""


@dataclass(slots=True)
class Pod:
    """One pod from order to termination. Times are infinite until they are known."""

    number: int
    row: int
    """In the engine."""
    created: float
    scheduled: float = math.inf
    ready: float = math.inf
    removed: float = math.inf
    """When it was told to go; it may still work on what it has."""
    ended: float = math.inf
    is_ready: bool = False
    """Or was, when it was removed."""
    cpu_seconds: float | None = None
    """At the metrics server's newest look."""
    cpu_cores: float | None = None
    cpu_at: float | None = None


class World:
    """What a policy sees is `model.View`; the rest is for those who run it."""

    def __init__(self, scenario: Scenario, seed: int, replicas: int) -> None:
        """Begins with that many pods that have been ready for long."""
        self.scenario = scenario
        self.version = "v1"
        self.desired_since: list[tuple[float, int]] = [(0.0, replicas)]
        """Each time the number was set, and to what."""
        self.pods_ever: list[Pod] = []
        self.engine = Engine(
            scenario.service,
            scenario.load,
            seed=seed,
            target_seconds=scenario.target_seconds,
            balancing=scenario.balancing,
            scrape_seconds=scenario.scrape_seconds,
            kept_scrapes=math.ceil(KEPT_SECONDS / scenario.scrape_seconds) + 1,
        )
        self.prometheus = Prometheus(self.engine)
        self._chance = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[2])
        self._service = scenario.service
        self._shifts = list(scenario.shifts)
        self._slow_share, self._slow_factor = 0.0, 1.0
        self._living: list[Pod] = []
        self._leaving: list[Pod] = []
        self._kept: list[Pod] = []
        """Those that are gone, and still in Prometheus' windows."""
        self._next_look = 0.0
        self._shift()
        for _ in range(replicas):
            pod = self._order(LONG_AGO_SECONDS)
            pod.scheduled, pod.ready = LONG_AGO_SECONDS, LONG_AGO_SECONDS + self._startup_seconds()
            self._open(pod)

    # --- what a policy sees --------------------------------------------------------------------------------------

    @property
    def now_seconds(self) -> float:
        return float(self.engine.state.now)

    @property
    def desired(self) -> int:
        return self.desired_since[-1][1]

    @property
    def pods(self) -> Sequence[PodView]:
        return [
            PodView(
                created_seconds=pod.created,
                ready_seconds=pod.ready if pod.is_ready else None,
                cpu_cores=pod.cpu_cores,
                cpu_measured_seconds=pod.cpu_at,
                pending=math.isinf(pod.scheduled),
            )
            for pod in self._living
        ]

    def histogram(self, window_seconds: float) -> Histogram | None:
        if not self.prometheus.up:
            return None
        counts = self.prometheus.buckets(window_seconds)
        return Histogram(self.scenario.service.buckets_seconds, tuple(counts.tolist()))

    def requests_per_second(self, window_seconds: float) -> float | None:
        return self.prometheus.requests(window_seconds) / window_seconds if self.prometheus.up else None

    def in_flight(self) -> float | None:
        if not self.prometheus.up or not self.scenario.service.has_in_flight:
            return None
        return self.prometheus.in_flight()

    def concurrency(self, window_seconds: float) -> float | None:
        return self.engine.in_flight(window_seconds)

    # --- what happens --------------------------------------------------------------------------------------------

    @property
    def service(self) -> Service:
        """As it is now, after what befell it."""
        return self._service

    @property
    def living(self) -> Sequence[Pod]:
        """The pods that are not leaving."""
        return self._living

    def scale_to(self, replicas: int) -> None:
        """Order pods, or let go of those that a ReplicaSet would: pending, then starting, then the youngest ready."""
        if replicas == self.desired:
            return
        now = self.now_seconds
        self.desired_since.append((now, replicas))
        for _ in range(replicas - len(self._living)):
            self._order(now)
        ranked = sorted(
            self._living,
            key=lambda pod: (pod.is_ready, math.isfinite(pod.scheduled), -(pod.ready if pod.is_ready else pod.created)),
        )
        for pod in ranked[: max(0, len(self._living) - replicas)]:
            self._remove(pod)
        self._schedule()

    def advance(self, until_seconds: float) -> None:
        """Let time pass."""
        while True:
            at = min(until_seconds, *self._instants())
            self.engine.advance(at)
            self._terminate()
            self._shift()
            self._schedule()
            for pod in [pod for pod in self._living if not pod.is_ready and pod.ready <= at]:
                self._open(pod)
            if self._next_look <= at:
                self._look()
            if at >= until_seconds:
                return

    def _instants(self) -> Iterator[float]:
        yield self._next_look
        yield from (shift.at_seconds for shift in self._shifts[:1])
        yield from (pod.ready for pod in self._living if not pod.is_ready)
        yield from (pod.removed + self.scenario.service.drain_seconds for pod in self._leaving)

    def _order(self, now: float) -> Pod:
        number = len(self.pods_ever)
        pod = Pod(number, self.engine.add(self._factor(number)), now)
        self.pods_ever.append(pod)
        self._living.append(pod)
        return pod

    def _schedule(self) -> None:
        """Give nodes to the pods that wait for one, as far as there is room."""
        waiting = [pod for pod in self._living if math.isinf(pod.scheduled)]
        if not waiting:
            return
        room = math.inf if self.scenario.room_replicas is None else self.scenario.room_replicas
        taken, now = len(self._living) - len(waiting) + len(self._leaving), self.now_seconds
        for pod in waiting:
            if taken < room:
                pod.scheduled, pod.ready = now, now + self._startup_seconds()
                taken += 1

    def _open(self, pod: Pod) -> None:
        pod.is_ready = True
        offset = float(self._chance.uniform(0.0, self.scenario.scrape_seconds))
        warm_up = self.scenario.service.warmup_seconds if pod.created >= 0 else 0.0
        self.engine.open(pod.row, warm_up, offset)

    def _remove(self, pod: Pod) -> None:
        self._living.remove(pod)
        pod.removed = self.now_seconds
        self._leaving.append(pod)
        if pod.is_ready:
            self.engine.close(pod.row)
        self._terminate()

    def _terminate(self) -> None:
        """End those that have done their work, or have had their time for it."""
        now, engine = self.now_seconds, self.engine
        for pod in [*self._leaving]:
            deadline = pod.removed + self.scenario.service.drain_seconds
            idle = engine.pods[pod.row].in_flight == 0
            if not idle and now < deadline:
                continue
            pod.ended = max(pod.removed, float(engine.pods[pod.row].idle_since)) if idle else deadline
            engine.end(pod.row)
            self._leaving.remove(pod)
            self._kept.append(pod)
        while self._kept and self._kept[0].ended < now - KEPT_SECONDS:
            engine.forget(self._kept.pop(0).row)

    def _look(self) -> None:
        """The metrics server's."""
        now = self.now_seconds
        self._next_look = now + METRICS_SERVER_SECONDS
        used = self.engine.pods.cpu_seconds
        for pod in self._living:
            if math.isinf(pod.scheduled):
                continue
            if pod.cpu_seconds is not None:
                pod.cpu_cores, pod.cpu_at = (float(used[pod.row]) - pod.cpu_seconds) / METRICS_SERVER_SECONDS, now
            pod.cpu_seconds = float(used[pod.row])

    def _shift(self) -> None:
        """Let happen what is due."""
        while self._shifts and self._shifts[0].at_seconds <= self.now_seconds:
            shift = self._shifts.pop(0)
            self._service = shifted(self.scenario.service, self._service, shift)
            self.engine.serve_as(self._service)
            if shift.new_version:
                self.version = f"v{int(self.version[1:]) + 1}"
            if shift.metrics_up is not None:
                self.engine.state.scraping = shift.metrics_up
            if shift.slow_pods_share is not None:
                self._slow_share, self._slow_factor = shift.slow_pods_share, shift.slow_pods_factor
                for number, pod in enumerate(self._living):
                    self.engine.slow_down(pod.row, self._factor(number))

    def _factor(self, number: int) -> float:
        return self._slow_factor if is_slow(number, self._slow_share) else 1.0

    def _startup_seconds(self) -> float:
        mean, variation = self._service.startup_seconds, self.scenario.service.startup_variation
        sigma = math.sqrt(math.log1p(variation**2))
        return mean * math.exp(float(self._chance.normal(-sigma * sigma / 2, sigma)))


def is_slow(number: int, share: float) -> bool:
    """Of the first n pods, n times the share are slow, to the nearest whole below."""
    return math.floor(share * (number + 1)) > math.floor(share * number)


def shifted(original: Service, current: Service, shift: Shift) -> Service:
    """The service after a shift; factors are of what it was at the beginning."""
    mean, called = current.mean_seconds, current.dependency
    if shift.service_factor is not None:
        mean = original.mean_seconds * shift.service_factor
    if shift.dependency_servers is not None and called:
        called = replace(called, servers=shift.dependency_servers)
    if shift.dependency_factor is not None and called and original.dependency:
        called = replace(called, mean_seconds=original.dependency.mean_seconds * shift.dependency_factor)
    return replace(
        current,
        mean_seconds=mean,
        dependency=called,
        cpu_limit_cores=current.cpu_limit_cores if shift.cpu_limit_cores is None else shift.cpu_limit_cores,
        hit_ratio=current.hit_ratio if shift.hit_ratio is None else shift.hit_ratio,
        failing_ratio=current.failing_ratio if shift.failing_ratio is None else shift.failing_ratio,
        static_ratio=current.static_ratio if shift.static_ratio is None else shift.static_ratio,
        startup_seconds=current.startup_seconds if shift.startup_seconds is None else shift.startup_seconds,
    )
