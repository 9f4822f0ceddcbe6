"""Weights that are written, and what real proxies then do with real requests."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import pytest

from perfslo.core.model import ChangeResult, Route
from perfslo.core.steps import TargetRef, Weigh
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.actuators.routes import RouteActuator
from perfslo.settings import HTTP_ROUTE, RouteKind
from tests.cluster.mirrors import eventually
from tests.cluster.proxies import TRAEFIK_SERVICE, Proxy, envoy_gateway, traefik
from tests.cluster.stage import Stage
from tests.cluster.writes.hand import Hand
from tests.cluster.writes.watched import seen_route

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BACKENDS = ("one", "two", "three")
RPS, SECONDS = 60, 20
PROPAGATION_SECONDS = 5.0
"""From the route to the proxy's own configuration, of which nobody tells."""
WIDE = 4.5
"""Standard errors: one such test in a hundred thousand would fail by chance."""


def counted(stage: Stage) -> dict[str, float]:
    """Requests that each backend's own pods have answered."""
    counts = dict.fromkeys(BACKENDS, 0.0)
    for name in BACKENDS:
        for pod in stage.pods(f"app={name}"):
            where = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
            for line in stage.kubectl("get", "--raw", where).splitlines():
                if line.startswith("http_server_request_duration_seconds_count{"):
                    counts[name] += float(line.rpartition(" ")[2])
    return counts


def shared(stage: Stage, proxy: Proxy) -> dict[str, float]:
    """Share of each backend in a thousand requests and more through the proxy."""
    before = counted(stage)
    load = stage.load(proxy.entrance, f"t_seconds,rps\n0,{RPS}\n{SECONDS},0\n", threshold_ms=500)
    load.wait_until(SECONDS - 1)
    stage.eventually("the load is over", lambda: len(load.lines()) > len(load.seconds()))
    after = counted(stage)
    answered = {name: after[name] - before[name] for name in BACKENDS}
    assert sum(answered.values()) >= 1000
    print(answered)
    return {name: answered[name] / sum(answered.values()) for name in BACKENDS}


def within(seen: Mapping[str, float], weights: Mapping[str, int]) -> bool:
    total = sum(weights.values())
    expected = {name: weight / total for name, weight in weights.items()}
    requests = RPS * SECONDS
    return all(
        abs(seen[name] - share) <= WIDE * math.sqrt(share * (1 - share) / requests) for name, share in expected.items()
    )


@pytest.mark.parametrize(
    ("run", "kind", "proves"), [(envoy_gateway, HTTP_ROUTE, True), (traefik, TRAEFIK_SERVICE, None)]
)
async def test_requests_follow_the_weights(
    hand: Hand,
    run: Callable[[Stage, Mapping[str, int]], AbstractContextManager[Proxy]],
    kind: RouteKind,
    proves: bool | None,
) -> None:
    stage, slo = hand.stage, hand.slo("web")
    for name in BACKENDS:
        stage.service(name, replicas=1, workers=8, behaviour={"wait_ms": 5, "cpu_ms": 0.2})
    actuator = RouteActuator(hand.api, hand.writer, hand.claims, (kind,))
    with run(stage, dict.fromkeys(BACKENDS, 1)) as proxy:
        async with seen_route(hand, kind, "shared", BACKENDS) as look:
            route = await eventually(look, "the route")
            assert max(route.weights.values()) - min(route.weights.values()) == 1, "thirds"
            await eventually(lambda: _seen(look).followed is proves, "it is followed")
            shares = await asyncio.to_thread(shared, stage, proxy)
            assert within(shares, route.weights)

            wanted = {"one": 7 * route.total // 10, "two": 3 * route.total // 10, "three": 0}
            ref = TargetRef(kind.group, kind.kind, "shared")
            step = Weigh(ref, current=dict(route.weights), wanted=wanted)
            change = await Levers(hand.claims, actuator).apply(Order(slo, step, "d1", 1.8e9, on_delete="Restore"))
            assert change.result is ChangeResult.APPLIED, change.why
            await eventually(lambda: actuator.verify(step, _seen(look)) is proves, "the weights are followed")
            await asyncio.sleep(PROPAGATION_SECONDS)
            shares = await asyncio.to_thread(shared, stage, proxy)
            assert within(shares, wanted)
            assert shares["three"] == 0, "no weight, no request"


def _seen(look: Callable[[], Route | None]) -> Route:
    route = look()
    assert route
    return route
