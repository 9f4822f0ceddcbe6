"""What befalls a shop under load, and what may be pulled against it: plays assert it, a benchmark compares it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from demo import render
from perfslo.core.model import Bottleneck
from tests.cluster.shop import QUICK, RPS, Shop
from tests.cluster.stage import Stage

FLUSHES, FLUSH_SECONDS = 10, 2.0
WAITING = {"wait_ms": 75, "cpu_ms": 0.5, "cv": 0.5}
"""Two workers complete 26 a second."""
BUSY = {"wait_ms": 20, "cpu_ms": 1, "cv": 0.3}
LIGHT = {**QUICK, "heavy_ratio": 0.2, "heavy_ms": 100}
WARM = {**QUICK, "query_ms": 250, "keys": 2 * RPS}
SMALL_POOL = {**QUICK, "query_ms": 60}
CDN_FLAG = {"configMap": "shop-flags", "key": "CDN", "onValue": "on", "offValue": "off"}
TIER = {
    "name": "redis",
    "flag": {"configMap": "shop-flags", "key": "CACHE_TIER", "onValue": "redis", "offValue": "none"},
    "hitRatio": "cache-hits",
    "confirm": "cache-on",
    "warmupSeconds": 10,
}
HARM = {"configMap": "shop-flags", "key": "POOL_SIZE", "onValue": "1", "offValue": "4"}
"""What somebody took for a cache leaves each pod one connection."""
OFFLOAD = {
    "flag": {"configMap": "shop-flags", "key": "OFFLOAD", "onValue": "queue", "offValue": "inline"},
    "confirm": "offload-on",
    "workers": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "workers"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "queueAge": "work-age",
        "maxQueueAgeSeconds": 5,
    },
}


@dataclass(frozen=True)
class Scene:
    """`befalls` is done to a shop of these properties, once what is usual is known."""

    befalls: Callable[[Shop], None]
    expected: Sequence[Bottleneck]
    """One of these is what it should be found to be."""
    shop: Mapping[str, Any] = field(default_factory=dict)
    levers: Mapping[str, Any] = field(default_factory=dict)
    signals: Sequence[str] = ("db", "pool-wait")
    spec: Mapping[str, Any] = field(default_factory=dict)
    """More of the SLO's."""
    chart: Mapping[str, Any] = field(default_factory=dict)
    """More of the chart's values."""
    with_workers: bool = False
    usual_seconds: int = 30
    """For so long nothing is the matter before."""
    listened_cycles: int = 30
    """For so long it should be named more often than anything else."""

    def built(self, stage: Stage) -> Shop:
        """The shop, and workers beside it."""
        if self.with_workers:
            stage.apply(render.workers("workers", of="shop"))
        return Shop(stage, **self.shop)

    @contextmanager
    def calm(self, stage: Stage) -> Iterator[Shop]:
        """The shop while nothing is the matter yet."""
        shop = self.built(stage)
        with shop.calm(self.levers, self.signals, self.chart, self.usual_seconds, **self.spec):
            yield shop

    def must_be_calm(self, shop: Shop) -> None:
        """Fail where pods were added before anything befell it, as they are on a machine that is too busy."""
        if (replicas := shop.replicas()) != (found := self.spec.get("minReplicas", 2)):
            pytest.fail(f"it was not calm before: {replicas} replicas instead of {found}")

    @contextmanager
    def befallen(self, stage: Stage) -> Iterator[Shop]:
        with self.calm(stage) as shop:
            self.befalls(shop)
            yield shop


def _flush(shop: Shop) -> None:
    """Again and again, as so few keys are soon read anew."""
    for _ in range(FLUSHES):
        shop.stage.kubectl("exec", "deployment/redis", "--", "redis-cli", "flushall")
        time.sleep(FLUSH_SECONDS)


def _release(shop: Shop) -> None:
    shop.stage.kubectl("set", "env", "deployment/shop", "WORKERS=1")


TOO_LITTLE = [Bottleneck.SATURATED, Bottleneck.OVERLOADED]
"""The pods cannot carry what comes, be it more or heavier."""

