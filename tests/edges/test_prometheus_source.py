"""Series of every kind, through a real Prometheus that scrapes a real exporter, to an Observation."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import quantile
from perfslo.core.measure import Wanted, observe
from perfslo.core.model import Histogram, Missing, NoTraffic, Observation, Replicas, Signal, Stale, Value
from perfslo.core.promql import WORKLOAD, Pods, quote, workload_of_pod
from perfslo.edges import presets
from perfslo.edges.prometheus.client import Client
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Matcher, Source
from tests.edges.exporter import Container, Exporter, Page, Service
from tests.edges.prometheus_process import PROMETHEUS_2, PROMETHEUS_3, prometheus

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 30
POD = "{}-5d4f8c7b9c-x2k4j"
CONSTANT = """# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{{le="0.1"}} {0} {1}
http_server_request_duration_seconds_bucket{{le="+Inf"}} {0} {1}
http_server_request_duration_seconds_count {0} {1}
"""


def _stopped_clock() -> Page:
    began = time.time()
    return lambda: CONSTANT.format(int(time.time() - began), int(min(time.time(), began + 23) * 1000))


def _counting_without_inf() -> Page:
    began = time.time()
    return lambda: (
        "\n".join(
            f"http_server_request_duration_seconds_{series} {int((time.time() - began) * 10)}"
            for series in ('bucket{le="0.1"}', 'bucket{le="0.25"}', "count")
        )
        + "\n"
    )


def _with_a_workload_label() -> Page:
    began = time.time()
    series = ('bucket{le="0.1",%s}', 'bucket{le="+Inf",%s}', "count{%s}")
    return lambda: (
        "\n".join(
            f"http_server_request_duration_seconds_{name % label} {int((time.time() - began) * 10)}"
            for label in ('workload="api"', 'workload="batch"')
            for name in series
        )
        + "\n"
    )


@dataclass
class World:
    address: str
    exporter: Exporter


@pytest.fixture(scope="module", params=[PROMETHEUS_3, PROMETHEUS_2])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pages: dict[str, Page] = {
        "/web-1": Service(20),
        "/web-2": Service(20),
        "/db": Service(10),
        "/twice": Service(20),
        "/idle": Service(0),
        "/gone": Service(20),
        "/stale": _stopped_clock(),
        "/nan": lambda: CONSTANT.format("NaN", ""),
        "/inf": lambda: CONSTANT.format("+Inf", ""),
        "/no-inf-bucket": _counting_without_inf(),
        "/labelled": _with_a_workload_label(),
        "/cadvisor": Container("shop", POD.format("web"), cores=0.5, memory_bytes=1e8),
    }
    with Exporter(pages) as exporter:

        def target(path: str, pod: str, namespace: str = "shop") -> dict[str, Any]:
            return {
                "targets": [exporter.address],
                "labels": {
                    "__metrics_path__": f"/{path}",
                    "namespace": namespace,
                    "pod": pod,
                    "instance": f"pod-{path}",
                },
            }

        def job(name: str, *targets: dict[str, Any], **more: object) -> dict[str, Any]:
            return {"job_name": name, "static_configs": list(targets), **more}

        others = ("twice", "idle", "gone", "stale", "nan", "inf", "no-inf-bucket", "labelled")
        jobs = [
            job(
                "pods",
                target("web-1", POD.format("web")),
                target("web-2", "web-5d4f8c7b9c-zzzzz"),
                target("db", "db-0"),
                *(target(path, POD.format(path)) for path in others),
            ),
            job("pods-again", {**target("twice", POD.format("twice")), "labels": {
                "__metrics_path__": "/twice", "namespace": "shop", "pod": POD.format("twice"), "instance": "other"}}),
            job("elsewhere", target("web-1", POD.format("web"), namespace="other")),
            job(
                "kubelet",
                {"targets": [exporter.address], "labels": {"__metrics_path__": "/cadvisor"}},
                honor_labels=True,
            ),
        ]  # fmt: skip
        with prometheus(tmp_path_factory.mktemp("prometheus"), jobs, program=request.param) as address:
            yield World(address, exporter)


@pytest_asyncio.fixture
async def sources(world: World) -> AsyncIterator[Sources]:
    sources = Sources({"default": Source(address=world.address)}, presets.load())
    yield sources
    await sources.close()


def spec(
    metrics: dict[str, Any] | None = None, objectives: Sequence[dict[str, Any]] = (), **latency: Any
) -> PerformanceSLOSpec:
    objective = {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms", **latency}}
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "objectives": [objective, *objectives],
            "metrics": metrics or {},
        }
    )


def wanted(workload: str, its: PerformanceSLOSpec | None = None, namespace: str = "shop") -> Wanted:
    its = its or spec()
    return Wanted(
        f"{namespace}/{workload}", namespace, frozenset({workload}), its.metrics.source, its.metrics.preset, its
    )


async def seen(sources: Sources, *these: Wanted) -> Sequence[Observation]:
    series = await sources.measure(these)
    return [observe(one.spec, Replicas(1, 1), series[one.key], 1.0, time.time()) for one in these]


async def until(sources: Sources, one: Wanted, holds: Callable[[Observation], bool]) -> Observation:
    """What is observed once `holds` is true of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        (observation,) = await seen(sources, one)
        if holds(observation):
            return observation
        assert time.monotonic() < deadline, observation
        await asyncio.sleep(0.3)


