"""TraefikService (traefik.io): `spec.weighted.services[].weight`, 1 when it is not written."""

from __future__ import annotations

from perfslo.core.model import JSON
from perfslo.edges.kube.routes.owners import other_writers
from perfslo.edges.kube.routes.rules import Dialect, RouteObject, Rule, service

KIND = ("traefik.io", "TraefikService")


def project(route: JSON) -> RouteObject:
    metadata = route["metadata"]
    services = (route["spec"].get("weighted") or {}).get("services", [])
    backends = (
        service(f"/spec/weighted/services/{index}", reference, metadata["namespace"])
        for index, reference in enumerate(services)
    )
    return RouteObject(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        rules=(Rule(tuple(backends)),) if services else (),
        problem="" if services else "is not weighted: list the backends under spec.weighted.services",
        other_writers=other_writers(metadata, KIND, ".spec.weighted.services[].weight"),
    )


DIALECT = Dialect(project, total=100)
