"""A wasteful balancing policy of a real Envoy Gateway, under load: recommended, then set, judged, and put back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from perfslo.core.model import JSON
from perfslo.settings import HTTP_ROUTE, PolicyKind
from tests.cluster.proxies import Proxy, envoy_gateway, shared_promise
from tests.cluster.stage import Stage, Tempo

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BACKENDS = ("one", "two")
REPLICAS = 3
BEHAVIOUR = {"wait_ms": 200, "cpu_ms": 0.2, "cv": 1.0}
THRESHOLD_MS = 1200
"""Six times what a request takes: with two workers a pod, least-request should carry a quarter more."""
RPS = 52
"""Of 60 that the pods can complete."""
END = 1500
KIND = PolicyKind(
    group="gateway.envoyproxy.io", version="v1alpha1", kind="BackendTrafficPolicy", resource="backendtrafficpolicies"
)
RESOURCE = f"{KIND.resource}.{KIND.group}/shared"


@contextmanager
def opened(stage: Stage, policy: str) -> Iterator[Proxy]:
    """Two backends behind one route, with this balancing policy."""
    stage.prometheus()
    for name in BACKENDS:
        stage.service(name, replicas=REPLICAS, workers=2, behaviour=BEHAVIOUR)
    with envoy_gateway(stage, dict.fromkeys(BACKENDS, 1)) as proxy:
        stage.apply(json.dumps(written(policy)))
        kinds = {"routeKinds": [HTTP_ROUTE.model_dump()], "policyKinds": [KIND.model_dump()]}
        stage.operator({"levers": ["replicas", "traffic"], **kinds})
        yield proxy


def test_it_is_recommended_then_set_and_judged_and_put_back(stage: Stage) -> None:
    stage = replace(stage, tempo=Tempo(5, 5))
    with opened(stage, "Random") as proxy:
        stage.load(proxy.entrance, f"t_seconds,rps\n0,{RPS}\n{END},0\n", threshold_ms=THRESHOLD_MS)
        stage.slo("shop", promise("Recommend"))
        recommended = "with LeastRequest in BackendTrafficPolicy/shared pods may carry 25% more"
        stage.eventually("it is recommended", lambda: recommended in lever(stage).get("message", ""), seconds=180)
        assert (lever(stage)["mode"], lever(stage)["state"]) == ("Recommend", "Recommending")
        assert says(stage) == "Random"

        stage.slo("shop", promise("Auto"))
        stage.eventually("it is set", lambda: says(stage) == "LeastRequest", seconds=400)
        judged = stage.eventually("it is judged", lambda: verdict(stage), seconds=600, pause=5)
        assert judged == "Improved", stage.status("shop")["history"]
        assert says(stage) == "LeastRequest"

        stage.kubectl("delete", "perfslo", "shop", "--wait=false")
        stage.eventually("what was found is back", lambda: says(stage) == "Random", seconds=120)


def written(policy: str) -> dict[str, Any]:
    """The object that holds it."""
    target = {"group": HTTP_ROUTE.group, "kind": HTTP_ROUTE.kind, "name": "shared"}
    return {
        "apiVersion": f"{KIND.group}/{KIND.version}",
        "kind": KIND.kind,
        "metadata": {"name": "shared"},
        "spec": {"targetRefs": [target], "loadBalancer": {"type": policy}},
    }


def promise(policy: str) -> JSON:
    """Weights and replicas are recommended only."""
    return shared_promise(
        BACKENDS,
        THRESHOLD_MS,
        mode="Recommend",
        policy=policy,
        policyRef={"group": KIND.group, "kind": KIND.kind, "name": "shared"},
        routeRef={"group": HTTP_ROUTE.group, "kind": HTTP_ROUTE.kind, "name": "shared"},
    )


def says(stage: Stage) -> str:
    """What the policy is now."""
    return str(stage.get(RESOURCE)["spec"]["loadBalancer"]["type"])


def lever(stage: Stage) -> Mapping[str, Any]:
    """The policy's entry in the status; empty before there is one."""
    return next((each for each in stage.status("shop").get("levers", ()) if each["name"] == "traffic/policy"), {})


def verdict(stage: Stage) -> str:
    """On the policy; empty while there is none."""
    history = stage.status("shop").get("history", ())
    return next((each.get("verdict", "") for each in history if each["to"] == "LeastRequest"), "")
