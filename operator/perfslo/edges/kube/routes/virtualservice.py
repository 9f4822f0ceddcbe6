"""VirtualService of Istio: `spec.http[].route[].weight`, 0 when it is not written.

A backend's name is its subset, or without one the first part of its host. Weights add up to 100: Istio before 1.15
refuses any other sum.
"""

from __future__ import annotations

from perfslo.core.model import JSON
from perfslo.edges.kube.routes.owners import other_writers
from perfslo.edges.kube.routes.rules import Backend, Dialect, RouteObject, Rule, guard

KIND = ("networking.istio.io", "VirtualService")


def project(route: JSON) -> RouteObject:
    metadata, spec = route["metadata"], route.get("spec", {})
    return RouteObject(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        rules=tuple(
            _rule(f"/spec/http/{index}", rule, metadata["namespace"]) for index, rule in enumerate(spec.get("http", []))
        ),
        problem="" if spec.get("http") else "has no http routes: only these have weights that are written here",
        other_writers=other_writers(metadata, KIND, ".spec.http[].route[].weight"),
    )


def _rule(path: str, rule: JSON, namespace: str) -> Rule:
    name = rule.get("name", "")
    pins = [guard(f"{path}/{field}", rule[field]) for field in ("name", "match") if field in rule]
    backends = (
        _backend(f"{path}/route/{index}", backend, namespace) for index, backend in enumerate(rule.get("route", []))
    )
    return Rule(tuple(backends), name, tuple(pins))


def _backend(path: str, backend: JSON, namespace: str) -> Backend:
    destination = backend["destination"]
    return Backend(
        name=destination.get("subset") or _service(destination["host"], namespace),
        weight=backend.get("weight", 0),
        path=f"{path}/weight",
        explicit="weight" in backend,
        guards=(guard(f"{path}/destination", destination),),
    )


def _service(host: str, namespace: str) -> str:
    """The Service's name if it is of that namespace, else the whole host."""
    service, _, domain = host.partition(".")
    return service if not domain or domain.split(".")[0] == namespace else host


DIALECT = Dialect(project, total=100, fixed_total=True)
