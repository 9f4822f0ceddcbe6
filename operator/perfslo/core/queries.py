"""Which queries a set of SLOs needs, and which rows of their answers belong to which SLO.

SLOs with the same source, preset, matchers and scrape interval ask the same things, and share the queries: their number
grows with metric families and chunks of namespaces, never with SLOs. It takes two rounds: first how the series are
sampled, then, with windows that fit, what they say; and a third for what seems too bad to be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from perfslo.api.v1alpha1 import Matcher as SpecMatcher
from perfslo.core import buckets, scrape
from perfslo.core.measure import FAILED, Answer, Row, Series, Wanted
from perfslo.core.model import Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import Identity, Key, Mark, Matcher, Over, Pods, Query, Together
from perfslo.core.scrape import Sampling
from perfslo.core.timescale import WINDOW_SCRAPES, TimeScale

CPU = "container_cpu_usage_seconds_total"
CFS_PERIODS = "container_cpu_cfs_periods_total"
CFS_THROTTLED_PERIODS = "container_cpu_cfs_throttled_periods_total"
MEMORY = "container_memory_working_set_bytes"
DISK_READ, DISK_WRITTEN = "container_fs_reads_bytes_total", "container_fs_writes_bytes_total"
NETWORK_RECEIVED, NETWORK_SENT = "container_network_receive_bytes_total", "container_network_transmit_bytes_total"
HOUSEKEEPING_SECONDS = 10.0
"""The kubelet's cAdvisor looks at a container about this often: more frequent scrapes repeat the same numbers."""

BY_POD = Pods()
REMEMBERED = 1024
"""Different subjects whose queries are not built anew each cycle; thousands of SLOs commonly have a few."""

_SAMPLING, _RESOURCE_SAMPLING = "sampling", "resource-sampling"
_COMPLETIONS, _REQUESTS, _NOW = "completions", "requests", "now"
_IN_FLIGHT, _PODS = "in-flight", "pods"
_COMPUTE, _IO = "compute", "io"
_CPU, _PERIODS, _THROTTLED, _MEMORY = "cpu", "cfs-periods", "cfs-throttled-periods", "memory"
_READ, _WRITTEN, _RECEIVED, _SENT = "disk-read", "disk-written", "network-received", "network-sent"
_LATENCY, _SAMPLES, _NATIVE = "latency", "samples", "native"


@dataclass(frozen=True, slots=True)
class Ask:
    """One query of one source; SLOs with equal ones share it."""

    source: str
    query: Query | Together


@dataclass(frozen=True, slots=True)
class Subject:
    """What an SLO's queries are made of, apart from its namespace and workload."""

    source: str
    source_matchers: tuple[Matcher, ...]
    """What the administrator puts on every selector of the source."""
    preset: Preset
    matchers: tuple[Matcher, ...]
    """Of the SLO, for its own series."""
    objectives: tuple[tuple[str, tuple[Matcher, ...]], ...]
    """Each latency objective's name and its own matchers."""
    failures: tuple[tuple[str, tuple[Matcher, ...]], ...] = ()
    """The same of objectives for latency or errors that have matchers of their own."""
    throughputs: tuple[tuple[str, tuple[Matcher, ...]], ...] = ()
    """The same of objectives for throughput that have matchers of their own."""
    native: bool = False
    """Whether some pods have native histograms, so that they are asked for beside the classic ones."""


Asks = Mapping[str, Ask]
"""What one SLO asks, by what it is for."""
Answers = Mapping[str, Answer]


def subject(wanted: Wanted, preset: Preset, source_matchers: tuple[Matcher, ...] = ()) -> Subject:
    """What this SLO's queries are made of."""
    objectives = wanted.spec.objectives
    own = {objective.name: _matchers(objective.matchers) for objective in objectives if objective.matchers}
    return Subject(
        source=wanted.source,
        source_matchers=source_matchers,
        preset=preset,
        matchers=_matchers(wanted.spec.metrics.matchers),
        objectives=tuple((o.name, own.get(o.name, ())) for o in objectives if o.latency),
        failures=tuple((o.name, own[o.name]) for o in objectives if o.name in own and not o.throughput),
        throughputs=tuple((o.name, own[o.name]) for o in objectives if o.name in own and o.throughput),
    )


