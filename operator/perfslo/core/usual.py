"""What signals say while the promise is kept, and whether one says something else now.

A database that takes 40 ms is slow for one service and quick for another: only what was usual tells. It is a plain mean
at first and forgets with half an hour's time constant later, so that what is slower for good becomes usual in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from perfslo.api.v1alpha1 import PerformanceSLOSpec, SignalKind
from perfslo.core import text
from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import Memory, Usual
from perfslo.core.model import Bottleneck, Observation, Value

FORGETS_UNITS = 120.0
"""Half an hour at 15 s."""
KNOWN_WINDOWS = 2.0
"""A shorter look says nothing of what is usual."""
SLOWER = 1.5
"""Times the usual, and by PART of the threshold: a dependency that answers in 3 ms instead of 2 moves nothing."""
PART = 0.1
BY_ITSELF = 0.5
"""Of the threshold: a dependency this slow breaks the promise whatever is usual."""
COLDER = 0.1
"""Fall of a hit ratio: with 10 points less, a tier at 90 % doubles the requests behind it."""
POOL_FULL = 0.9
OLDER = 3.0
"""Times the usual age or length of a queue without a limit of its own."""
OLD_SECONDS = 10.0
LONG = 100.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A signal that is not as usual."""

    bottleneck: Bottleneck
    signal: str
    words: str


def noticed(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """With the time since when something behind the service is not as usual."""
    if not spec.metrics.signals:
        return memory
    troubled = any(trouble.bottleneck != Bottleneck.QUEUE_BACKLOG for trouble in troubles(spec, memory, observation))
    since = memory.troubled_since if memory.troubled_since is not None else observation.time
    return replace(memory, troubled_since=since if troubled else None)


def learnt(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed_seconds: float) -> Memory:
    """With what this cycle adds to what is usual: only while the promise is kept."""
    kept = memory.known_since is not None and memory.slow_ratio is not None and memory.slow_ratio <= 1.0
    if not spec.metrics.signals or not kept or elapsed_seconds <= 0:
        return memory
    forgets = FORGETS_UNITS * observation.scale.unit_seconds
    usual = {named.name: memory.usual[named.name] for named in spec.metrics.signals if named.name in memory.usual}
    for named in spec.metrics.signals:
        if isinstance(seen := observation.signals.get(named.name), Value):
            usual[named.name] = _moved(usual.get(named.name), seen.value, elapsed_seconds, forgets)
    return replace(memory, usual=usual)


def _moved(mean: Usual | None, value: float, seconds: float, forgets: float) -> Usual:
    if mean is None:
        return Usual(value, seconds)
    looked = min(mean.seconds + seconds, forgets)
    return Usual(mean.value + min(1.0, seconds / looked) * (value - mean.value), looked)


def troubles(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Iterator[Trouble]:
    """What signals say of a cause behind the service, causes before what follows from them.

    A cold cache makes the database busy, and a slow database fills the pool.
    """
    found = [
        trouble
        for named in spec.metrics.signals
        if isinstance(seen := observation.signals.get(named.name), Value)
        and (trouble := _trouble(spec, memory, observation, named.name, named.kind, seen.value))
    ]
    return iter(sorted(found, key=lambda trouble: _ORDER.index(trouble.bottleneck)))


_ORDER = (
    Bottleneck.CACHE_COLD,
    Bottleneck.DEPENDENCY_BOUND,
    Bottleneck.CONNECTION_POOL_BOUND,
    Bottleneck.QUEUE_BACKLOG,
)


def _trouble(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, name: str, kind: SignalKind, now: float
) -> Trouble | None:
    usual = memory.usual.get(name)
    if usual and usual.seconds < KNOWN_WINDOWS * observation.scale.window_seconds:
        usual = None
    threshold = min(o.latency.threshold_seconds for o in spec.latency_objectives if o.latency)
    match kind:
        case "DependencyLatency" if _slower(usual, now, threshold):
            return _named(Bottleneck.DEPENDENCY_BOUND, name, f"{name} takes {text.seconds(now)}", usual, text.seconds)
        case "CacheHitRatio" if usual and now < usual.value - COLDER:
            return _named(Bottleneck.CACHE_COLD, name, f"{name} answers {text.percent(now)}", usual, text.percent)
        case "PoolUse" if now >= POOL_FULL:
            return _named(
                Bottleneck.CONNECTION_POOL_BOUND, name, f"{name} {text.percent(now)} used", usual, text.percent
            )
        case "PoolWait" if now > PART * threshold and not (usual and now <= SLOWER * usual.value):
            words = f"{name}: {text.seconds(now)} for a connection"
            return _named(Bottleneck.CONNECTION_POOL_BOUND, name, words, usual, text.seconds)
        case "QueueAge" if usual and now > max(OLD_SECONDS, OLDER * usual.value):
            return _named(Bottleneck.QUEUE_BACKLOG, name, f"{name} is {text.seconds(now)} old", usual, text.seconds)
        case "QueueLength" if usual and now > max(LONG, OLDER * usual.value):
            return _named(Bottleneck.QUEUE_BACKLOG, name, f"{text.count(now)} wait in {name}", usual, text.count)
    return None


def _slower(usual: Usual | None, now: float, threshold: float) -> bool:
    if usual is None:
        return now >= BY_ITSELF * threshold
    return now > SLOWER * usual.value and now - usual.value > PART * threshold


def _named(
    bottleneck: Bottleneck, signal: str, words: str, usual: Usual | None, unit: Callable[[float], str]
) -> Trouble:
    told = f" (usually {unit(usual.value)})" if usual else ""
    return Trouble(bottleneck, signal, words + told)
