"""Each kind of objective against what was measured: met, missed, or not known, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import objectives
from perfslo.core.model import (
    Missing,
    NoTraffic,
    ObjectiveReading,
    Observation,
    Replicas,
    Requests,
    Signal,
    Stale,
    Value,
)
from perfslo.core.status import report
from tests.core.turns import FAST, observation, spec, turn

P95 = {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}
PODS = Replicas(2, 2, version="v1", cpu_request_cores=0.5, memory_request_bytes=1e8, memory_limit_bytes=2e8)


def promise(**kind: Any) -> PerformanceSLOSpec:
    return spec(objectives=[P95, {"name": "it", **kind}])


def read(promised: PerformanceSLOSpec, seen: Observation) -> ObjectiveReading:
    (reading,) = (reading for reading in objectives.read(promised, seen) if reading.name == "it")
    return reading


def state(promised: PerformanceSLOSpec, seen: Observation) -> str:
    (shown,) = (o.state for o in report(turn(seen=seen, promise=promised), None).objectives if o.name == "it")
    return shown


UNKNOWN = [Missing("SeriesMissing", "no series match"), Stale(90.0)]
ERRORS = promise(errorRate={"maxPercent": "1"})
MATCHERS = [{"label": "http_route", "op": "=", "value": "/cart"}]


@pytest.mark.parametrize(
    ("ratio", "counted", "met", "shown"),
    [
        (Value(0.009), Value(1000.0), True, "Met"),
        (Value(0.011), Value(1000.0), False, "Missed"),
        (Value(0.5), Value(99.0), None, "InsufficientData"),
        (NoTraffic(), NoTraffic(), None, "NoTraffic"),
        *((unknown, unknown, None, "Unknown") for unknown in UNKNOWN),
    ],
)
def test_the_error_rate(ratio: Signal, counted: Signal, met: bool | None, shown: str) -> None:
    seen = observation(FAST, error_ratio=ratio, requests_counted=counted)
    assert read(ERRORS, seen).met is met
    assert state(ERRORS, seen) == shown
    own = promise(errorRate={"maxPercent": "1", "matchers": MATCHERS})
    chosen = observation(FAST, own_requests={"it": Requests(error_ratio=ratio, counted=counted)})
    assert read(own, chosen) == read(ERRORS, seen), "its own matchers choose what it is judged by"
    assert state(own, chosen) == shown


def test_too_few_requests_say_so() -> None:
    own = promise(errorRate={"maxPercent": "1", "matchers": MATCHERS})
    few = {"it": Requests(error_ratio=Value(0.5), counted=Value(6.0))}
    status = report(turn(seen=observation(own_requests=few), promise=own), None)
    errors = status.objectives[1]
    assert (errors.message, errors.requests) == ("6 of at least 100 requests in the window", 6)
    assert status.summary.state == "InsufficientData"


SERVED = promise(throughput={"minPerSecond": "50"})


@pytest.mark.parametrize(
    ("served", "waiting", "met", "shown"),
    [
        (Value(50.0), Missing("SeriesMissing"), True, "Met"),
        (Value(20.0), Value(3.0), True, "Met"),
        (Value(20.0), Value(300.0), False, "Missed"),
        (NoTraffic(), Value(0.0), True, "Met"),
        (Value(20.0), Missing("SeriesMissing"), None, "Unknown"),
        *((unknown, Value(300.0), None, "Unknown") for unknown in UNKNOWN),
    ],
)
def test_throughput_is_missed_only_while_requests_wait(
    served: Signal, waiting: Signal, met: bool | None, shown: str
) -> None:
    seen = observation(FAST, completions_per_second=served, in_flight=waiting)
    assert read(SERVED, seen).met is met
    assert state(SERVED, seen) == shown
    own = promise(throughput={"minPerSecond": "50", "matchers": MATCHERS})
    chosen = observation(FAST, own_requests={"it": Requests(completions_per_second=served, in_flight=waiting)})
    assert read(own, chosen) == read(SERVED, seen)


@pytest.mark.parametrize(
    ("resource", "signal", "met"),
    [
        ("cpu", Value(0.69), True),
        ("cpu", Value(0.71), False),
        ("cpu", NoTraffic(), True),
        ("memory", Value(1.39e8), True),
        ("memory", Value(1.41e8), False),
        *((resource, unknown, None) for unknown in UNKNOWN for resource in ("cpu", "memory")),
    ],
)
def test_utilization_is_use_over_what_ready_pods_request(resource: str, signal: Signal, met: bool | None) -> None:
    promised = promise(utilization={"resource": resource, "targetPercent": 70})
    seen = observation(FAST, PODS, cpu_cores=signal, memory_bytes=signal)
    assert read(promised, seen).met is met
    bare = read(promised, replace(seen, replicas=Replicas(2, 2)))
    assert bare.met is None
    assert bare.note


def test_a_failed_request_is_bad_only_where_it_was_chosen() -> None:
    cart = {"name": "it", "latency": {"percentile": 95, "threshold": "200ms", "matchers": MATCHERS}}
    chosen = {"it": Requests(error_ratio=Value(0.0), counted=Value(1000.0))}
    seen = replace(observation(error_ratio=Value(0.5), own_requests=chosen), latency={"p95": FAST, "it": FAST})
    assert read(spec(objectives=[P95, cart]), seen).bad_ratio == pytest.approx(0.02)
    (whole, _) = objectives.read(spec(objectives=[P95, cart]), seen)
    assert whole.bad_ratio == pytest.approx(0.51)


@pytest.mark.parametrize(
    ("latency", "met"),
    [
        ({"percentile": 95, "threshold": "200ms"}, True),
        ({"percentile": 99, "threshold": "200ms"}, False),
        ({"proportionPercent": "97.9", "threshold": "200ms"}, True),
        ({"proportionPercent": "98.1", "threshold": "200ms"}, False),
    ],
)
def test_latency_as_percentile_and_as_proportion(latency: dict[str, Any], met: bool) -> None:
    (reading,) = objectives.read(spec(objectives=[{"name": "p95", "latency": latency}]), observation(FAST))
    assert reading.met is met
