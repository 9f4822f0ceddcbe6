"""Weights of every kind of route, against a real API server with the real definitions of these kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perfslo.api.v1alpha1 import claim_name
from perfslo.core.model import JSON, Change, ChangeResult
from perfslo.core.steps import TargetRef, Weigh
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.actuators.routes import RouteActuator, original
from perfslo.edges.kube.client import JSON_PATCH
from perfslo.edges.kube.routes import DIALECTS, rules
from perfslo.errors import LostRace, NotLeading
from perfslo.settings import RouteKind
from tests.cluster.mirrors import eventually, publish
from tests.cluster.writes.hand import Hand
from tests.cluster.writes.watched import seen_route
from tests.conftest import Cluster, cluster_py
from tests.edges.route_objects import Weights, canary, http_route, traefik_service, virtual_service

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Case:
    kind: RouteKind
    make: Callable[[Weights], JSON]
    wanted: dict[str, int]
    """Of the backends a and b, for a route that had 40, 40 and, for one that is not listed, 20."""

    @property
    def ref(self) -> TargetRef:
        return TargetRef(self.kind.group, self.kind.kind, "checkout")

    @property
    def resource(self) -> str:
        return f"{self.kind.resource}.{self.kind.group}"


GATEWAY = RouteKind(group="gateway.networking.k8s.io", version="v1", kind="HTTPRoute", resource="httproutes")
ISTIO = RouteKind(group="networking.istio.io", version="v1", kind="VirtualService", resource="virtualservices")
TRAEFIK = RouteKind(group="traefik.io", version="v1alpha1", kind="TraefikService", resource="traefikservices")
NGINX = RouteKind(group="networking.k8s.io", version="v1", kind="Ingress", resource="ingresses")

CASES = [
    Case(GATEWAY, lambda weights: http_route(weights, {"x": 1}, names=("main", "rest")), {"a": 25, "b": 55}),
    Case(
        ISTIO,
        lambda weights: virtual_service(weights, {"x": 100}, names=("main", "rest"), domain=""),
        {"a": 25, "b": 55},
    ),
    Case(TRAEFIK, traefik_service, {"a": 25, "b": 55}),
]
BEFORE: Weights = {"a": 40, "b": 40, "other": 20}
every_kind = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.kind)


@pytest.fixture(scope="session")
def route_kinds(cluster: Cluster) -> None:
    """The definitions as their projects publish them. They stay: other test processes may be using them."""
    files = (
        Path(cluster_py("source", "gateway-api"), "config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml"),
        Path(cluster_py("source", "istio"), "kubernetes/customresourcedefinitions.gen.yaml"),
        Path(
            cluster_py("source", "traefik"),
            "docs/content/reference/dynamic-configuration/traefik.io_traefikservices.yaml",
        ),
    )
    publish(cluster, files, [f"{case.kind.resource}.{case.kind.group}" for case in CASES])


@dataclass
class Bench:
    hand: Hand

    def __post_init__(self) -> None:
        kinds = (GATEWAY, ISTIO, TRAEFIK, NGINX)
        self.routes = RouteActuator(self.hand.api, self.hand.writer, self.hand.claims, kinds)
        self.levers = Levers(self.hand.claims, self.routes)
        self.slo = self.hand.slo("web")

    def create(self, route: JSON) -> JSON:
        """It, as the API server keeps it."""
        manifest = {**route, "metadata": {k: route["metadata"].get(k) for k in ("name", "labels", "annotations")}}
        self.hand.stage.apply(json.dumps(manifest))
        return self.seen(route["kind"].lower(), route["apiVersion"].rpartition("/")[0])

    def seen(self, kind: str, group: str) -> JSON:
        found: JSON = self.hand.stage.get(f"{kind}.{group}", "checkout", "--show-managed-fields")
        return found

    async def shift(self, ref: TargetRef, current: dict[str, int], wanted: dict[str, int], rule: str = "") -> Change:
        step = Weigh(ref, rule=rule, current=current, wanted=wanted)
        return await self.levers.apply(Order(self.slo, step, "d1", 1.8e9, on_delete="Restore"))

    def end_after(self, writes: int) -> None:
        """Nothing more is written, as if the process had been killed."""
        left = iter(range(writes))

        def fence() -> None:
            if next(left, None) is None:
                raise NotLeading("killed")

        self.hand.writer.fence = fence

    def change(self, kind: RouteKind, *operations: JSON) -> None:
        """As somebody else."""
        where = f"{kind.resource}.{kind.group}/checkout"
        self.hand.stage.kubectl("patch", where, "--type=json", f"--patch={json.dumps(operations)}")


@pytest.fixture
def bench(hand: Hand, route_kinds: None) -> Bench:
    return Bench(hand)


def rule_of(case: Case) -> str:
    return "" if case.kind is TRAEFIK else "main"


def backends(case: Case, route: JSON) -> list[JSON]:
    match case.kind.kind:
        case "HTTPRoute":
            found = route["spec"]["rules"][0]["backendRefs"]
        case "VirtualService":
            found = route["spec"]["http"][0]["route"]
        case _:
            found = route["spec"]["weighted"]["services"]
    assert isinstance(found, list)
    return found


def expected(case: Case, before: JSON, wanted: dict[str, int]) -> JSON:
    """The specification as it was, with these two weights."""
    after = deepcopy(before)
    for backend, weight in zip(backends(case, after), wanted.values(), strict=False):
        backend["weight"] = weight
    return dict(after["spec"])


@every_kind
async def test_weights_are_moved_and_all_else_is_as_it_was(bench: Bench, case: Case) -> None:
    before = bench.create(case.make(BEFORE))
    change = await bench.shift(case.ref, {"a": 40, "b": 40}, case.wanted, rule_of(case))
    assert change.result is ChangeResult.APPLIED, change.why
    after = bench.seen(case.kind.kind.lower(), case.kind.group)
    assert after["spec"] == expected(case, before, case.wanted)
    assert sum(case.wanted.values()) == 80, "the backend that is not listed keeps its share"
    ours = [entry for entry in after["metadata"]["managedFields"] if entry["manager"] == "perfslo"]
    assert [entry["operation"] for entry in ours] == ["Update"]

    again = await bench.shift(case.ref, case.wanted, case.wanted, rule_of(case))
    assert again.result is ChangeResult.APPLIED
    unchanged = bench.seen(case.kind.kind.lower(), case.kind.group)
    assert unchanged["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"], "no write, no new version"


@every_kind
async def test_a_weight_of_zero_is_there_and_not_left_out(bench: Bench, case: Case) -> None:
    bench.create(case.make(BEFORE))
    assert (await bench.shift(case.ref, {"a": 40, "b": 40}, {"a": 0, "b": 80}, rule_of(case))).result == "Applied"
    seen = bench.seen(case.kind.kind.lower(), case.kind.group)
    assert backends(case, seen)[0]["weight"] == 0
    assert (await bench.shift(case.ref, {"a": 0, "b": 80}, {"a": 10, "b": 70}, rule_of(case))).result == "Applied"


@every_kind
async def test_claimed_and_put_back(bench: Bench, case: Case) -> None:
    before = bench.create(case.make(BEFORE))
    await bench.shift(case.ref, {"a": 40, "b": 40}, case.wanted, rule_of(case))
    field = f"weights/{rule_of(case)}" if rule_of(case) else "weights"
    claim = bench.hand.stage.get("leverclaim", claim_name(case.kind.group, case.kind.kind, "checkout", field))["spec"]
    assert (claim["field"], claim["originalValue"], claim["lastValue"]) == (field, '{"a":40,"b":40}', '{"a":25,"b":55}')
    (kept,) = bench.hand.claims
    print(await bench.levers.release(kept))
    assert bench.seen(case.kind.kind.lower(), case.kind.group)["spec"] == before["spec"]
    assert bench.hand.claims_there() == 0


@pytest.mark.parametrize("writes", [1, 2], ids=["before the route", "before the status"])
@every_kind
async def test_what_was_found_outlives_an_operator_that_is_killed_while_it_writes(
    bench: Bench, case: Case, writes: int
) -> None:
    before = bench.create(case.make(BEFORE))
    bench.end_after(writes)
    with suppress(NotLeading):
        await bench.shift(case.ref, {"a": 40, "b": 40}, case.wanted, rule_of(case))
    after = Bench(bench.hand.restarted())
    await after.hand.claims.refresh()
    async with seen_route(after.hand, case.kind, "checkout", case.wanted, rule_of(case)) as look:
        route = await eventually(look, "the route")
    assert route.weights == (case.wanted if writes == 2 else {"a": 40, "b": 40})
    claimed = original(after.hand.claims, after.hand.stage.namespace, route)
    assert claimed == ({"a": 40, "b": 40} if writes == 2 else None), "else they are not ours"
    (kept,) = after.hand.claims
    print(await after.levers.release(kept))
    assert after.seen(case.kind.kind.lower(), case.kind.group)["spec"] == before["spec"]


@every_kind
async def test_whoever_writes_meanwhile_wins(bench: Bench, case: Case) -> None:
    before = bench.create(case.make(BEFORE))
    path = {"HTTPRoute": "/spec/rules/0/backendRefs/0", "VirtualService": "/spec/http/0/route/0"}
    weight = f"{path.get(case.kind.kind, '/spec/weighted/services/0')}/weight"
    bench.change(case.kind, {"op": "replace", "path": weight, "value": 45})
    change = await bench.shift(case.ref, {"a": 40, "b": 40}, case.wanted, rule_of(case))
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith("LostRace: ")

    dialect = DIALECTS[case.kind.group, case.kind.kind]
    read = dialect.project(before)
    rule = rules.choose(read, rule_of(case), case.wanted)
    assert isinstance(rule, rules.Rule)
    stale = rules.patch(dialect, read, rule, case.wanted)
    where = (
        f"/apis/{case.kind.group}/{case.kind.version}/namespaces/{bench.hand.stage.namespace}"
        f"/{case.kind.resource}/checkout"
    )
    for patch in (stale, [each for each in stale if each["path"] != "/metadata/resourceVersion"]):
        if patch is not stale:  # in another order, and nothing else
            listed = "/spec/rules" if case.kind is GATEWAY else "/spec/http" if case.kind is ISTIO else ""
            if not listed:
                break
            order: list[Any] = before["spec"]["rules" if case.kind is GATEWAY else "http"]
            bench.change(case.kind, {"op": "replace", "path": listed, "value": order[::-1]})
        with pytest.raises(LostRace):
            await bench.hand.writer.send("PATCH", where, patch, content_type=JSON_PATCH)
    assert backends(case, bench.create(case.make(BEFORE)))[0]["weight"] == 40


@pytest.mark.parametrize(
    ("manager", "labels", "annotations", "tool"),
    [
        ("argocd-controller", {"app.kubernetes.io/instance": "shop"}, {}, "Argo CD Application shop"),
        ("kubectl", {}, {"argocd.argoproj.io/tracking-id": "shop:x"}, "Argo CD Application shop"),
        ("kustomize-controller", {"kustomize.toolkit.fluxcd.io/name": "shop"}, {}, "Flux Kustomization shop"),
    ],
)
async def test_gitops_is_seen_before_the_first_write(
    bench: Bench, manager: str, labels: dict[str, str], annotations: dict[str, str], tool: str
) -> None:
    route = http_route(BEFORE, names=("main",))
    manifest = {**route, "metadata": {"name": "checkout", "labels": labels, "annotations": annotations}}
    bench.hand.stage.kubectl(
        "apply", "--server-side", f"--field-manager={manager}", "--filename=-", stdin=json.dumps(manifest)
    )
    change = await bench.shift(CASES[0].ref, {"a": 40, "b": 40}, {"a": 25, "b": 55}, "main")
    assert change.result is ChangeResult.REFUSED
    assert f"WriteConflict: {tool} also writes the weights of HTTPRoute/checkout: " in change.why
    assert bench.hand.claims_there() == 0
    bench.hand.stage.kubectl("label", "httproute", "checkout", "perfslo.io/managed=true")
    assert (await bench.shift(CASES[0].ref, {"a": 40, "b": 40}, {"a": 25, "b": 55}, "main")).result == "Applied"


async def test_a_tool_that_puts_them_back_twice_is_not_fought(bench: Bench) -> None:
    route = http_route(BEFORE, names=("main",))
    manifest = json.dumps({**route, "metadata": {"name": "checkout"}})
    sync = ("apply", "--server-side", "--force-conflicts", "--field-manager=somebody", "--filename=-")
    bench.hand.stage.kubectl(*sync, stdin=manifest)
    for _ in range(2):
        assert (await bench.shift(CASES[0].ref, {"a": 40, "b": 40}, {"a": 25, "b": 55}, "main")).result == "Applied"
        bench.hand.stage.kubectl(*sync, stdin=manifest)
    change = await bench.shift(CASES[0].ref, {"a": 40, "b": 40}, {"a": 25, "b": 55}, "main")
    assert change.why.startswith(
        "WriteConflict: the weights of HTTPRoute/checkout, last by somebody, were changed 2 times"
    )


async def test_a_canary_of_nginx_is_an_annotation(bench: Bench) -> None:
    before = bench.create(canary("new", 20))
    ref = TargetRef(NGINX.group, NGINX.kind, "checkout")
    change = await bench.shift(ref, {"old": 80, "new": 20}, {"old": 65, "new": 35})
    assert change.result is ChangeResult.APPLIED, change.why
    after = bench.seen("ingress", NGINX.group)
    assert after["spec"] == before["spec"]
    weight = "nginx.ingress.kubernetes.io/canary-weight"
    assert after["metadata"]["annotations"] == {**before["metadata"]["annotations"], weight: "35"}
    (kept,) = bench.hand.claims
    await bench.levers.release(kept)
    assert bench.seen("ingress", NGINX.group)["metadata"]["annotations"][weight] == "20"


async def test_a_write_counts_when_the_gateways_controller_has_taken_it_on(bench: Bench) -> None:
    case = CASES[0]
    bench.create(case.make(BEFORE))
    async with seen_route(bench.hand, GATEWAY, "checkout", case.wanted, "main") as look:

        def note() -> str | None:
            """Empty when it is followed; None while the route is not seen."""
            return None if (route := look()) is None else "" if route.followed else route.note

        def says(kind: str, status: str) -> None:
            """The condition of the only parent, for the route as it is now."""
            generation = bench.seen("httproute", GATEWAY.group)["metadata"]["generation"]
            condition = {"type": kind, "status": status, "reason": "Because", "message": ""}
            condition |= {"observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            parent = {"parentRef": {"name": "gateway"}, "controllerName": "example.com/it", "conditions": [condition]}
            patch = json.dumps({"status": {"parents": [parent]}})
            bench.hand.stage.kubectl(
                "patch", case.resource, "checkout", "--subresource=status", "--type=merge", "-p", patch
            )

        await eventually(lambda: (note() or "").startswith("no controller serves it"), "nobody serves it")
        says("Accepted", "True")
        await eventually(lambda: note() == "", "it is followed")
        await bench.shift(case.ref, {"a": 40, "b": 40}, case.wanted, "main")
        await eventually(lambda: "has not seen its last change" in (note() or ""), "the write is not followed yet")
        says("Accepted", "False")
        await eventually(lambda: note() == "Gateway gateway says Accepted=False (Because)", "the write is refused")
        says("Accepted", "True")
        await eventually(lambda: note() == "", "the write is followed")
