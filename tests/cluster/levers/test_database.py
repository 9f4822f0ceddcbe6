"""Requests that wait for a connection to a real database, and a pool that may grow within what all SLOs share."""

from __future__ import annotations

import pytest

from tests.cluster.shop import QUICK, Shop
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


def test_a_pool_grows_within_the_budget_when_it_is_exhausted_and_replicas_do_not(stage: Stage) -> None:
    shop = Shop(stage, threshold_ms=400, behaviour={**QUICK, "query_ms": 60}, pool_size=2)
    pool = {"configMap": "shop-flags", "key": "POOL_SIZE", "maxSize": 16}
    lever = {"budget": "main", "connectionsPerReplica": 4, "pool": pool}
    # A rollout of two pods has three: pools of four take twelve connections, and a third pod would exceed the budget.
    databases = {"main": {"maxConnections": 13, "reserved": 1}}
    with shop.calm({"database": lever}, signals=["pool-wait"], values={"databases": databases}):
        shop.behave(query_ms=170)
        stage.eventually("the pool is found", lambda: shop.bottleneck() == "ConnectionPoolBound", seconds=90)
        stage.eventually("it grows", lambda: shop.flag("POOL_SIZE") == "4", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("database", "2", "4")
        assert stage.replicas("deployment/shop") == 2, "CPU is idle, and more pods would take more connections"