def settled(observation: Observation) -> bool:
    """Whether the window is covered, so that its counts may be compared."""
    reading = observation.latency["p95"]
    return observation.scale.scrape_seconds == 1.0 and isinstance(reading, Histogram) and reading.total > 0


async def test_two_pods_of_a_deployment_are_one_histogram(sources: Sources) -> None:
    observation = await until(sources, wanted("web"), lambda o: settled(o) and 130 < _total(o) < 190)
    reading = observation.latency["p95"]
    assert isinstance(reading, Histogram)
    assert len(reading.upper_bounds_seconds) == 15
    p95 = quantile.quantile(reading, 0.95)
    assert p95
    assert (p95.low, p95.high) == (0.25, 0.5)  # one in ten takes 300 ms
    share = quantile.share_over(reading, 0.2)
    assert share
    assert share.edge_low == pytest.approx(0.1, abs=0.02)
    assert isinstance(observation.completions_per_second, Value)
    assert observation.completions_per_second.value == pytest.approx(40, rel=0.3)
    assert isinstance(observation.in_flight, Value)
    assert observation.in_flight.value == 6
    assert isinstance(observation.error_ratio, Value)
    assert observation.error_ratio.value == pytest.approx(0.1, abs=0.03)
    assert observation.source_problem is None


def _total(observation: Observation) -> float:
    reading = observation.latency["p95"]
    return reading.total if isinstance(reading, Histogram) else 0.0


async def test_a_pod_of_a_stateful_set(sources: Sources) -> None:
    observation = await until(sources, wanted("db"), settled)
    assert isinstance(observation.completions_per_second, Value)


async def test_a_pod_scraped_by_two_jobs_counts_once(sources: Sources) -> None:
    observation = await until(sources, wanted("twice"), lambda o: settled(o) and _total(o) > 60)
    assert _total(observation) == pytest.approx(80, rel=0.3)
    assert isinstance(observation.in_flight, Value)
    assert observation.in_flight.value == 3


async def test_an_application_may_have_a_label_named_workload(sources: Sources) -> None:
    observation = await until(sources, wanted("labelled"), lambda o: settled(o) and _total(o) > 60)
    assert _total(observation) == pytest.approx(80, rel=0.3)
    assert _value(observation.completions_per_second) == pytest.approx(20, rel=0.3)


async def test_the_scrape_interval_is_found(sources: Sources) -> None:
    observation = await until(sources, wanted("web"), lambda o: o.scale.scrape_seconds == 1.0)
    assert observation.scale.window_seconds == 4.0


