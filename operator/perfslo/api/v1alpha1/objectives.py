"""What was promised: latency, errors, utilization, throughput."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.rules import Rule
from perfslo.api.v1alpha1.common import Duration, Name, Percent, Positive, SpecModel, duration_seconds

DEFAULT_THRESHOLD = "200ms"
"""Above it users feel a response as sluggish."""


LabelName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Rule(
        cel="self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$') && !self.startsWith('__') && self != 'le'",
        holds=lambda text: text.isascii() and text.isidentifier() and not text.startswith("__") and text != "le",
        message="write a Prometheus label name such as http_route; le and names that begin with __ are reserved",
        pattern="^[a-zA-Z_][a-zA-Z0-9_]*$",
    ),
]


class Matcher(SpecModel):
    """A Prometheus label matcher."""

    label: LabelName
    """Label name."""
    op: Literal["=", "!=", "=~", "!~"] = "="
    """Operator: equal, not equal, matches or does not match the (anchored) regular expression."""
    value: Annotated[str, Field(max_length=256)]
    """Value or regular expression; it is escaped for you."""


Matchers = Annotated[tuple[Matcher, ...], Field(strict=False, max_length=16)]


class Latency(SpecModel):
    """Response time: how many of the requests must be faster than the threshold.

    A request that fails counts as bad, like a slow one.
    """

    rules = (
        Rule(
            cel="has(self.percentile) != has(self.proportionPercent)",
            holds=lambda latency: (latency.percentile is None) != (latency.proportion_percent is None),
            message='write exactly one of percentile (such as 95) or proportionPercent (such as "99.9")',
        ),
    )

    percentile: Annotated[int, Field(ge=1, le=99)] | None = None
    """Percentile that must stay below the threshold: 95 means that P95 does. For finer ones use proportionPercent."""
    proportion_percent: Percent | None = None
    """Percentage of requests that must be faster than the threshold, as a quoted decimal such as "99.9"."""
    threshold: Duration = DEFAULT_THRESHOLD
    """Response time with its unit, such as 200ms or 1.5s."""
    matchers: Matchers = ()
    """Further matchers for this objective, such as one route."""

    @cached_property
    def threshold_seconds(self) -> float:
        """Threshold in seconds, above 0."""
        return duration_seconds(self.threshold)

    @cached_property
    def promised_percent(self) -> Decimal:
        """Percentage of requests that must be good, in (0, 100): 95 for P95."""
        return Decimal(self.percentile) if self.percentile is not None else self.proportion_percent or Decimal(0)

    @cached_property
    def allowed_bad_ratio(self) -> float:
        """Share of requests that may be bad, in (0, 1): 0.05 for P95."""
        return float((100 - self.promised_percent) / 100)


class ErrorRate(SpecModel):
    """Share of requests that may fail."""

    max_percent: Percent
    """Highest percentage of failed requests, as a quoted decimal: "0.5" is one of two hundred."""
    matchers: Matchers = ()
    """Further matchers for this objective, such as one route."""

    @cached_property
    def max_ratio(self) -> float:
        """Highest share of failed requests, in (0, 1)."""
        return float(self.max_percent / 100)


class Utilization(SpecModel):
    """Average use of a resource by the ready pods."""

    resource: Literal["cpu", "memory"]
    """Resource that is measured."""
    target_percent: Annotated[int, Field(ge=1, le=1000)]
    """Percent of what the containers request, as in a HorizontalPodAutoscaler; above 100 is possible with bursts."""

    @property
    def target_ratio(self) -> float:
        """Share of the requested amount: 0.7 for 70 percent."""
        return self.target_percent / 100.0


class Throughput(SpecModel):
    """Requests served."""

    min_per_second: Positive
    """Fewest requests a second that must be served while as many arrive, as a quoted decimal such as "50"."""
    matchers: Matchers = ()
    """Further matchers for this objective, such as one route."""


class Objective(SpecModel):
    """One promise."""

    rules = (
        Rule(
            cel=(
                "[has(self.latency), has(self.errorRate), has(self.utilization), has(self.throughput)].exists_one(x, x)"
            ),
            holds=lambda objective: len(objective.kinds) == 1,
            message="write exactly one of latency, errorRate, utilization or throughput in each objective",
        ),
        Rule(
            cel="!self.primary || has(self.latency)",
            holds=lambda objective: not objective.primary or objective.latency is not None,
            message="write primary: true on a latency objective only",
            field="primary",
        ),
    )

    name: Name
    """Name of the objective, unique in this SLO; a label of its metrics."""
    primary: bool = False
    """Whether kubectl's columns show this objective. Without one, the first latency objective is shown."""
    latency: Latency | None = None
    """Response time."""
    error_rate: ErrorRate | None = None
    """Share of failed requests."""
    utilization: Utilization | None = None
    """Use of a resource."""
    throughput: Throughput | None = None
    """Requests served."""

    @cached_property
    def matchers(self) -> tuple[Matcher, ...]:
        """Those of this objective only; none for utilization, whose series know no routes."""
        return next((kind.matchers for kind in (self.latency, self.error_rate, self.throughput) if kind), ())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are set; exactly one in a valid objective."""
        kinds = ("latency", "error_rate", "utilization", "throughput")
        return tuple(kind for kind in kinds if getattr(self, kind) is not None)
