"""What an SLO says itself about its series: names, which become a preset of its own, or whole queries.

Whole queries are never sent as they were written. Each is parsed, its selectors get the tenant's matcher and the
administrator's, and it is added up, so that it can be nothing but a vector:

    sum by (le) (increase(x_bucket{app="web",namespace="shop"}[60s]))
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from perfslo.api.v1alpha1 import Custom, CustomNames, CustomQueries
from perfslo.core import enforce, scrape
from perfslo.core.frozen import dataclass
from perfslo.core.measure import FAILED, Answer, Row
from perfslo.core.model import Missing
from perfslo.core.preset import By, ByPod, Failed, Preset
from perfslo.core.promql import Key, Matcher, label_replace, seconds

WINDOW = "$window"

REMEMBERED = 1024
"""Thousands of SLOs commonly have a few different ones."""

_ANY_SECONDS = 60.0


@lru_cache(REMEMBERED)
def preset(names: CustomNames, tenant_label: str) -> Preset:
    """The names as a preset. Equal ones are equal presets, and share queries."""
    failed = names.failed
    return Preset(
        histogram=names.histogram,
        unit=names.unit,
        failed=Failed(labels=(failed.label,), regex=failed.regex) if failed else None,
        in_flight=names.in_flight,
        by=By(pod=ByPod(namespace_label=tenant_label, pod_label=names.pod_label)),
    )


@lru_cache(REMEMBERED)
def unnamed(queries: CustomQueries) -> Preset:
    """What is known beside whole queries; no query is made of its name."""
    return Preset(histogram="custom", unit=queries.unit)


Problem = tuple[tuple[str, ...], str]
"""Path of a field below spec.metrics.custom that cannot be used, and why, in words for its author."""


@lru_cache(REMEMBERED)
def problems(its: Custom) -> tuple[Problem, ...]:
    """Everything that is wrong with an SLO's own names or queries, and that can be told without asking."""
    if its.names and its.names.failed and not _is_regex(its.names.failed.regex):
        return ((("names", "failed", "regex"), 'not a regular expression: write one such as "5.."'),)
    written = _written(its.queries) if its.queries else {}
    return tuple((("queries", name), why) for name, text in written.items() if (why := _why_not(text)))


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _why_not(text: str) -> str:
    try:
        chosen = enforce.selectors(text.replace(WINDOW, seconds(_ANY_SECONDS)))
    except ValueError as error:
        return f"{error}; where a range belongs, write [{WINDOW}]"
    return "" if chosen else "it reads no series: write a query with the name of a metric"


def _written(queries: CustomQueries) -> Mapping[str, str]:
    named = {"buckets": queries.buckets, "requests": queries.requests}
    named |= {"failed": queries.failed} if queries.failed else {}
    return named | ({"inFlight": queries.in_flight} if queries.in_flight else {})


@dataclass(frozen=True, slots=True)
class Whose:
    """All rows of an SLO's own query are its own, whatever their labels say."""

    pod_label: str = "pod"

    @property
    def rows(self) -> tuple[str, ...]:
        return ()

    def where(self, namespaces: Sequence[str]) -> tuple[Matcher, ...]:
        return ()

    def named(self, series: str) -> str:
        return series

    def key(self, labels: Mapping[str, str]) -> Key:
        return "", ""

    def keys(self, namespace: str, pod_workloads: Iterable[str], name: str) -> tuple[Key, ...]:
        return (("", ""),)


@dataclass(frozen=True, slots=True)
class Text:
    """A query as it is sent. It names its namespace itself."""

    query: str
    identity: Whose = Whose()
    rows_a_workload: int = 1

    def text(self, namespaces: Sequence[str]) -> str:
        """The query, whatever the namespaces."""
        return self.query


@dataclass(frozen=True, slots=True)
class Queries:
    """An SLO's whole queries, free of `problems`, with the matchers that each selector gets."""

    written: CustomQueries
    matchers: tuple[Matcher, ...]

    def buckets(self, window_seconds: float, own: Iterable[Matcher] = ()) -> Text:
        """Requests of the window by duration; `own` are matchers of one objective."""
        return self._sum(self.written.buckets, "sum by (le)", window_seconds, own)

    def requests(self, window_seconds: float, own: Iterable[Matcher] = ()) -> Text:
        """Requests of the window."""
        return self._sum(self.written.requests, "sum", window_seconds, own)

    def failed(self, window_seconds: float, own: Iterable[Matcher] = ()) -> Text | None:
        """Those of them that failed."""
        return self._sum(self.written.failed, "sum", window_seconds, own) if self.written.failed else None

    def in_flight(self, own: Iterable[Matcher] = ()) -> Text | None:
        """Requests being served."""
        return self._sum(self.written.in_flight, "sum", _ANY_SECONDS, own) if self.written.in_flight else None

    def sampling(self) -> Text:
        """How the series are sampled that the buckets are made of.

        They are as old as the stalest of them, by the newest sample of each selector; the scrape interval is that of
        the first one.
        """
        chosen = enforce.selectors(self._enforced(self.written.buckets, _ANY_SECONDS))
        series = [enforce.selector_text(selector) for selector in chosen]
        ages = " or ".join(
            label_replace(f"max(timestamp({each}) - time())", "number", str(number), "", "")
            for number, each in enumerate(series)
        )
        first, (*_, shorter, longest) = series[0], scrape.WINDOWS_SECONDS
        parts = {
            "age": f"min({ages})",
            **{
                f"{length:g}s": f"max(count_over_time({first}[{seconds(length)}]))" for length in scrape.WINDOWS_SECONDS
            },
            "before": f"max(count_over_time({first}[{seconds(shorter)}] offset {seconds(longest - shorter)}))",
        }
        return Text(" or ".join(label_replace(text, "part", part, "", "") for part, text in parts.items()))

    def _sum(self, text: str, aggregate: str, window_seconds: float, own: Iterable[Matcher] = ()) -> Text:
        return Text(f"{aggregate} ({self._enforced(text, window_seconds, own)})")

    def _enforced(self, text: str, window_seconds: float, own: Iterable[Matcher] = ()) -> str:
        return enforce.with_matcher(text.replace(WINDOW, seconds(window_seconds)), *sorted({*self.matchers, *own}))


def with_failed(answers: Mapping[str, Answer], requests: str, failed: str) -> Mapping[str, Answer]:
    """The answers about `requests` with those that failed in a row of their own: whole queries ask for them apart.

    Both are how the names of these answers begin.
    """
    bad = {name.replace(failed, requests, 1): answer for name, answer in answers.items() if name.startswith(failed)}
    return {name: _told_apart(answer, bad[name]) if name in bad else answer for name, answer in answers.items()}


def _told_apart(requests: Answer, failed: Answer) -> Answer:
    if isinstance(requests, Missing) or not requests:
        return requests
    if isinstance(failed, Missing):
        return failed
    total, bad = (math.fsum(row.value for row in rows) for rows in (requests, failed))
    good = 0.0 if bad > total else total - bad  # each is extrapolated by itself; NaN stays what it is
    return Row({}, good), *((Row({FAILED: "true"}, bad),) if failed else ())
