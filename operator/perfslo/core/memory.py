"""What is remembered of one SLO from cycle to cycle.

Slow facts (capacity, start-up time, decisions, the error budget) survive a restart: `encode` and `decode` carry them
through the status. Fast ones (arrivals, recommendations, what is settling) are rebuilt by observing; until they are,
nothing is reduced.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

VERSION = 1
"""Of the encoded form. A decoder refuses any other: old facts relearnt beat old facts misread."""
MAX_ENCODED_BYTES = 8192
"""The status field's limit; it keeps ten thousand SLOs below 80 MB of etcd."""
MAX_DECODED_BYTES = 1 << 20
"""Far above what `encode` writes; a damaged or hostile status must not unpack into the operator's memory."""
MAX_HISTORY = 10
HOUR_SECONDS = 3600
MAX_SENTENCE = 300
"""Characters of a decision's sentence that are kept."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Clean windows of about one load: decayed counts."""

    load: float
    """Requests a second per ready pod, averaged over the bin's requests."""
    requests: float
    slow: float


@dataclass(frozen=True, slots=True)
class Curve:
    """How the share of slow requests grows with load, for one promise on one version."""

    bins: tuple[Bin, ...] = ()
    worse: float = 0.0
    """Cumulative sum of surprise (windows): slower than predicted."""
    better: float = 0.0
    """The same the other way."""
    hint: float | None = None
    """Where the fit is thought to lie before evidence: the previous version's capacity, or that before a change."""
    low: float | None = None
    """Load per pod that keeps the promise with 80 % certainty; None before evidence."""
    median: float | None = None
    """Load per pod that keeps it with 50 % certainty."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one version of the workload can carry."""

    version: str
    ceiling: float | None = None
    """Completions a second per pod when saturated; None when it was never seen saturated."""
    ceiling_settled: bool = False
    """Whether it was measured over a whole window; before, it is a lower bound."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By promise (see `capacity.promise_key`)."""


@dataclass(frozen=True, slots=True)
class Sample:
    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the law asked for, before limits, from `since` until `time`."""

    since: float
    time: float
    replicas: int


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    time: float
    change: int


@dataclass(frozen=True, slots=True)
class Order:
    """The newest change of replicas that was applied, with what is needed to judge it."""

    decision_id: str
    time: float
    current: int
    wanted: int
    demand: float
    """Requests a second it was sized for."""
    completions: float
    slow_ratio: float | None
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, explainable from this record alone. `id` is empty when nothing was to be done."""

    id: str
    time: float
    bottleneck: str
    current: int
    final: int
    proposed: int | None
    why: str
    limited_by: tuple[str, ...] = ()
    result: str = ""
    verdict: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BudgetSlice:
    """Requests of one hour or one day, for the error budget."""

    hour: int
    """Unix hours (time / 3600) of its beginning."""
    hours: int
    total: float = 0.0
    bad: float = 0.0
    covered_seconds: float = 0.0


Span = tuple[int, int]
"""First and last of consecutive Unix hours."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of the requests that one promise is about."""

    slices: tuple[BudgetSlice, ...] = ()
    """Oldest first; they do not overlap."""
    asked: tuple[Span, ...] = ()
    """Hours that the source was asked about, oldest first: their counts are final."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests, and how many of them were bad: slow or failed."""

    total: float = 0.0
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    # slow facts
    capacities: tuple[Capacity, ...] = ()
    """Newest version first."""
    startup_seconds: float | None = None
    last_decision: Decision | None = None
    history: tuple[Decision, ...] = ()
    """Decisions that changed something (or would have), newest first."""
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    """Where the error budget goes, by what is promised (see `budget.key`)."""
    pending: Decision | None = None
    """The intervention in flight; none exists while tracking is all there is."""
    # fast facts
    time: float | None = None
    """Of the newest observation."""
    counts: Mapping[str, Counted] = field(default_factory=dict)
    """Requests that this process counted since it began, by what is promised."""
    known_since: float | None = None
    """Since when the load and latencies have been known without a break; None while they are not."""
    missing_cycles: int = 0
    """Consecutive cycles without this SLO's own series."""
    arrivals: tuple[Sample, ...] = ()
    in_flight: tuple[Sample, ...] = ()
    ready: int = 0
    ready_since: float | None = None
    """Since when that many pods, of one version, have been ready."""
    clean_since: float | None = None
    """Since when nothing but load has moved latency: no new pod, no backlog, no unknown."""
    strained: bool = False
    """Whether so many requests are slow that at least some pods complete all they can."""
    saturated_since: float | None = None
    """Since when all of them have."""
    breached_since: float | None = None
    slow_ratios: tuple[Sample, ...] = ()
    """The worst objective's share of slow requests over its allowance, as long as a window looks back."""
    easing: bool = False
    """Whether it is falling: what was done, or less load, is already taking effect."""
    recommendations: tuple[Recommendation, ...] = ()
    scale_events: tuple[ScaleEvent, ...] = ()
    frozen_until: float = 0.0
    """No reduction before: the service has changed and is learnt anew."""
    order: Order | None = None
    fruitless: int = 0
    """Consecutive scale-outs that brought nothing."""

    @property
    def slow_ratio(self) -> float | None:
        """Share of slow requests over the allowance now; None without requests."""
        return self.slow_ratios[-1].value if self.slow_ratios else None


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    capacities: tuple[Capacity, ...]
    startup_seconds: float | None
    last_decision: Decision | None
    history: tuple[Decision, ...]
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    """Absent in what earlier versions wrote: the source is asked again."""


