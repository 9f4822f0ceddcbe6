"""The same Prometheus asked as KEDA asks it: one query for each SLO, of its own P95."""

from __future__ import annotations

import http.client
import json
import resource
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from bench.scale import objects
from bench.scale.objects import Service

IN_FLIGHT = 4


def round_of(port: int, services: int) -> Mapping[str, float]:
    """Ask once for each service. Returns what it took the one who asks; `missing` counts answers without a number."""
    everything = objects.services(services)
    parts = [everything[number::IN_FLIGHT] for number in range(IN_FLIGHT)]
    before, begun = _cpu(), time.monotonic()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        found = list(pool.map(lambda part: _ask(port, part), parts))
    return {
        "queries": services,
        "seconds": time.monotonic() - begun,
        "cpu_seconds": _cpu() - before,
        "bytes": sum(size for size, _ in found),
        "missing": sum(missing for _, missing in found),
    }


def query(service: Service) -> str:
    """What a ScaledObject's Prometheus trigger would hold."""
    where = f'namespace="{service.namespace}",pod=~"{service.name}-.*"'
    return f"histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{{{where}}}[1m])))"


def _ask(port: int, services: list[Service]) -> tuple[int, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    size = missing = 0
    for service in services:
        connection.request("GET", "/api/v1/query?" + urlencode({"query": query(service)}))
        body = connection.getresponse().read()
        size += len(body)
        missing += not json.loads(body)["data"]["result"]
    connection.close()
    return size, missing


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
