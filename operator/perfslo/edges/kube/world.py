"""What the cluster looks like: the one place that watches everything but the SLOs themselves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from perfslo.core.model import Route, Target, TargetProblem
from perfslo.core.promql import workload_of_pod
from perfslo.core.steps import TargetRef
from perfslo.edges.kube import consents, policies, projections
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.consents import ConfigMap
from perfslo.edges.kube.kinds import CustomKind, mirror
from perfslo.edges.kube.podindex import PodIndex
from perfslo.edges.kube.policies import Policy
from perfslo.edges.kube.reference import Reference, RouteReference
from perfslo.edges.kube.reflector import Reflector
from perfslo.edges.kube.replicas import replicas
from perfslo.edges.kube.routes.mirror import Routes
from perfslo.edges.kube.scalers import ScalerIndex
from perfslo.edges.kube.starts import Starts
from perfslo.settings import Settings

SILENCE_SECONDS = 180.0
"""A mirror hears something each minute, or lists anew after two."""


class World:
    """Mirrors of the enabled scale kinds, ReplicaSets, pods and autoscalers; targets are put together from them.

    And of routes and of the ConfigMaps that may be changed, where a lever is enabled that changes some.
    """

    def __init__(self, api: Api, settings: Settings) -> None:
        namespaces = settings.watch_namespaces
        starts = Starts()
        self.synced = asyncio.Event()
        """Set when everything was seen once: before, nothing may be decided."""
        self._pods = PodIndex(starts)
        self._scalers = ScalerIndex()
        self._kinds = {
            (kind.group, kind.kind): mirror(api, kind, namespaces, self._pods, starts) for kind in settings.scale_kinds
        }
        self._config_maps = consents.mirror(api, namespaces) if consents.wanted(settings.levers) else None
        self._routes = Routes(api, settings.route_kinds if "traffic" in settings.levers else (), namespaces)
        self._policies = {
            (kind.group, kind.kind): policies.mirror(api, kind, namespaces)
            for kind in settings.policy_kinds
            if "traffic" in settings.levers
        }
        by_selector = any(isinstance(kind, CustomKind) for kind in self._kinds.values())
        reflect = partial(Reflector, api, namespaces=namespaces)
        self._others: tuple[Reflector[Any], ...] = (
            reflect(
                "apps/v1",
                "replicasets",
                projections.replica_set,
                changed=self._pods.replica_set_changed,
                metadata_only=True,
            ),
            reflect("v1", "pods", partial(projections.pod, keep_labels=by_selector), changed=self._pods.pod_changed),
            reflect(
                "autoscaling/v2",
                "horizontalpodautoscalers",
                projections.horizontal_pod_autoscaler,
                changed=self._scalers.hpa_changed,
            ),
            reflect(
                "keda.sh/v1alpha1",
                "scaledobjects",
                projections.scaled_object,
                changed=self._scalers.scaled_object_changed,
            ),
        )

    async def run(self) -> None:
        """Keep the mirrors up to date until cancelled."""
        parts = (*self._kinds.values(), *self._others)
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.run())
            for one in self._of_one_lever:
                group.create_task(one.run())  # not waited for: without it, other levers can be pulled
            for part in parts:
                await part.wait_synced()
            self.synced.set()

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """For metrics and health: each tells what it mirrors, how well and since when."""
        return (*(kind.reflector for kind in self._kinds.values()), *self._others, *self._of_one_lever)

    @property
    def _of_one_lever(self) -> tuple[Reflector[Any], ...]:
        config_maps = (self._config_maps,) if self._config_maps else ()
        return (*self._routes.kinds.values(), *self._policies.values(), *config_maps)

    def target(self, namespace: str, reference: Reference, now: float) -> Target | TargetProblem:
        """The target as the mirrors show it at `now` (Unix seconds), or why there is none, in words for its author."""
        ref = TargetRef(reference.group, reference.kind, reference.name)
        kind = self._kinds.get((ref.group, ref.kind))
        if kind is None:
            return _not_enabled(ref, self._kinds, "scaleKinds")
        if not kind.reflector.served:
            return _not_served(ref)
        if problem := self._silence(namespace, kind.reflector, *self._others):
            return problem
        found = kind.find((namespace, ref.name))
        if found is None:
            return TargetProblem(
                "TargetNotFound",
                f"there is no {ref} in namespace {namespace}: create it, or correct spec.scaleTargetRef",
            )
        if isinstance(found, TargetProblem):
            return found
        return Target(
            ref=ref,
            uid=found.uid,
            replicas=replicas(
                found.desired,
                list(found.pods.values()),
                version=found.version,
                rolling_out=found.rolling_out,
                startup_seconds=found.startup_seconds,
                now=now,
            ),
            pod_workloads=frozenset(map(workload_of_pod, found.pods)) or frozenset({ref.name}),
            other_writers=self._scalers.writers(namespace, ref),
        )

    def route(self, namespace: str, reference: RouteReference, backends: Collection[str]) -> Route | TargetProblem:
        """A route with these backends as the mirrors show it, or why there is none, in words for the SLO's author."""
        ref = TargetRef(reference.group, reference.kind, reference.name)
        kind = self._routes.kinds.get((ref.group, ref.kind))
        if kind is None:
            return _not_enabled(ref, self._routes.kinds, "routeKinds, and traffic to levers")
        if not kind.served:
            return _not_served(ref)
        return self._silence(namespace, kind) or self._routes.find(namespace, reference, backends)

    def policy(self, namespace: str, ref: TargetRef) -> Policy | TargetProblem:
        """An object with a balancing policy as the mirrors show it, or why there is none, in words for the author."""
        kind = self._policies.get((ref.group, ref.kind))
        if kind is None:
            return _not_enabled(ref, self._policies, "policyKinds, and traffic to levers")
        if not kind.served:
            return _not_served(ref)
        missing = TargetProblem(
            "PolicyNotFound",
            f"there is no {ref} in namespace {namespace}: create it, or correct levers.traffic.policyRef",
        )
        return self._silence(namespace, kind) or kind.items.get((namespace, ref.name)) or missing

    def config_map(self, namespace: str, name: str) -> ConfigMap | TargetProblem:
        """The ConfigMap as the mirror shows it, or why it is not to be changed, in words for the SLO's author."""
        if self._config_maps is None:
            return TargetProblem(
                "LeverDisabled",
                "no lever that changes ConfigMaps is enabled: ask the administrator to add one to the chart's levers",
            )
        if problem := self._silence(namespace, self._config_maps):
            return problem
        return self._config_maps.items.get((namespace, name)) or consents.not_consented(namespace, name)

    def _silence(self, namespace: str, *mirrors: Reflector[Any]) -> TargetProblem | None:
        """A mirror that fell behind shows a cluster that may be gone: nothing is decided on it."""
        quietest = min(mirrors, key=lambda reflector: reflector.heard_at(namespace))
        silence = asyncio.get_running_loop().time() - quietest.heard_at(namespace)
        if silence <= SILENCE_SECONDS:
            return None
        return TargetProblem(
            "ClusterOutOfSight",
            f"the API server has told nothing of {quietest.resource} {_since(silence)} "
            f"({quietest.problem or 'it is silent'}): check it, and that the operator may list and watch them",
        )


def _not_enabled(ref: TargetRef, kinds: Iterable[tuple[str, str]], where: str) -> TargetProblem:
    enabled = ", ".join(f"{kind}.{group}" if group else kind for group, kind in kinds) or "none"
    return TargetProblem(
        "KindNotEnabled",
        f"{_full(ref)} is not enabled here (enabled: {enabled}): use one of these, or ask the administrator "
        f"to add it to the chart's value {where}",
    )


def _not_served(ref: TargetRef) -> TargetProblem:
    return TargetProblem(
        "KindNotServed", f"the API server does not know {_full(ref)}: install its CustomResourceDefinition"
    )


def _since(seconds: float) -> str:
    return "yet" if seconds == math.inf else f"for {seconds:.0f} s"


def _full(ref: TargetRef) -> str:
    return f"{ref.kind}.{ref.group}" if ref.group else ref.kind
