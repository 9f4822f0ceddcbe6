"""What a cycle's observation says about load, pods and its window, kept as the fast facts of Memory."""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import capacity, forecast, objectives, overload
from perfslo.core.frozen import replace
from perfslo.core.levers import replicas
from perfslo.core.memory import Memory, Sample
from perfslo.core.model import Missing, Observation, Stale
from perfslo.core.timescale import TimeScale

MAX_SAMPLES = 40
FEWEST_SAMPLES = forecast.TREND_SAMPLES
"""So many are kept in any case; of others those of the window, which is as far as anybody looks back."""
SATURATED_RATIO = 0.3
"""Slow share from which windows tell about a backlog rather than about load."""
SATURATED_RATIO_UNGAUGED = 0.8
"""The same where requests in flight are not known: a lesser share may be what some pods still have queued."""
NOT_FALLING = 0.9
CALM_SHARE = 0.5
"""Of the allowance: with fewer slow requests, something might be given back. One clump more, within the allowance, may
be chance; so many windows in a row must be like that, that chance hides no more."""
FAILING_RATIO = 0.05
"""Share of failed requests from which the windows are not learnt from: failing is often fast."""
MIXED = 1.3
"""Highest load over lowest within a window that is still taken for one load."""
CHANCE_SIGMAS = 5.0
"""Of the Poisson spread of what is counted: between the extremes of a window it is often exceeded by 3."""


