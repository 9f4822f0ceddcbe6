"""What the cluster looks like: the one place that watches everything but the SLOs themselves."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol

from perfslo.core.model import Target, TargetProblem, TargetRef
from perfslo.core.promql import workload_of_pod
from perfslo.edges.kube import projections
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.kinds import CustomKind, mirror
from perfslo.edges.kube.podindex import PodIndex
from perfslo.edges.kube.reflector import Reflector
from perfslo.edges.kube.replicas import replicas
from perfslo.edges.kube.scalers import ScalerIndex
from perfslo.edges.kube.starts import Starts
from perfslo.settings import Settings

SILENCE_SECONDS = 180.0
"""A mirror hears something each minute, or lists anew after two."""


class Reference(Protocol):
    """An author's scaleTargetRef, or our own TargetRef."""

    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


class World:
    """Mirrors of the enabled scale kinds, ReplicaSets, pods and autoscalers; targets are put together from them."""

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
        by_selector = any(isinstance(kind, CustomKind) for kind in self._kinds.values())
        reflect = partial(Reflector, api, namespaces=namespaces)
        self._others: tuple[Reflector[Any], ...] = (
            reflect("apps/v1", "replicasets", projections.replica_set, changed=self._pods.replica_set_changed),
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
            for part in parts:
                await part.wait_synced()
            self.synced.set()

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """For metrics and health: each tells what it mirrors, how well and since when."""
        return (*(kind.reflector for kind in self._kinds.values()), *self._others)

    def target(self, namespace: str, reference: Reference, now: float) -> Target | TargetProblem:
        """The target as the mirrors show it at `now` (Unix seconds), or why there is none, in words for its author."""
        ref = TargetRef(reference.group, reference.kind, reference.name)
        kind = self._kinds.get((ref.group, ref.kind))
        if kind is None:
            return self._not_enabled(ref)
        if not kind.reflector.served:
            return TargetProblem(
                "KindNotServed", f"the API server does not know {_full(ref)}: install its CustomResourceDefinition"
            )
        if problem := self._out_of_touch(namespace, kind.reflector):
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

    def _out_of_touch(self, namespace: str, kind: Reflector[Any]) -> TargetProblem | None:
        """A mirror that fell behind shows a cluster that may be gone: nothing is decided on it."""
        quietest = min((kind, *self._others), key=lambda reflector: reflector.heard_at(namespace))
        silence = asyncio.get_running_loop().time() - quietest.heard_at(namespace)
        if silence <= SILENCE_SECONDS:
            return None
        return TargetProblem(
            "ClusterOutOfSight",
            f"the API server has told nothing of {quietest.resource} for {silence:.0f} s "
            f"({quietest.problem or 'it is silent'}): check it, and that the operator may list and watch them",
        )

    def _not_enabled(self, ref: TargetRef) -> TargetProblem:
        enabled = ", ".join(f"{kind}.{group}" if group else kind for group, kind in self._kinds)
        return TargetProblem(
            "KindNotEnabled",
            f"{_full(ref)} is not enabled here (enabled: {enabled}): use one of these, or ask the administrator "
            "to add it to the chart's value scaleKinds",
        )


def _full(ref: TargetRef) -> str:
    return f"{ref.kind}.{ref.group}" if ref.group else ref.kind
