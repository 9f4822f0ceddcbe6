"""Every preset against series as its kind of service exposes them, through a real Prometheus; Envoy is a real one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import requests

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import quantile
from perfslo.core.measure import Wanted, observe
from perfslo.core.model import Histogram, Missing, Observation, Replicas, Stale, Value
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Source
from tests.edges.envoy_process import envoy
from tests.edges.exporter import Exporter, Page
from tests.edges.prometheus_process import prometheus
from tests.edges.traffic import IN_FLIGHT, MILLISECONDS, PER_SECOND, Traffic

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 60
REPLICA_SET = "-5d4f8c7b9c-x2k4j"
SERVICE_5XX = ("status", "200", "503")

PODS: dict[str, Traffic] = {
    "otel": Traffic(
        "http_server_request_duration_seconds",
        ("http_response_status_code", "200", "500"),
        gauge="http_server_active_requests",
    ),
    "old-otel": Traffic("http_server_duration_milliseconds", ("http_status_code", "200", "500"), buckets=MILLISECONDS),
    "micrometer": Traffic(
        "http_server_requests_seconds", SERVICE_5XX, {"uri": "/"}, gauge="http_server_requests_active_seconds_gcount"
    ),
    "go": Traffic("http_request_duration_seconds", ("code", "200", "500"), {"handler": "/"}),
    "express": Traffic("http_request_duration_seconds", ("status_code", "200", "500")),
    "fastapi": Traffic("http_request_duration_seconds", ("status", "2xx", "5xx")),
    "starlette": Traffic("starlette_request_duration_seconds", ("status_code", "200", "500")),
    "flask": Traffic("flask_http_request_duration_seconds", SERVICE_5XX),
    "own": Traffic("own_seconds", ("outcome", "ok", "timeout"), gauge="own_in_flight"),
}
"""Pods of namespace shop, by workload, as their libraries name the series."""


def istio(reporter: str, workload: str, namespace: str = "shop") -> Traffic:
    labels = {
        "reporter": reporter,
        "destination_workload": workload,
        "destination_workload_namespace": namespace,
        "request_protocol": "http",
    }
    return Traffic("istio_request_duration_milliseconds", ("response_code", "200", "503"), labels, buckets=MILLISECONDS)


def linkerd(direction: str) -> Traffic:
    counter = ("response", "classification", "success", "failure")
    return Traffic("response_latency_ms", None, {"direction": direction}, buckets=MILLISECONDS, counter=counter)


def nginx(service: str, namespace: str = "shop") -> Traffic:
    labels = {"namespace": namespace, "service": service, "ingress": "all", "controller_pod": "nginx-1"}
    return Traffic("nginx_ingress_controller_request_duration_seconds", SERVICE_5XX, labels)


def traefik(service: str) -> Traffic:
    labels = {"service": service, "method": "GET", "protocol": "http"}
    return Traffic(
        "traefik_service_request_duration_seconds", ("code", "200", "502"), labels, buckets=(0.1, 0.3, 1.2, 5)
    )


Text = Callable[[], str]


def both(*pages: Text) -> Text:
    return lambda: "".join(page() for page in pages)


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/failing" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class World:
    address: str
    exporter: Exporter


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    impostor = both(nginx("web"), traefik("shop-web-80@kubernetes"), istio("waypoint", "waypointed"))
    pages: dict[str, Page] = {
        **{f"/{name}": page for name, page in PODS.items()},
        "/sidecar": both(istio("destination", "sidecar"), _sum_only(istio("source", "elsewhere"))),
        "/linkerd": both(linkerd("inbound"), _sum_only(linkerd("outbound"))),
        "/waypoint": istio("waypoint", "waypointed"),
        "/nginx": nginx("web"),
        "/traefik": traefik("shop-web-80@kubernetes"),
        "/impostor": impostor,
    }
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    directory: Path = tmp_path_factory.mktemp("presets")
    with (
        Exporter(pages) as exporter,
        envoy(directory / "envoy", "httproute/shop/web/rule/0", f"127.0.0.1:{upstream.server_address[1]}") as proxy,
        _requests_to(proxy.proxy),
    ):

        def target(path: str, namespace: str, pod: str, **labels: str) -> dict[str, Any]:
            named = {"__metrics_path__": f"/{path}", "namespace": namespace, "pod": pod, "instance": path, **labels}
            return {"targets": [exporter.address], "labels": named}

        def job(name: str, *targets: dict[str, Any]) -> dict[str, Any]:
            return {"job_name": name, "static_configs": list(targets)}

        of_envoy = {"__metrics_path__": "/stats/prometheus", "namespace": "envoy-gateway-system", "pod": "envoy-1"}
        jobs = [
            job(
                "pods",
                *(target(name, "shop", name + REPLICA_SET) for name in PODS),
                target("sidecar", "shop", "sidecar" + REPLICA_SET),
                target("linkerd", "shop", "linkerd" + REPLICA_SET),
                target("waypoint", "shop", "waypoint" + REPLICA_SET),
                target("traefik", "traefik", "traefik-1"),
                target("impostor", "evil", "evil-1"),
            ),
            job("pods-again", *(target(name, "shop", name + REPLICA_SET, instance="again") for name in PODS)),
            # As two ServiceMonitors scrape one controller:
            job("monitor", target("nginx", "ingress-nginx", "nginx-1", service="nginx-metrics", endpoint="metrics")),
            job("other-monitor", target("nginx", "ingress-nginx", "nginx-1", service="nginx", endpoint="all")),
            job("envoy", {"targets": [proxy.admin], "labels": of_envoy}),
            job("envoy-again", {"targets": [proxy.admin], "labels": of_envoy}),
        ]
        with prometheus(directory / "prometheus", jobs) as address:
            yield World(address, exporter)
    upstream.shutdown()
    upstream.server_close()


def _sum_only(page: Text) -> Text:
    """The same without comments: a second exposition of a metric family on one page."""
    return lambda: "".join(line + "\n" for line in page().splitlines() if not line.startswith("#"))


@contextmanager
def _requests_to(address: str) -> Iterator[None]:
    """20 requests a second, one in ten of them failing."""
    stop = threading.Event()

    def send() -> None:
        with requests.Session() as session:
            number = 0
            while not stop.wait(1 / PER_SECOND):
                session.get(f"{address}/failing" if number % 10 == 9 else address, timeout=5)
                number += 1

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    yield
    stop.set()
    sender.join(10)


@pytest_asyncio.fixture
async def sources(world: World) -> AsyncIterator[Sources]:
    sources = Sources({"default": Source(address=world.address)}, presets.load())
    yield sources
    await sources.close()


def wanted(workload: str, namespace: str = "shop", **metrics: Any) -> Wanted:
    spec = PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "maxReplicas": 5,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
            "metrics": metrics,
        }
    )
    key = f"{namespace}/{workload}"
    return Wanted(key, namespace, frozenset({workload}), "default", spec.metrics.preset, spec)


async def until(sources: Sources, one: Wanted, holds: Callable[[Observation], bool]) -> Observation:
    """What is observed once `holds` is true of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        series = await sources.measure([one])
        observation = observe(one.spec, Replicas(1, 1), series[one.key], 1.0, time.time())
        if holds(observation):
            return observation
        assert time.monotonic() < deadline, observation
        await asyncio.sleep(0.3)