Samplings = tuple[Sampling | Missing, Sampling | Missing]
"""Of the request counter, and of the kubelet's series."""
JUST_APPEARED = Missing("TooFewSamples", "the series have just appeared; how often they are scraped is asked next")


@lru_cache(REMEMBERED)
def sampling_asks(subject: Subject, whole: bool = True) -> Asks:
    """The first round: how the series are sampled, or, when that is known, only how old they are.

    While no native histograms are known, whether there are any, too.
    """
    sampled = _sampling if whole else _age
    requests = sampled(_requests(subject))
    if not subject.native:
        native = replace(_requests(subject), metric=subject.preset.histogram, over=Over.AGE, aggregate="max")
        requests = Together((*requests.parts, (_NATIVE, native)))
    return {
        _SAMPLING: Ask(subject.source, requests),
        _RESOURCE_SAMPLING: Ask(subject.source, sampled(_resource(subject, CPU))),
    }


def sampling(answers: Answers, known: Samplings | None = None) -> Samplings:
    """What the first round said; `known` is what an earlier one said, where only ages were asked for."""
    requests, resources = known or (None, None)
    return _sampling_of(answers[_SAMPLING], requests), _sampling_of(answers[_RESOURCE_SAMPLING], resources)


def found_native(answers: Answers) -> bool:
    """Whether the first round found native histograms where only classic ones were known."""
    answer = answers[_SAMPLING]
    return not isinstance(answer, Missing) and any(row.labels.get("part") == _NATIVE for row in answer)


@lru_cache(REMEMBERED)
def value_asks(subject: Subject, scrape_seconds: float | None, resource_scrape_seconds: float | None) -> Asks:
    """The second round: what the series say; nothing about those that do not exist (None)."""
    asks: dict[str, Query | Together] = {}
    if scrape_seconds is not None:
        scale = TimeScale(scrape_seconds)
        preset, requests = subject.preset, _requests(subject)
        mark = Mark(FAILED, preset.failed.labels, preset.failed.regex) if preset.failed else None
        counted = requests
        if preset.failed and preset.failed.metric:
            counted = replace(requests, metric=preset.failed.metric, native="")
        asks[_COMPLETIONS] = _increase(requests, scale.short_window_seconds)
        asks[_REQUESTS] = _increase(counted, scale.window_seconds, mark=mark)
        now = []
        if isinstance(preset.identity, Pods):
            pods = replace(requests, over=Over.AGE, aggregate="pods", least=-scale.stale_after_seconds)
            now.append((_PODS, pods))
        if preset.in_flight:
            now.append((_IN_FLIGHT, replace(requests, metric=preset.in_flight, native="")))
        if now:
            asks[_NOW] = Together(tuple(now))
        for name, own in subject.objectives:
            asks[_own(_LATENCY, name)] = _increase(_buckets(subject, own), scale.window_seconds)
        for name, own in subject.failures:
            chosen = replace(_requests(subject, own), metric=counted.metric, native=counted.native)
            asks[_own(_REQUESTS, name)] = _increase(chosen, scale.window_seconds, mark=mark)
        for name, own in subject.throughputs:
            chosen = _requests(subject, own)
            asks[_own(_COMPLETIONS, name)] = _increase(chosen, scale.short_window_seconds)
            if preset.in_flight:
                asks[_own(_IN_FLIGHT, name)] = replace(chosen, metric=preset.in_flight, native="")
    if resource_scrape_seconds is not None:
        window = resource_window_seconds(resource_scrape_seconds)
        asks[_COMPUTE] = Together(
            (
                (_CPU, _increase(_resource(subject, CPU), window)),
                (_PERIODS, _increase(_resource(subject, CFS_PERIODS), window)),
                (_THROTTLED, _increase(_resource(subject, CFS_THROTTLED_PERIODS), window)),
                (_MEMORY, _resource(subject, MEMORY)),
            )
        )
        asks[_IO] = Together(
            (
                (_READ, _increase(_resource(subject, DISK_READ), window)),
                (_WRITTEN, _increase(_resource(subject, DISK_WRITTEN), window)),
                (_RECEIVED, _increase(_network(subject, NETWORK_RECEIVED), window)),
                (_SENT, _increase(_network(subject, NETWORK_SENT), window)),
            )
        )
    return {name: Ask(subject.source, query) for name, query in asks.items()}


