"""Routes as the mirrors show them to the core: of the enabled kinds, with the listed backends only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pytest
from pydantic import ValidationError

from perfslo.core.model import JSON, OtherWriter, Route, TargetProblem
from perfslo.core.steps import TargetRef
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.routes import DIALECTS
from perfslo.edges.kube.world import World
from perfslo.errors import NotFound
from perfslo.settings import HTTP_ROUTE, ROUTE_KINDS, RouteKind, Settings
from tests.cluster.mirrors import eventually
from tests.edges.route_objects import canary, http_route, ingress
from tests.edges.test_world import Server, seen

INGRESS = RouteKind(group="networking.k8s.io", version="v1", kind="Ingress", resource="ingresses")
SETTINGS = Settings(levers=("replicas", "traffic"), route_kinds=(HTTP_ROUTE, INGRESS))


@dataclass(frozen=True)
class Ref:
    kind: str = "HTTPRoute"
    name: str = "checkout"
    group: str = "gateway.networking.k8s.io"
    rule_name: str | None = None


CANARY = Ref("Ingress", group="networking.k8s.io")


def listed(route: JSON) -> JSON:
    """As in a list of a built-in kind, whose items do not say what they are."""
    return {key: value for key, value in route.items() if key not in ("kind", "apiVersion")}


async def look(server: Server, ref: Ref, *backends: str, settings: Settings = SETTINGS) -> Route | TargetProblem:
    async with seen(server, settings) as mirrors:

        def shown() -> Route | TargetProblem | None:
            found = mirrors.route("shop", ref, backends)
            return None if isinstance(found, TargetProblem) and found.reason == "ClusterOutOfSight" else found

        return await eventually(shown, "the mirror in touch")


async def test_a_route_is_shown_with_the_listed_backends_in_their_order() -> None:
    tracked = {"argocd.argoproj.io/tracking-id": "shop-app:x"}
    route = http_route({"a": 60, "b": 30, "other": 10}, names=("main",), annotations=tracked)
    shown = await look(Server(httproutes=[route]), Ref(rule_name="main"), "b", "a")
    assert isinstance(shown, Route)
    assert (shown.ref, shown.rule, shown.uid) == (
        TargetRef("gateway.networking.k8s.io", "HTTPRoute", "checkout"),
        "main",
        "u-1",
    )
    assert list(shown.weights.items()) == [("b", 30), ("a", 60)]
    assert shown.total == 90
    assert shown.followed is False
    assert "no controller serves it" in shown.note
    assert [type(writer) for writer in shown.other_writers] == [OtherWriter]


@pytest.mark.parametrize(
    ("ref", "backends", "reason", "words"),
    [
        (Ref(name="absent"), ("a", "b"), "RouteNotFound", "no HTTPRoute/absent in namespace shop: create it, or"),
        (Ref(), ("a", "c"), "RouteNotUsable", "HTTPRoute/checkout has no backend c (it has a, b)"),
        (Ref("TraefikService", group="traefik.io"), ("a", "b"), "KindNotEnabled", "value routeKinds"),
    ],
)
async def test_else_it_says_what_to_do(ref: Ref, backends: tuple[str, ...], reason: str, words: str) -> None:
    problem = await look(Server(httproutes=[http_route({"a": 1, "b": 1})]), ref, *backends)
    assert isinstance(problem, TargetProblem)
    assert problem.reason == reason
    assert words in problem.message


async def test_weights_are_shown_as_they_would_be_written() -> None:
    shown = await look(Server(httproutes=[http_route({"a": 1, "b": 1, "c": 1})]), Ref(), "a", "b", "c")
    assert isinstance(shown, Route)
    assert (dict(shown.weights), shown.total) == ({"a": 334, "b": 333, "c": 333}, 1000)
    nothing = await look(Server(httproutes=[http_route({"a": 0, "b": 0})]), Ref(), "a", "b")
    assert isinstance(nothing, TargetProblem)
    assert "gives these backends no requests at all" in nothing.message


async def test_without_the_lever_no_route_is_watched() -> None:
    problem = await look(Server(httproutes=[http_route({"a": 1, "b": 1})]), Ref(), "a", "b", settings=Settings())
    assert isinstance(problem, TargetProblem)
    assert "(enabled: none)" in problem.message
    assert "traffic to levers" in problem.message


async def test_a_kind_that_is_not_served_stops_nobody() -> None:
    class Without(Server):
        async def request(self, method: str, path: str, *, query: Mapping[str, str], accept: str) -> JSON:
            if path.endswith("httproutes"):
                raise NotFound("no such kind")
            return await super().request(method, path, query=query, accept=accept)

    problem = await look(Without(), Ref(), "a", "b")
    assert isinstance(problem, TargetProblem)
    assert problem.reason == "KindNotServed"
    assert "install its CustomResourceDefinition" in problem.message


async def test_the_rest_of_a_canary_goes_to_its_main_ingress() -> None:
    ingresses = [listed(canary("new", 20)), listed(ingress("old", name="main"))]
    shown = await look(Server(ingresses=ingresses), CANARY, "old", "new")
    assert isinstance(shown, Route)
    assert (dict(shown.weights), shown.total, shown.followed) == ({"old": 80, "new": 20}, 100, None)
    stranger = await look(Server(ingresses=ingresses), CANARY, "older", "new")
    assert isinstance(stranger, TargetProblem)
    assert (
        "is no canary of older: name the Service of the main Ingress with the same host and path (old)"
        in stranger.message
    )


def test_only_kinds_with_a_dialect_can_be_enabled() -> None:
    assert set(ROUTE_KINDS) == set(DIALECTS)
    with pytest.raises(ValidationError, match=r"GRPCRoute\.x: its weights are not known \(known: HTTPRoute\.gateway"):
        RouteKind(group="x", version="v1", kind="GRPCRoute", resource="grpcroutes")


def test_the_mirrors_of_routes_are_among_those_that_are_watched_over() -> None:
    resources = [mirror.resource for mirror in World(cast(Api, None), SETTINGS).reflectors]
    assert {"httproutes", "ingresses"} <= set(resources)