_SAVED: TypeAdapter[_Saved] = TypeAdapter(_Saved)


def encode(memory: Memory) -> str:
    """The slow facts as text of at most MAX_ENCODED_BYTES; what does not fit is dropped, oldest first."""
    saved = _Saved(
        VERSION,
        memory.capacities,
        memory.startup_seconds,
        _trim(memory.last_decision) if memory.last_decision else None,
        tuple(_trim(decision) for decision in memory.history),
        memory.ledgers,
    )
    while len(text := _pack(saved)) > MAX_ENCODED_BYTES:
        saved = _shed(saved)
    return text


def decode(text: str | None) -> Memory:
    """The memory that `encode` wrote. Damaged, foreign or of another version: a fresh one, never an exception."""
    if not text:
        return Memory()
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), MAX_DECODED_BYTES)
        if not unpacker.eof:
            return Memory()
        saved = _SAVED.validate_json(raw)
    except (binascii.Error, zlib.error, ValidationError, ValueError, RecursionError):
        return Memory()
    if saved.version != VERSION:
        return Memory()
    return Memory(
        capacities=saved.capacities,
        startup_seconds=saved.startup_seconds,
        last_decision=saved.last_decision,
        history=saved.history[:MAX_HISTORY],
        ledgers=saved.ledgers,
    )


def _pack(saved: _Saved) -> str:
    raw = _SAVED.dump_json(_rounded(saved), exclude_defaults=True)
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def _rounded(saved: _Saved) -> _Saved:
    """Four significant digits: more than any of these numbers is worth."""
    return _SAVED.validate_python(_round(_SAVED.dump_python(saved)))


def _round(value: Any) -> Any:
    match value:
        case bool() | int():
            return value
        case float():
            # Unix times keep their seconds.
            return round(value) if abs(value) >= 1e4 else float(f"{value:.4g}")
        case dict():
            return {key: _round(item) for key, item in value.items()}
        case list() | tuple():
            return tuple(_round(item) for item in value)
    return value


def _trim(decision: Decision) -> Decision:
    return replace(decision, why=decision.why[:MAX_SENTENCE])


def _shed(saved: _Saved) -> _Saved:
    if len(saved.history) > 1:
        return replace(saved, history=saved.history[:-1])
    if any(len(ledger.slices) > 1 for ledger in saved.ledgers.values()):
        return replace(saved, ledgers={promise: _newer_half(ledger) for promise, ledger in saved.ledgers.items()})
    if len(saved.capacities) > 1:
        return replace(saved, capacities=saved.capacities[:-1])
    return _Saved(VERSION, (), saved.startup_seconds, None, ())


def _newer_half(ledger: Ledger) -> Ledger:
    """What is dropped counts as never asked about."""
    slices = ledger.slices[(len(ledger.slices) + 1) // 2 :]
    begin = slices[0].hour if slices else math.inf
    return Ledger(slices, tuple((max(first, slices[0].hour), last) for first, last in ledger.asked if last >= begin))
