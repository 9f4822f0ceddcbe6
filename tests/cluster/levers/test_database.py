"""Requests that wait for a connection to a real database, and a pool that may grow within what all SLOs share."""

from __future__ import annotations

import pytest

from tests.cluster.scenes import FULL_POOL
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


def test_a_pool_grows_within_the_budget_when_it_is_exhausted_and_replicas_do_not(stage: Stage) -> None:
    with FULL_POOL.befallen(stage) as shop:
        shop.finds(*FULL_POOL.expected, seconds=90)
        stage.eventually("it grows", lambda: shop.flag("POOL_SIZE") == "4", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("database", "2", "4")
        assert shop.replicas() == 2, "CPU is idle, and more pods would take more connections"

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("the pool is put back", lambda: shop.flag("POOL_SIZE") == "2", seconds=60)
