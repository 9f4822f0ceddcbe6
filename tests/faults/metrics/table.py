"""What each fault must come to: the tests assert it, and docs/faults.md says it to users."""

from __future__ import annotations

from dataclasses import dataclass

from perfslo.core.model import LatencyReading, Missing, Signal, Stale


@dataclass(frozen=True)
class Expected:
    """What an SLO says while a fault lasts."""

    fault: str
    """As docs/faults.md names it."""
    signal: str
    """Of latency and load: `Missing(reason)`, or the kind."""
    condition: str
    """Reason of MetricsAvailable."""
    sentence: str
    """What the one sentence has in it."""

    @property
    def row(self) -> str:
        """Of a table in Markdown."""
        sentence = self.sentence + ("…)" if self.sentence.endswith("(") else "")
        return f"| {self.fault} | `{self.signal}` | `{self.condition}` | {sentence} |"


def named(signal: Signal | LatencyReading) -> str:
    """A signal as the table has it."""
    match signal:
        case Missing(reason=reason):
            return f"Missing({reason})"
        case Stale():
            return "Stale"
    return type(signal).__name__


def _source(fault: str, reason: str, words: str) -> Expected:
    return Expected(fault, f"Missing({reason})", reason, f"the metrics source is unwell ({words})")


_REFUSED = "it cannot be reached: connection refused, reset, or its name is unknown"
SOURCE = (
    _source("Prometheus is down, or refuses", "PrometheusUnreachable", _REFUSED),
    _source("hanging: it accepts and says nothing", "PrometheusUnreachable", "no answer in time"),
    _source("30 s slow", "PrometheusUnreachable", "no answer in time"),
    _source("a body that drips and does not end", "PrometheusUnreachable", "the answer did not end in time"),
    _source("503", "PrometheusUnwell", "it answered with status 503"),
    _source("wrong content", "PrometheusUnwell", "the answer is not Prometheus' JSON for an instant vector"),
    _source("truncated body", "PrometheusUnwell", "the answer could not be read (ProtocolError)"),
    _source("100 MB body", "PrometheusUnwell", "the answer is larger than 33554432 bytes"),
    _source("a small body that unpacks to 100 MB", "PrometheusUnwell", "the answer is larger than 33554432 bytes"),
    _source(
        "redirect",
        "PrometheusRejected",
        "it answered with a redirect (302), which is never followed: set its final address",
    ),
    _source("expired token", "PrometheusRejected", "it answered with status 401"),
    _source("partial response", "PrometheusUnwell", "the answer is partial"),
    _source(
        "partial response with warnings",
        "PrometheusUnwell",
        "the answer came with warnings: data may be missing from it",
    ),
)


def _missing(fault: str, reason: str, words: str) -> Expected:
    return Expected(fault, f"Missing({reason})", reason, f"metrics are missing ({words})")


_NO_SERIES = "no request series match: are the pods scraped, and is the preset the right one?"
_NOT_A_NUMBER = "the series are NaN, infinite or negative"
SERIES = (
    _missing("NaN", "NotANumber", _NOT_A_NUMBER),
    _missing("NaN from one pod of four", "NotANumber", _NOT_A_NUMBER),
    _missing("+Inf", "NotANumber", _NOT_A_NUMBER),
    _missing("negative", "NotANumber", _NOT_A_NUMBER),
    _missing(
        'no le="+Inf" bucket',
        "InfBucketMissing",
        'the histogram has no le="+Inf" bucket, so its total is unknown',
    ),
    _missing('no bucket but le="+Inf"', "BucketsMissing", 'the histogram has no bucket but le="+Inf"'),
    Expected("scrape gap", "Stale", "MetricsStale", "metrics are stale ("),
    Expected("samples nearly 5 minutes old", "Stale", "MetricsStale", "metrics are stale (290s old)"),
    _missing("samples more than 5 minutes old", "SeriesMissing", _NO_SERIES),
    Expected("clock of what is scraped 10 minutes ahead", "Stale", "MetricsStale", "metrics are stale ("),
    Expected("clock of what is scraped 10 minutes behind", "Stale", "MetricsStale", "metrics are stale ("),
    _missing("Prometheus' clock jumps 10 minutes ahead", "SeriesMissing", _NO_SERIES),
    _source(
        "Prometheus' clock jumps 10 minutes back",
        "ClockSkewed",
        "its clock went back, so that it tells of a time that is over",
    ),
    Expected("scrape interval changed from 15 to 60 s", "Stale", "MetricsStale", "metrics are stale ("),
    Expected("counter reset at deploy", "Histogram", "MetricsFound", "but a rollout is under way"),
    _missing(
        "buckets changed at deploy", "BucketsChanged", "no bucket but +Inf is in every pod and in the whole window"
    ),
)

SCRAPES = (
    _missing("target gone", "SeriesMissing", _NO_SERIES),
    _missing("what is scraped hangs", "SeriesMissing", _NO_SERIES),
    _missing("what is scraped gives wrong content", "SeriesMissing", _NO_SERIES),
    _missing("renamed metric", "SeriesMissing", _NO_SERIES),
)