async def test_no_traffic_is_a_known_zero(sources: Sources) -> None:
    observation = await until(sources, wanted("idle"), lambda o: isinstance(o.latency["p95"], NoTraffic))
    assert isinstance(observation.completions_per_second, NoTraffic)
    assert isinstance(observation.error_ratio, NoTraffic)
    assert isinstance(observation.in_flight, Value)


async def test_a_target_that_goes_is_missing_at_once(sources: Sources, world: World) -> None:
    await until(sources, wanted("gone"), settled)
    world.exporter.pages["/gone"] = str
    observation = await until(sources, wanted("gone"), lambda o: isinstance(o.latency["p95"], Missing))
    assert observation.latency["p95"] == observation.completions_per_second == observation.error_ratio
    assert isinstance(observation.in_flight, Missing)
    assert observation.in_flight.reason == "SeriesMissing"
    assert observation.source_problem is None


async def test_samples_that_grow_old_are_stale(sources: Sources) -> None:
    observation = await until(sources, wanted("stale"), lambda o: isinstance(o.latency["p95"], Stale))
    assert isinstance(observation.completions_per_second, Stale)
    assert observation.completions_per_second.age_seconds > 2.5


@pytest.mark.parametrize("workload", ["nan", "inf"])
async def test_a_number_that_is_none_is_missing(sources: Sources, workload: str) -> None:
    def not_a_number(observation: Observation) -> bool:
        signal = observation.completions_per_second
        return isinstance(signal, Missing) and signal.reason == "NotANumber"

    observation = await until(sources, wanted(workload), not_a_number)
    assert isinstance(observation.latency["p95"], Missing)


async def test_a_histogram_without_its_last_bucket_is_missing(sources: Sources) -> None:
    observation = await until(
        sources,
        wanted("no-inf-bucket"),
        lambda o: isinstance(reading := o.latency["p95"], Missing) and reading.reason == "InfBucketMissing",
    )
    assert isinstance(observation.completions_per_second, Value | Missing)


async def test_a_workload_without_series(sources: Sources) -> None:
    (observation,) = await seen(sources, wanted("nothing"))
    for signal in (observation.latency["p95"], observation.completions_per_second, observation.cpu_cores):
        assert isinstance(signal, Missing)
        assert signal.reason == "SeriesMissing"


async def test_cpu_throttling_and_memory_of_the_kubelet(sources: Sources) -> None:
    observation = await until(sources, wanted("web"), lambda o: isinstance(o.cpu_cores, Value))
    assert isinstance(observation.cpu_throttled_ratio, Value)
    assert observation.cpu_throttled_ratio.value == pytest.approx(0.25, abs=0.05)
    assert isinstance(observation.memory_bytes, Value)
    assert observation.memory_bytes.value == 1e8, "the sum over the pod must not be counted again"
    assert isinstance(observation.cpu_cores, Value)
    assert 0 < observation.cpu_cores.value < 1


async def test_disk_and_network_of_the_kubelet_count_once(sources: Sources) -> None:
    # Over 40 s: a cAdvisor looks every 10 s, and the window is four of its looks.
    observation = await until(
        sources, wanted("web"), lambda o: isinstance(read := o.disk_read_bytes_per_second, Value) and read.value > 500
    )
    read = _value(observation.disk_read_bytes_per_second)
    assert _value(observation.disk_write_bytes_per_second) == pytest.approx(1.5 * read, rel=0.1)
    assert _value(observation.network_receive_bytes_per_second) == pytest.approx(20 * read, rel=0.1)
    assert _value(observation.network_transmit_bytes_per_second) == pytest.approx(25 * read, rel=0.1)
    assert read <= 2e3 * 1.1


def _value(signal: Signal) -> float:
    assert isinstance(signal, Value), signal
    return signal.value


