"""A small world, request by request, that the core's exact pipeline runs on.

Pods with workers and a FIFO queue, random balancing, start-up delay, and what Prometheus would answer: cumulative
stock buckets per pod, scraped at an interval, `increase()` and `rate()` with its extrapolation.
"""

from __future__ import annotations

import bisect
import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import memory
from perfslo.core.decide import conclude, decide
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Histogram,
    LatencyReading,
    Missing,
    NoTraffic,
    Observation,
    Plan,
    Replicas,
    Signal,
    Value,
)
from perfslo.core.steps import Scale
from perfslo.core.timescale import TimeScale

STOCK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)


@dataclass(frozen=True)
class Service:
    """Each pod: `workers` requests at a time, the rest queue; log-normal service times."""

    workers: int
    mean_seconds: float
    variation: float = 0.5
    """Standard deviation over mean."""

    def sampler(self, chance: random.Random) -> Callable[[], float]:
        sigma = math.sqrt(math.log(1 + self.variation**2))
        mu = math.log(self.mean_seconds) - sigma**2 / 2
        return lambda: chance.lognormvariate(mu, sigma)


@dataclass
class Pod:
    created: float
    ready_at: float
    workers: list[float]
    running: list[tuple[float, float]] = field(default_factory=list)
    """Heap of (end, latency)."""
    counts: list[int] = field(default_factory=lambda: [0] * len(STOCK_BUCKETS))
    """Not cumulative over buckets."""
    scrapes: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    gone: bool = False
    was_ready: bool = False


class World:
    def __init__(
        self,
        service: Service,
        load: Callable[[float], float],
        *,
        replicas: int,
        scale: TimeScale,
        startup_seconds: float = 6.0,
        gauge: bool = True,
        seed: int = 1,
        room: int = 10_000,
    ) -> None:
        self.chance = random.Random(seed)
        self.service, self.load, self.scale, self.gauge = service, load, scale, gauge
        self.startup_seconds, self.room = startup_seconds, room
        self.now, self.next_scrape = 0.0, 0.0
        self.next_arrival = self._after(0.0)
        self.desired = replicas
        self.pods = [self._pod(-1000.0, -1000.0) for _ in range(replicas)]
        self.starts: list[float] = []
        self.version = "v1"
        self.requests: list[tuple[float, float]] = []
        """(arrival, latency) as the client sees them."""
        self.metrics_up = True

    def set_service(self, service: Service) -> None:
        self.service = service

    def scale_to(self, replicas: int) -> None:
        self.desired = replicas
        alive = [p for p in self.pods if not p.gone]
        for _ in range(replicas - len(alive)):
            self.pods.append(self._pod(self.now, self.now + self.startup_seconds * self.chance.uniform(0.8, 1.2)))
        for pod in sorted(alive, key=lambda p: -p.ready_at)[: max(0, len(alive) - replicas)]:
            pod.gone = True

    def advance(self, until: float) -> None:
        sample = self.service.sampler(self.chance)
        while True:
            at = min(self.next_arrival, self.next_scrape)
            if at > until:
                break
            self.now = at
            if at == self.next_scrape:
                self._scrape()
                self.next_scrape += self.scale.scrape_seconds
                continue
            self.next_arrival = self._after(at)
            if self.load(at) <= 0:
                continue
            ready = [p for p in self.pods if p.ready_at <= at and not p.gone]
            if not ready:
                self.requests.append((at, math.inf))
                continue
            pod = self.chance.choice(ready)
            end = max(at, heapq.heappop(pod.workers)) + sample()
            heapq.heappush(pod.workers, end)
            heapq.heappush(pod.running, (end, end - at))
            self.requests.append((at, end - at))
        self.now = until

    def observe(self, spec: PerformanceSLOSpec) -> Observation:
        alive = [p for p in self.pods if not p.gone]
        ready = [p for p in alive if p.ready_at <= self.now]
        for pod in ready:
            if not pod.was_ready:
                pod.was_ready = True
                if pod.created >= 0:
                    self.starts.append(pod.ready_at - pod.created)
        histogram = self._increase(self.scale.window_seconds)
        short = self._increase(self.scale.short_window_seconds)
        latency: LatencyReading = NoTraffic() if histogram.total <= 0 else histogram
        completions: Signal = Value(short.total / self.scale.short_window_seconds) if short.total > 0 else NoTraffic()
        in_flight: Signal = Missing("SeriesMissing")
        if self.gauge:
            in_flight = Value(float(self.gauge_value))
        if not self.metrics_up:
            latency = completions = in_flight = Missing("SeriesMissing")
        starting = len(alive) - len(ready)
        pending = max(0, len(alive) - self.room)
        return Observation(
            time=self.now,
            scale=self.scale,
            replicas=Replicas(
                desired=self.desired,
                ready=len(ready),
                starting=max(0, starting - pending),
                pending=pending,
                youngest_ready_age_seconds=min((self.now - p.ready_at for p in ready), default=None),
                startup_seconds=sorted(self.starts)[int(0.9 * (len(self.starts) - 1))] if self.starts else None,
                version=self.version,
            ),
            latency={o.name: latency for o in spec.latency_objectives},
            completions_per_second=completions,
            in_flight=in_flight,
            error_ratio=Value(0.0),
        )

    def slow_share(self, start: float, end: float, threshold: float) -> float:
        """By the client's own clock."""
        lo, hi = (bisect.bisect_left(self.requests, (t, 0.0)) for t in (start, end))
        window = self.requests[lo:hi]
        return sum(latency > threshold for _, latency in window) / max(1, len(window))

    def _pod(self, created: float, ready_at: float) -> Pod:
        return Pod(created, ready_at, [0.0] * self.service.workers)

    def _after(self, now: float) -> float:
        rate = self.load(now)
        return now + (self.chance.expovariate(rate) if rate > 0 else 0.5)

    def _scrape(self) -> None:
        for pod in self.pods:
            while pod.running and pod.running[0][0] <= self.now:
                _, latency = heapq.heappop(pod.running)
                pod.counts[bisect.bisect_left(STOCK_BUCKETS, latency)] += 1
            if pod.ready_at <= self.now and (not pod.gone or pod.running):
                pod.scrapes.append((self.now, tuple(pod.counts)))
                del pod.scrapes[:-12]
        self.gauge_value = sum(len(p.running) for p in self.pods)
        oldest = self.now - 10 * self.scale.scrape_seconds
        self.pods = [p for p in self.pods if not p.gone or p.running or (p.scrapes and p.scrapes[-1][0] > oldest)]

    def _increase(self, window: float) -> Histogram:
        """sum(increase(bucket[window])) as Prometheus extrapolates it, per pod."""
        totals = [0.0] * len(STOCK_BUCKETS)
        for pod in self.pods:
            samples = [s for s in pod.scrapes if self.now - window < s[0] <= self.now]
            if len(samples) < 2:
                continue
            (first_t, first), (last_t, last) = samples[0], samples[-1]
            sampled = last_t - first_t
            average = sampled / (len(samples) - 1)
            to_start, to_end = first_t - (self.now - window), self.now - last_t
            to_start = average / 2 if to_start >= 1.1 * average else to_start
            to_end = average / 2 if to_end >= 1.1 * average else to_end
            factor = (sampled + to_start + to_end) / sampled
            for i, (a, b) in enumerate(zip(first, last, strict=True)):
                totals[i] += (b - a) * factor
        cumulative, running = [], 0.0
        for count in totals:
            running += count
            cumulative.append(running)
        return Histogram(STOCK_BUCKETS, tuple(cumulative))


