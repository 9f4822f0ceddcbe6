"""Native histograms, through a real Prometheus 3 that scrapes them, to an Observation."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from perfslo.core import quantile
from perfslo.core.measure import Wanted
from perfslo.core.model import Histogram, Missing, NoTraffic, Observation, Value
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Source
from tests.edges.exporter import STOCK_BUCKETS, Exporter, Page, Service
from tests.edges.native_exporter import NativeService
from tests.edges.prometheus_process import PROMETHEUS_3, prometheus
from tests.edges.test_prometheus_source import POD, World, seen, settled, spec, until, wanted

pytestmark = pytest.mark.cluster

PER_SECOND = 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pages: dict[str, Page] = {
        "/exponential": NativeService(PER_SECOND),
        "/idle": NativeService(0),
        "/restarts": NativeService(PER_SECOND),
        "/both": NativeService(PER_SECOND, classic=STOCK_BUCKETS),
        "/old": Service(PER_SECOND),
        "/new": NativeService(PER_SECOND),
        "/coarse": NativeService(PER_SECOND, schema=0),
        "/converted": Service(PER_SECOND),
    }
    with Exporter(pages) as exporter:

        def job(name: str, *targets: tuple[str, str], **more: object) -> dict[str, Any]:
            return {
                "job_name": name,
                "scrape_native_histograms": True,
                "static_configs": [
                    {
                        "targets": [exporter.address],
                        "labels": {
                            "__metrics_path__": f"/{path}", "namespace": "shop", "pod": pod, "instance": f"pod-{path}"
                        },
                    }
                    for path, pod in targets
                ],
                **more,
            }  # fmt: skip

        same = [(path, POD.format(path)) for path in ("exponential", "idle", "restarts", "coarse")]
        jobs = [
            job(
                "pods",
                *same,
                ("new", POD.format("rolling")),
                ("old", "rolling-5d4f8c7b9c-zzzzz"),
                ("old", POD.format("classic")),
            ),
            job("pods-again", ("exponential", POD.format("exponential"))),
            job("both", ("both", POD.format("both")), always_scrape_classic_histograms=True),
            job("native-of-both", ("both", POD.format("both"))),
            job(
                "converted",
                ("converted", POD.format("converted")),
                ("old", "clash-5d4f8c7b9c-zzzzz"),
                convert_classic_histograms_to_nhcb=True,
            ),
            job("clash", ("new", POD.format("clash"))),
        ]
        with prometheus(tmp_path_factory.mktemp("prometheus"), jobs, program=PROMETHEUS_3) as address:
            yield World(address, exporter)


@pytest_asyncio.fixture
async def sources(world: World) -> AsyncIterator[Sources]:
    sources = Sources({"default": Source(address=world.address)}, presets.load())
    yield sources
    await sources.close()


def reading(observation: Observation) -> Histogram:
    found = observation.latency["p95"]
    assert isinstance(found, Histogram), found
    return found


def slow_share(observation: Observation, seconds: float = 0.2) -> quantile.Share:
    share = quantile.share_over(reading(observation), seconds)
    assert share
    return share


def full(observation: Observation, per_second: float = PER_SECOND) -> bool:
    """Whether the windows hold what this many requests a second make of them."""
    served = observation.completions_per_second
    return settled(observation) and isinstance(served, Value) and served.value == pytest.approx(per_second, rel=0.2)


async def test_an_exponential_histogram_scraped_by_two_jobs_counts_once(sources: Sources) -> None:
    observation = await until(sources, wanted("exponential"), full)
    assert reading(observation).native
    assert reading(observation).total == pytest.approx(4 * PER_SECOND, rel=0.3)
    share = slow_share(observation)
    assert share.edge_low == share.edge_high == pytest.approx(0.1, abs=0.03), "no bucket is between 20 and 300 ms"
    p95 = quantile.quantile(reading(observation), 0.95)
    assert p95
    assert p95.low <= 0.3 <= p95.high
    assert p95.high / p95.low == pytest.approx(2 ** (1 / 8))
    assert isinstance(observation.error_ratio, Value)
    assert observation.error_ratio.value == pytest.approx(0.1, abs=0.03)
    assert observation.scale.scrape_seconds == 1.0


async def test_a_coarse_histogram_leaves_more_open(sources: Sources) -> None:
    observation = await until(sources, wanted("coarse"), full)
    share = slow_share(observation, 0.35)
    assert share.edge_low == pytest.approx(0, abs=1e-9)
    assert share.edge_high == pytest.approx(0.1, abs=0.03)


async def test_both_kinds_of_one_pod_count_once_by_the_native_one(sources: Sources) -> None:
    observation = await until(sources, wanted("both"), full)
    assert reading(observation).native
    assert reading(observation).total == pytest.approx(4 * PER_SECOND, rel=0.3)
    assert isinstance(observation.error_ratio, Value)
    assert observation.error_ratio.value == pytest.approx(0.1, abs=0.03)


async def test_pods_of_both_kinds_during_a_rollout_add_up(sources: Sources) -> None:
    observation = await until(sources, wanted("rolling"), lambda o: full(o, 2 * PER_SECOND))
    of = reading(observation)
    assert not of.native
    assert of.upper_bounds_seconds == (*STOCK_BUCKETS, math.inf), "the classic edges stand"
    assert of.total == pytest.approx(8 * PER_SECOND, rel=0.3)
    assert slow_share(observation).value == pytest.approx(0.1, abs=0.03)


async def test_classic_buckets_that_prometheus_converts(sources: Sources) -> None:
    observation = await until(sources, wanted("converted"), full)
    assert reading(observation).native
    assert set(reading(observation).upper_bounds_seconds) <= {*STOCK_BUCKETS, math.inf}
    p95 = quantile.quantile(reading(observation), 0.95)
    assert p95
    assert (p95.low, p95.high) == (0.25, 0.5)


async def test_no_requests_are_a_known_zero(sources: Sources) -> None:
    observation = await until(sources, wanted("idle"), lambda o: isinstance(o.latency["p95"], NoTraffic))
    assert isinstance(observation.completions_per_second, NoTraffic)


async def test_a_counter_that_begins_anew_is_no_burst(sources: Sources, world: World) -> None:
    await until(sources, wanted("restarts"), full)
    world.exporter.pages["/restarts"] = NativeService(PER_SECOND)
    worst = 0.0

    def full_again(observation: Observation) -> bool:
        nonlocal worst
        worst = max(worst, reading(observation).total)
        return full(observation) and reading(observation).total < 4.5 * PER_SECOND

    await until(sources, wanted("restarts"), full_again)
    assert worst < 8 * PER_SECOND


async def test_kinds_that_do_not_add_up_are_missing_not_a_part(sources: Sources) -> None:
    observation = await until(
        sources,
        wanted("clash"),
        lambda o: isinstance(o.completions_per_second, Value) and o.scale.scrape_seconds == 1.0,
    )
    assert isinstance(problem := observation.latency["p95"], Missing)
    assert problem.reason == "BucketsMissing"
    assert sources.stats["default"].remarks > 0


async def test_matchers_choose_native_series(sources: Sources) -> None:
    await until(sources, wanted("exponential"), full)
    fast = {"label": "http_response_status_code", "op": "=", "value": "200"}
    one = Wanted("shop/a", "shop", frozenset({"exponential"}), "default", "http-server", spec(matchers=[fast]))
    (observation,) = await seen(sources, one)
    assert slow_share(observation).edge_high == 0


async def test_native_histograms_cost_no_more_queries(world: World) -> None:
    async def cost(*workloads: str) -> int:
        """Queries of the second cycle."""
        sources = Sources({"default": Source(address=world.address)}, presets.load())
        its = spec(threshold="500ms")  # kept, so that no bucket is checked
        stats, these = sources.stats["default"], [wanted(workload, its) for workload in workloads]
        await seen(sources, *these)
        before = stats.queries
        observations = await seen(sources, *these)
        assert all(isinstance(observation.latency["p95"], Histogram) for observation in observations)
        await sources.close()
        return stats.queries - before

    sources = Sources({"default": Source(address=world.address)}, presets.load())
    for workload in ("classic", "exponential"):
        await until(sources, wanted(workload), full)
    await sources.close()
    assert await cost("classic") == await cost("exponential") == await cost("classic", "exponential")