def settled(observation: Observation) -> bool:
    """Whether the window is covered, so that its counts may be compared."""
    reading = observation.latency["p95"]
    if not isinstance(reading, Histogram) or observation.scale.scrape_seconds != 1.0:
        return False
    return reading.total > 0.7 * PER_SECOND * observation.scale.window_seconds


def rate(observation: Observation) -> float:
    reading = observation.latency["p95"]
    assert isinstance(reading, Histogram), reading
    return reading.total / observation.scale.window_seconds


def slow_ratio(observation: Observation) -> float:
    reading = observation.latency["p95"]
    assert isinstance(reading, Histogram)
    share = quantile.share_over(reading, 0.2)
    assert share
    return share.edge_low


def error_ratio(observation: Observation) -> float:
    assert isinstance(observation.error_ratio, Value), observation.error_ratio
    return observation.error_ratio.value


async def seen_as_it_is(sources: Sources, one: Wanted) -> Observation:
    """Twenty a second, once each; one in ten slow, and failed."""
    observation = await until(sources, one, settled)
    assert rate(observation) == pytest.approx(PER_SECOND, rel=0.35)
    assert slow_ratio(observation) == pytest.approx(0.1, abs=0.04)
    assert error_ratio(observation) == pytest.approx(0.1, abs=0.04)
    assert isinstance(observation.completions_per_second, Value)
    return observation


@pytest.mark.parametrize("library", [name for name in PODS if name != "own"])
async def test_http_server_finds_the_names_that_a_library_gives(sources: Sources, library: str) -> None:
    observation = await seen_as_it_is(sources, wanted(library))
    if library in {"otel", "micrometer"}:
        assert isinstance(observation.in_flight, Value)
        assert observation.in_flight.value == IN_FLIGHT