@dataclass(frozen=True)
class Cycle:
    observation: Observation
    diagnosis: Diagnosis
    plan: Plan
    memory: Memory


def drive(world: World, spec: PerformanceSLOSpec, until: float, remembered: Memory | None = None) -> Iterator[Cycle]:
    """The pipeline, cycle by cycle, acting on the world, until its clock shows `until`."""
    mind = remembered or memory.Memory()
    number = 0
    while world.now < until:
        world.advance(world.now + world.scale.cycle_seconds)
        observation = world.observe(spec)
        decision, change = decide(spec, mind, observation), None
        plan = decision.plan
        assert plan is not None
        if plan.steps:
            number += 1
            (step,) = plan.steps
            assert isinstance(step, Scale)
            world.scale_to(step.wanted)
            change = Change(f"d{number}", world.now, step, ChangeResult.APPLIED, plan.why)
        mind, _ = conclude(spec, decision, change)
        yield Cycle(observation, decision.diagnosis, plan, mind)


def share_with(service: Service, load: float, replicas: int, threshold: float, seed: int = 5) -> float:
    """Long-run share of slow requests: random balancing splits Poisson arrivals into independent ones."""
    chance = random.Random(seed)
    sample, rate = service.sampler(chance), load / replicas
    workers, now, slow, total = [0.0] * service.workers, 0.0, 0, 20_000
    for _ in range(total):
        now += chance.expovariate(rate)
        end = max(now, heapq.heappop(workers)) + sample()
        heapq.heappush(workers, end)
        slow += end - now > threshold
    return slow / total


def smallest(service: Service, load: float, threshold: float, allowed: float = 0.05) -> int:
    """The fewest replicas that keep the promise at a steady load."""
    return next(n for n in range(1, 1000) if share_with(service, load, n, threshold) <= allowed)


def faster(service: Service, factor: float) -> Service:
    return replace(service, mean_seconds=service.mean_seconds / factor)
