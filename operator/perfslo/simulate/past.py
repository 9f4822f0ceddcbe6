"""What Prometheus still knows of a workload: its load, its pods and its latency, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from perfslo.core import quantile, queries
from perfslo.core.measure import NOT_MEASURED, Answer, Row, Series, Wanted
from perfslo.core.model import Histogram, Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import quote, texts
from perfslo.core.queries import Ask, Subject
from perfslo.core.scrape import Sampling
from perfslo.core.table import Table, identity
from perfslo.edges.prometheus.client import Client, Curve
from perfslo.errors import ConfigurationError

MINUTE_SECONDS = 60.0
SCRAPE_SECONDS = 15.0
"""Four of them make the window of a minute; what is scraped every 30 s still has two samples in it."""
MINUTES_A_QUERY = 360
"""Six hours of 15 buckets are some 5,000 points: little for a server that dashboards ask, too."""
MOST_GAPS = 0.1
LEAST_MINUTES = 20


@dataclass(frozen=True, slots=True)
class Moment:
    """One minute."""

    at_seconds: float
    """Its start, from the start of the range."""
    rps: float
    """Completed requests."""
    bad_ratio: float
    """Slower than the target, by the buckets; failed ones that were fast are not among them."""
    percentile_seconds: float
    pods: int
    histogram: Histogram | None
    """None without requests."""


@dataclass(frozen=True, slots=True)
class Past:
    """A range, whole: minutes that Prometheus has nothing of are as the minute before."""

    start: float
    """Unix seconds."""
    target_seconds: float
    percentile: float
    moments: tuple[Moment, ...]
    gaps: int
    """Minutes that were filled in so."""


def read(
    client: Client, wanted: Wanted, variants: Sequence[Preset], tenant_label: str, start: float, end: float
) -> Past:
    """What there is of an SLO's workload.

    Args:
        variants: the preset's names, of which the first that has series is meant; none for `preset: custom`.
        start: and end are whole minutes in Unix seconds.

    Raises SourceError, and ConfigurationError when there is too little to go by.
    """
    objective = next((o for o in wanted.spec.latency_objectives if o.primary), wanted.spec.latency_objectives[0])
    latency = objective.latency
    if latency is None:
        raise ValueError("an objective among the latency objectives has latency")
    subject = _subject(client, wanted, variants, tenant_label, start, end)
    asks = queries.value_asks(subject, SCRAPE_SECONDS, None)
    rows = {name: _by_time(client, ask, wanted, start, end) for name, ask in asks.items()}
    fallback = _replicas_of_kube_state_metrics(client, wanted, start, end)
    found: list[Moment | None] = []
    last: int | None = None
    for number in range(int((end - start) / MINUTE_SECONDS)):
        until = start + (number + 1) * MINUTE_SECONDS
        series = _series(subject, {name: its.get(until, ()) for name, its in rows.items()})
        pods = _sum(series.pods) or fallback.get(until) or last
        last = round(pods) if pods else last
        found.append(
            _moment(number, series, objective.name, last, latency.threshold_seconds, latency.allowed_bad_ratio)
        )
    return _whole(found, start, latency.threshold_seconds, 100 * (1 - latency.allowed_bad_ratio))


def _subject(
    client: Client, wanted: Wanted, variants: Sequence[Preset], tenant_label: str, start: float, end: float
) -> Subject:
    if its := wanted.spec.metrics.custom:
        return queries.custom_subject(wanted, its, tenant_label, ())
    (ask,) = queries.look_asks(wanted, variants).values()
    curves = _curves(client, ask, wanted, start, end, max(MINUTE_SECONDS, (end - start) / 50))
    table = Table((Row(curve.labels, 1.0) for curve in curves), identity(ask.query))
    number = queries.looked({"look": table.of(wanted)}, variants)
    if number is None:
        raise ConfigurationError(
            f"Prometheus has no request series of {wanted.key} in this range: is the preset {wanted.preset!r} the "
            "right one, are its namespace and target's name as they were then, and does it keep series for so long?"
        )
    return queries.subject(wanted, variants[number])


def _by_time(client: Client, ask: Ask, wanted: Wanted, start: float, end: float) -> Mapping[float, Answer]:
    """The SLO's rows at the end of each minute."""
    rows: dict[float, list[Row]] = {}
    for curve in _curves(client, ask, wanted, start + MINUTE_SECONDS, end, MINUTE_SECONDS):
        for time, value in curve.points:
            if math.isfinite(value):
                rows.setdefault(time, []).append(Row(curve.labels, value))
    return {time: Table(its, identity(ask.query)).of(wanted) for time, its in rows.items()}


