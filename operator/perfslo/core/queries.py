"""Which queries a set of SLOs needs, and which rows of their answers belong to which SLO.

SLOs with the same source, preset, matchers and scrape interval ask the same things, and share the queries: their number
grows with metric families and chunks of namespaces, never with SLOs. It takes two rounds: first how the series are
sampled, then, with windows that fit, what they say; and a third for what seems too bad to be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from perfslo.api.v1alpha1 import Custom
from perfslo.api.v1alpha1 import Matcher as SpecMatcher
from perfslo.core import buckets, custom, scrape
from perfslo.core.custom import Text
from perfslo.core.frozen import dataclass, replace
from perfslo.core.measure import FAILED, Answer, Series, Wanted
from perfslo.core.model import Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import Mark, Matcher, Over, Pods, Query, Together, Which
from perfslo.core.scrape import Sampling
from perfslo.core.table import parts
from perfslo.core.timescale import WINDOW_SCRAPES, TimeScale

CPU = "container_cpu_usage_seconds_total"
CFS_PERIODS = "container_cpu_cfs_periods_total"
CFS_THROTTLED_PERIODS = "container_cpu_cfs_throttled_periods_total"
MEMORY = "container_memory_working_set_bytes"
DISK_READ, DISK_WRITTEN = "container_fs_reads_bytes_total", "container_fs_writes_bytes_total"
NETWORK_RECEIVED, NETWORK_SENT = "container_network_receive_bytes_total", "container_network_transmit_bytes_total"
HOUSEKEEPING_SECONDS = 10.0
"""The kubelet's cAdvisor looks at a container about this often: more frequent scrapes repeat the same numbers."""

REMEMBERED = 1024
"""Different subjects whose queries are not built anew each cycle; thousands of SLOs commonly have a few."""

_LOOK, _SAMPLING, _RESOURCE_SAMPLING = "look", "sampling", "resource-sampling"
_COMPLETIONS, _REQUESTS, _FAILED, _NOW = "completions", "requests", "failed", "now"
_IN_FLIGHT, _PODS = "in-flight", "pods"
_COMPUTE, _IO = "compute", "io"
_CPU, _PERIODS, _THROTTLED, _MEMORY = "cpu", "cfs-periods", "cfs-throttled-periods", "memory"
_READ, _WRITTEN, _RECEIVED, _SENT = "disk-read", "disk-written", "network-received", "network-sent"
_LATENCY, _SAMPLES, _NATIVE = "latency", "samples", "native"


@dataclass(frozen=True, slots=True)
class Ask:
    """One query of one source; SLOs with equal ones share it."""

    source: str
    query: Query | Together | Text | Which


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
    own_queries: custom.Queries | None = None
    """Whole queries of the SLO, in place of the preset's names."""

    def __hash__(self) -> int:  # without what those of one source and preset have in common
        own = self.matchers, self.objectives, self.failures, self.throughputs, self.own_queries
        return hash((self.source, self.preset.histogram, self.native, own))

    @property
    def tells_failed(self) -> bool:
        """Whether it is said which requests failed."""
        return self.own_queries.written.failed is not None if self.own_queries else self.preset.failed is not None


Asks = Mapping[str, Ask]
"""What one SLO asks, by what it is for."""
Answers = Mapping[str, Answer]


def subject(wanted: Wanted, preset: Preset, source_matchers: tuple[Matcher, ...] = ()) -> Subject:
    """What this SLO's queries are made of, by the preset's names."""
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


def custom_subject(wanted: Wanted, its: Custom, tenant_label: str, source_matchers: tuple[Matcher, ...]) -> Subject:
    """What this SLO's queries are made of, by what it says itself; `tenant_label` carries the namespace."""
    if its.names:
        return subject(wanted, custom.preset(its.names, tenant_label), source_matchers)
    if its.queries is None:
        raise ValueError("custom has names or queries, by the rules of Custom")
    alone = subject(wanted, custom.unnamed(its.queries), source_matchers)
    tenant = Matcher(tenant_label, "=", wanted.namespace)
    return replace(alone, own_queries=custom.Queries(its.queries, (*source_matchers, *alone.matchers, tenant)))


def look_asks(wanted: Wanted, variants: Sequence[Preset], source_matchers: tuple[Matcher, ...] = ()) -> Asks:
    """Which of a preset's names the series have, classic or native ones: one query for all."""
    first = _requests(subject(wanted, variants[0], source_matchers))
    metrics = tuple(name for variant in variants for name in (f"{variant.histogram}_count", variant.histogram))
    return {_LOOK: Ask(wanted.source, Which(metrics, first.matchers, first.identity))}


def looked(answers: Answers, variants: Sequence[Preset]) -> int | None:
    """Which of the variants it is: the first that has series, or None."""
    answer = answers[_LOOK]
    if isinstance(answer, Missing):
        return None
    found = {row.labels.get("__name__", "").removesuffix("_count") for row in answer}
    return next((number for number, variant in enumerate(variants) if variant.histogram in found), None)


Samplings = tuple[Sampling | Missing, Sampling | Missing]
"""Of the request counter, and of the kubelet's series."""
JUST_APPEARED = Missing("TooFewSamples", "the series have just appeared; how often they are scraped is asked next")


