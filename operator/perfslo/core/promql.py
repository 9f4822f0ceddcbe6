"""PromQL text from plain values: nothing that a user writes can leave the place it was put in.

One shape serves every metric family. Series carry a pod, not a workload, and a pod may be scraped twice, so:

    sum by (namespace, perfslo_workload, le) (  what is left: one row a workload (and bucket)
      max without (job, instance, ...) (        one pod is one pod, however many jobs scrape it
        label_replace(                          the workload, from the pod's name
          increase(metric{matchers, namespace=~"a|b"}[60s]), ...)))

Series of proxies say in other words whose they are: see identity.py.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Literal, Protocol

from perfslo.core.frozen import dataclass

MAX_QUERY_CHARACTERS = 4000
"""Proxies before Prometheus commonly refuse request lines of 8 KiB; percent-encoding nearly doubles a query."""
MAX_ROWS = 40_000
"""About 5 MiB: while an answer is being read, nothing else of the process runs."""
ROWS_OF_A_HISTOGRAM = 15
"""Stock buckets."""
MAX_CHUNKS = 8
"""Beyond it, one query for every namespace costs the server less than many for some."""

SCRAPE_LABELS = (
    "endpoint", "instance", "job", "metrics_path", "node", "prometheus", "prometheus_replica", "service",
)  # fmt: skip
"""Labels that say who scraped a pod and how. Series that differ in these only are copies of one another."""

REMEMBERED_PODS = 1 << 16
"""Names that are not taken apart anew each cycle."""

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"  # Kubernetes' alphabet for generated names: no vowels, nothing to mistake
_POD = rf"([a-z0-9.-]+)-{_SAFE}{{6,10}}-{_SAFE}{{5}}|([a-z0-9.-]+)-[0-9]+|(?s:(.*))"
_WORKLOAD = "${1}${2}${3}"  # one alternative matches; the groups of the others are empty
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_OPERATORS = ("=", "!=", "=~", "!~")


@lru_cache(REMEMBERED_PODS)
def workload_of_pod(pod_name: str) -> str:
    """The name that queries give to a pod's workload: `web` for `web-5d4f8c7b9c-x2k4j` and for `web-0`.

    The Deployment's form wins over the StatefulSet's. Any other name (a bare ReplicaSet's pod, or one that Kubernetes
    had to cut at 63 characters) stands for itself, so a target is found by the set of its pods' names.
    """
    match = re.fullmatch(_POD, pod_name)
    return "".join(group or "" for group in match.groups()) if match else pod_name


def label_name(text: str) -> str:
    """The text, if it is a label's name; raises ValueError otherwise."""
    if not _LABEL.fullmatch(text):
        raise ValueError(f"not a label name: {text!r}")
    return text


def metric_name(text: str) -> str:
    """The text, if it is a metric's name; raises ValueError otherwise."""
    if not _METRIC.fullmatch(text):
        raise ValueError(f"not a metric name: {text!r}")
    return text


def quote(text: str) -> str:
    """A string literal. Raises ValueError for text that has no UTF-8 (a lone surrogate)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("not Unicode text: it holds a lone surrogate") from error
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def literally(text: str) -> str:
    """A regular expression (RE2) that matches exactly this text."""
    return re.sub(r"([^0-9A-Za-z_\-\u0080-\U0010ffff])", r"\\\1", text)


def one_of(values: Iterable[str]) -> str:
    """A regular expression (RE2) that matches exactly these values."""
    return "|".join(map(literally, sorted(set(values))))


def seconds(value: float) -> str:
    """A PromQL duration, to the millisecond."""
    return f"{value:.0f}s" if value == round(value) else f"{value * 1000:.0f}ms"


@dataclass(frozen=True, slots=True, order=True)
class Matcher:
    """One label matcher. Raises ValueError when it could not be part of a query."""

    label: str
    op: str
    value: str

    def __post_init__(self) -> None:
        label_name(self.label)
        quote(self.value)
        if self.op not in _OPERATORS:
            raise ValueError(f"not a matcher's operator: {self.op!r}")

    def __str__(self) -> str:
        return f"{self.label}{self.op}{quote(self.value)}"


WORKLOAD = "perfslo_workload"
"""Label of rows that says whose they are: named so that no application has one of this name."""

Key = tuple[str, str]
"""Namespace and name of whose a row is."""


class Identity(Protocol):
    """How series say whose they are: what selects those of some namespaces, and what is made of their labels."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Labels that rows are told apart by."""

    @property
    def pod_label(self) -> str:
        """Label that tells apart the pods that tell of it."""

    def where(self, namespaces: Sequence[str]) -> tuple[Matcher, ...]:
        """Matchers for the series of these namespaces, or of every namespace when there are none."""

    def named(self, series: str) -> str:
        """The series, with the label WORKLOAD."""

    def key(self, labels: Mapping[str, str]) -> Key:
        """Whose a row is."""

    def keys(self, namespace: str, pod_workloads: Iterable[str], name: str) -> tuple[Key, ...]:
        """The keys of one SLO's rows, sorted.

        `pod_workloads` are the names that its pods' names give, `name` is what the object is called that its series go
        by (the target, a Service or a route).
        """


