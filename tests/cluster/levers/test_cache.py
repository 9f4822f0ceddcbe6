"""A real cache before a real database that became slow."""

from __future__ import annotations

import pytest

from tests.cluster.shop import QUICK, Shop, cache_tier
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


def test_a_cache_is_switched_on_when_the_database_becomes_slow_and_off_with_the_slo(stage: Stage) -> None:
    shop = Shop(stage)
    with shop.calm({"cache": {"tiers": [cache_tier()]}}, signals=["db-tail", "pool-wait"]):
        shop.behave(query_ms=4 * QUICK["query_ms"])
        stage.eventually("the database is found", lambda: shop.bottleneck() == "DependencyBound", seconds=90)
        stage.eventually("the tier is switched on", lambda: shop.flag("CACHE_TIER") == "redis", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("cache", "none", "redis")
        assert switch["bottleneck"] == "DependencyBound"
        assert stage.replicas("deployment/shop") == 2, "more pods would not have helped"

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("the flag is put back", lambda: shop.flag("CACHE_TIER") == "none", seconds=60)
        stage.eventually("and forgotten", lambda: not stage.get("leverclaims")["items"], seconds=30)
