"""What a memory keeps in the status, as text of bounded length."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perfslo.core.forecast import RATIOS
from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import (
    MAX_HISTORY,
    Capacity,
    Counted,
    Decision,
    Errors,
    Expected,
    Ledger,
    Memory,
    Order,
    Recommendation,
    Regret,
    Sample,
    ScaleEvent,
    Season,
    Usual,
)
from perfslo.core.trials import NO_TRIALS, Trials
from perfslo.core.weights import Traffic, lasting

VERSION = 1
"""Of the encoded form. A decoder refuses any other: old facts relearnt beat old facts misread."""
MAX_ENCODED_BYTES = 8192
"""The status field's limit; it keeps ten thousand SLOs below 80 MB of etcd."""
MAX_DECODED_BYTES = 1 << 20
"""Far above what `encode` writes; a damaged or hostile status must not unpack into the operator's memory."""
MAX_SENTENCE = 300
"""Characters of a decision's sentence that are kept."""
MAX_SCALE_EVENTS = 40
"""An hour of a busy service."""


@dataclass(frozen=True, slots=True)
class _Now:
    """The fast facts, which are believed for as long as `iterate.absorb` takes a silence for a pause."""

    time: float | None = None
    desired: int | None = None
    known_since: float | None = None
    missing_cycles: int = 0
    completions: float | None = None
    arrivals: tuple[Sample, ...] = ()
    in_flight: tuple[Sample, ...] = ()
    expected: tuple[Expected, ...] = ()
    ready: int = 0
    readies: tuple[Sample, ...] = ()
    ready_since: float | None = None
    clean_since: float | None = None
    strained: bool = False
    saturated_since: float | None = None
    breached_since: float | None = None
    calm_since: float | None = None
    troubled_since: float | None = None
    slow_ratios: tuple[Sample, ...] = ()
    easing: bool = False
    order: Order | None = None
    fruitless: int = 0


_FAST = tuple(each.name for each in fields(_Now))


@dataclass(frozen=True, slots=True)
class _Lately:
    """Of the last hours and days: whoever does not know it reduces too early, or too often."""

    errors: Errors | None = None
    highs: tuple[Sample, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    scale_events: tuple[ScaleEvent, ...] = ()
    regrets: tuple[Regret, ...] = ()
    used: Counted = Counted()
    spend: float = 1.0
    season: Season = Season()
    now: _Now = _Now()
    """Here, since whoever forgets what was asked for must not believe to have seen it all."""


@dataclass(frozen=True, slots=True)
class _SavedBackend:
    capacities: tuple[Capacity, ...] = ()
    startup_seconds: float | None = None
    lately: _Lately = _Lately()


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    capacities: tuple[Capacity, ...]
    startup_seconds: float | None
    last_decision: Decision | None
    history: tuple[Decision, ...]
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    """Absent in what earlier versions wrote: the source is asked again."""
    backends: Mapping[str, _SavedBackend] = field(default_factory=dict)
    traffic: Traffic = Traffic()
    trials: Trials = NO_TRIALS
    usual: Mapping[str, Usual] = field(default_factory=dict)
    lately: _Lately = _Lately()


_SAVED: TypeAdapter[_Saved] = TypeAdapter(_Saved)


def encode(memory: Memory) -> str:
    """The memory as text of at most MAX_ENCODED_BYTES; what does not fit is dropped, oldest first."""
    saved = _Saved(
        VERSION,
        memory.capacities,
        memory.startup_seconds,
        _trim(memory.last_decision) if memory.last_decision else None,
        tuple(_trim(decision) for decision in memory.history),
        memory.ledgers,
        {
            name: _SavedBackend(own.capacities, own.startup_seconds, _lately(own))
            for name, own in memory.backends.items()
        },
        lasting(memory.traffic),
        memory.trials,
        memory.usual,
        _lately(memory),
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
    return replace(
        _memory(saved),
        last_decision=saved.last_decision,
        history=saved.history[:MAX_HISTORY],
        ledgers=saved.ledgers,
        backends={name: _memory(own) for name, own in saved.backends.items()},
        traffic=saved.traffic,
        trials=saved.trials,
        usual=saved.usual,
    )


def _memory(saved: _Saved | _SavedBackend) -> Memory:
    lately = saved.lately
    return Memory(
        capacities=saved.capacities,
        startup_seconds=saved.startup_seconds,
        errors=lately.errors if lately.errors and len(lately.errors.ratios) == len(RATIOS) else None,
        highs=lately.highs,
        recommendations=lately.recommendations,
        scale_events=lately.scale_events,
        regrets=lately.regrets,
        lately=lately.used,
        spend=lately.spend,
        season=lately.season,
        **{name: getattr(lately.now, name) for name in _FAST},
    )


def _lately(memory: Memory) -> _Lately:
    return _Lately(
        memory.errors,
        memory.highs,
        _highest(memory.recommendations),
        memory.scale_events[-MAX_SCALE_EVENTS:],
        memory.regrets,
        memory.lately,
        memory.spend,
        memory.season,
        _Now(**{name: getattr(memory, name) for name in _FAST}),
    )


def _highest(recommendations: tuple[Recommendation, ...]) -> tuple[Recommendation, ...]:
    """Those that a look back for the most replicas can find: no later one is as high."""
    kept: list[Recommendation] = []
    for one in reversed(recommendations):
        if not kept or one.replicas > kept[-1].replicas:
            kept.append(one)
    return tuple(reversed(kept))


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
    if saved.lately.season != Season():
        return replace(saved, lately=replace(saved.lately, season=Season()))
    if any(len(ledger.slices) > 1 for ledger in saved.ledgers.values()):
        return replace(saved, ledgers={promise: _newer_half(ledger) for promise, ledger in saved.ledgers.items()})
    if saved.lately != _Lately():
        return replace(saved, lately=_Lately())
    if len(saved.capacities) > 1:
        return replace(saved, capacities=saved.capacities[:-1])
    if saved.backends:
        return replace(saved, backends=_newest_versions(saved.backends))
    if saved.trials.effects or saved.usual:
        return replace(saved, trials=replace(saved.trials, effects=()), usual={})
    # What is held and how weights were found is the last to go: without it, nothing would be put back.
    return _Saved(VERSION, (), saved.startup_seconds, None, (), traffic=saved.traffic, trials=saved.trials)


def _newest_versions(backends: Mapping[str, _SavedBackend]) -> Mapping[str, _SavedBackend]:
    """The newest version of each, and not the last hour; when that is all there is, nothing of the last of them."""
    newest = {name: _SavedBackend(own.capacities[:1], own.startup_seconds) for name, own in backends.items()}
    if newest != backends:
        return newest
    return dict(list(backends.items())[:-1])


def _newer_half(ledger: Ledger) -> Ledger:
    """What is dropped counts as never asked about."""
    slices = ledger.slices[(len(ledger.slices) + 1) // 2 :]
    begin = slices[0].hour if slices else math.inf
    return Ledger(slices, tuple((max(first, slices[0].hour), last) for first, last in ledger.asked if last >= begin))