def checking_asks(wanted: Wanted, subject: Subject, scrape_seconds: float | None, second: Answers) -> Asks:
    """The third round: how complete the buckets are, where a promise seems broken. Few have one that is."""
    asks: dict[str, Ask] = {}
    latencies = {objective.name: objective.latency for objective in wanted.spec.latency_objectives}
    for name, own in subject.objectives:
        rows, latency = second.get(_own(_LATENCY, name), ()), latencies[name]
        if scrape_seconds is None or latency is None or isinstance(rows, Missing):
            continue
        if buckets.look_broken(
            rows, subject.preset.scale_to_seconds, latency.threshold_seconds, latency.allowed_bad_ratio
        ):
            window = TimeScale(scrape_seconds).window_seconds
            samples = replace(_buckets(subject, own), over=Over.COUNT, window_seconds=window)
            asks[_own(_SAMPLES, name)] = Ask(subject.source, samples)
    return asks


def resource_window_seconds(scrape_seconds: float) -> float:
    """Window for the kubelet's counters: four samples, and four looks of the kubelet."""
    return WINDOW_SCRAPES * max(scrape_seconds, HOUSEKEEPING_SECONDS)


def series(
    preset: Preset,
    found: tuple[Sampling | Missing, Sampling | Missing],
    scrape_seconds: float | None,
    resource_scrape_seconds: float | None,
    answers: Answers,
) -> Series:
    """All that was found: how the series are sampled, and the answers of the rounds after that."""
    requests, resources = found
    every = scrape_seconds or scrape.DEFAULT_SECONDS
    resource_every = resource_scrape_seconds or scrape.DEFAULT_SECONDS
    return Series(
        sampling=requests,
        scrape_seconds=every,
        histograms={
            name: _checked(rows, answers.get(_own(_SAMPLES, name)))
            for name, rows in _by_objective(answers, _LATENCY).items()
        },
        scale_to_seconds=preset.scale_to_seconds,
        pods=_part(answers, _NOW, _PODS),
        completions=answers.get(_COMPLETIONS, ()),
        requests=answers.get(_REQUESTS, ()),
        own_completions=_by_objective(answers, _COMPLETIONS),
        own_requests=_by_objective(answers, _REQUESTS),
        own_in_flight=_by_objective(answers, _IN_FLIGHT),
        tells_failed=preset.failed is not None,
        in_flight=_part(answers, _NOW, _IN_FLIGHT),
        resource_sampling=resources,
        resource_scrape_seconds=resource_every,
        resource_window_seconds=resource_window_seconds(resource_every),
        cpu_seconds=_part(answers, _COMPUTE, _CPU),
        cfs_periods=_part(answers, _COMPUTE, _PERIODS),
        cfs_throttled_periods=_part(answers, _COMPUTE, _THROTTLED),
        memory_bytes=_part(answers, _COMPUTE, _MEMORY),
        disk_read_bytes=_part(answers, _IO, _READ),
        disk_written_bytes=_part(answers, _IO, _WRITTEN),
        network_received_bytes=_part(answers, _IO, _RECEIVED),
        network_sent_bytes=_part(answers, _IO, _SENT),
    )


