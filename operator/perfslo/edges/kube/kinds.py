"""The kinds whose scale may be written: how each object is found, what it wants and which pods are its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from perfslo.core.model import TargetProblem
from perfslo.edges.kube import projections
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.podindex import PodIndex
from perfslo.edges.kube.projections import CustomResource, Pod, Workload
from perfslo.edges.kube.reflector import Key, Reflector
from perfslo.edges.kube.replicas import is_rolling_out
from perfslo.edges.kube.scales import Scales
from perfslo.edges.kube.starts import Starts
from perfslo.settings import DEPLOYMENT, STATEFUL_SET, ScaleKind


@dataclass(frozen=True, slots=True)
class Found:
    uid: str
    desired: int
    pods: Mapping[str, Pod]
    """By name."""
    version: str
    rolling_out: bool
    startup_seconds: float | None


class BuiltInKind:
    """Deployment or StatefulSet: all is in the object itself, and pods are found by their owners."""

    def __init__(self, api: Api, kind: ScaleKind, namespaces: tuple[str, ...], pods: PodIndex, starts: Starts) -> None:
        self._pods = pods
        self._starts = starts
        self.reflector: Reflector[Workload] = Reflector(
            api,
            f"{kind.group}/{kind.version}",
            kind.resource,
            projections.workload,
            namespaces=namespaces,
            changed=self._changed,
        )

    async def run(self) -> None:
        await self.reflector.run()

    async def wait_synced(self) -> None:
        await self.reflector.wait_synced()

    def find(self, key: Key) -> Found | TargetProblem | None:
        workload = self.reflector.items.get(key)
        if workload is None:
            return None
        return Found(
            uid=workload.uid,
            desired=workload.desired,
            pods=self._pods.owned(workload.uid),
            version=workload.update_revision or self._pods.newest_version(workload.uid),
            rolling_out=is_rolling_out(workload),
            startup_seconds=self._starts.seconds(workload.uid),
        )

    def _changed(self, _: Key, old: Workload | None, new: Workload | None) -> None:
        if old and (new is None or new.uid != old.uid):
            self._starts.forget(old.uid)


class CustomKind:
    """Any kind with /scale: what it wants and which pods are its own is what its scale says."""

    def __init__(self, api: Api, kind: ScaleKind, namespaces: tuple[str, ...], pods: PodIndex, starts: Starts) -> None:
        self._kind = kind
        self._pods = pods
        self._starts = starts
        self._scales = Scales(api, kind)
        self.reflector: Reflector[CustomResource] = Reflector(
            api,
            f"{kind.group}/{kind.version}",
            kind.resource,
            projections.custom_resource,
            namespaces=namespaces,
            changed=self._scales.changed,
            metadata_only=True,
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reflector.run())
            group.create_task(self._scales.run())

    async def wait_synced(self) -> None:
        await self.reflector.wait_synced()
        await self._scales.wait_synced()

    def find(self, key: Key) -> Found | TargetProblem | None:
        item = self.reflector.items.get(key)
        if item is None:
            return None
        if key not in self._scales.items:
            return TargetProblem("ScaleNotRead", f"the scale of {self._kind.kind}/{key[1]} has not been read yet")
        scale = self._scales.items[key]
        if scale is None:
            return TargetProblem(
                "ScaleNotSupported",
                f"{self._kind.kind}/{key[1]} has no scale subresource: give its CustomResourceDefinition "
                "`subresources.scale`, or point spec.scaleTargetRef at the workload that runs its pods",
            )
        pods = self._pods.selected(key[0], scale.selector)
        owners = (item.uid, *sorted({self._pods.workload_uid(pod) for pod in pods.values()}))
        return Found(
            uid=item.uid,
            desired=scale.desired,
            pods=pods,
            version="",
            rolling_out=False,
            startup_seconds=next((s for uid in owners if (s := self._starts.seconds(uid)) is not None), None),
        )


def mirror(
    api: Api, kind: ScaleKind, namespaces: tuple[str, ...], pods: PodIndex, starts: Starts
) -> BuiltInKind | CustomKind:
    kind_class = BuiltInKind if kind in (DEPLOYMENT, STATEFUL_SET) else CustomKind
    return kind_class(api, kind, namespaces, pods, starts)
