"""Requests, one by one, in compiled code: arrivals, balancing, queues, work, and what servers count of it.

An event-driven simulation. Between two instants at which something else changes (pods, the service, a decision),
`Engine.advance` handles every arrival and every end of work in the order of time.

A request arrives (a Poisson process whose rate follows the load's straight lines exactly), is given to a ready pod,
waits for one of its workers in the order of arrival, calls the dependency if there is one and no cache answers, and
then works: first what is not CPU time, then what is. All requests of a run and their work come from one stream of
chance and all choices of the balancer from another, so every policy meets the same requests under the same seed.

Where a pod has a CPU limit below its number of workers, its CPU time is handed out as CFS does it: all that run get a
core each until the quota of the period of 100 ms is used up, then all wait for the next period. Otherwise CPU is never
short.

What is left out, since it decides nothing here: the network; the balancer knows all requests in flight (there is one
balancer, not many that each know their own); clients do not retry; a pod notices only when a worker gets to it that the
client of a waiting request has given up; CPU seconds are counted when a request ends (with a limit: when they are
used); with a dependency, requests queue there in the order in which workers take them on, and what a killed pod asked
of it is still worked on; CFS has no slices and no bursts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perfslo.simulate import cfs, heap
from perfslo.simulate.heap import compiled, entry
from perfslo.simulate.state import Chance, World

SHORTEST_SECONDS, STEP = 1e-4, 1.02
"""Latencies are kept to 2 %, from 0.1 ms on."""
MINUTE_SECONDS = 60.0
SPARE_EVENTS = 8
"""Handling one makes fewer."""
ENDED, JOINED, USED, SCRAPED, TICKED = range(5)
EVENT_KINDS = 8
"""Events: a request's end, its I/O's end; that of a pod's next CPU work; a scrape of a pod; a second."""

RANDOM, ROUND_ROBIN, LEAST_REQUEST = range(3)
IN_FLIGHT, FAILED, CPU_SECONDS, PERIODS, THROTTLED_PERIODS, BUCKETS = range(6)
"""Columns of what is scraped; the buckets, cumulative, are the rest."""


@compiled
def push_event(world: World, time: float, what: int) -> None:
    """`what`: its kind, and the row that it is about times EVENT_KINDS."""
    state = world.state[0]
    heap.push(world.event_times, world.event_whats, state.events, time, what)
    state.events += 1


@compiled
def _next_arrival(world: World, chance: np.random.Generator) -> float:
    """Where the load's integral has grown by an exponential number: exact for straight lines."""
    state, times, rps = world.state[0], world.load_times, world.load_rps
    area = chance.standard_exponential()
    time: float = state.next_arrival
    while state.segment + 1 < len(times):
        end, last = times[state.segment + 1], rps[state.segment + 1]
        if end > time:
            begin, first = times[state.segment], rps[state.segment]
            slope = (last - first) / (end - begin)
            rate = first + slope * (time - begin)
            rest = (end - time) * (rate + last) / 2
            if area < rest:
                time += 2 * area / (rate + math.sqrt(max(0.0, rate * rate + 2 * slope * area)))
                return time
            area -= rest
        time = max(time, end)
        state.segment += 1
    time += area / rps[-1] if rps[-1] > 0 else math.inf
    return time


@compiled
def _judge(world: World, arrived: float, latency: float, bad: bool) -> None:
    """By the client's own clock; what is `bad` whatever it took counts as the timeout."""
    state = world.state[0]
    minute = int(arrived / MINUTE_SECONDS)
    if bad:
        latency = state.timeout
    if bad or latency > state.target:
        world.minutes[minute].bad += 1
    step = int(math.log(max(latency, SHORTEST_SECONDS) / SHORTEST_SECONDS) / math.log(STEP))
    world.latencies[minute, min(step, world.latencies.shape[1] - 1)] += 1


@compiled
def count_in_flight(state: Any, now: float, more: int) -> None:
    state.in_flight_seconds += state.in_flight * (now - state.in_flight_at)
    state.in_flight_at = now
    state.in_flight += more


@compiled
def _free(world: World, slot: int) -> None:
    state, request = world.state[0], world.requests[slot]
    request.pod = -1
    request.next = state.free
    state.free = slot