async def test_names_are_looked_for_again_when_they_are_gone(sources: Sources, world: World) -> None:
    await until(sources, wanted("go"), settled)
    world.exporter.pages["/go"] = Traffic("starlette_request_duration_seconds", ("status_code", "200", "500"))
    await until(sources, wanted("go"), lambda o: isinstance(o.latency["p95"], Missing | Stale))
    await seen_as_it_is(sources, wanted("go"))


@pytest.mark.parametrize(
    ("preset", "workload"), [("istio", "sidecar"), ("istio-ambient", "waypointed"), ("linkerd", "linkerd")]
)
async def test_meshes(sources: Sources, preset: str, workload: str) -> None:
    await seen_as_it_is(sources, wanted(workload, preset=preset))


@pytest.mark.parametrize("preset", ["nginx-ingress", "traefik"])
async def test_ingresses(sources: Sources, preset: str) -> None:
    """With an impostor in another namespace that exposes the same."""
    await seen_as_it_is(sources, wanted("web", preset=preset))
    await seen_as_it_is(sources, wanted("checkout", preset=preset, service="web"))
    other = await until(sources, wanted("web", namespace="bank", preset=preset), lambda _: True)
    assert isinstance(other.latency["p95"], Missing)


async def test_a_real_envoy(sources: Sources) -> None:
    one = wanted("checkout", preset="envoy-gateway", service="web")
    observation = await until(sources, one, lambda o: settled(o) and isinstance(o.error_ratio, Value))
    assert rate(observation) == pytest.approx(PER_SECOND, rel=0.35)
    assert slow_ratio(observation) == pytest.approx(0.0, abs=0.02)
    assert error_ratio(observation) == pytest.approx(0.1, abs=0.04)
    assert isinstance(observation.in_flight, Value)
    other = await until(sources, wanted("web", namespace="bank", preset="envoy-gateway"), lambda _: True)
    assert isinstance(other.latency["p95"], Missing)


NAMES = {
    "histogram": "own_seconds",
    "failed": {"label": "outcome", "regex": "error|timeout"},
    "inFlight": "own_in_flight",
}
QUERIES = {
    "buckets": "max without (job, instance) (increase(own_seconds_bucket[$window]))",
    "requests": "max without (job, instance) (increase(own_seconds_count[$window]))",
    "failed": 'max without (job, instance) (increase(own_seconds_count{outcome!="ok"}[$window]))',
    "inFlight": "max without (job, instance) (own_in_flight)",
}


@pytest.mark.parametrize("its", [{"names": NAMES}, {"queries": QUERIES}], ids=["names", "queries"])
async def test_custom(sources: Sources, its: dict[str, Any]) -> None:
    observation = await seen_as_it_is(sources, wanted("own", preset="custom", custom=its))
    assert isinstance(observation.in_flight, Value)
    assert observation.in_flight.value == IN_FLIGHT
    other = await until(sources, wanted("own", namespace="bank", preset="custom", custom=its), lambda _: True)
    assert isinstance(other.latency["p95"], Missing)
    assert other.latency["p95"].reason == "SeriesMissing"


async def test_whole_queries_grow_stale_with_their_series(sources: Sources, world: World) -> None:
    began = time.time()

    def stopped_clock() -> str:
        at = int(min(time.time(), began + 8) * 1000)
        return f'old_bucket{{le="+Inf"}} {int(time.time() - began)} {at}\n'

    page = PODS["own"]
    world.exporter.pages["/own"] = both(page, stopped_clock)
    its = {"queries": {"buckets": "increase(old_bucket[$window])", "requests": "increase(old_bucket[$window])"}}
    one = wanted("own", preset="custom", custom=its)
    observation = await until(sources, one, lambda o: isinstance(o.latency["p95"], Stale))
    assert isinstance(observation.completions_per_second, Stale)
    world.exporter.pages["/own"] = page


@pytest.mark.parametrize(
    ("query", "reason"),
    [("sum(", "QueryInvalid"), ("scalar(own_in_flight)", "QueryRejected"), ('own_in_flight{a=~"x{9999999}"}', "Query")],
)
async def test_a_bad_query_harms_its_own_slo_only(sources: Sources, query: str, reason: str) -> None:
    bad = wanted("bad", preset="custom", custom={"queries": {**QUERIES, "buckets": query}})
    await until(sources, wanted("otel"), settled)
    series = await sources.measure([bad, wanted("otel")])
    observation = observe(bad.spec, Replicas(1, 1), series["shop/bad"], 1.0, time.time())
    problem = observation.latency["p95"]
    assert isinstance(problem, Missing)
    assert problem.reason.startswith(reason)
    assert observation.source_problem is None
    well = observe(wanted("otel").spec, Replicas(1, 1), series["shop/otel"], 1.0, time.time())
    assert isinstance(well.latency["p95"], Histogram)
