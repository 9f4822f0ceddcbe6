"""Named signals: numbers that the administrator's own queries give about what stands behind a service.

    Definition -> (the edge asks once for all SLOs) -> rows -> Readings -> a Signal for each SLO that may use it

A query says nothing about the age of what it rests on, and `or vector(0)` answers for series that are long gone. So
the newest sample of each of its selectors is asked for beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from perfslo.api.v1alpha1 import PerformanceSLOSpec, SignalKind, SignalStatus
from perfslo.api.v1alpha1 import Signal as Named
from perfslo.core import enforce, text
from perfslo.core.frozen import dataclass
from perfslo.core.measure import CLOCK_TOLERANCE_SECONDS, Row, Wanted
from perfslo.core.model import Evidence, Missing, NoTraffic, Observation, Signal, Stale, Value
from perfslo.core.promql import Matcher

Per = Literal["Cluster", "Namespace", "Workload"]
LOOKBACK_SECONDS = 300.0
"""Prometheus' default `--query.lookback-delta`: older samples are not found, so how old they are is not known."""
ROUNDING = 1e-6
MAX_MESSAGE = 1024

_LABELS: Mapping[Per, tuple[str, ...]] = {
    "Cluster": (),
    "Namespace": ("namespace",),
    "Workload": ("namespace", "workload"),
}
_PART, _VALUE = "perfslo_part", "value"

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What the numbers of a kind are."""

    words: Callable[[float], str]
    is_ratio: bool = False
    of_events: bool = False
    """Computed from what happened, so that 0/0, which is NaN, says that nothing did."""


KINDS: Mapping[SignalKind, Measure] = {
    "CacheHitRatio": Measure(text.percent, is_ratio=True, of_events=True),
    "DependencyLatency": Measure(text.seconds, of_events=True),
    "PoolUse": Measure(text.percent, is_ratio=True),
    "PoolWait": Measure(text.seconds, of_events=True),
    "QueueAge": Measure(text.seconds),
    "QueueLength": Measure(text.count),
    "SwitchedOn": Measure(text.percent, is_ratio=True),
}
"""Durations are in seconds, ratios between 0 and 1. What is switched on: the share of the pods that say so."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One signal as the administrator defined it."""

    kind: SignalKind
    source: str
    text: str
    """The whole query (see `asked`)."""
    per: Per = "Cluster"
    namespaces: tuple[str, ...] = ()
    """Who may use it; empty means everybody."""
    stale_after_seconds: float = 120.0


Definitions = Mapping[str, Definition]


def asked(query: str, per: Per, matchers: Iterable[Matcher] = ()) -> str:
    """What to send: the query with the matchers on every selector, and beside it the ages of what it rests on.

    Raises:
        ValueError: it is no PromQL, selects no series, or does not answer rows.
    """
    for matcher in matchers:
        query = enforce.with_matcher(query, matcher)
    selectors = dict.fromkeys(enforce.selectors(query))
    if not selectors:
        raise ValueError("it selects no series: what is not measured is no signal")
    by = f" by ({', '.join(_LABELS[per])})" if _LABELS[per] else ""
    parts = {_VALUE: query} | {
        f"age{number}": f"max{by} (timestamp({name or ''}{{{','.join(map(str, its))}}})) - time()"
        for number, (name, its) in enumerate(selectors)
    }
    # A line of its own: the query may end with a comment.
    whole = " or ".join(f'label_replace(({part}\n), "{_PART}", "{name}", "", "")' for name, part in parts.items())
    try:
        enforce.parse(whole)
    except ValueError as error:
        raise ValueError(f"it does not answer rows with a number each: {error}") from error
    return whole


def refused(
    named: Named, namespace: str, definitions: Definitions, where: str = "spec.metrics.signals"
) -> Missing | None:
    """Why an SLO in this namespace may not use the signal that it names; None if it may.

    `where` it names it.
    """
    definition = definitions.get(named.ref)
    if definition is None:
        usable = sorted(name for name, one in definitions.items() if _may_use(namespace, one))
        return Missing(
            "SignalNotDefined",
            f"no signal {named.ref!r} is defined (for this namespace: {', '.join(usable) or 'none'}): name one of "
            f"these in {where}, or ask the administrator to define it",
        )
    if not _may_use(namespace, definition):
        return Missing(
            "SignalNotAllowed",
            f"the signal {named.ref!r} may not be used in namespace {namespace}: leave it out of {where}, "
            "or ask the administrator to add the namespace to the signal",
        )
    if named.kind != definition.kind:
        return Missing(
            "SignalKindDiffers",
            f"the signal {named.ref!r} is a {definition.kind}, not a {named.kind}: write kind: {definition.kind} in "
            f"{where}, or name another",
        )
    return None


def _may_use(namespace: str, definition: Definition) -> bool:
    return not definition.namespaces or namespace in definition.namespaces