@compiled
def _choose(world: World, chance: np.random.Generator) -> int:
    state, ready = world.state[0], world.ready
    if state.balancing == ROUND_ROBIN:
        state.turn += 1
        at = state.turn % state.ready
    else:
        at = int(chance.random() * state.ready)
    if state.balancing == LEAST_REQUEST:
        other = int(chance.random() * state.ready)
        if world.pods[ready[other]].in_flight < world.pods[ready[at]].in_flight:
            at = other
    row: int = ready[at]
    return row


@compiled
def _arrive(world: World, chances: Chance) -> None:
    state, chance = world.state[0], chances.work
    now = state.next_arrival
    state.next_arrival = _next_arrival(world, chance)
    if state.next_arrival > state.last_arrival:
        state.next_arrival = math.inf
    state.arrived += 1
    world.minutes[int(now / MINUTE_SECONDS)].requests += 1
    static = state.static_ratio > 0 and chance.random() < state.static_ratio
    mu = state.static_mu if static else state.mu
    work = math.exp(mu + state.sigma * chance.standard_normal())
    if state.exponential:
        work = math.exp(mu) * chance.standard_exponential()
    call = 0.0
    if state.calls and not static:
        call = math.exp(state.call_mu + state.call_sigma * chance.standard_normal())
        if state.hit_ratio > 0 and chance.random() < state.hit_ratio:
            call = 0.0
    failed = state.failing_ratio > 0 and chance.random() < state.failing_ratio
    if state.ready == 0:
        state.refused += 1
        _judge(world, now, 0.0, True)
        return
    row, slot = _choose(world, chances.choice), state.free
    pod, request = world.pods[row], world.requests[slot]
    state.free = request.next
    request.arrived, request.failed, request.pod, request.next = now, failed, row, -1
    request.work, request.call = (0.0, 0.0) if failed else (work, call)
    pod.in_flight += 1
    count_in_flight(state, now, 1)
    if pod.busy < state.workers:
        _start(world, slot, now)
    elif pod.first < 0:
        pod.first = pod.last = slot
    else:
        world.requests[pod.last].next = slot
        pod.last = slot


@compiled
def _start(world: World, slot: int, now: float) -> None:
    """A worker takes a request on."""
    state, request = world.state[0], world.requests[slot]
    pod = world.pods[request.pod]
    pod.busy += 1
    if request.call > 0:
        # It too takes requests in the order in which they come, each to its server that is free first.
        now = max(now, world.servers[0]) + request.call
        heap.replace_first(world.servers, now)
    request.work *= pod.factor * (state.warm_up_factor if now < pod.warm_until else 1.0)
    if state.quota > 0:
        push_event(world, now + request.work * (1 - state.cpu_share), EVENT_KINDS * slot + JOINED)
    else:
        push_event(world, now + request.work, EVENT_KINDS * slot + ENDED)


@compiled
def _end(world: World, slot: int, now: float) -> None:
    """A worker is done with a request, and takes on the next one whose client still waits."""
    state, request = world.state[0], world.requests[slot]
    row = request.pod
    if row < 0:
        _free(world, slot)
        return
    pod, latency = world.pods[row], now - request.arrived
    in_time = latency <= state.timeout
    if in_time:
        state.completed += 1
        bucket = 0
        while latency > world.bounds[bucket]:
            bucket += 1
        world.counts[row, bucket] += 1
        pod.failed += request.failed
    else:
        state.given_up += 1
    _judge(world, request.arrived, latency, request.failed or not in_time)
    if state.quota <= 0:
        pod.cpu_seconds += request.work * state.cpu_share
    pod.busy -= 1
    done = 1
    _free(world, slot)
    while pod.first >= 0 and pod.busy < state.workers:
        following = pod.first
        waiting = world.requests[following]
        pod.first = waiting.next
        if now - waiting.arrived > state.timeout:
            state.dropped += 1
            done += 1
            _judge(world, waiting.arrived, 0.0, True)
            _free(world, following)
        else:
            _start(world, following, now)
    pod.in_flight -= done
    pod.idle_since = now
    if not pod.leaving:
        count_in_flight(state, now, -done)


@compiled
def _await_cpu(world: World, row: int) -> None:
    """Make an event of the end of the pod's next CPU work; one that was made before is no longer `due`."""
    pod, running = world.pods[row], world.running[row]
    pod.due = math.inf
    if pod.running > 0:
        finish = world.requests[running[0]].finish
        for i in range(1, pod.running):
            finish = min(finish, world.requests[running[i]].finish)
        pod.due = cfs.due(pod, world.state[0].quota, max(0.0, finish - pod.virtual))
        push_event(world, pod.due, EVENT_KINDS * row + USED)


