"""Mirrors of the enabled kinds of routes, and what they show of the backends that an SLO lists."""

from __future__ import annotations

from collections.abc import Collection

from perfslo.core.model import Route, TargetProblem
from perfslo.core.steps import TargetRef
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.reference import RouteReference
from perfslo.edges.kube.reflector import Reflector
from perfslo.edges.kube.routes import DIALECTS, ingress_nginx, rules
from perfslo.edges.kube.routes.rules import RouteObject
from perfslo.settings import RouteKind


class Routes:
    def __init__(self, api: Api, kinds: tuple[RouteKind, ...], namespaces: tuple[str, ...]) -> None:
        self.kinds: dict[tuple[str, str], Reflector[RouteObject]] = {
            (kind.group, kind.kind): Reflector(
                api,
                f"{kind.group}/{kind.version}",
                kind.resource,
                DIALECTS[kind.group, kind.kind].project,
                namespaces=namespaces,
            )
            for kind in kinds
        }

    def find(self, namespace: str, reference: RouteReference, backends: Collection[str]) -> Route | TargetProblem:
        """The route with these backends' weights, or why there is none, in words for the SLO's author."""
        ref = TargetRef(reference.group, reference.kind, reference.name)
        kind, dialect = self.kinds[ref.group, ref.kind], DIALECTS[ref.group, ref.kind]
        found = kind.items.get((namespace, ref.name))
        if found is None:
            return TargetProblem(
                "RouteNotFound",
                f"there is no {ref} in namespace {namespace}: create it, or correct levers.traffic.routeRef",
            )
        rule = rules.choose(found, reference.rule_name or "", backends)
        if isinstance(rule, str):
            return TargetProblem("RouteNotUsable", f"{ref} {rule}")
        if problem := self._stranger(namespace, kind, found, backends):
            return TargetProblem("RouteNotUsable", f"{ref} {problem}")
        weights = rules.scaled(dialect, rule, backends)
        if isinstance(weights, str):
            return TargetProblem("RouteNotUsable", f"{ref} {weights}")
        return Route(
            ref=ref,
            rule=reference.rule_name or "",
            uid=found.uid,
            weights=weights,
            total=sum(weights.values()),
            followed=found.followed,
            note=found.note,
            other_writers=found.other_writers,
        )

    def _stranger(
        self, namespace: str, kind: Reflector[RouteObject], canary: RouteObject, backends: Collection[str]
    ) -> str:
        """What to do when the other backend of a canary is not that of its main Ingress."""
        if not canary.is_canary:
            return ""
        own = {service for _, _, service in canary.serves}
        beside = (ingress for (where, _), ingress in kind.items.items() if where == namespace)
        mains = ingress_nginx.mains(canary, beside)
        if strangers := sorted(set(backends) - own - mains):
            names = ", ".join(sorted(mains)) or "none yet"
            return (
                f"is no canary of {strangers[0]}: name the Service of the main Ingress with the same host and path "
                f"({names}) under levers.traffic.backends"
            )
        return ""
