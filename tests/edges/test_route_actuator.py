"""Weights claimed, written, put back, and left alone. The API server is a double; all else is real."""

from __future__ import annotations

from typing import Any, cast

import pytest

from perfslo.api.v1alpha1 import LeverClaim
from perfslo.core.model import JSON, Change, ChangeResult
from perfslo.core.steps import TargetRef, Weigh
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.actuators.routes import HELD_SECONDS, RouteActuator
from perfslo.edges.claims import Claims
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.errors import ApiUnavailable, ConfigurationError, LostRace
from perfslo.settings import HTTP_ROUTE
from tests.edges.route_objects import http_route
from tests.edges.shelf import Shelf
from tests.edges.slos import slo

ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/checkout"
REF = TargetRef("gateway.networking.k8s.io", "HTTPRoute", "checkout")
START = 1.8e9


class Bench:
    """An operator's hand on one HTTPRoute with the backends a and b, and one that is none of its business."""

    def __init__(self, **metadata: Any) -> None:
        self.shelf = Shelf({ROUTE: http_route({"a": 45, "b": 45, "other": 10}, names=("main",), **metadata)})
        self.now = START
        self.restart()

    def restart(self) -> None:
        api = cast(Api, self.shelf)
        writer = Writer(api, lambda: None, timeout_seconds=5.0)
        self.claims = Claims(api, writer, ("shop",))
        self.hand = RouteActuator(api, writer, self.claims, (HTTP_ROUTE,))

    async def shift(self, current: tuple[int, int], wanted: tuple[int, int], **changes: Any) -> Change:
        """From and to these weights of a and b, a minute later."""
        self.now += 60.0
        step = Weigh(REF, rule="main", current=_named(current), wanted=_named(wanted))
        order = Order(slo(), step, f"d{wanted[0]}", self.now, on_delete="Restore")
        return await Levers(self.claims, self.hand).apply(Order(**{**_fields(order), **changes}))

    def set_weights(self, a: int, b: int) -> None:
        """As somebody else would."""
        route = self.shelf.objects[ROUTE]
        for backend, weight in zip(route["spec"]["rules"][0]["backendRefs"], (a, b), strict=False):
            backend["weight"] = weight
        self.shelf.put(ROUTE, route)

    @property
    def weights(self) -> list[int]:
        return [backend["weight"] for backend in self.shelf.objects[ROUTE]["spec"]["rules"][0]["backendRefs"]]

    @property
    def claim(self) -> LeverClaim:
        (claim,) = self.claims
        return claim


def _fields(order: Order) -> JSON:
    return {name: getattr(order, name) for name in order.__dataclass_fields__}


def _named(weights: tuple[int, int]) -> dict[str, int]:
    return dict(zip("ab", weights, strict=True))


async def test_weights_are_claimed_then_written() -> None:
    bench = Bench()
    change = await bench.shift((45, 45), (30, 60))
    assert (change.result, change.why) == (ChangeResult.APPLIED, "traffic checkout a=45,b=45->a=30,b=60")
    assert bench.weights == [30, 60, 10]
    assert [method for method, _ in bench.shelf.asked] == ["POST", "PATCH"]
    assert bench.shelf.asked[-1][1] == ROUTE
    claim = bench.claim.spec
    assert (claim.target_ref.kind, claim.target_ref.name, claim.target_ref.uid) == ("HTTPRoute", "checkout", "u-1")
    assert (claim.field, claim.original_value, claim.last_value) == (
        "weights/main",
        '{"a":45,"b":45}',
        '{"a":30,"b":60}',
    )
    assert (await bench.shift((30, 60), (20, 70))).result is ChangeResult.APPLIED
    assert (bench.claim.spec.original_value, bench.claim.spec.previous_value) == ('{"a":45,"b":45}', '{"a":30,"b":60}')


async def test_a_recommendation_touches_nothing() -> None:
    bench = Bench()
    assert (await bench.shift((45, 45), (30, 60), recommend_only=True)).result is ChangeResult.RECOMMENDED
    assert bench.shelf.asked == []


async def test_small_weights_are_decided_on_as_they_would_be_written() -> None:
    bench = Bench()
    del bench.shelf.objects[ROUTE]["spec"]["rules"][0]["backendRefs"][2]
    bench.set_weights(1, 1)
    assert (await bench.shift((1, 1), (0, 2))).result is ChangeResult.REFUSED
    assert (await bench.shift((500, 500), (400, 600))).result is ChangeResult.APPLIED
    assert bench.claim.spec.original_value == '{"a":1,"b":1}'
    await bench.hand.restore(bench.claim)
    assert bench.weights == [1, 1]


async def test_what_was_decided_on_other_weights_is_decided_anew() -> None:
    bench = Bench()
    bench.set_weights(50, 40)
    change = await bench.shift((45, 45), (30, 60))
    assert (change.result, bench.shelf.asked) == (ChangeResult.REFUSED, [])
    assert change.why == (
        'LostRace: HTTPRoute/checkout has other weights by now ({"a":50,"b":40}) than this was decided on'
    )


