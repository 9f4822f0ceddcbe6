"""HTTPRoute of the Gateway API (v1): `spec.rules[].backendRefs[].weight`, 1 when it is not written."""

from __future__ import annotations

from perfslo.core.model import JSON
from perfslo.edges.kube.routes.owners import other_writers
from perfslo.edges.kube.routes.rules import Dialect, RouteObject, Rule, guard, service

KIND = ("gateway.networking.k8s.io", "HTTPRoute")
PROOF = ("Accepted", "Programmed")
"""Conditions by which a controller says, of each parent, that it took the route as it is. Not all of them say both."""


def project(route: JSON) -> RouteObject:
    metadata = route["metadata"]
    followed, note = _followed(route)
    return RouteObject(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        rules=tuple(
            _rule(f"/spec/rules/{index}", rule, metadata["namespace"])
            for index, rule in enumerate(route["spec"].get("rules", []))
        ),
        followed=followed,
        note=note,
        other_writers=other_writers(metadata, KIND, ".spec.rules[].backendRefs[].weight"),
    )


def _rule(path: str, rule: JSON, namespace: str) -> Rule:
    name = rule.get("name", "")
    pin = guard(f"{path}/name", name) if name else guard(f"{path}/matches", rule["matches"])
    backends = (
        service(f"{path}/backendRefs/{index}", backend, namespace)
        for index, backend in enumerate(rule.get("backendRefs", []))
    )
    return Rule(tuple(backends), name, (pin,))


def _followed(route: JSON) -> tuple[bool, str]:
    """Whether each controller that has a say took the route as it is now, and which one did not."""
    generation = route["metadata"].get("generation", 0)
    parents = route.get("status", {}).get("parents", [])
    if not parents:
        return False, "no controller serves it: check its parentRefs, and that the Gateway's controller runs"
    for parent in parents:
        said = {c["type"]: c for c in parent.get("conditions", []) if c["type"] in PROOF}
        where = f"{parent['parentRef'].get('kind', 'Gateway')} {parent['parentRef']['name']}"
        if "Accepted" not in said:
            return False, f"{where} has not accepted it"
        for kind, condition in said.items():
            if condition.get("observedGeneration", 0) < generation:
                return False, f"the controller of {where} has not seen its last change: check that it runs"
            if condition["status"] != "True":
                return False, f"{where} says {kind}={condition['status']} ({condition.get('reason', '')})"
    return True, ""


DIALECT = Dialect(project, total=1000)