async def test_matchers_of_slo_and_objective_choose_series(sources: Sources) -> None:
    await until(sources, wanted("web"), settled)
    fast = {"label": "http_response_status_code", "op": "=", "value": "200"}
    nothing = {"label": "http_route", "op": "=~", "value": '/nothing|.*"} or up{a="b'}
    (own, both, none) = await seen(
        sources,
        Wanted("shop/a", "shop", frozenset({"web"}), "default", "http-server", spec(matchers=[fast])),
        Wanted("shop/b", "shop", frozenset({"web"}), "default", "http-server", spec({"matchers": [fast]})),
        Wanted("shop/c", "shop", frozenset({"web"}), "default", "http-server", spec(matchers=[nothing])),
    )
    for observation in (own, both):
        reading = observation.latency["p95"]
        assert isinstance(reading, Histogram)
        share = quantile.share_over(reading, 0.2)
        assert share
        assert share.edge_high == 0, "only fast requests are chosen"
    assert isinstance(own.error_ratio, Value)
    assert own.error_ratio.value > 0, "an objective's matchers are its own"
    assert isinstance(both.error_ratio, Value)
    assert both.error_ratio.value == 0, "no failed series among those chosen"
    assert isinstance(none.latency["p95"], Missing)
    assert isinstance(none.completions_per_second, Value)


async def test_errors_and_throughput_have_matchers_of_their_own(sources: Sources) -> None:
    await until(sources, wanted("web"), lambda o: settled(o) and 130 < _total(o) < 190)
    fast = [{"label": "http_response_status_code", "op": "=", "value": "200"}]
    its = spec(
        objectives=[
            {"name": "errors", "errorRate": {"maxPercent": "1", "matchers": fast}},
            {"name": "served", "throughput": {"minPerSecond": "5", "matchers": fast}},
        ]
    )
    (observation,) = await seen(sources, wanted("web", its))
    errors, served = observation.own_requests["errors"], observation.own_requests["served"]
    assert _value(errors.error_ratio) == 0
    assert _value(observation.error_ratio) > 0.05
    assert _value(errors.counted) == pytest.approx(0.9 * _value(observation.requests_counted), rel=0.05)
    assert _value(served.completions_per_second) == pytest.approx(36, rel=0.3)
    assert isinstance(served.in_flight, Missing), "the gauge has no label of that name"


async def test_a_bad_regular_expression_harms_its_own_slo_only(sources: Sources) -> None:
    await until(sources, wanted("web"), settled)
    bad = {"label": "http_route", "op": "=~", "value": "("}
    one = Wanted("shop/bad", "shop", frozenset({"web"}), "default", "http-server", spec({"matchers": [bad]}))
    broken, other = await seen(sources, one, wanted("web"))
    assert isinstance(broken.latency["p95"], Missing)
    assert broken.latency["p95"].reason == "QueryRejected"
    assert broken.source_problem is None
    assert isinstance(other.latency["p95"], Histogram)


async def test_the_number_of_queries_does_not_grow_with_slos(sources: Sources) -> None:
    def asked() -> int:
        return sources.stats["default"].queries

    async def cost(these: Sequence[Wanted]) -> int:
        before = asked()
        await sources.measure(these)
        return asked() - before

    await until(sources, wanted("web"), settled)
    few = await cost([wanted("web")])
    many = await cost([wanted("web"), *(wanted(f"w{number}", namespace="shop") for number in range(200))])
    assert few <= 9, "eight, and one for this promise, which is broken: are its buckets whole?"
    assert many <= few + 1, "one looks for the names of those without series"


async def test_the_administrators_matchers_are_on_every_selector(world: World) -> None:
    elsewhere = Source(address=world.address, matchers=(Matcher(label="job", value="none"),))
    sources = Sources({"default": elsewhere}, presets.load())
    (observation,) = await seen(sources, wanted("web"))
    for signal in (observation.latency["p95"], observation.in_flight, observation.cpu_cores, observation.memory_bytes):
        assert isinstance(signal, Missing)
    await sources.close()


