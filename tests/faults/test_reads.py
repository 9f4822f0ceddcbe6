"""The mirrors come right after what networks and API servers do to watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfslo.core.steps import TargetRef
from perfslo.edges.kube import client
from perfslo.edges.kube.reflector import Reflector
from perfslo.settings import Settings
from tests.cluster.mirrors import Mirrors, eventually, mirroring, slo, workload
from tests.conftest import Cluster
from tests.faults.proxy import Proxy, proxied

pytestmark = pytest.mark.cluster

WEB, OTHER = TargetRef("apps", "Deployment", "web"), TargetRef("apps", "Deployment", "other")


@dataclass
class Line:
    """Mirrors that see the cluster through a proxy."""

    proxy: Proxy
    mirrors: Mirrors

    @property
    def deployments(self) -> Reflector[object]:
        return next(r for r in self.mirrors.world.reflectors if r.resource == "deployments")

    async def create(self, *names: str) -> None:
        """Deployments without pods: they cost the machine nothing."""
        await self.mirrors.apply(*(workload("Deployment", name, 0) for name in names))
        for name in names:
            await self.shows(TargetRef("apps", "Deployment", name), 0)

    async def scale(self, name: str, replicas: int) -> None:
        """Paused, so that the number changes and no pod comes."""
        await self.mirrors.kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")

    async def shows(self, ref: TargetRef, replicas: int) -> None:
        await self.mirrors.found(ref, lambda target: target.replicas.desired == replicas, f"{replicas} of {ref}")


@pytest.fixture
async def line(
    cluster: Cluster, namespace: str, crds: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Line]:
    monkeypatch.setattr(client, "WATCH_SILENCE_SECONDS", 3.0)
    copy = tmp_path / "kubeconfig"
    settings = Settings(watch_namespaces=(namespace,), resync_seconds=1.0)
    async with proxied(cluster.kubeconfig, copy) as proxy, mirroring(cluster, settings, copy) as mirrors:
        yield Line(proxy, mirrors)
        proxy.cut()  # else TLS waits for the farewell of frozen peers, for longer than the loops live
        await asyncio.sleep(0.5)


async def test_a_watch_that_was_cut_goes_on_where_it_was(line: Line) -> None:
    await line.create("web")
    lists = line.deployments.lists
    line.proxy.cut()
    await line.scale("web", 1)
    await line.shows(WEB, 1)
    assert line.deployments.lists == lists


async def test_an_outage_changes_nothing_and_all_is_caught_up_afterwards(line: Line) -> None:
    await line.create("web", "other")
    await line.mirrors.apply(slo("web"), slo("other"))
    await eventually(lambda: len(line.mirrors.registry.snapshot()) == 2, "both SLOs")
    line.proxy.refusing = True
    line.proxy.cut()
    await line.mirrors.kubectl("delete", "deployment/other", "perfslo/other")
    await line.scale("web", 1)
    await eventually(lambda: line.deployments.problem and line.mirrors.registry.problem, "both to notice the outage")
    assert line.mirrors.replicas(OTHER)
    assert len(line.mirrors.registry.snapshot()) == 2

    line.proxy.refusing = False
    await line.shows(WEB, 1)
    await eventually(lambda: line.mirrors.problem(OTHER) == "TargetNotFound", "the deleted target to be gone")
    await eventually(lambda: len(line.mirrors.registry.snapshot()) == 1, "the deleted SLO to be gone")
    await eventually(lambda: not line.deployments.problem and not line.mirrors.registry.problem, "no problem")


async def test_connections_that_fell_silent_are_replaced(line: Line) -> None:
    await line.create("web")
    await line.mirrors.apply(slo("web"))
    await eventually(lambda: line.mirrors.registry.snapshot(), "the SLO")
    line.proxy.freeze()
    await line.scale("web", 1)
    await line.mirrors.kubectl("delete", "perfslo/web")
    await line.shows(WEB, 1)
    await eventually(
        lambda: not line.mirrors.registry.snapshot(), "the SLO to be gone, by the list if not by its watch"
    )


async def test_a_version_that_is_too_old_is_listed_anew_without_ghosts(line: Line) -> None:
    await line.create("web", "other")
    lists = line.deployments.lists
    line.proxy.refusing = True
    line.proxy.cut()
    await line.mirrors.kubectl("delete", "deployment/other")
    await line.scale("web", 1)
    line.deployments._versions = dict.fromkeys(line.deployments._versions, "1")  # as after a long absence
    line.proxy.refusing = False
    await line.shows(WEB, 1)
    await eventually(lambda: line.mirrors.problem(OTHER) == "TargetNotFound", "no ghost")
    assert line.deployments.lists > lists
