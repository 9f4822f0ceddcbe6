"""KEDA with its Prometheus scaler: an HPA on what a query gives, without `behavior`.

KEDA itself only decides between 0 and 1, which does not arise here; from 1 on the HPA that it makes asks its metrics
server at each sync, and that asks Prometheus (kedacore/keda pkg/scalers/prometheus_scaler.go).
"""

from __future__ import annotations

import math

from perfslo.simulate.model import View
from perfslo.simulate.policies import hpa
from perfslo.simulate.policies.promql import histogram_quantile

QUERY_WINDOW_SECONDS = 60.0
"""`[1m]`, as most examples have it: four scrapes of 15 s."""


def latency(percentile: float, target_seconds: float) -> hpa.Metric:
    """`histogram_quantile(percentile, sum by (le) (rate(..._bucket[1m])))` with `metricType: Value`.

    KEDA's default, AverageValue, would give ceil(latency / target) pods at any load.
    """

    def metric(view: View) -> hpa.Proposal | None:
        histogram = view.histogram(QUERY_WINDOW_SECONDS)
        if histogram is None:
            return None
        seconds = without_null(histogram_quantile(percentile / 100, histogram))
        ready = sum(pod.ready_seconds is not None for pod in view.pods)
        replicas = hpa.value_proposal(seconds, target_seconds, view.desired, ready)
        return hpa.Proposal(replicas, {"latency_seconds": seconds})

    return metric


def requests(target_rps: float) -> hpa.Metric:
    """`sum(rate(..._count[1m]))`, shared out among the pods: AverageValue."""

    def metric(view: View) -> hpa.Proposal | None:
        rps = view.requests_per_second(QUERY_WINDOW_SECONDS)
        if rps is None:
            return None
        return hpa.Proposal(hpa.average_value_proposal(without_null(rps), target_rps, len(view.pods)), {"rps": rps})

    return metric


def without_null(value: float) -> float:
    """ignoreNullValues, true by default: NaN and infinity are 0, which asks for the fewest pods there may be."""
    return value if math.isfinite(value) else 0.0
