"""A route that no controller serves: nothing is written to it, and the status says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfslo.settings import HTTP_ROUTE
from tests.cluster.mirrors import publish
from tests.cluster.proxies import http_route, shared_promise
from tests.cluster.stage import Stage
from tests.conftest import Cluster, cluster_py

pytestmark = pytest.mark.cluster

BACKENDS = ("one", "two")
SLOWER = {"wait_ms": 300, "cpu_ms": 0.2}
FAST = {"wait_ms": 20, "cpu_ms": 0.2}


@pytest.fixture(scope="session")
def http_routes(cluster: Cluster) -> None:
    """The definition as its project publishes it. It stays: other test processes may be using it."""
    file = "config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml"
    publish(cluster, (Path(cluster_py("source", "gateway-api"), file),), [f"{HTTP_ROUTE.resource}.{HTTP_ROUTE.group}"])


def test_weights_that_nobody_serves_are_left_alone_and_the_status_says_why(stage: Stage, http_routes: None) -> None:
    stage.prometheus()
    for name, behaviour in zip(BACKENDS, (SLOWER, FAST), strict=True):
        stage.service(name, workers=8, behaviour=behaviour)
    stage.apply(json.dumps(http_route(dict.fromkeys(BACKENDS, 1))))
    stage.operator({"levers": ["replicas", "traffic"], "routeKinds": [HTTP_ROUTE.model_dump()]})
    for name in BACKENDS:  # past the route, as nothing else gets there
        stage.load(name, "t_seconds,rps\n0,15\n600,0\n", threshold_ms=150).wait_until(5)
    reference = {"group": HTTP_ROUTE.group, "kind": HTTP_ROUTE.kind, "name": "shared"}
    stage.slo("shop", shared_promise(BACKENDS, 150, mode="Auto", routeRef=reference))

    def slow_one() -> bool:
        backends = {each["name"]: each.get("p95") for each in stage.status("shop").get("backends", ())}
        return bool(backends.get("one") and stage.condition("shop", "SLOMet")["status"] == "False")

    stage.eventually("one is seen to break the promise", slow_one)
    version = stage.get("httproute", "shared")["metadata"]["resourceVersion"]
    told = stage.eventually(
        "the status says that nobody serves it",
        lambda: (found := stage.condition("shop", "Actuating"))["reason"] == "NotFollowed" and found,
    )
    assert (
        "HTTPRoute/shared is not served as it is written (no controller serves it: check its parentRefs"
        in told["message"]
    )
    stage.holds(
        "nothing is written",
        lambda: stage.get("httproute", "shared")["metadata"]["resourceVersion"] == version,
        seconds=stage.cycles(8),
    )
