"""Mirrors of a real cluster, and waiting for what they should come to show."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from demo.render import DEMO_IMAGE
from perfslo.core.model import JSON, Replicas, Target, TargetProblem
from perfslo.core.steps import TargetRef
from perfslo.edges.kube.client import connect
from perfslo.edges.kube.world import World
from perfslo.edges.watch import Registry
from perfslo.settings import Settings
from tests.conftest import Cluster

PATIENCE_SECONDS = 90.0
"""Only a failing test waits this long."""
T = TypeVar("T")


async def eventually(look: Callable[[], T | None], what: str) -> T:
    """What `look` returns, as soon as that is true; fails, saying what was waited for and what there was instead."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: still {seen!r}")
        await asyncio.sleep(0.1)
    return seen


def publish(cluster: Cluster, files: Iterable[Path], crds: Iterable[str]) -> None:
    """Have these definitions served. One test process at a time, for they may hold the same ones; they stay."""
    with Path(tempfile.gettempdir(), f"perfslo-tests-{os.getuid()}-definitions.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in files:
            cluster.kubectl("apply", "--server-side", "--field-manager=perfslo-tests", f"--filename={file}")
        cluster.established(*crds)


@dataclass
class Mirrors:
    """A World and a Registry of one namespace."""

    world: World
    registry: Registry
    cluster: Cluster
    namespace: str

    async def kubectl(self, *arguments: str, manifest: JSON | list[JSON] | None = None) -> str:
        """In the test's namespace, without holding the mirrors up."""
        manifests = manifest if isinstance(manifest, list) else [manifest]
        done = await asyncio.to_thread(
            self.cluster.kubectl,
            f"--namespace={self.namespace}",
            *arguments,
            input=yaml.safe_dump_all(manifests) if manifest else None,
        )
        return done.stdout

    async def apply(self, *manifests: JSON) -> None:
        await self.kubectl("apply", "--filename=-", manifest=list(manifests))

    def look(self, ref: TargetRef) -> Target | TargetProblem:
        return self.world.target(self.namespace, ref, time.time())

    def replicas(self, ref: TargetRef) -> Replicas | None:
        target = self.look(ref)
        return target.replicas if isinstance(target, Target) else None

    def problem(self, ref: TargetRef) -> str:
        target = self.look(ref)
        return target.reason if isinstance(target, TargetProblem) else ""

    async def found(self, ref: TargetRef, holds: Callable[[Target], object], what: str) -> Target:
        def look() -> Target | None:
            target = self.look(ref)
            return target if isinstance(target, Target) and holds(target) else None

        return await eventually(look, what)


@asynccontextmanager
async def mirroring(cluster: Cluster, settings: Settings, kubeconfig: Path | None = None) -> AsyncIterator[Mirrors]:
    """Synced mirrors of the first watched namespace, through another kubeconfig if one is given."""
    api = await connect(kubeconfig or cluster.kubeconfig)
    world, registry = World(api, settings), Registry(api, settings)
    try:
        tasks = [asyncio.create_task(world.run()), asyncio.create_task(registry.run())]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await world.synced.wait()
            await registry.synced.wait()
        yield Mirrors(world, registry, cluster, settings.watch_namespaces[0])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.close()


def containers() -> list[JSON]:
    """Ready as soon as it runs, and quick to leave."""
    return [
        {
            "name": "main",
            "image": DEMO_IMAGE,
            "imagePullPolicy": "Never",
            "command": ["sleep", "3600"],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m"}},
        }
    ]


def workload(kind: str, name: str, replicas: int) -> JSON:
    """A Deployment or StatefulSet."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": containers(), "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    if kind == "StatefulSet":
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def slo(name: str, maximum: int = 5) -> JSON:
    return {
        "apiVersion": "perfslo.io/v1alpha1",
        "kind": "PerformanceSLO",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "maxReplicas": maximum,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
        },
    }


def definition(group: str, kind: str, *, scale: bool = True) -> JSON:
    """A CustomResourceDefinition of a kind, with or without /scale."""
    plural = f"{kind.lower()}s"
    paths = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, **({"scale": paths} if scale else {})},
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
