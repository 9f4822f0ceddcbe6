"""The requests of one run: what `loop` simulates, as the rest of a simulation handles it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from perfslo.simulate import cfs, loop, state
from perfslo.simulate.model import Balancing, Load, Service

FIRST_REQUESTS, FIRST_PODS = 1024, 64
"""Room at first; doubled whenever it is not enough."""
KEPT_SECONDS = 1024
"""For so long the requests in flight are remembered, second by second."""
_BALANCING = {
    Balancing.RANDOM: loop.RANDOM,
    Balancing.ROUND_ROBIN: loop.ROUND_ROBIN,
    Balancing.LEAST_REQUEST: loop.LEAST_REQUEST,
}


class Engine:
    """Pods are known by their rows, which are used again after `forget`."""

    def __init__(
        self,
        service: Service,
        load: Load,
        *,
        seed: int,
        target_seconds: float,
        balancing: Balancing = Balancing.RANDOM,
        scrape_seconds: float = math.inf,
        kept_scrapes: int = 1,
        exponential: bool = False,
    ) -> None:
        """Of each pod the last `kept_scrapes` are kept.

        `exponential`: service times are that, in place of log-normal; formulas are simplest for these.
        """
        self._chances = state.Chance(*map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2)))
        minutes = int((load.duration_seconds + service.timeout_seconds) // loop.MINUTE_SECONDS) + 2
        # No client waits for longer than the timeout.
        latencies = math.ceil(math.log(service.timeout_seconds / loop.SHORTEST_SECONDS) / math.log(loop.STEP)) + 1
        buckets, servers = len(service.buckets_seconds), service.dependency.servers if service.dependency else 0
        self._free_rows = list(range(FIRST_PODS))
        self._load_rps = np.array(load.rps, float)
        self._world = state.World(
            state=np.zeros(1, state.STATE),
            load_times=np.array(load.times_seconds, float),
            load_rps=self._load_rps.copy(),
            bounds=np.array(service.buckets_seconds, float),
            event_times=np.zeros(FIRST_REQUESTS),
            event_whats=np.zeros(FIRST_REQUESTS, np.int64),
            requests=_requests(0, FIRST_REQUESTS),
            pods=np.zeros(FIRST_PODS, state.POD),
            ready=np.zeros(FIRST_PODS, np.int64),
            servers=np.zeros(servers),
            counts=np.zeros((FIRST_PODS, buckets), np.int64),
            running=np.zeros((FIRST_PODS, service.workers), np.int64),
            scraped_at=np.full((FIRST_PODS, kept_scrapes), -math.inf),
            scraped=np.zeros((FIRST_PODS, kept_scrapes, loop.BUCKETS + buckets)),
            minutes=np.zeros(minutes, state.MINUTE),
            latencies=np.zeros((minutes, latencies), np.int32),
            in_flight_seconds=np.zeros(KEPT_SECONDS),
        )
        self.state: Any = self._world.state.view(np.recarray)[0]
        """Clock, settings and tallies (see `state.STATE`)."""
        now = self.state
        now.last_arrival = load.duration_seconds
        now.workers, now.timeout, now.target = service.workers, service.timeout_seconds, target_seconds
        now.exponential, now.cpu_share = exponential, service.cpu_share
        now.warm_up_factor, now.balancing = service.warmup_factor, _BALANCING[balancing]
        now.scrape_seconds, now.scraping = scrape_seconds, True
        self.serve_as(service)
        loop.begin(self._world, self._chances)

    @property
    def pods(self) -> Any:
        """By row (see `state.POD`)."""
        return self._world.pods.view(np.recarray)

    @property
    def ready_rows(self) -> list[int]:
        """Of the pods that get requests, those that were ready first first."""
        rows: list[int] = self._world.ready[: self.state.ready].tolist()
        return rows

    @property
    def scrapes(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """When each row was scraped, in no order, -inf where it was not; and what (columns: see `loop.BUCKETS`)."""
        return self._world.scraped_at, self._world.scraped

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Requests by row and bucket, not cumulative, that the servers have seen end."""
        return self._world.counts

    @property
    def minutes(self) -> Any:
        """By minute of arrival (see `state.MINUTE`)."""
        return self._world.minutes.view(np.recarray)

    def serve_as(self, service: Service) -> None:
        """What requests cost from now on, how many fail and how many a cache answers, and what serves them."""
        now, limit = self.state, service.cpu_limit_cores
        now.quota = limit * cfs.PERIOD_SECONDS if limit is not None and limit < service.workers else 0.0
        now.mu, now.sigma = _log_normal(service.mean_seconds, service.variation)
        now.static_mu, _ = _log_normal(service.static_seconds, service.variation)
        if now.exponential:
            now.mu, now.static_mu = math.log(service.mean_seconds), math.log(service.static_seconds)
        now.hit_ratio, now.failing_ratio = service.hit_ratio, service.failing_ratio
        now.static_ratio = service.static_ratio
        now.calls = service.dependency is not None
        if service.dependency:
            now.call_mu, now.call_sigma = _log_normal(service.dependency.mean_seconds, service.dependency.variation)
            self._admit(service.dependency.servers)

    def _admit(self, servers: int) -> None:
        """So many of the dependency's servers take requests: those that are free first."""
        free = self._world.servers
        if np.isfinite(free).sum() != servers:
            free[np.isinf(free)] = self.state.now
            free.sort()  # which is a heap
            free[servers:] = math.inf

    @property
    def dependency_wait_seconds(self) -> float:
        """That a request which comes now would wait for one of the dependency's servers."""
        return max(0.0, float(self._world.servers[0]) - float(self.state.now))

    def add(self, factor: float = 1.0) -> int:
        """A pod that is not ready yet, and takes `factor` times as long as others for the same work."""
        if not self._free_rows:
            rows = len(self._world.pods)
            self._world = self._world._replace(
                pods=_doubled(self._world.pods),
                ready=_doubled(self._world.ready),
                counts=_doubled(self._world.counts),
                running=_doubled(self._world.running),
                scraped_at=_doubled(self._world.scraped_at),
                scraped=_doubled(self._world.scraped),
            )
            self._world.scraped_at[rows:] = -math.inf
            self._free_rows = list(range(rows, 2 * rows))
        row = self._free_rows.pop()
        self._world.pods[row] = np.zeros((), state.POD)
        self._world.counts[row] = 0
        self._world.scraped_at[row] = -math.inf
        pod = self.pods[row]
        pod.first, pod.factor, pod.due, pod.at = -1, factor, math.inf, self.state.now
        return row

    def take(self, share: float) -> None:
        """From the arrival after the next on, this share of the load arrives, 0..1; the rest goes elsewhere."""
        self._world.load_rps[:] = self._load_rps * share

    def slow_down(self, row: int, factor: float) -> None:
        """What the pod begins from now on takes `factor` times as long."""
        self.pods[row].factor = factor

    def open(self, row: int, warmup_seconds: float = 0.0, first_scrape_seconds: float = math.inf) -> None:
        """The pod is ready: it gets requests, and is scraped, for the first time so many seconds from now."""
        now, pod = self.state, self.pods[row]
        pod.warm_until, pod.idle_since = now.now + warmup_seconds, now.now
        self._world.ready[now.ready] = row
        now.ready += 1
        if math.isfinite(first_scrape_seconds):
            self._make_room()
            loop.push_event(self._world, now.now + first_scrape_seconds, loop.EVENT_KINDS * row + loop.SCRAPED)

    def close(self, row: int) -> None:
        """The pod is leaving: it works on what it has, and gets nothing more."""
        now, pod = self.state, self.pods[row]
        rest = [other for other in self.ready_rows if other != row]
        self._world.ready[: len(rest)] = rest
        now.ready = len(rest)
        if not pod.leaving:
            loop.count_in_flight(self._world.state[0], now.now, -pod.in_flight)
            pod.leaving = True

    def end(self, row: int) -> None:
        """The pod is gone; what it still had is lost."""
        self.close(row)
        loop.kill(self._world, row)

    def forget(self, row: int) -> None:
        """Nobody asks for its scrapes any more."""
        self._free_rows.append(row)

    def advance(self, until_seconds: float) -> None:
        """Let time pass."""
        while not loop.advance(self._world, self._chances, float(until_seconds)):
            self._make_room()

    def finish(self) -> None:
        """Let all that will arrive be answered, or given up by its client."""
        self.advance(self.state.last_arrival + self.state.timeout)
        for row in np.flatnonzero(self.pods.in_flight):
            self.end(int(row))

    def in_flight(self, window_seconds: float) -> float:
        """Requests in flight in pods that are not leaving, averaged over the last whole seconds."""
        end: int = math.floor(self.state.now)
        begin = max(0, end - round(window_seconds), end - KEPT_SECONDS + 1)
        if end == begin:
            return float(self.state.in_flight)
        ring = self._world.in_flight_seconds
        return float(ring[end % KEPT_SECONDS] - ring[begin % KEPT_SECONDS]) / (end - begin)

    def latency(self, minute: int, percentile: float) -> float:
        """That percentile of the requests that arrived in a minute, seconds; 0 without requests. To 1 %."""
        counts = np.cumsum(self._world.latencies[minute])
        if counts[-1] == 0:
            return 0.0
        step = int(np.searchsorted(counts, percentile / 100 * counts[-1]))
        return float(loop.SHORTEST_SECONDS * math.pow(loop.STEP, step + 0.5))

    def _make_room(self) -> None:
        world = self._world
        if self.state.free < 0:
            first = len(world.requests)
            more = _requests(first, first)
            self.state.free = first
            world = world._replace(requests=np.concatenate((world.requests, more)))
        if self.state.events + loop.SPARE_EVENTS > len(world.event_times):
            world = world._replace(event_times=_doubled(world.event_times), event_whats=_doubled(world.event_whats))
        self._world = world


def _log_normal(mean: float, variation: float) -> tuple[float, float]:
    """Parameters of the log-normal distribution with this mean and standard deviation over mean."""
    variance = math.log1p(variation**2)
    return math.log(mean) - variance / 2, math.sqrt(variance)


def _requests(first: int, count: int) -> state.Records:
    """Rows for so many requests, all free."""
    rows = np.zeros(count, state.REQUEST)
    rows["pod"] = -1
    rows["next"] = np.arange(first + 1, first + count + 1)
    rows["next"][-1] = -1
    return rows


def _doubled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate((array, np.zeros_like(array)))
