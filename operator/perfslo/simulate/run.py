"""A scenario under a policy, from beginning to end; and what a service can truly carry."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from perfslo.simulate.engine import Engine
from perfslo.simulate.model import Balancing, Instant, Load, Minute, Policy, Run, Scenario, Service
from perfslo.simulate.world import World, is_slow

MINUTE_SECONDS = 60.0
STEADY_REQUESTS = 400_000
"""Of each trial of a load: the share of slow ones is then known to some hundredths of itself."""
LONGEST_SECONDS = 100_000.0
"""Of a trial, where requests are rare."""
TRIALS = 10
"""Each halves the interval: what is left of it is a thousandth."""
IDLE_SHARE = 0.02
"""Of all that a pod can complete: who cannot keep the promise with so little load never can."""
CAPACITY_SEED = 20_260_101

Progress = Callable[[float], None]
"""Is told the share of a run that is done."""


def simulate(scenario: Scenario, policy: Policy, seed: int, progress: Progress | None = None) -> Run:
    """What the policy makes of the scenario. The same seed means the same requests, whatever the policy."""
    end = scenario.load.duration_seconds
    world = World(scenario, seed, first_replicas(scenario))
    took: list[float] = []
    instants: list[Instant] = []
    for number in range(1, math.ceil(end / policy.period_seconds)):
        at = number * policy.period_seconds
        world.advance(at)
        begun = time.thread_time()
        wanted = policy.decide(world)
        took.append(time.thread_time() - begun)
        world.scale_to(min(max(wanted, scenario.min_replicas), scenario.max_replicas))
        instants.append(Instant(at, world.desired, int(world.engine.state.ready), scenario.load.at(at)))
        if progress:
            progress(at / end)
    world.advance(end)
    world.engine.finish()
    moves = np.sign(np.diff([replicas for _, replicas in world.desired_since]))
    return Run(
        scenario=scenario.name,
        policy=policy.name,
        seed=seed,
        allowed_bad_ratio=scenario.allowed_bad_ratio,
        minutes=tuple(minutes(scenario, world)),
        actions=len(moves),
        reversals=int((moves[1:] != moves[:-1]).sum()),
        decision_seconds=tuple(took),
        instants=tuple(instants),
    )


def first_replicas(scenario: Scenario) -> int:
    """How many there are at the start: as the scenario says, or enough for the load then."""
    wanted = scenario.initial_replicas
    if wanted is None:
        carried = true_capacity(scenario.service, scenario.target_seconds, scenario.percentile, scenario.balancing)
        wanted = math.ceil(scenario.load.at(0.0) / carried) if carried > 0 else scenario.min_replicas
    return min(max(wanted, scenario.min_replicas), scenario.max_replicas)


@lru_cache(1024)
def true_capacity(
    service: Service,
    target_seconds: float,
    percentile: float,
    balancing: Balancing = Balancing.RANDOM,
    pods: int = 10,
    slow_share: float = 0.0,
    slow_factor: float = 1.0,
) -> float:
    """Requests a second that a pod, among so many, carries for good with no more bad ones than allowed; 0: none.

    Found by bisection between nothing and all that its workers could do. A share of the pods may be slow.
    """
    allowed = 1.0 - percentile / 100.0
    highest = most_rps(service)
    lowest = IDLE_SHARE * highest
    if steady_bad_ratio(service, target_seconds, balancing, pods, lowest, slow_share, slow_factor) > allowed:
        return 0.0
    for _ in range(TRIALS):
        middle = (lowest + highest) / 2
        if steady_bad_ratio(service, target_seconds, balancing, pods, middle, slow_share, slow_factor) <= allowed:
            lowest = middle
        else:
            highest = middle
    return lowest


def steady_bad_ratio(
    service: Service,
    target_seconds: float,
    balancing: Balancing,
    pods: int,
    rps_per_pod: float,
    slow_share: float = 0.0,
    slow_factor: float = 1.0,
    requests: int | None = None,
) -> float:
    """The share of bad requests at a load that has been the same for long; of `requests`, or STEADY_REQUESTS."""
    rps = rps_per_pod * pods
    duration = min((requests or STEADY_REQUESTS) / rps, LONGEST_SECONDS)
    load = Load((0.0, duration), (rps, rps))
    engine = Engine(service, load, seed=CAPACITY_SEED, target_seconds=target_seconds, balancing=balancing)
    for number in range(pods):
        engine.open(engine.add(slow_factor if is_slow(number, slow_share) else 1.0))
    engine.finish()
    return float(engine.minutes.bad.sum() / max(1, engine.state.arrived))


def most_rps(service: Service) -> float:
    """What a pod's workers could complete if they never waited, or its CPU if that is less."""
    most = service.workers / service.worker_seconds / (1.0 - service.failing_ratio)
    cpu_seconds = service.work_seconds * service.cpu_share
    if service.cpu_limit_cores is not None and cpu_seconds > 0:
        most = min(most, service.cpu_limit_cores / cpu_seconds / (1.0 - service.failing_ratio))
    return most


def minutes(scenario: Scenario, world: World) -> Iterable[Minute]:
    """All whole minutes that are judged, once the run is over."""
    count = int(scenario.load.duration_seconds // MINUTE_SECONDS)
    pods = world.pods_ever
    paid = _present(((pod.created, pod.ended) for pod in pods), count)
    ready = _present(((pod.ready, min(pod.removed, pod.ended)) for pod in pods if pod.is_ready), count)
    set_at = [at for at, _ in world.desired_since]
    for minute in range(count):
        at = minute * MINUTE_SECONDS
        if at < scenario.judged_from_seconds:
            continue
        told = world.engine.minutes[minute]
        yield Minute(
            at_seconds=at,
            requests=int(told.requests),
            bad=int(told.bad),
            percentile_seconds=world.engine.latency(minute, scenario.percentile),
            replicas=float(paid[minute]),
            ready=float(ready[minute]),
            desired=world.desired_since[bisect_right(set_at, at + MINUTE_SECONDS) - 1][1],
        )


def _present(spans: Iterable[tuple[float, float]], minutes: int) -> npt.NDArray[np.float64]:
    """How many of the spans each minute lies in, on average over it."""
    edges = np.arange(minutes + 1) * MINUTE_SECONDS
    seconds = np.zeros(minutes)
    for begin, end in spans:
        seconds += np.diff(np.clip(edges, max(begin, 0.0), max(end, 0.0)))
    return seconds / MINUTE_SECONDS
