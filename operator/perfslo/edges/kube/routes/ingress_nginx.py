"""Canary Ingress of ingress-nginx: an annotation says how much goes to its Service; the main Ingress gets the rest.

It knows two backends only. The route is the canary Ingress; the other backend is the Service of the main Ingress, which
is another object with the same host and path.
"""

from __future__ import annotations

from collections.abc import Iterable

from perfslo.core.model import JSON
from perfslo.edges.kube.routes.owners import other_writers
from perfslo.edges.kube.routes.rules import REST, Backend, Dialect, RouteObject, Rule, guard

KIND = ("networking.k8s.io", "Ingress")
PREFIX = "nginx.ingress.kubernetes.io/"
CANARY, WEIGHT, TOTAL = f"{PREFIX}canary", f"{PREFIX}canary-weight", f"{PREFIX}canary-weight-total"
DEFAULT_TOTAL = 100
"""Of ingress-nginx itself, which also ignores smaller ones."""


def project(route: JSON) -> RouteObject:
    metadata = route["metadata"]
    annotations = metadata.get("annotations", {})
    serves = frozenset(_paths(route.get("spec", {})))
    if annotations.get(CANARY) != "true":
        return RouteObject(
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            problem=f'is no canary: point routeRef at the Ingress with the annotation {CANARY}: "true"',
            serves=serves,
        )
    services = sorted({service for _, _, service in serves})
    return RouteObject(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        rules=(_rule(annotations, services[0]),) if len(services) == 1 else (),
        problem="" if len(services) == 1 else "is a canary of several Services: ingress-nginx weighs one against one",
        other_writers=other_writers(metadata, KIND, f'.metadata.annotations["{WEIGHT}"]'),
        serves=serves,
        is_canary=True,
    )


def mains(canary: RouteObject, ingresses: Iterable[RouteObject]) -> frozenset[str]:
    """Services of the main Ingresses for what this canary serves."""
    where = {(host, path) for host, path, _ in canary.serves}
    return frozenset(
        service
        for ingress in ingresses
        if not ingress.is_canary
        for host, path, service in ingress.serves
        if (host, path) in where
    )


def _rule(annotations: JSON, service: str) -> Rule:
    total = max(int(annotations.get(TOTAL, DEFAULT_TOTAL)), DEFAULT_TOTAL)
    weight = min(int(annotations.get(WEIGHT, 0)), total)
    canary = Backend(
        name=service,
        weight=weight,
        path=_pointer(WEIGHT),
        explicit=WEIGHT in annotations,
        guards=(guard(_pointer(CANARY), "true"),),
    )
    return Rule((canary, Backend(REST, total - weight)))


def _pointer(annotation: str) -> str:
    return f"/metadata/annotations/{annotation.replace('/', '~1')}"


def _paths(spec: JSON) -> Iterable[tuple[str, str, str]]:
    for rule in spec.get("rules", []):
        for path in rule.get("http", {}).get("paths", []):
            if service := path["backend"].get("service"):
                yield rule.get("host", ""), path.get("path", "/"), service["name"]
    if service := spec.get("defaultBackend", {}).get("service"):
        yield "", "", service["name"]


DIALECT = Dialect(project, total=DEFAULT_TOTAL, as_text=True)
