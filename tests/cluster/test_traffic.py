"""Three backends behind a real proxy, one of them slower, failing or gone: weights alone keep the promise."""

from __future__ import annotations

import pytest

from perfslo.settings import HTTP_ROUTE, RouteKind
from tests.cluster.backends import BACKENDS, FAILING, PROMISED_RATIO, REPLICAS, SLOWER, USUAL, Run, opened
from tests.cluster.proxies import TRAEFIK_SERVICE, envoy_gateway, traefik
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

DRAINED = 0.015
"""Of the traffic: the least share, 1 %, and some more."""
PROXIES = pytest.mark.parametrize(("run", "kind"), [(envoy_gateway, HTTP_ROUTE), (traefik, TRAEFIK_SERVICE)])


@PROXIES
def test_a_slower_backend_gets_less_and_then_its_share_again(stage: Stage, run: Run, kind: RouteKind) -> None:
    with opened(stage, run, kind) as shop:
        began = shop.load.now()
        stage.behave("one", SLOWER)
        stage.eventually("the promise is broken", lambda: shop.was_bad(began, PROMISED_RATIO), seconds=90)
        stage.eventually("one is left alone", lambda: shop.share("one") < 0.15, seconds=240, pause=5)
        stage.eventually("the promise is kept again", shop.kept, seconds=120)
        assert any("one: " in why for why in shop.moves()), shop.moves()
        assert shop.replicas() == dict.fromkeys(BACKENDS, REPLICAS), "by weight alone"

        stage.behave("one", USUAL)
        stage.eventually("one is trusted again", lambda: shop.share("one") > 0.3, seconds=720, pause=5)
        stage.eventually("the promise is kept", shop.kept, seconds=60)
        assert shop.replicas() == dict.fromkeys(BACKENDS, REPLICAS)


@PROXIES
def test_failing_fast_and_being_gone_attract_nobody(stage: Stage, run: Run, kind: RouteKind) -> None:
    with opened(stage, run, kind) as shop:
        began = shop.load.now()
        stage.behave("two", FAILING)
        stage.eventually("users see it", lambda: shop.was_bad(began, 0.2), seconds=90)
        stage.eventually("two is drained", lambda: shop.share("two") <= DRAINED, seconds=240, pause=5)
        stage.eventually("the promise is kept again", shop.kept, seconds=120)
        stage.behave("two", USUAL)
        stage.eventually("two is given more", lambda: shop.share("two") > 0.1, seconds=420, pause=5)

        stage.kubectl("scale", "deployment/three", "--replicas=0")
        stage.eventually("three is drained", lambda: shop.share("three") <= DRAINED, seconds=120, pause=5)
        stage.eventually("the promise is kept again", shop.kept, seconds=120)
        assert shop.replicas() == {"one": REPLICAS, "two": REPLICAS, "three": 0}
