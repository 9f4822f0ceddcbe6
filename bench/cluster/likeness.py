"""The same in the simulator: a service like the one that is there, and what policies make of it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench import real
from bench.cluster.play import CPU_REQUEST, PERCENTILE, SERVICE, THRESHOLD_SECONDS, serve
from perfslo.simulate.calibrate import calibrate
from perfslo.simulate.model import Load, Scenario, Service
from perfslo.simulate.past import Moment, Past
from tests.cluster.stage import Stage

CALIBRATED_RPS = (3.0, 5.8)
"""Requests a second and pod."""
PODS = 3
SECONDS = 75.0
COUNTED_WITHIN_SECONDS = 15.0
"""By cAdvisor."""
DRAIN_SECONDS = 10.0
MOST_REPLICAS = 20
LEAST_REPLICAS = 2


def learnt(stage: Stage) -> Service:
    """From two loads: how long requests take, how many workers there are, and the CPU that a request takes."""
    serve(stage, PODS)
    pods = stage.kubectl("get", "pods", "--output=jsonpath={.items[*].metadata.name}").split()
    address = real.address(stage.kubectl, SERVICE)
    moments, cpu_each = [], 0.0
    for seed, rps in enumerate(CALIBRATED_RPS):
        before, used = real.buckets(stage.kubectl, stage.namespace, pods), _cpu_seconds(stage)
        load = Load((0.0, SECONDS), (rps * PODS, rps * PODS))
        sent = len(asyncio.run(real.send(address, real.arrivals(load, seed))))
        seen = real.histogram(before, real.buckets(stage.kubectl, stage.namespace, pods))
        moments.append(Moment(0.0, rps * PODS, 0.0, 0.0, PODS, seen))
        cpu_each = (_cpu_seconds(stage) - used) / sent
    found = calibrate(Past(0.0, THRESHOLD_SECONDS, PERCENTILE, tuple(moments), 0))
    print(*found.notes, f"CPU of a request: {cpu_each * 1000:.2f} ms", sep="\n", flush=True)
    return replace(
        found.service,
        cpu_share=cpu_each / found.service.mean_seconds,
        cpu_request_cores=int(CPU_REQUEST.removesuffix("m")) / 1000,
        drain_seconds=DRAIN_SECONDS,
        timeout_seconds=real.TIMEOUT_SECONDS,
    )


def service_of(found: Mapping[str, Any]) -> Service:
    """As the results of a run keep it."""
    return Service(**{**found["service"], "buckets_seconds": tuple(found["service"]["buckets_seconds"])})


def scenario(name: str, service: Service, load: Load, replicas: int, startup_seconds: Sequence[float]) -> Scenario:
    """With pods that start as fast as most did: a few may have waited for room on the node."""
    startup = statistics.median(startup_seconds)
    return Scenario(
        name,
        load,
        replace(service, startup_seconds=startup),
        target_seconds=THRESHOLD_SECONDS,
        percentile=PERCENTILE,
        min_replicas=LEAST_REPLICAS,
        max_replicas=MOST_REPLICAS,
        initial_replicas=replicas,
    )


def _cpu_seconds(stage: Stage) -> float:
    """Of all pods of the service, as the kubelet counts it."""
    time.sleep(COUNTED_WITHIN_SECONDS)
    node = stage.get("nodes")["items"][0]["metadata"]["name"]
    text = stage.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource")
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "pod_cpu_usage_seconds_total" and sample.labels["namespace"] == stage.namespace
    )
