"""One lever for all backends of a route: a real cache before the real database that each of them asks."""

from __future__ import annotations

import pytest

from tests.cluster.proxies import TRAEFIK_SERVICE, shared_traffic, traefik
from tests.cluster.scenes import SLOW_BEHIND_A_CACHE
from tests.cluster.shop import Shop
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BACKENDS = ("one", "two")
ROUTE = {"group": TRAEFIK_SERVICE.group, "kind": TRAEFIK_SERVICE.kind, "name": "shared"}


def test_a_slow_database_behind_all_backends_is_relieved_by_the_cache_alone(stage: Stage) -> None:
    scene = SLOW_BEHIND_A_CACHE
    levers = {"traffic": shared_traffic(BACKENDS, mode="Auto", routeRef=ROUTE), **scene.levers}
    chart = {"routeKinds": [TRAEFIK_SERVICE.model_dump()]}
    with traefik(stage, dict.fromkeys(BACKENDS, 100)) as proxy:
        shop = Shop(stage, backends=BACKENDS, entrance=proxy.entrance)
        with shop.calm(levers, scene.signals, chart, scaleTargetRef=None):
            weights, replicas = proxy.shares(stage), shop.replicas()
            scene.befalls(shop)
            shop.finds(*scene.expected, seconds=120)
            stage.eventually("the cache is turned on", lambda: shop.flag("CACHE_TIER") == "redis", seconds=120)
            stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
            shop.keeps_its_promise()
            assert shop.replicas() == replicas, "more pods would ask the same database"
            assert proxy.shares(stage) == weights, "no backend is to blame"

            stage.kubectl("delete", "perfslo", "shop")
            stage.eventually("it is put back", lambda: shop.flag("CACHE_TIER") == "none", seconds=60)