@pytest.mark.parametrize("answer", [LostRace("409"), ApiUnavailable("504")])
async def test_a_write_that_is_refused_or_lost_is_neither_forced_nor_repeated(answer: ApiUnavailable) -> None:
    bench = Bench()
    await bench.shift((45, 45), (40, 50))
    bench.shelf.trouble = answer
    before = len(bench.shelf.asked)
    change = await bench.shift((40, 50), (30, 60))
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith(answer.reason)
    assert len(bench.shelf.asked) == before + 1


async def test_a_rule_that_is_gone_is_told() -> None:
    bench = Bench()
    bench.shelf.objects[ROUTE]["spec"]["rules"][0]["name"] = "other"
    change = await bench.shift((45, 45), (30, 60))
    assert "HTTPRoute/checkout has no rule main: correct routeRef.ruleName" in change.why


async def test_a_route_of_gitops_is_left_alone_until_its_owner_consents() -> None:
    tracked = {"argocd.argoproj.io/tracking-id": "shop-app:x"}
    change = await Bench(annotations=tracked).shift((45, 45), (30, 60))
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith(
        "WriteConflict: Argo CD Application shop-app also writes the weights of HTTPRoute/checkout: add to its spec"
    )
    consented = Bench(annotations=tracked, labels={"perfslo.io/managed": "true"})
    assert (await consented.shift((45, 45), (30, 60))).result is ChangeResult.APPLIED


async def test_weights_that_are_put_back_twice_are_not_written_again_for_an_hour() -> None:
    bench = Bench(managedFields=[{"manager": "flux", "time": "2026-01-01T00:00:00Z"}])
    for _ in range(2):
        assert (await bench.shift((45, 45), (30, 60))).result is ChangeResult.APPLIED
        bench.set_weights(45, 45)
    change = await bench.shift((45, 45), (30, 60))
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith("WriteConflict: the weights of HTTPRoute/checkout, last by flux, were changed 2 times")
    assert "set levers.traffic.mode: Recommend" in change.why
    assert bench.weights == [45, 45, 10]
    bench.now += HELD_SECONDS
    assert (await bench.shift((45, 45), (30, 60))).result is ChangeResult.APPLIED


async def test_a_change_by_hand_now_and_then_is_taken_as_the_new_original() -> None:
    bench = Bench()
    await bench.shift((45, 45), (30, 60))
    bench.set_weights(80, 10)
    assert (await bench.shift((80, 10), (70, 20))).result is ChangeResult.APPLIED
    assert bench.claim.spec.original_value == '{"a":80,"b":10}'
    bench.now += HELD_SECONDS
    bench.set_weights(80, 10)
    assert (await bench.shift((80, 10), (70, 20))).result is ChangeResult.APPLIED


async def test_the_first_weights_are_put_back() -> None:
    bench = Bench()
    await bench.shift((45, 45), (30, 60))
    await bench.shift((30, 60), (20, 70))
    bench.restart()
    await bench.claims.refresh()
    assert bench.hand.undoes(bench.claim)
    done = await bench.hand.restore(bench.claim)
    assert done == 'HTTPRoute/checkout put back from {"a":20,"b":70} to {"a":45,"b":45}'
    assert bench.weights == [45, 45, 10]


async def test_weights_of_somebody_else_or_of_another_route_are_not_put_back() -> None:
    bench = Bench()
    await bench.shift((45, 45), (30, 60))
    bench.set_weights(50, 40)
    assert "was changed since" in await bench.hand.restore(bench.claim)
    assert bench.weights == [50, 40, 10]
    bench.shelf.objects[ROUTE]["spec"]["rules"][0]["backendRefs"].pop()
    bench.shelf.objects[ROUTE]["spec"]["rules"][0]["backendRefs"].pop()
    assert "has no backend b (it has a)" in await bench.hand.restore(bench.claim)
    bench.shelf.objects[ROUTE]["metadata"]["uid"] = "u-2"
    assert "was replaced by another of its name" in await bench.hand.restore(bench.claim)
    del bench.shelf.objects[ROUTE]
    bench.shelf.serve("gateway.networking.k8s.io/v1", "httproutes")
    assert await bench.hand.restore(bench.claim) == "HTTPRoute/checkout is gone"


@pytest.mark.parametrize("served", [(), ("grpcroutes",)])
async def test_a_route_of_a_version_that_is_not_served_is_not_taken_for_gone(served: tuple[str, ...]) -> None:
    bench = Bench()
    await bench.shift((45, 45), (30, 60))
    del bench.shelf.objects[ROUTE]
    if served:
        bench.shelf.serve("gateway.networking.k8s.io/v1", *served)
    with pytest.raises(ConfigurationError, match=r"does not serve httproutes of gateway\.networking"):
        await bench.hand.restore(bench.claim)


async def test_a_kind_that_is_not_enabled_is_refused() -> None:
    bench = Bench()
    step = Weigh(TargetRef("traefik.io", "TraefikService", "x"), current=_named((1, 1)), wanted=_named((1, 2)))
    change = await bench.shift((45, 45), (30, 60), step=step)
    assert "TraefikService/x cannot be written: ask the administrator to add its kind to routeKinds" in change.why