@lru_cache(REMEMBERED)
def sampling_asks(subject: Subject, whole: bool = True) -> Asks:
    """The first round: how the series are sampled, or, when that is known, only how old they are.

    While no native histograms are known, whether there are any, too.
    """
    sampled = _sampling if whole else _age
    requests: Together | Text = sampled(_requests(subject))
    if subject.own_queries:
        requests = subject.own_queries.sampling()
    elif not subject.native:
        native = replace(_requests(subject), metric=subject.preset.histogram, over=Over.AGE, aggregate="max")
        requests = Together((*sampled(_requests(subject)).parts, (_NATIVE, native)))
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
    asks: dict[str, Query | Together | Text] = {}
    if scrape_seconds is not None:
        scale = TimeScale(scrape_seconds)
        asks |= (
            _whole_asks(subject, subject.own_queries, scale) if subject.own_queries else _request_asks(subject, scale)
        )
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
        if scrape_seconds is None or latency is None or isinstance(rows, Missing) or subject.own_queries:
            continue  # nor can it be told of whole queries
        if buckets.look_broken(
            rows, subject.preset.scale_to_seconds, latency.threshold_seconds, latency.allowed_bad_ratio
        ):
            window = TimeScale(scrape_seconds).window_seconds
            samples = replace(_buckets(subject, own), over=Over.COUNT, window_seconds=window)
            asks[_own(_SAMPLES, name)] = Ask(subject.source, samples)
    return asks


def _request_asks(subject: Subject, scale: TimeScale) -> Mapping[str, Query | Together]:
    preset, requests = subject.preset, _requests(subject)
    mark = Mark(FAILED, preset.failed.labels, preset.failed.regex) if preset.failed else None
    counted = requests
    if preset.failed and preset.failed.metric:
        counted = replace(requests, metric=preset.failed.metric, native="")
    asks: dict[str, Query | Together] = {
        _COMPLETIONS: _increase(requests, scale.short_window_seconds),
        _REQUESTS: _increase(counted, scale.window_seconds, mark=mark),
    }
    now = []
    if isinstance(preset.identity, Pods):
        now.append((_PODS, replace(requests, over=Over.AGE, aggregate="pods", least=-scale.stale_after_seconds)))
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
    return asks


def _whole_asks(subject: Subject, whole: custom.Queries, scale: TimeScale) -> Mapping[str, Text]:
    """The same with the SLO's whole queries."""
    long, short = scale.window_seconds, scale.short_window_seconds
    asks = {
        _COMPLETIONS: whole.requests(short),
        _REQUESTS: whole.requests(long),
        _FAILED: whole.failed(long),
        _IN_FLIGHT: whole.in_flight(),
        **{_own(_LATENCY, name): whole.buckets(long, own) for name, own in subject.objectives},
        **{_own(_REQUESTS, name): whole.requests(long, own) for name, own in subject.failures},
        **{_own(_FAILED, name): whole.failed(long, own) for name, own in subject.failures},
        **{_own(_COMPLETIONS, name): whole.requests(short, own) for name, own in subject.throughputs},
        **{_own(_IN_FLIGHT, name): whole.in_flight(own) for name, own in subject.throughputs},
    }
    return {name: text for name, text in asks.items() if text}


def resource_window_seconds(scrape_seconds: float) -> float:
    """Window for the kubelet's counters: four samples, and four looks of the kubelet."""
    return WINDOW_SCRAPES * max(scrape_seconds, HOUSEKEEPING_SECONDS)


def series(
    subject: Subject,
    found: tuple[Sampling | Missing, Sampling | Missing],
    scrape_seconds: float | None,
    resource_scrape_seconds: float | None,
    answers: Answers,
) -> Series:
    """All that was found: how the series are sampled, and the answers of the rounds after that."""
    if subject.own_queries:
        answers = custom.with_failed(answers, _REQUESTS, _FAILED)
    requests, resources = found
    now, compute, io = (parts(answers.get(ask, ())) for ask in (_NOW, _COMPUTE, _IO))
    every, resource_every = (each or scrape.DEFAULT_SECONDS for each in (scrape_seconds, resource_scrape_seconds))
    return Series(
        sampling=requests,
        scrape_seconds=every,
        histograms={
            name: _checked(rows, answers.get(_own(_SAMPLES, name)))
            for name, rows in _by_objective(answers, _LATENCY).items()
        },
        scale_to_seconds=subject.preset.scale_to_seconds,
        pods=now(_PODS),
        completions=answers.get(_COMPLETIONS, ()),
        requests=answers.get(_REQUESTS, ()),
        own_completions=_by_objective(answers, _COMPLETIONS),
        own_requests=_by_objective(answers, _REQUESTS),
        own_in_flight=_by_objective(answers, _IN_FLIGHT),
        tells_failed=subject.tells_failed,
        in_flight=answers.get(_IN_FLIGHT, now(_IN_FLIGHT)),
        resource_sampling=resources,
        resource_scrape_seconds=resource_every,
        resource_window_seconds=resource_window_seconds(resource_every),
        cpu_seconds=compute(_CPU),
        cfs_periods=compute(_PERIODS),
        cfs_throttled_periods=compute(_THROTTLED),
        memory_bytes=compute(_MEMORY),
        disk_read_bytes=io(_READ),
        disk_written_bytes=io(_WRITTEN),
        network_received_bytes=io(_RECEIVED),
        network_sent_bytes=io(_SENT),
    )


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
