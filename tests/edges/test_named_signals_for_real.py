"""Every state of a named signal, from a real Prometheus that scrapes a real exporter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from perfslo.core.model import Missing, NoTraffic, Signal, Stale, Value
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import NamedSignal, Source
from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import PROMETHEUS_2, PROMETHEUS_3, prometheus
from tests.edges.test_named_signals import seen
from tests.edges.test_prometheus_source import PATIENCE_SECONDS, spec, wanted

pytestmark = pytest.mark.cluster

STALE_AFTER_SECONDS = 30


def _page() -> str:
    old = int((time.time() - 200) * 1000)
    busy = int(time.time() * 50)
    return f"""
db_seconds_bucket{{le="0.01"}} {busy}
db_seconds_bucket{{le="0.1"}} {busy * 2}
db_seconds_bucket{{le="+Inf"}} {busy * 2}
idle_seconds_bucket{{le="0.01"}} 7
idle_seconds_bucket{{le="+Inf"}} 7
cache_hits 5
cache_misses 0
busy_hits {busy * 9}
busy_misses {busy}
pool_used 8
pool_size 10
hit_percent 93
queue_age_seconds {{namespace="shop", workload="web"}} 4
queue_age_seconds {{namespace="shop", workload="db"}} 9
queue_length_old 3 {old}
not_a_number NaN
negative -4
"""


def _p95(histogram: str) -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket[10s])))"


def _share(hits: str, misses: str) -> str:
    return f"rate({hits}[10s]) / (rate({hits}[10s]) + rate({misses}[10s]))"


QUERIES: dict[str, dict[str, str]] = {
    "latency": {"kind": "DependencyLatency", "query": _p95("db_seconds")},
    "idle-latency": {"kind": "DependencyLatency", "query": _p95("idle_seconds")},
    "hits": {"kind": "CacheHitRatio", "query": _share("busy_hits", "busy_misses")},
    "idle-hits": {"kind": "CacheHitRatio", "query": _share("cache_hits", "cache_misses")},
    "percent": {"kind": "CacheHitRatio", "query": "hit_percent"},
    "pool": {"kind": "PoolUse", "query": "pool_used / pool_size"},
    "age": {"kind": "QueueAge", "query": "queue_age_seconds", "per": "Workload"},
    "several": {"kind": "QueueAge", "query": "queue_age_seconds"},
    "per-namespace": {"kind": "QueueAge", "query": "max by (namespace) (queue_age_seconds)", "per": "Namespace"},
    "old": {"kind": "QueueLength", "query": "queue_length_old"},
    "gone": {"kind": "QueueLength", "query": "sum(queue_length_gone)"},
    "gone-and-made-up": {"kind": "QueueLength", "query": "sum(queue_length_gone) or vector(0)"},
    "nan": {"kind": "QueueLength", "query": "not_a_number"},
    "negative": {"kind": "QueueLength", "query": "negative"},
    "many-to-many": {"kind": "QueueLength", "query": "queue_age_seconds * on() queue_age_seconds"},
}


def missing(reason: str) -> Callable[[Signal], bool]:
    return lambda signal: isinstance(signal, Missing) and signal.reason == reason


def about(number: float) -> Callable[[Signal], bool]:
    return lambda signal: (
        isinstance(signal, Value) and signal.value == pytest.approx(number, rel=0.1) and 0 <= signal.age_seconds < 30
    )


EXPECTED: dict[str, Callable[[Signal], bool]] = {
    "latency": about(0.091),
    "idle-latency": lambda signal: isinstance(signal, NoTraffic),
    "hits": about(0.9),
    "idle-hits": lambda signal: isinstance(signal, NoTraffic),
    "percent": missing("OutOfRange"),
    "pool": about(0.8),
    "age": about(4),
    "several": missing("SeveralRows"),
    "per-namespace": about(9),
    "old": lambda signal: isinstance(signal, Stale) and 150 < signal.age_seconds < 300,
    "gone": missing("SeriesMissing"),
    "gone-and-made-up": lambda signal: isinstance(signal, Stale),
    "nan": missing("NotANumber"),
    "negative": missing("OutOfRange"),
    "many-to-many": missing("QueryRejected"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[PROMETHEUS_3, PROMETHEUS_2])
async def signals(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[], Any]]:
    job = {"job_name": "all", "honor_labels": True, "metrics_path": "/all"}
    named = {
        name: NamedSignal.model_validate({**its, "staleAfterSeconds": STALE_AFTER_SECONDS})
        for name, its in QUERIES.items()
    }
    with Exporter({"/all": _page}) as exporter:
        jobs = [{**job, "static_configs": [{"targets": [exporter.address]}]}]
        with prometheus(tmp_path_factory.mktemp("prometheus"), jobs, program=request.param) as address:
            sources = Sources({"default": Source(address=address)}, presets.load(), named=named)
            its = spec({"signals": [{"name": name, "kind": one["kind"], "ref": name} for name, one in QUERIES.items()]})

            async def look() -> dict[str, Signal]:
                (observation,) = await seen(sources, wanted("web", its))
                assert observation.source_problem is None
                return dict(observation.signals)

            yield look
            await sources.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_each_state_is_told_apart(signals: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wrong := {name: signal for name, signal in (await signals()).items() if not EXPECTED[name](signal)}:
        assert time.monotonic() < deadline, wrong
        await asyncio.sleep(0.5)
