"""Where the numbers come from."""

from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.rules import ListMap, Rule
from perfslo.api.v1alpha1.common import Name, ObjectName, SpecModel
from perfslo.api.v1alpha1.objectives import LabelName, Matchers

SignalKind = Literal[
    "CacheHitRatio", "DependencyLatency", "PoolUse", "PoolWait", "QueueAge", "QueueLength", "SwitchedOn"
]


CUSTOM = "custom"
"""The preset whose names or queries the SLO itself has."""

Unit = Literal["seconds", "milliseconds"]
MetricName = Annotated[
    str,
    Field(min_length=1, max_length=256),
    Rule(
        cel="self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')",
        holds=lambda text: text.isascii() and text.replace(":", "_").isidentifier(),
        message="write the name of a metric such as http_request_duration_seconds, without braces",
        pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$",
    ),
]
PromQL = Annotated[str, Field(min_length=1, max_length=2048)]


class CustomFailed(SpecModel):
    """Which requests count as failed."""

    label: LabelName
    """Label of the histogram's series, such as status."""
    regex: Annotated[str, Field(min_length=1, max_length=256)]
    """Regular expression that matches the whole value for failed requests, such as "5.."; it is escaped for you."""


class CustomNames(SpecModel):
    """What the series of the target's pods are called. SLOs with equal names share their queries."""

    histogram: MetricName
    """Name of the histogram of durations, without _bucket."""
    unit: Unit = "seconds"
    """Unit of the histogram's bucket edges."""
    failed: CustomFailed | None = None
    """Which requests failed; left out, the share of failed requests is unknown."""
    in_flight: MetricName | None = None
    """Gauge of requests being served; left out, arrivals are estimated from completions."""
    pod_label: LabelName = "pod"
    """Label that names the pod."""


class CustomQueries(SpecModel):
    """Whole queries, each for this SLO alone. $window stands for the range; every selector is bound to this namespace.

    What they say is added up, so that a pod scraped twice counts twice unless the query prevents it.
    """

    buckets: PromQL
    """Requests of the window by duration, with the label le, such as increase(x_bucket{app="web"}[$window])."""
    requests: PromQL
    """Requests of the window, such as increase(x_count{app="web"}[$window])."""
    failed: PromQL | None = None
    """Those of them that failed; left out, the share of failed requests is unknown."""
    in_flight: PromQL | None = None
    """Requests being served now; left out, arrivals are estimated from completions."""
    unit: Unit = "seconds"
    """Unit of le."""


class Custom(SpecModel):
    """Series that no preset knows: their names, or whole queries."""

    rules = (
        Rule(
            cel="has(self.names) != has(self.queries)",
            holds=lambda custom: (custom.names is None) != (custom.queries is None),
            message="write exactly one of names and queries",
        ),
    )

    names: CustomNames | None = None
    """Names of metrics and labels; prefer them, for they cost no queries of their own."""
    queries: CustomQueries | None = None
    """Whole queries in PromQL."""


class Signal(SpecModel):
    """A signal that the administrator defined, used to tell one bottleneck from another."""

    name: Name
    """Name used by this SLO's status and evidence."""
    kind: SignalKind
    """What the signal measures."""
    ref: Name
    """Name under which the administrator defined it."""


class Metrics(SpecModel):
    """Which series belong to the target, and how many requests make evidence."""

    rules = (
        Rule(
            # The API server tries a default before it has filled in those within.
            cel=f"(has(self.preset) && self.preset == '{CUSTOM}') == has(self.custom)",
            holds=lambda metrics: (metrics.preset == CUSTOM) == (metrics.custom is not None),
            message="write custom together with preset: custom, and only then",
            field="custom",
        ),
    )

    source: Name = "default"
    """Prometheus source as the administrator named it; addresses and credentials stay with the administrator."""
    preset: Name = "http-server"
    """Set of metric names as the administrator named it; with custom, they are this SLO's own."""
    custom: Custom | None = None
    """Names or queries of this SLO alone."""
    service: ObjectName | None = None
    """Name by which a proxy's series know the target, where it is not the target's own: its Service for the presets
    nginx-ingress and traefik, its HTTPRoute for envoy-gateway. Presets that go by pods do not look at it."""
    matchers: Matchers = ()
    """Further matchers for every series of this SLO, such as leaving out health checks."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Fewest requests in the evaluation window that count as evidence; below it the state is InsufficientData."""
    signals: Annotated[tuple[Signal, ...], Field(strict=False, max_length=16), ListMap("name")] = ()
    """Named signals for the diagnosis."""
