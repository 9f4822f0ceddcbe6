"""Which series a kind of service has: names and labels as data, so that another kind is another file."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from perfslo.core.identity import Joined, Labels
from perfslo.core.promql import Identity, Matcher, Pods, label_name, metric_name

MetricName = Annotated[str, AfterValidator(metric_name)]
LabelName = Annotated[str, AfterValidator(label_name)]


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Regex = Annotated[str, AfterValidator(_regex)]


class _Frozen(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Failed(_Frozen):
    """Which requests count as failed."""

    labels: Annotated[tuple[LabelName, ...], Field(min_length=1)]
    """Libraries differ in what they call the status: one that matches is enough."""
    regex: Regex
    """Matches the whole value of the label (RE2)."""
    metric: MetricName | None = None
    """Counter of all requests with these labels; without it, the histogram's own `_count` has them."""


class Names(_Frozen):
    """What the series are called."""

    histogram: MetricName
    """Base name of the duration histogram: `_bucket` and `_count` are appended."""
    unit: Literal["seconds", "milliseconds"] = "seconds"
    """Unit of the histogram's bucket edges."""
    failed: Failed | None = None
    """Without it, the share of failed requests is unknown."""
    in_flight: MetricName | None = None
    """Gauge of requests being served; without it, arrivals are estimated from completions alone."""

    @property
    def scale_to_seconds(self) -> float:
        """What a bucket's edge is multiplied by."""
        return 0.001 if self.unit == "milliseconds" else 1.0


class PresetMatcher(_Frozen):
    """A matcher for every series of a preset."""

    label: LabelName
    op: Literal["=", "!=", "=~", "!~"] = "="
    value: str


class ByPod(_Frozen):
    """Labels by which a series names its pod (Prometheus puts `exported_` before them on a conflict)."""

    namespace_label: LabelName = "namespace"
    pod_label: LabelName = "pod"


class ByLabels(_Frozen):
    """Labels by which a proxy's series name what was asked."""

    namespace_label: LabelName
    name_labels: Annotated[tuple[LabelName, ...], Field(min_length=1)]
    """The first that a series has is meant."""
    pod_label: LabelName = "pod"


class ByJoined(_Frozen):
    """A label in which a proxy's series name namespace and name together."""

    labels: Annotated[tuple[LabelName, ...], Field(min_length=1)]
    """The first that a series has is meant."""
    join: str
    """How a value begins: text with {namespace} and {name} in it."""
    rest: Regex
    """Matches what follows (RE2)."""
    pod_label: LabelName = "pod"


class By(_Frozen):
    """How series say whose they are: one of these."""

    pod: ByPod | None = None
    labels: ByLabels | None = None
    joined: ByJoined | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.pod, self.labels, self.joined)) != 1:
            raise ValueError("write exactly one of pod, labels and joined")
        self.identity()
        return self

    def identity(self) -> Identity:
        """As queries use it. Raises ValueError when it cannot be."""
        if self.labels:
            return Labels(self.labels.namespace_label, self.labels.name_labels, self.labels.pod_label)
        if self.joined:
            return Joined(self.joined.labels, self.joined.join, self.joined.rest, self.joined.pod_label)
        pod = self.pod or ByPod()
        return Pods(pod.namespace_label, pod.pod_label)


class Preset(Names):
    """Names and labels of one kind of service's series."""

    description: str = ""
    by: By = By(pod=ByPod())
    matchers: tuple[PresetMatcher, ...] = ()
    """For every series of the preset. Those of proxies name where the proxy runs: see identity.py."""
    alternatives: Annotated[tuple[Names, ...], Field(max_length=8)] = ()
    """Other names, for workloads that have no series of the first one; the first that a workload has are meant."""

    @property
    def identity(self) -> Identity:
        """How its series say whose they are."""
        return self.by.identity()

    @property
    def fixed(self) -> tuple[Matcher, ...]:
        """Its matchers, as queries use them."""
        return tuple(Matcher(each.label, each.op, each.value) for each in self.matchers)

    @property
    def variants(self) -> tuple[Preset, ...]:
        """The preset by each of its names, in order."""
        return (
            self.model_copy(update={"alternatives": ()}),
            *(self.model_copy(update={**dict(names), "alternatives": ()}) for names in self.alternatives),
        )
