"""Asks Prometheus what it saw, through the API server's proxy."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

from demo.judge import Sample
from demo.kube import Cluster

BUCKET = "http_server_request_duration_seconds_bucket"
COUNT = "http_server_request_duration_seconds_count"


def first_edge(cluster: Cluster, monitoring: str, namespace: str, threshold_seconds: float) -> float:
    """The first edge of the histogram's buckets at or above the threshold, in seconds."""
    found = query(
        cluster, monitoring, "query", query=f'group by (le) ({BUCKET}{{namespace="{namespace}"}})', time=time.time()
    )
    return min(edge for series in found if (edge := float(series["metric"]["le"])) >= threshold_seconds)


def over_ratio(
    cluster: Cluster,
    monitoring: str,
    namespace: str,
    edge_seconds: float,
    *,
    start: float,
    end: float,
    scrape_seconds: int,
) -> list[Sample]:
    """Share of requests that failed or took longer than a bucket edge, over four scrapes, from `start` on."""
    edge = f"{edge_seconds:g}|{edge_seconds:.1f}"
    window = f"[{4 * scrape_seconds}s]"
    fast = f'sum(rate({BUCKET}{{namespace="{namespace}",http_response_status_code=~"2..",le=~"{edge}"}}{window}))'
    every = f'sum(rate({COUNT}{{namespace="{namespace}"}}{window}))'
    found = query(
        cluster, monitoring, "query_range", query=f"1 - {fast} / {every}", start=start, end=end, step=scrape_seconds
    )
    return [
        Sample(float(unix) - start, float(value)) for one in found for unix, value in one["values"] if value != "NaN"
    ]


def query(cluster: Cluster, monitoring: str, kind: str, **parameters: object) -> list[dict[str, Any]]:
    """The result of a `query` or `query_range`. Raises CommandError."""
    path = f"/api/v1/namespaces/{monitoring}/services/prometheus:9090/proxy/api/v1/{kind}?{urlencode(parameters)}"
    result: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "--raw", path))["data"]["result"]
    return result