class Table:
    """Rows of one query, by whose they are."""

    def __init__(
        self, rows: Iterable[Row], identity: Identity = BY_POD, unanswered: Mapping[str, Missing] | None = None
    ) -> None:
        """`unanswered`: the namespaces that there is no answer about, and why."""
        self._identity = identity
        self._unanswered = unanswered or {}
        self._rows: dict[Key, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(identity.key(row.labels), []).append(row)

    def of(self, wanted: Wanted) -> Answer:
        """The rows of an SLO, whichever of its names they go by."""
        if problem := self._unanswered.get(wanted.namespace):
            return problem
        keys = self._identity.keys(wanted.namespace, wanted.workloads, wanted.name)
        return tuple(row for key in keys for row in self._rows.get(key, ()))


def identity(query: Query | Together) -> Identity:
    """How a query's rows say whose they are."""
    return query.identity if isinstance(query, Query) else query.parts[0][1].identity


def _matchers(written: Iterable[SpecMatcher]) -> tuple[Matcher, ...]:
    return tuple(sorted({Matcher(matcher.label, matcher.op, matcher.value) for matcher in written}))


def _requests(subject: Subject, own: tuple[Matcher, ...] = ()) -> Query:
    preset = subject.preset
    return Query(
        metric=f"{preset.histogram}_count",
        matchers=tuple(sorted({*subject.source_matchers, *preset.fixed, *subject.matchers, *own})),
        identity=preset.identity,
        native=preset.histogram if subject.native else "",
    )


def _resource(subject: Subject, metric: str) -> Query:
    containers = Matcher("container", "!=", "")  # without a name: the sums of whole pods and cgroups
    return Query(metric=metric, matchers=(*subject.source_matchers, containers))


def _network(subject: Subject, metric: str) -> Query:
    # A pod's containers share its network, which the kubelet counts once: for the sandbox, which has no container's
    # name, or "POD" with older runtimes. One series an interface.
    sandbox, interfaces = Matcher("container", "=~", "|POD"), Matcher("interface", "!=", "lo")
    return Query(metric=metric, matchers=(*subject.source_matchers, sandbox, interfaces))


def _own(ask: str, objective: str) -> str:
    return f"{ask}/{objective}"


def _by_objective(answers: Answers, ask: str) -> Mapping[str, Answer]:
    prefix = _own(ask, "")
    return {name.removeprefix(prefix): answer for name, answer in answers.items() if name.startswith(prefix)}


def _part(answers: Answers, ask: str, part: str) -> Answer:
    answer = answers.get(ask, ())
    return answer if isinstance(answer, Missing) else tuple(row for row in answer if row.labels.get("part") == part)


def _buckets(subject: Subject, own: tuple[Matcher, ...]) -> Query:
    return replace(_requests(subject, own), metric=f"{subject.preset.histogram}_bucket", keep=("le",))


def _checked(rows: Answer, samples: Answer | None) -> Answer:
    if samples is None or isinstance(rows, Missing):
        return rows
    return samples if isinstance(samples, Missing) else buckets.complete(rows, samples)


def _increase(query: Query, window_seconds: float, mark: Mark | None = None) -> Query:
    return replace(query, over=Over.INCREASE, window_seconds=window_seconds, mark=mark)


def _sampling(query: Query) -> Together:
    def count(window: float, offset: float = 0.0) -> Query:
        return replace(query, over=Over.COUNT, window_seconds=window, offset_seconds=offset, aggregate="max")

    *_, shorter, longest = scrape.WINDOWS_SECONDS
    return Together(
        (
            *_age(query).parts,
            *((f"{seconds:g}s", count(seconds)) for seconds in scrape.WINDOWS_SECONDS),
            ("before", count(shorter, longest - shorter)),
        )
    )


def _age(query: Query) -> Together:
    return Together((("age", replace(query, over=Over.AGE, aggregate="max")),))


def _sampling_of(answer: Answer, known: Sampling | Missing | None) -> Sampling | Missing:
    if isinstance(answer, Missing):
        return answer
    greatest: dict[str, float] = {}
    for row in answer:
        part = row.labels.get("part", "")
        greatest[part] = max(row.value, greatest.get(part, row.value))
    if "age" not in greatest:
        return Missing(
            "SeriesMissing", "no request series match: are the pods scraped, and is the preset the right one?"
        )
    if known is not None:
        return replace(known, age_seconds=-greatest["age"]) if isinstance(known, Sampling) else JUST_APPEARED
    return Sampling(
        age_seconds=-greatest["age"],
        counts=tuple(greatest.get(f"{seconds:g}s", 0.0) for seconds in scrape.WINDOWS_SECONDS),
        existed_before="before" in greatest,
    )
