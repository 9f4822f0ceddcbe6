"""The policies that are compared: what each needs on the cluster, its manifest there, and its name in the simulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from bench import real
from bench.cluster import rivals
from bench.cluster.likeness import LEAST_REPLICAS, MOST_REPLICAS
from bench.cluster.play import PERCENTILE, SERVICE, THRESHOLD_SECONDS
from tests.cluster.extras import hpa, scaled_object, target
from tests.cluster.stage import Stage, manifest

CPU_PERCENT = 24
"""Of a request that is large: 60 % of what a pod uses with all the load that it can carry."""
KEDA_LATENCY_SECONDS = 0.8 * THRESHOLD_SECONDS
KEDA_RPS = 4.5
"""A pod: two thirds of the load with which it just keeps the promise."""
DURATION = "http_server_request_duration_seconds"


@dataclass(frozen=True)
class Policy:
    """A way to scale."""

    name: str
    """As `perfslo simulate --policy` has it."""
    needs: Callable[[Stage], AbstractContextManager[None]]
    autoscaler: Callable[[Stage], str]
    """Its manifest."""


@contextmanager
def _operator(stage: Stage) -> Iterator[None]:
    stage.operator()
    yield


def _slo(_: Stage) -> str:
    threshold = f"{THRESHOLD_SECONDS * 1000:g}ms"
    objective = {"name": "latency", "latency": {"percentile": int(PERCENTILE), "threshold": threshold}}
    spec = {
        "scaleTargetRef": target(SERVICE),
        "minReplicas": LEAST_REPLICAS,
        "maxReplicas": MOST_REPLICAS,
        "objectives": [objective],
    }
    return json.dumps({**manifest(SERVICE, {}), "spec": spec})


def _hpa_on_cpu(_: Stage) -> str:
    return hpa(SERVICE, least=LEAST_REPLICAS, most=MOST_REPLICAS, cpu_percent=CPU_PERCENT)


def _keda_on_latency(stage: Stage) -> str:
    buckets = f'sum by (le) (rate({DURATION}_bucket{{namespace="{stage.namespace}"}}[1m]))'
    query = f"histogram_quantile({PERCENTILE / 100:g}, {buckets})"
    return _scaled_object(stage, "Value", query, KEDA_LATENCY_SECONDS)


def _keda_on_requests(stage: Stage) -> str:
    query = f'sum(rate({DURATION}_count{{namespace="{stage.namespace}"}}[1m]))'
    return _scaled_object(stage, "AverageValue", query, KEDA_RPS)


def _scaled_object(stage: Stage, metric_type: str, query: str, threshold: float) -> str:
    # KEDA runs outside the cluster, where Services have no names.
    address = real.address(stage.kubectl, "prometheus")
    metadata = {"serverAddress": f"http://{address}", "query": query, "threshold": f"{threshold:g}"}
    spec = {
        "minReplicaCount": LEAST_REPLICAS,
        "maxReplicaCount": MOST_REPLICAS,
        "triggers": [{"type": "prometheus", "metricType": metric_type, "metadata": metadata}],
    }
    return scaled_object(SERVICE, **spec)


HPA = Policy(f"hpa-cpu={CPU_PERCENT}", rivals.metrics_server, _hpa_on_cpu)
POLICIES = {
    policy.name: policy
    for policy in (
        Policy("perfslo", _operator, _slo),
        HPA,
        Policy(f"keda-p{PERCENTILE:g}={KEDA_LATENCY_SECONDS * 1000:g}ms", rivals.keda, _keda_on_latency),
        Policy(f"keda-rps={KEDA_RPS:g}", rivals.keda, _keda_on_requests),
    )
}