def gathered(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """`memory` with what was seen."""
    memory = _saw_latency(spec, memory, observation)
    memory = _saw_load(memory, observation)
    memory = _saw_pods(memory, observation)
    return _judged_window(spec, memory, observation)


def _saw_latency(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """The worst objective's share of slow requests, as long as the window looks back, and whether it is easing."""
    shares = ((objectives.slow(observation, o), o.latency) for o in spec.latency_objectives)
    ratios = [share.ratio / latency.allowed_bad_ratio for share, latency in shares if share and latency]
    if not ratios:
        return replace(memory, slow_ratios=(), easing=False)
    window = observation.time - observation.scale.window_seconds
    recent = tuple(s for s in memory.slow_ratios if s.time > window)[-MAX_SAMPLES:]
    easing = max(ratios) < NOT_FALLING * max((s.value for s in recent), default=0.0)
    return replace(memory, slow_ratios=(*recent, Sample(observation.time, max(ratios))), easing=easing)


def _saw_load(memory: Memory, observation: Observation) -> Memory:
    now, scale = observation.time, observation.scale
    completions = objectives.number(observation.completions_per_second)
    follows = memory.time is not None and now - memory.time < 2.0 * scale.cycle_seconds
    series = (observation.completions_per_second, *observation.latency.values())
    complete = completions is not None and all(objectives.known(s) for s in series) and not observation.source_problem
    own_series_missing = not observation.source_problem and any(isinstance(s, Missing | Stale) for s in series)
    waiting = objectives.number(observation.in_flight)
    in_flight = _grown(memory.in_flight, Sample(now, waiting), observation.scale) if waiting is not None else ()
    memory = replace(
        memory,
        time=now,
        known_since=None if not complete else memory.known_since if memory.known_since is not None else now,
        missing_cycles=memory.missing_cycles + 1 if own_series_missing else 0,
        in_flight=in_flight,
        completions=memory.completions if complete else None,
    )
    if not complete or completions is None:
        return memory
    # After a gap the first windows hold part of what happened: a rise from these is none.
    settled = follows and memory.known_since is not None and now - memory.known_since >= scale.window_seconds
    finished = forecast.sharpened(completions, memory.completions if settled else None, scale)
    queued = _queued_per_second(in_flight)
    # A queue that has just begun to grow did not do so all through the interval: its end sees about twice the mean.
    arriving = max(
        0.0, finished + (queued if overload.flooded(memory) else 2.0 * queued), overload.by_little(memory, observation)
    )
    arrivals = _grown(memory.arrivals, Sample(now, arriving), observation.scale)
    memory = replace(memory, completions=finished, arrivals=arrivals)
    return forecast.noted(memory, observation.scale, replicas.horizon_seconds(memory, observation))


def _grown(samples: tuple[Sample, ...], new: Sample, scale: TimeScale) -> tuple[Sample, ...]:
    start, outdated = new.time - scale.window_seconds, 0
    while len(samples) - outdated >= FEWEST_SAMPLES and samples[outdated].time < start:
        outdated += 1
    return (*samples[outdated:], new)[-MAX_SAMPLES:]


def _queued_per_second(in_flight: tuple[Sample, ...]) -> float:
    """Arrivals that did not complete: growth of requests in flight since the cycle before."""
    if len(in_flight) < 2:
        return 0.0
    before, now = in_flight[-2:]
    grown = now.value - before.value
    if abs(grown) <= overload.BACKLOG_SIGMAS * math.sqrt(before.value + now.value) or now.time <= before.time:
        return 0.0  # as chance has it
    return grown / (now.time - before.time)


def _saw_pods(memory: Memory, observation: Observation) -> Memory:
    pods, now = observation.replicas, observation.time
    version = memory.capacities[0].version if memory.capacities else pods.version
    same = pods.ready == memory.ready and version == pods.version and not pods.rolling_out
    before = memory.readies if version == pods.version and not pods.rolling_out else ()
    return replace(
        memory,
        readies=_grown(before, Sample(now, float(pods.ready)), observation.scale),
        startup_seconds=pods.startup_seconds if pods.startup_seconds is not None else memory.startup_seconds,
        ready=pods.ready,
        ready_since=memory.ready_since if same and memory.ready_since is not None else now,
        capacities=capacity.store(memory.capacities, capacity.select(memory.capacities, pods.version)),
    )


def _judged_window(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """Whether the window is clean, saturated, or breaks a promise, and since when."""
    now = observation.time
    shares = [
        (share, o.latency.allowed_bad_ratio)
        for o in spec.latency_objectives
        if o.latency and (share := objectives.slow(observation, o))
    ]
    least = spec.metrics.min_requests
    # Requests too few to judge by show saturation only where chance cannot well have made them slow.
    slow = max((share.ratio if share.requests >= least else share.low for share, _ in shares), default=0.0)
    breached = any(share.low > allowed and share.requests >= least for share, allowed in shares)
    backlog = overload.backlog(spec, memory)
    strained = slow >= SATURATED_RATIO and not memory.easing
    if backlog is None:
        saturated = strained and slow >= SATURATED_RATIO_UNGAUGED
    else:
        # Pods that have not even one request each are not short of anything that more pods would bring.
        busy = memory.in_flight[-1].value >= observation.replicas.ready
        strained = saturated = slow >= SATURATED_RATIO and backlog and busy and _growing(memory)
    calm = memory.slow_ratio is not None and all(
        share.ratio <= min(CALM_SHARE * allowed + objectives.CLUMPING / share.requests, allowed)
        for share, allowed in shares
    )
    many_slow = any(share.ratio >= SATURATED_RATIO for share, _ in shares)
    dirty = overload.queues(spec, memory, observation) or many_slow or _disturbed(memory, observation)
    return replace(
        memory,
        clean_since=now if dirty else _since(memory.clean_since, now),
        strained=strained,
        saturated_since=_since(memory.saturated_since, now) if saturated else None,
        breached_since=_since(memory.breached_since, now) if breached else None,
        calm_since=_since(memory.calm_since, now) if calm else None,
        fruitless=0 if memory.slow_ratio is not None and memory.slow_ratio <= 1.0 else memory.fruitless,
    )


def _since(start: float | None, now: float) -> float:
    return now if start is None else start


def _disturbed(memory: Memory, observation: Observation) -> bool:
    """Whether something else than load may have moved latency just now."""
    pods = observation.replicas
    youngest = pods.youngest_ready_age_seconds
    return (
        memory.known_since is None
        or memory.troubled_since is not None
        or memory.ready_since == observation.time
        or (youngest is not None and youngest < observation.scale.window_seconds)
        or pods.rolling_out
        or _mixed(memory, observation)
        or (objectives.number(observation.error_ratio) or 0.0) > FAILING_RATIO
    )


def _mixed(memory: Memory, observation: Observation) -> bool:
    """Whether the load jumped within the window: the slow requests are the higher load's then, and the mean is not."""
    start = observation.time - observation.scale.window_seconds
    recent = [sample.value for sample in memory.arrivals if sample.time > start]
    if not recent:
        return False
    lowest, highest = min(recent), max(recent)
    chance = CHANCE_SIGMAS * math.sqrt(highest / observation.scale.counted_seconds)
    return highest > MIXED * lowest and highest - lowest > chance


def _growing(memory: Memory) -> bool:
    """Whether requests in flight do not get fewer; without two samples, nothing says that they do."""
    if len(memory.in_flight) < 2:
        return True
    return memory.in_flight[-1].value >= NOT_FALLING * memory.in_flight[-2].value