@compiled
def _join(world: World, slot: int, now: float) -> None:
    """A request begins to need CPU."""
    state, request = world.state[0], world.requests[slot]
    row = request.pod
    if row < 0:
        _free(world, slot)
        return
    pod = world.pods[row]
    cfs.use(pod, state.quota, now)
    request.finish = pod.virtual + request.work * state.cpu_share
    world.running[row, pod.running] = slot
    pod.running += 1
    _await_cpu(world, row)


@compiled
def _used(world: World, row: int, now: float) -> None:
    """The request of a pod that needed the least CPU has had it."""
    pod, running = world.pods[row], world.running[row]
    if pod.due != now:
        return
    cfs.use(pod, world.state[0].quota, now)
    first = 0
    for i in range(1, pod.running):
        if world.requests[running[i]].finish < world.requests[running[first]].finish:
            first = i
    slot = running[first]
    pod.running -= 1
    running[first] = running[pod.running]
    _end(world, slot, now)
    _await_cpu(world, row)


@compiled
def _scrape(world: World, row: int, now: float) -> None:
    state, pod = world.state[0], world.pods[row]
    if pod.gone:
        return
    push_event(world, now + state.scrape_seconds, EVENT_KINDS * row + SCRAPED)
    if not state.scraping:
        return
    if state.quota > 0:
        cfs.use(pod, state.quota, now)
    at = pod.scrapes % world.scraped_at.shape[1]
    values = world.scraped[row, at]
    total = 0.0
    for bucket in range(len(world.bounds)):
        total += world.counts[row, bucket]
        values[BUCKETS + bucket] = total
    if total == 0:  # clients make a series when it is first used
        return
    world.scraped_at[row, at] = now
    values[IN_FLIGHT], values[FAILED], values[CPU_SECONDS] = pod.in_flight, pod.failed, pod.cpu_seconds
    values[PERIODS], values[THROTTLED_PERIODS] = pod.periods, pod.throttled_periods
    pod.scrapes += 1


@compiled
def _tick(world: World, now: float) -> None:
    count_in_flight(world.state[0], now, 0)
    world.in_flight_seconds[round(now) % len(world.in_flight_seconds)] = world.state[0].in_flight_seconds
    push_event(world, now + 1.0, TICKED)


@compiled
def kill(world: World, row: int) -> None:
    """What a pod that is leaving still has is lost, to its clients a failure."""
    state, pod = world.state[0], world.pods[row]
    for slot in range(len(world.requests)):
        if world.requests[slot].pod == row:
            state.lost += 1
            _judge(world, world.requests[slot].arrived, 0.0, True)
            world.requests[slot].pod = -1
    while pod.first >= 0:
        slot = pod.first
        pod.first = world.requests[slot].next
        _free(world, slot)
    for i in range(pod.running):
        _free(world, world.running[row, i])
    pod.in_flight = pod.busy = pod.running = 0
    pod.due = math.inf
    pod.gone = True


@compiled
def _advance(world: World, chances: Chance, until: float) -> bool:
    state = world.state[0]
    while True:
        event_at = world.event_times[0] if state.events > 0 else math.inf
        now = min(state.next_arrival, event_at)
        if now > until:
            break
        if state.free < 0 or state.events + SPARE_EVENTS > len(world.event_times):
            return False
        if state.next_arrival <= event_at:
            _arrive(world, chances)
            continue
        what = heap.pop(world.event_times, world.event_whats, state.events)
        state.events -= 1
        kind, index = what % EVENT_KINDS, what // EVENT_KINDS
        if kind == ENDED:
            _end(world, index, now)
        elif kind == JOINED:
            _join(world, index, now)
        elif kind == USED:
            _used(world, index, now)
        elif kind == SCRAPED:
            _scrape(world, index, now)
        else:
            _tick(world, now)
    state.now = until
    return True


@compiled
def _begin(world: World, chances: Chance) -> None:
    world.state[0].next_arrival = _next_arrival(world, chances.work)
    _tick(world, 0.0)


@entry
def begin(world: World, chances: Chance) -> None:
    """Time is 0."""
    _begin(world, chances)


@entry
def advance(world: World, chances: Chance, until: float) -> bool:
    """Let time pass. False when there is no more space, and the rest is to be simulated with more."""
    return _advance(world, chances, until)