async def test_a_source_or_preset_that_is_not_there_harms_its_own_slo_only(world: World) -> None:
    private = Source(address=world.address, namespaces=("bank",))
    sources = Sources({"default": Source(address=world.address), "private": private}, presets.load())
    for its, reason in (
        (spec({"source": "nowhere"}), "SourceNotDefined"),
        (spec({"source": "private"}), "SourceNotAllowed"),
        (spec({"preset": "unheard-of"}), "PresetNotDefined"),
    ):
        observation, other = await seen(sources, wanted("web", its), wanted("db"))
        problem = observation.latency["p95"]
        assert isinstance(problem, Missing)
        assert problem.reason == reason
        assert problem.message
        assert observation.source_problem is None
        assert not isinstance(other.latency["p95"], Missing) or other.latency["p95"].reason != reason
    await sources.close()


def test_prometheus_derives_the_workload_exactly_as_we_do(world: World) -> None:
    pods = [
        "web-5d4f8c7b9c-x2k4j", "web-0", "web-12345", "a.b-5d4f8c7b9c-x2k4j", "web-abcde", "web", "", "-0", "a-b-0-1",
        "web-24567-24567", "web-bcdfgh-24567", "web-5d4f8c7b9c-x2k4", "web-5d4f8c7b9c-x2k4ja", "WEB-0", "é-0", "a\n-0",
        "b\na", "web-bcdfghjklmn-24567", "0", "a--1", "web-5d4f8c7b9c-24567", "bcdfgh-bcdfg", "x-bcdfgh-bcdfg-0",
    ]  # fmt: skip
    vectors = " or ".join(
        f'label_replace(label_replace(vector({index}), "pod", {quote(pod)}, "", ""), "number", "{index}", "", "")'
        for index, pod in enumerate(pods)
    )
    rows = Client(Source(address=world.address)).query(Pods().named(vectors)).rows
    derived = {int(row.labels["number"]): row.labels.get(WORKLOAD, "") for row in rows}
    assert derived == {index: workload_of_pod(pod) for index, pod in enumerate(pods)}


def test_prometheus_reads_back_what_was_quoted(world: World) -> None:
    texts = ['"', "\\", "\n\r\t\0", "é😀\ufffd\u2028", "} or vector(1) #", "`'", "\\x41\\"]
    for text in texts:
        query = f'label_replace(vector(1), "text", {quote(text)}, "", "")'
        (row,) = Client(Source(address=world.address)).query(query).rows
        assert row.labels["text"] == text


@pytest.mark.parametrize(
    "buckets",
    [
        {"0.1": 50, "0.25": 90, "1": 99, "+Inf": 100},
        {"0.1": 0, "0.25": 0, "1": 40, "+Inf": 40},
        {"0.005": 7, "+Inf": 9},
        {"0.5": 0, "+Inf": 3},
        {"0.1": 5, "0.2": 3, "0.5": 8, "+Inf": 8},
    ],
    ids=["usual", "all in one", "one bucket", "all beyond it", "falling"],
)
def test_prometheus_own_quantile_is_in_our_interval(world: World, buckets: dict[str, int]) -> None:
    of = quantile.histogram([(le, float(count)) for le, count in buckets.items()])
    assert isinstance(of, Histogram)
    vector = " or ".join(f'label_replace(vector({count}), "le", "{le}", "", "")' for le, count in buckets.items())
    for ratio in (0.25, 0.5, 0.9, 0.95, 0.99):
        (row,) = Client(Source(address=world.address)).query(f"histogram_quantile({ratio}, {vector})").rows
        estimate = quantile.quantile(of, ratio)
        assert estimate
        assert estimate.low <= row.value <= estimate.high
        if estimate.low == 0 or math.isinf(estimate.high):
            assert estimate.value == pytest.approx(row.value), "where both are linear, and where nothing is known"