def _curves(client: Client, ask: Ask, wanted: Wanted, start: float, end: float, step: float) -> Iterator[Curve]:
    for text in texts(ask.query, [wanted.namespace]):
        yield from _in_parts(client, text, start, end, step)


def _in_parts(client: Client, text: str, start: float, end: float, step: float) -> Iterator[Curve]:
    while start <= end:
        until = min(end, start + (MINUTES_A_QUERY - 1) * step)
        yield from client.query_range(text, start, until, step)
        start = until + step


def _replicas_of_kube_state_metrics(client: Client, wanted: Wanted, start: float, end: float) -> Mapping[float, float]:
    """For series of proxies, which do not say how many pods were behind them."""
    where = f"namespace={quote(wanted.namespace)},deployment={quote(wanted.names[0])}"
    text = f"max(kube_deployment_status_replicas_available{{{where}}})"
    curves = _in_parts(client, text, start + MINUTE_SECONDS, end, MINUTE_SECONDS)
    return {time: value for curve in curves for time, value in curve.points if value > 0}


def _series(subject: Subject, answers: Mapping[str, Answer]) -> Series:
    fresh = Sampling(0.0, (), existed_before=True)
    return queries.series(subject, (fresh, NOT_MEASURED), SCRAPE_SECONDS, None, answers)


def _sum(answer: Answer) -> float:
    return 0.0 if isinstance(answer, Missing) else sum(row.value for row in answer)


def _moment(
    number: int, series: Series, objective: str, pods: int | None, target_seconds: float, allowed: float
) -> Moment | None:
    """None where there is nothing to go by."""
    buckets = series.histograms.get(objective, ())
    if isinstance(buckets, Missing) or not buckets or not pods:
        return None
    read = quantile.histogram([(row.labels.get("le", ""), row.value) for row in buckets], series.scale_to_seconds)
    if isinstance(read, Missing):
        return None
    share = quantile.share_over(read, target_seconds)
    estimate = quantile.quantile(read, 1 - allowed)
    return Moment(
        at_seconds=number * MINUTE_SECONDS,
        rps=read.total / MINUTE_SECONDS,
        bad_ratio=share.value if share else 0.0,
        percentile_seconds=estimate.value if estimate else 0.0,
        pods=pods,
        histogram=read if read.total > 0 else None,
    )


def _whole(found: Sequence[Moment | None], start: float, target_seconds: float, percentile: float) -> Past:
    gaps = sum(moment is None for moment in found)
    if len(found) < LEAST_MINUTES or gaps > MOST_GAPS * len(found):
        raise ConfigurationError(
            f"{len(found) - gaps} of {len(found)} minutes have both requests' buckets and a number of pods: at least "
            f"{LEAST_MINUTES}, and nine of ten, are needed. Take a range that Prometheus has whole, of series that are "
            "scraped every 30 s or more often"
        )
    filled: list[Moment] = []
    before = next(moment for moment in found if moment)
    for number, moment in enumerate(found):
        before = moment or replace(before, at_seconds=number * MINUTE_SECONDS)
        filled.append(before)
    return Past(start, target_seconds, percentile, tuple(filled), gaps)
