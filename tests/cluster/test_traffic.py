"""Three backends behind a real proxy, one of them slower, failing or gone: weights alone keep the promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import pytest

from perfslo.core.model import JSON
from perfslo.settings import HTTP_ROUTE, RouteKind
from tests.cluster.proxies import TRAEFIK_SERVICE, Proxy, envoy_gateway, shared_promise, traefik
from tests.cluster.stage import Load, Stage, Tempo

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BACKENDS = ("one", "two", "three")
REPLICAS = 2
USUAL = {"wait_ms": 150, "cpu_ms": 0.2, "cv": 0.5}
SLOWER = {**USUAL, "wait_ms": 450}
"""Three times; alone it is within its capacity, and far from the promise."""
FAILING = {**USUAL, "wait_ms": 1, "fail_ratio": 1.0}
RPS, THRESHOLD_MS = 36, 500
PROMISED_RATIO = 0.05
WINDOW_SECONDS, MOMENT_SECONDS = 30, 5
END = 1500
TEMPO = Tempo(5, 5)
"""Windows of 20 s: minutes, not an hour, until what was taken is given back."""
DRAINED = 0.015
"""Of the traffic: the least share, 1 %, and some more."""

Run = Callable[[Stage, Mapping[str, int]], AbstractContextManager[Proxy]]
PROXIES = pytest.mark.parametrize(("run", "kind"), [(envoy_gateway, HTTP_ROUTE), (traefik, TRAEFIK_SERVICE)])


@dataclass
class Shop:
    """Three backends under steady load, and the promise for all of them."""

    stage: Stage
    proxy: Proxy
    load: Load

    def kept(self) -> bool:
        """Over the last window, as users see it."""
        return self.bad() <= PROMISED_RATIO

    def bad(self) -> float:
        now = self.load.now()
        return self.load.over_ratio(now - WINDOW_SECONDS, now + 1)

    def was_bad(self, since: int, ratio: float) -> bool:
        """Whether users saw more than that in some moment since: what is cured at once is soon over."""
        seconds = [each for each in self.load.seconds() if each["t"] >= since]
        moments = (seconds[first : first + MOMENT_SECONDS] for first in range(len(seconds) - MOMENT_SECONDS + 1))
        return any(sum(each["over"] - ratio * each["sent"] for each in moment) > 0 for moment in moments)

    def share(self, name: str) -> float:
        """As the weights say; printed for whoever reads along."""
        shares = self.proxy.shares(self.stage)
        print(f"{self.load.now()} s, bad {self.bad():.1%},", *(f"{each} {share:.1%}" for each, share in shares.items()))
        return shares[name]

    def replicas(self) -> dict[str, int]:
        return {name: self.stage.replicas(f"deployment/{name}") for name in BACKENDS}

    def moves(self) -> list[str]:
        """Why weights were moved."""
        history = self.stage.status("shop")["history"]
        return [each["why"] for each in history if each["lever"] == "traffic" and each["result"] == "Applied"]


@contextmanager
def opened(stage: Stage, run: Run, kind: RouteKind) -> Iterator[Shop]:
    stage = replace(stage, tempo=TEMPO)
    stage.prometheus()
    for name in BACKENDS:
        stage.service(name, replicas=REPLICAS, workers=8, behaviour=USUAL)
    with run(stage, dict.fromkeys(BACKENDS, 1)) as proxy:
        stage.operator({"levers": ["replicas", "traffic"], "routeKinds": [kind.model_dump()]})
        load = stage.load(proxy.entrance, f"t_seconds,rps\n0,{RPS}\n{END},0\n", threshold_ms=THRESHOLD_MS)
        load.wait_until(WINDOW_SECONDS)
        stage.slo("shop", promise(kind.group, kind.kind))
        shop = Shop(stage, proxy, load)
        stage.eventually("the promise is kept", shop.kept, seconds=180)
        yield shop


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


def promise(group: str, kind: str) -> JSON:
    return shared_promise(
        BACKENDS, THRESHOLD_MS, mode="Auto", routeRef={"group": group, "kind": kind, "name": "shared"}
    )