@dataclass(frozen=True, slots=True)
class Pods:
    """Series carry the pod that was scraped. Prometheus writes both labels, so no other namespace can."""

    namespace_label: str = "namespace"
    pod_label: str = "pod"

    def __post_init__(self) -> None:
        label_name(self.namespace_label)
        label_name(self.pod_label)

    @property
    def rows(self) -> tuple[str, ...]:
        return self.namespace_label, WORKLOAD

    def where(self, namespaces: Sequence[str]) -> tuple[Matcher, ...]:
        return (in_namespaces(self.namespace_label, namespaces),)

    def named(self, series: str) -> str:
        return label_replace(series, WORKLOAD, _WORKLOAD, self.pod_label, _POD)

    def key(self, labels: Mapping[str, str]) -> Key:
        return labels.get(self.namespace_label, ""), labels.get(WORKLOAD, "")

    def keys(self, namespace: str, pod_workloads: Iterable[str], name: str) -> tuple[Key, ...]:
        return tuple((namespace, workload) for workload in sorted(pod_workloads))


@dataclass(frozen=True, slots=True)
class Recorded(Pods):
    """Series that rules recorded from such: they carry the workload itself."""

    def named(self, series: str) -> str:
        return series


def in_namespaces(label: str, namespaces: Sequence[str]) -> Matcher:
    """A matcher for one of these namespaces, or for any when there are none."""
    return Matcher(label, "=~", one_of(namespaces)) if namespaces else Matcher(label, "!=", "")


@dataclass(frozen=True, slots=True)
class Mark:
    """Puts series into two classes: label `name` is "true" where a label matches the whole `regex`, else absent."""

    name: str
    labels: tuple[str, ...]
    regex: str

    def __post_init__(self) -> None:
        for label in (self.name, *self.labels):
            label_name(label)

    def on(self, series: str) -> str:
        """The series, marked."""
        for label in self.labels:
            series = label_replace(series, self.name, "true", label, self.regex)
        return series


class Over(StrEnum):
    """What is made of each series before series are brought together."""

    NOW = "now"
    """The newest sample's value (at most 5 minutes old, the server's lookback)."""
    AGE = "age"
    """Minus the age of the newest sample by the server's own clock: the greatest is the freshest."""
    INCREASE = "increase"
    COUNT = "count_over_time"
    SUM = "sum_over_time"


@dataclass(frozen=True, slots=True)
class Query:
    """One family of series, grouped by workload; which namespaces are asked about is said at the end."""

    metric: str
    matchers: tuple[Matcher, ...] = ()
    over: Over = Over.NOW
    window_seconds: float = 0.0
    offset_seconds: float = 0.0
    at_seconds: int | None = None
    """Unix time to look at; None is the server's now."""
    aggregate: Literal["sum", "max", "pods"] = "sum"
    """`pods` counts those with a value above `least`, however many series each has."""
    least: float = -math.inf
    keep: tuple[str, ...] = ()
    """Further labels that rows are told apart by."""
    native: str = ""
    """A native histogram with the same requests. Where a pod has it, it counts and `metric` does not. With `le` kept
    its rows are histograms; else they are numbers, as those of `metric`."""
    mark: Mark | None = None
    identity: Identity = Pods()

    def __post_init__(self) -> None:
        metric_name(self.metric)
        if self.native:
            metric_name(self.native)
        for label in self.keep:
            label_name(label)

    @property
    def rows_a_workload(self) -> int:
        """About how many rows each workload has in the answer."""
        return ROWS_OF_A_HISTOGRAM if "le" in self.keep else 1

    def text(self, namespaces: Sequence[str]) -> str:
        """The query for these namespaces, or for every namespace when there are none."""
        inner = self._pods(namespaces)
        labels = [*self.identity.rows, *self.keep]
        if self.mark:
            inner = self.mark.on(inner)
            labels.append(self.mark.name)
        by = ", ".join(labels)
        if self.aggregate == "pods":
            return f"count by ({by}) (max by ({by}, {self.identity.pod_label}) ({inner}) > {self.least:g})"
        return f"{self.aggregate} by ({by}) ({inner})"

    def _pods(self, namespaces: Sequence[str]) -> str:
        """The series, each pod's once, with whose they are."""
        classic, named = self._values(self.metric, namespaces), self.identity.named
        if not self.native:
            return self._once(named(classic))
        native = self._values(self.native, namespaces)
        if "le" in self.keep:
            native = _without_copies("avg", named(native))  # histograms have no maximum
            return f"{native} or ({self._once(named(classic))} unless ignoring (le) {native})"
        if self.over is Over.INCREASE:
            native = f"histogram_count({native})"
        return self._once(named(f"{native} or {classic}"))

    def _once(self, series: str) -> str:
        return _without_copies("max", series) if self.aggregate == "sum" else series  # copies change no maximum

    def _values(self, metric: str, namespaces: Sequence[str]) -> str:
        matchers = (*self.matchers, *self.identity.where(namespaces))
        selector = f"{metric}{{{','.join(map(str, matchers))}}}"
        if self.window_seconds:
            selector += f"[{seconds(self.window_seconds)}]"
        if self.offset_seconds:
            selector += f" offset {seconds(self.offset_seconds)}"
        if self.at_seconds is not None:
            selector += f" @ {self.at_seconds}"
        match self.over:
            case Over.NOW:
                return selector
            case Over.AGE:
                return f"timestamp({selector}) - time()"
            case function:
                return f"{function.value}({selector})"


