"""Static assets that are taken away from the service."""

from __future__ import annotations

import pytest

from tests.cluster.shop import Shop
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

FLAG = {"configMap": "shop-flags", "key": "CDN", "onValue": "on", "offValue": "off"}


def test_a_cdn_takes_the_static_requests_when_they_are_what_is_slow(stage: Stage) -> None:
    shop = Shop(stage)
    with shop.calm({"cdn": {"flag": FLAG, "confirm": "cdn-on", "warmupSeconds": 5}}, maxReplicas=3):
        shop.behave(static_ratio=0.6, static_ms=300)
        stage.eventually("it is turned on", lambda: shop.flag("CDN") == "on", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("cdn", "off", "on")

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("it is turned off again", lambda: shop.flag("CDN") == "off", seconds=60)
