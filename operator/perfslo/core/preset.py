"""Which series a kind of service has: names and labels as data, so that another kind is another file."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from perfslo.core.promql import label_name, metric_name

MetricName = Annotated[str, AfterValidator(metric_name)]
LabelName = Annotated[str, AfterValidator(label_name)]


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


class _Frozen(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Failed(_Frozen):
    """Which requests count as failed."""

    label: LabelName
    regex: Annotated[str, AfterValidator(_regex)]
    """Matches the whole value of the label (RE2)."""


class Preset(_Frozen):
    """Names and labels of one kind of service's series."""

    description: str = ""
    histogram: MetricName
    """Base name of the duration histogram: `_bucket` and `_count` are appended."""
    unit: Literal["seconds", "milliseconds"] = "seconds"
    """Unit of the histogram's bucket edges."""
    failed: Failed | None = None
    """Without it, the share of failed requests is unknown."""
    in_flight: MetricName | None = None
    """Gauge of requests being served; without it, arrivals are estimated from completions alone."""
    namespace_label: LabelName = "namespace"
    pod_label: LabelName = "pod"
    """Labels by which a series names its pod (Prometheus puts `exported_` before them on a conflict)."""

    @property
    def scale_to_seconds(self) -> float:
        """What a bucket's edge is multiplied by."""
        return 0.001 if self.unit == "milliseconds" else 1.0
