"""A real cache before a real database that became slow, and one that is flushed."""

from __future__ import annotations

import pytest

from tests.cluster.scenes import FLUSHED_CACHE, SLOW_BEHIND_A_CACHE
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


def test_a_cache_is_switched_on_when_the_database_becomes_slow_and_off_with_the_slo(stage: Stage) -> None:
    with SLOW_BEHIND_A_CACHE.befallen(stage) as shop:
        shop.finds(*SLOW_BEHIND_A_CACHE.expected, seconds=90)
        stage.eventually("the tier is switched on", lambda: shop.flag("CACHE_TIER") == "redis", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("cache", "none", "redis")
        assert switch["bottleneck"] == "DependencyBound"
        assert shop.replicas() == 2, "more pods would not have helped"

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("the flag is put back", lambda: shop.flag("CACHE_TIER") == "none", seconds=60)
        stage.eventually("and forgotten", lambda: not stage.get("leverclaims")["items"], seconds=30)


@pytest.mark.long
def test_a_cache_that_is_flushed_is_called_cold_and_stays_on(stage: Stage) -> None:
    with FLUSHED_CACHE.befallen(stage) as shop:
        shop.finds(*FLUSHED_CACHE.expected, seconds=15)
        shop.keeps_its_promise()
        assert shop.flag("CACHE_TIER") == "redis"
        assert shop.switches() == []