class Readings:
    """What the query of one signal said, by whom it is about."""

    def __init__(self, definition: Definition, rows: Iterable[Row]) -> None:
        self._definition = definition
        self._values: dict[_Key, list[float]] = {}
        self._ages: dict[_Key, float] = {}
        for row in rows:
            key = tuple(row.labels.get(label, "") for label in _LABELS[definition.per])
            if row.labels.get(_PART) == _VALUE:
                self._values.setdefault(key, []).append(math.inf if row.buckets else row.value)
            else:  # the oldest of several: a ratio is as old as the older of its terms
                self._ages[key] = max(-row.value, self._ages.get(key, -math.inf))

    def of(self, wanted: Wanted) -> Signal:
        """What it says about an SLO's workload."""
        keys = list(self._keys(wanted))
        values = [value for key in keys for value in self._values.get(key, ())]
        age = self._age(keys)
        if age is not None and not age >= -CLOCK_TOLERANCE_SECONDS:
            return Missing("ClockSkewed", "its newest sample is from the future: check the clocks")
        if age is not None and age > self._definition.stale_after_seconds:
            return Stale(age)
        if not values:
            return Missing(
                "SeriesMissing", f"its query answers nothing for {self._about(wanted)}: is its exporter scraped?"
            )
        if age is None:
            return Stale(LOOKBACK_SECONDS)
        if len(values) > 1:
            return Missing(
                "SeveralRows",
                f"its query answers {len(values)} rows for {self._about(wanted)}, where one is expected: the "
                "administrator should aggregate in it, or set `per`",
            )
        return _judged(self._definition.kind, values[0], max(age, 0.0))

    def _keys(self, wanted: Wanted) -> Iterator[_Key]:
        match self._definition.per:
            case "Cluster":
                yield ()
            case "Namespace":
                yield (wanted.namespace,)
            case "Workload":
                yield from ((wanted.namespace, workload) for workload in sorted(wanted.workloads))

    def _age(self, keys: Iterable[_Key]) -> float | None:
        """Series that the query rests on may lack the labels that it gives to its rows."""
        about = {key[:kept] + ("",) * (len(key) - kept) for key in keys for kept in range(len(key) + 1)}
        return max((self._ages[key] for key in about if key in self._ages), default=None)

    def _about(self, wanted: Wanted) -> str:
        match self._definition.per:
            case "Cluster":
                return "the cluster"
            case "Namespace":
                return f'namespace="{wanted.namespace}"'
        return f'namespace="{wanted.namespace}", workload="{"|".join(sorted(wanted.workloads))}"'


def _judged(kind: SignalKind, value: float, age_seconds: float) -> Signal:
    measure = KINDS[kind]
    if math.isnan(value) and measure.of_events:
        return NoTraffic(age_seconds)
    if not math.isfinite(value):
        return Missing("NotANumber", "its query answers NaN, infinity or a histogram: look at what is exposed")
    if value < 0:
        return Missing("OutOfRange", f"its query answers {value:g}, which is below zero: look at what is exposed")
    if measure.is_ratio and value > 1 + ROUNDING:
        return Missing(
            "OutOfRange", f"its query answers {value:g}, and a ratio is at most 1: divide a percentage by 100"
        )
    return Value(min(value, 1.0) if measure.is_ratio else value, age_seconds)


# --- shown --------------------------------------------------------------------------------------------------------


def statuses(spec: PerformanceSLOSpec, observation: Observation) -> tuple[SignalStatus, ...]:
    """How each signal of an SLO stands."""
    return tuple(_status(named, _seen(named, observation)) for named in spec.metrics.signals)


def evidence(spec: PerformanceSLOSpec, observation: Observation) -> Iterator[Evidence]:
    """The signals that are known, as numbers of a diagnosis."""
    for named in spec.metrics.signals:
        if isinstance(seen := _seen(named, observation), Value):
            yield Evidence(f"{named.name} ({named.kind})", KINDS[named.kind].words(seen.value), seen.age_seconds)


def _seen(named: Named, observation: Observation) -> Signal:
    return observation.signals.get(named.name, Missing("NotMeasured", "it was not asked for yet"))


def _status(named: Named, seen: Signal) -> SignalStatus:
    value = age = message = None
    match seen:
        case Value():
            value, age = KINDS[named.kind].words(seen.value), round(seen.age_seconds)
        case NoTraffic():
            age = round(seen.age_seconds)
        case Stale():
            age, message = round(seen.age_seconds), "its newest sample is too old: is its exporter still scraped?"
        case Missing():
            message = text.clipped(f"{seen.reason}: {seen.message}" if seen.message else seen.reason, MAX_MESSAGE)
    return SignalStatus(
        name=named.name,
        kind=named.kind,
        state=_STATES[type(seen)],
        value=value,
        age_seconds=age,
        message=message,
    )


_STATES: Mapping[type, Literal["Value", "NoTraffic", "Missing", "Stale"]] = {
    Value: "Value",
    NoTraffic: "NoTraffic",
    Missing: "Missing",
    Stale: "Stale",
}
