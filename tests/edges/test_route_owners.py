"""Who else writes a route's weights, from its labels, annotations and managedFields, and what to tell each of them."""

from typing import Any

import pytest

from perfslo.core.model import JSON, OtherWriter
from perfslo.edges.kube.routes import httproute
from perfslo.edges.kube.routes.owners import last_manager
from tests.edges.route_objects import http_route

TRACKED = {"argocd.argoproj.io/tracking-id": "shop-app:gateway.networking.k8s.io/HTTPRoute:shop/checkout"}
KUSTOMIZED = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
RELEASED = {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
BY_ARGO = [{"manager": "argocd-controller", "operation": "Apply", "time": "2026-01-01T00:00:00Z"}]


def writers(**metadata: Any) -> tuple[OtherWriter, ...]:
    return httproute.project(http_route({"a": 1, "b": 1}, **metadata)).other_writers


def test_argo_cd_gets_the_lines_of_its_application() -> None:
    (writer,) = writers(annotations=TRACKED)
    assert (writer.kind, writer.name) == ("Argo CD Application", "shop-app")
    assert writer.fix == (
        "add to its spec ignoreDifferences: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: checkout, "
        "jqPathExpressions: ['.spec.rules[].backendRefs[].weight']}] and "
        "syncPolicy: {syncOptions: [RespectIgnoreDifferences=true]}, "
        'and then label the HTTPRoute in git, metadata.labels: {perfslo.io/managed: "true"}'
    )


def test_argo_cd_is_known_by_its_label_only_where_it_wrote_itself() -> None:
    label = {"app.kubernetes.io/instance": "shop-app"}
    assert writers(labels=label) == ()
    assert [w.name for w in writers(labels=label, managedFields=BY_ARGO)] == ["shop-app"]


@pytest.mark.parametrize(
    ("labels", "kind", "fix"),
    [
        (
            KUSTOMIZED,
            "Flux Kustomization",
            "run `kubectl annotate httproute checkout -n shop kustomize.toolkit.fluxcd.io/reconcile=disabled`",
        ),
        (
            RELEASED,
            "Flux HelmRelease",
            "run `kubectl annotate httproute checkout -n shop helm.toolkit.fluxcd.io/driftDetection=disabled`",
        ),
    ],
)
def test_flux_gets_the_annotation_and_is_believed(labels: JSON, kind: str, fix: str) -> None:
    (writer,) = writers(labels=labels)
    assert writer == OtherWriter(kind, "shop", fix)
    name, _, value = fix.rstrip("`").rpartition(" ")[2].partition("=")
    assert writers(labels=labels, annotations={name: value}) == ()


@pytest.mark.parametrize("labels", [KUSTOMIZED, RELEASED, {}])
def test_the_owners_consent_is_enough(labels: JSON) -> None:
    assert writers(labels=labels, annotations=TRACKED)
    assert writers(labels={**labels, "perfslo.io/managed": "true"}, annotations=TRACKED) == ()


def test_who_moves_traffic_itself_is_not_shared_with() -> None:
    consent = {"perfslo.io/managed": "true"}
    canary = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "checkout", "uid": "u"}
    (flagger,) = writers(labels=consent, ownerReferences=[canary])
    assert (flagger.kind, flagger.name) == ("Flagger Canary", "checkout")
    assert "levers.traffic.mode: Recommend" in flagger.fix
    assert writers(ownerReferences=[{**canary, "apiVersion": "example.com/v1"}]) == ()

    rollouts = [
        writers(labels={**consent, "rollouts.argoproj.io/gatewayapi-canary": "in-progress"}),
        writers(labels=consent, managedFields=[{"manager": "rollouts-controller"}]),
        writers(labels=consent, annotations={"argo-rollouts.argoproj.io/managed-by-rollouts": "checkout"}),
    ]
    assert [[w.kind for w in found] for found in rollouts] == [["Argo Rollout"]] * 3


def test_nobody_else() -> None:
    assert writers(labels={"app.kubernetes.io/managed-by": "Helm"}, managedFields=[{"manager": "kubectl"}]) == ()


def test_who_wrote_last() -> None:
    written = [
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
        {"manager": "argocd-controller", "time": "2026-01-02T00:00:00Z"},
        {"manager": "perfslo", "time": "2026-01-03T00:00:00Z"},
        {"manager": "envoy-gateway", "subresource": "status", "time": "2026-01-04T00:00:00Z"},
    ]
    assert last_manager({"managedFields": written}) == "argocd-controller"
    assert last_manager({}) == ""


def proof(*parents: tuple[str, list[JSON]]) -> tuple[bool | None, str]:
    route = http_route({"a": 1, "b": 1})
    route["status"] = {"parents": [{"parentRef": {"name": name}, "conditions": said} for name, said in parents]}
    found = httproute.project(route)
    return found.followed, found.note


def said(kind: str, status: str = "True", generation: int = 3) -> JSON:
    return {"type": kind, "status": status, "observedGeneration": generation, "reason": "Because"}


def test_a_route_is_followed_when_each_parent_took_it_as_it_is_now() -> None:
    assert proof(("one", [said("Accepted")]), ("two", [said("Accepted"), said("Programmed")])) == (True, "")
    assert proof(("one", [said("Accepted"), said("ResolvedRefs", "False")])) == (True, "")  # not about following


@pytest.mark.parametrize(
    ("parents", "note"),
    [
        ((), "no controller serves it"),
        ((("one", [said("Accepted", generation=2)]),), "controller of Gateway one has not seen its last change"),
        (
            (("one", [said("Accepted")]), ("two", [said("Accepted", "False")])),
            "Gateway two says Accepted=False (Because)",
        ),
        ((("one", [said("Accepted"), said("Programmed", "False")]),), "Programmed=False"),
        ((("one", []),), "Gateway one has not accepted it"),
    ],
)
def test_else_it_says_who_did_not(parents: Any, note: str) -> None:
    followed, why = proof(*parents)
    assert followed is False
    assert note in why