SATURATION = Scene(
    lambda shop: shop.visited(3 * RPS),
    expected=TOO_LITTLE,
    shop={"threshold_ms": 300, "behaviour": WAITING, "workers": 2},
    spec={"maxReplicas": 10},
)
THROTTLING = Scene(
    lambda shop: shop.behave(cpu_ms=6),
    expected=[Bottleneck.CPU_THROTTLED],
    shop={"threshold_ms": 250, "behaviour": BUSY, "cpu_limit": "100m"},
    spec={"maxReplicas": 10},
)
HALF_A_RELEASE = Scene(
    _release,
    expected=[Bottleneck.ROLLOUT_REGRESSION],
    shop={"threshold_ms": 300, "behaviour": WAITING, "workers": 2},
    spec={"maxReplicas": 10},
    usual_seconds=90,  # it is compared with what the version before was seen to carry
)
FLUSHED_CACHE = Scene(
    _flush,
    expected=[Bottleneck.CACHE_COLD],
    shop={"behaviour": WARM, "flags_found": {"CACHE_TIER": "redis"}},
    levers={"cache": {"tiers": [TIER]}},
    signals=["cache-hits", "db", "pool-wait"],
)
SLOW_DATABASE = Scene(
    lambda shop: shop.behave(query_ms=4 * QUICK["query_ms"]),
    expected=[Bottleneck.DEPENDENCY_BOUND],
    signals=["db-tail", "pool-wait"],
)
SLOW_BEHIND_A_CACHE = Scene(
    SLOW_DATABASE.befalls,
    expected=SLOW_DATABASE.expected,
    levers={"cache": {"tiers": [TIER]}},
    signals=SLOW_DATABASE.signals,
)
FULL_POOL = Scene(
    lambda shop: shop.behave(query_ms=170),
    expected=[Bottleneck.CONNECTION_POOL_BOUND],
    shop={"threshold_ms": 400, "behaviour": SMALL_POOL, "pool_size": 2},
    levers={
        "database": {
            "budget": "main",
            "connectionsPerReplica": 4,
            "pool": {"configMap": "shop-flags", "key": "POOL_SIZE", "maxSize": 16},
        }
    },
    signals=["pool-wait"],
    # A rollout of two pods has three: pools of four take twelve connections, and a third pod would exceed the budget.
    chart={"databases": {"main": {"maxConnections": 13, "reserved": 1}}},
)
HEAVY_WORK = Scene(
    lambda shop: shop.behave(heavy_ratio=0.2, heavy_ms=400),
    expected=TOO_LITTLE,
    levers={"offload": OFFLOAD},
    spec={"minReplicas": 3, "maxReplicas": 3, "onDelete": {"replicas": "Restore"}},
    with_workers=True,
)
BACKLOG = Scene(
    lambda shop: shop.behave(heavy_ms=5 * LIGHT["heavy_ms"]),
    expected=[Bottleneck.QUEUE_BACKLOG],
    shop={"behaviour": LIGHT, "flags_found": {"OFFLOAD": "queue"}},
    levers={"offload": OFFLOAD},
    with_workers=True,
)
STATIC_REQUESTS = Scene(
    lambda shop: shop.behave(static_ratio=0.6, static_ms=300),
    expected=TOO_LITTLE,
    levers={"cdn": {"flag": CDN_FLAG, "confirm": "cdn-on", "warmupSeconds": 5}},
    spec={"maxReplicas": 3},
)
FAST_ERRORS = Scene(lambda shop: shop.behave(fail_ratio=0.5), expected=[Bottleneck.FAST_FAILING])
HARMFUL_LEVER = Scene(
    lambda shop: shop.behave(query_ms=3 * QUICK["query_ms"]),
    expected=[Bottleneck.DEPENDENCY_BOUND],
    levers={"cache": {"tiers": [{"name": "odd", "flag": HARM, "warmupSeconds": 10}]}},
    spec={"maxReplicas": 2},
)
OUT_OF_REACH = Scene(
    lambda shop: shop.behave(wait_ms=200),
    expected=[Bottleneck.UNREACHABLE_TARGET],
    spec={"maxReplicas": 20},
    listened_cycles=120,  # more pods are tried first
)

SCENES: Mapping[str, Scene] = {
    "saturation": SATURATION,
    "cache flushed": FLUSHED_CACHE,
    "database x 4, with a cache to turn on": SLOW_BEHIND_A_CACHE,
    "database x 4, without": SLOW_DATABASE,
    "pool exhausted": FULL_POOL,
    "heavy work in requests": HEAVY_WORK,
    "queue backlog": BACKLOG,
    "CPU limit": THROTTLING,
    "release that carries half": HALF_A_RELEASE,
    "static requests": STATIC_REQUESTS,
    "errors that answer fast": FAST_ERRORS,
    "database x 3, with a lever that does harm": HARMFUL_LEVER,
    "target out of reach": OUT_OF_REACH,
}