@dataclass(frozen=True, slots=True)
class Together:
    """Several queries in one call, their rows told apart by the label `part`."""

    parts: tuple[tuple[str, Query], ...]

    @property
    def rows_a_workload(self) -> int:
        """About how many rows each workload has in the answer."""
        return sum(query.rows_a_workload for _, query in self.parts)

    def text(self, namespaces: Sequence[str]) -> str:
        """The query for these namespaces, or for every namespace when there are none."""
        return " or ".join(label_replace(query.text(namespaces), "part", name, "", "") for name, query in self.parts)


@dataclass(frozen=True, slots=True)
class Which:
    """Which of some metrics there are, in rows of their own (label `__name__`), by whose they are."""

    metrics: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    identity: Identity = Pods()
    rows_a_workload: int = 1

    def text(self, namespaces: Sequence[str]) -> str:
        """The query for these namespaces, or for every namespace when there are none."""
        names = Matcher("__name__", "=~", one_of(self.metrics))
        matchers = (names, *self.matchers, *self.identity.where(namespaces))
        series = self.identity.named(f"{{{','.join(map(str, matchers))}}}")
        return f"group by ({', '.join((*self.identity.rows, '__name__'))}) ({series})"


class Asked(Protocol):
    """What can be asked."""

    @property
    def rows_a_workload(self) -> int:
        """About how many rows each workload has in the answer."""

    def text(self, namespaces: Sequence[str]) -> str:
        """The query for these namespaces, or for every namespace when there are none."""


def texts(query: Asked, namespaces: Iterable[str]) -> tuple[str, ...]:
    """As few queries as hold all these namespaces, each short enough to send, and its answer not too long.

    `namespaces` names each as often as workloads of it are meant. Where there would be more than MAX_CHUNKS, it is one
    that names no namespace: the caller leaves others' rows aside.
    """
    room = MAX_QUERY_CHARACTERS - len(query.text([""]))
    repeats = len(query.text(["xx"])) - len(query.text(["x"]))
    chunks: list[list[str]] = [[]]
    used, rows = 0, 0
    for namespace, workloads in sorted(Counter(namespaces).items()):
        cost = repeats * (len(quote(one_of([namespace]))) - 1)  # without the quotes, with the bar
        more = workloads * query.rows_a_workload
        if chunks[-1] and (used + cost > room or rows + more > MAX_ROWS):
            chunks.append([])
            used, rows = 0, 0
        chunks[-1].append(namespace)
        used, rows = used + cost, rows + more
    return tuple(map(query.text, chunks if len(chunks) <= MAX_CHUNKS else [[]]))


def _without_copies(aggregate: str, series: str) -> str:
    return f"{aggregate} without ({', '.join(SCRAPE_LABELS)}) ({series})"


def label_replace(inner: str, to: str, replacement: str, label: str, regex: str) -> str:
    """The series, with label `to` where `label` matches the whole regular expression."""
    return f"label_replace({inner}, {quote(to)}, {quote(replacement)}, {quote(label)}, {quote(regex)})"
