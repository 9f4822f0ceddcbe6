"""What one odd object and a failing mirror do to the picture of the cluster; the usual is tested on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest

from perfslo.core.model import JSON, Target, TargetProblem
from perfslo.core.steps import TargetRef
from perfslo.edges.kube import reflector, world
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.consents import ConfigMap
from perfslo.edges.kube.world import World
from perfslo.errors import ApiUnavailable, Silent
from perfslo.settings import Settings
from tests.cluster.mirrors import eventually
from tests.edges import kube_objects as objects

WEB = TargetRef("apps", "Deployment", "web")


def _deployment() -> JSON:
    return {"metadata": {"namespace": "shop", "name": "web", "uid": "d-1"}, "spec": {"replicas": 1}}


def _problem(mirrors: World) -> TargetProblem | None:
    target = mirrors.target("shop", WEB, objects.NOW)
    return target if isinstance(target, TargetProblem) else None


class Server:
    """Lists what it was given; each resource's watch tells of no change, or fails when it is broken."""

    def __init__(self, **items: list[JSON]) -> None:
        self.items = items
        self.broken = ""
        self.selectors: dict[str, set[str]] = {}
        """By resource: what its objects were chosen by, in lists and watches."""
        self.at_rest = ""
        self.watches = 0
        """Of the kind at rest."""

    async def request(self, method: str, path: str, *, query: Mapping[str, str], accept: str) -> JSON:
        resource = path.rpartition("/")[2]
        self.selectors.setdefault(resource, set()).add(query.get("labelSelector", ""))
        if resource == self.broken:
            raise ApiUnavailable("overloaded")
        return {"metadata": {"resourceVersion": "1"}, "items": self.items.get(resource, [])}

    async def watch(self, path: str, query: Mapping[str, str], accept: str) -> AsyncIterator[JSON]:
        resource = path.rpartition("/")[2]
        self.selectors.setdefault(resource, set()).add(query.get("labelSelector", ""))
        if resource == self.at_rest:
            self.watches += 1
            raise Silent("told nothing for 70 s")
        while resource != self.broken:
            await asyncio.sleep(0.01)
            yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}}
        raise ApiUnavailable("overloaded")


@asynccontextmanager
async def seen(server: Server, settings: Settings | None = None) -> AsyncIterator[World]:
    mirrors = World(cast(Api, server), settings or Settings())
    running = asyncio.create_task(mirrors.run())
    try:
        await asyncio.wait({running, asyncio.create_task(mirrors.synced.wait())}, return_when="FIRST_COMPLETED")
        assert not running.done(), running.exception()
        yield mirrors
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_object_that_cannot_be_read_is_left_out_and_the_others_are_not() -> None:
    odd = objects.pod("web-5d4f8c7b9c-odd99")
    del odd["metadata"]["creationTimestamp"]
    server = Server(
        deployments=[_deployment()], pods=[odd, objects.pod()], replicasets=[objects.replica_set("rs-1", "d-1", 1, "v")]
    )
    async with seen(server) as mirrors:
        target = mirrors.target("shop", WEB, objects.NOW)
        assert isinstance(target, Target)
        assert target.replicas.ready == 1


async def test_nothing_is_decided_on_a_mirror_that_has_fallen_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "SILENCE_SECONDS", 1.0)
    server = Server(deployments=[_deployment()])
    async with seen(server) as mirrors:
        assert isinstance(mirrors.target("shop", WEB, objects.NOW), Target)
        server.broken = "pods"
        problem = await eventually(lambda: _problem(mirrors), "a problem")
        assert problem.reason == "ClusterOutOfSight"
        assert "pods" in problem.message
        assert "overloaded" in problem.message
        server.broken = ""
        await eventually(lambda: not _problem(mirrors), "the cluster in sight again")


async def test_a_mirror_that_hears_nothing_lists_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "RELIST_SECONDS", 0.0)
    monkeypatch.setattr(reflector, "FIRST_BACKOFF_SECONDS", 0.01)
    server = Server(deployments=[_deployment()])
    async with seen(server) as mirrors:
        deployments = next(each for each in mirrors.reflectors if each.resource == "deployments")
        server.broken = "deployments"
        await asyncio.sleep(0.1)
        server.items["deployments"], server.broken = [], ""
        await eventually(lambda: not deployments.items, "no ghost")


async def test_a_kind_at_rest_is_watched_on_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "FIRST_BACKOFF_SECONDS", 0.01)
    server = Server(deployments=[_deployment()])
    server.at_rest = "deployments"
    async with seen(server) as mirrors:
        deployments = next(each for each in mirrors.reflectors if each.resource == "deployments")
        await eventually(lambda: server.watches > 2, "it to be watched again")
        assert not deployments.failures
        assert not deployments.problem


# --- ConfigMaps ---------------------------------------------------------------------------------------------------

FLAGS = {"metadata": {"namespace": "shop", "name": "flags", "uid": "c-1"}, "data": {"CACHE": "none", "BIG": "x" * 5000}}
WITH_CACHE = Settings(levers=("replicas", "cache"))


def _found(found: ConfigMap | TargetProblem) -> ConfigMap | None:
    return found if isinstance(found, ConfigMap) else None


def _refusal(found: ConfigMap | TargetProblem) -> str:
    return f"{found.reason}: {found.message}" if isinstance(found, TargetProblem) else ""


async def test_configmaps_are_mirrored_by_their_label_and_what_lies_beside_flags_is_dropped() -> None:
    server = Server(configmaps=[FLAGS])
    async with seen(server, WITH_CACHE) as mirrors:
        found = await eventually(lambda: _found(mirrors.config_map("shop", "flags")), "the ConfigMap is seen")
        assert found == ConfigMap("c-1", {"CACHE": "none"})
        await eventually(lambda: "configmaps" in server.selectors, "it is watched")
    assert server.selectors.pop("configmaps") == {"perfslo.io/managed=true"}
    assert set.union(*server.selectors.values()) == {""}


async def test_a_configmap_without_consent_is_refused_with_the_fix() -> None:
    async with seen(Server(), WITH_CACHE) as mirrors:
        await eventually(
            lambda: "ConfigMapNotManaged" in _refusal(mirrors.config_map("shop", "flags")), "it is refused"
        )
        refusal = _refusal(mirrors.config_map("shop", "flags"))
    assert "kubectl label configmap flags -n shop perfslo.io/managed=true" in refusal


async def test_no_configmap_is_read_for_levers_that_change_none() -> None:
    server = Server(configmaps=[FLAGS])
    async with seen(server) as mirrors:
        assert _refusal(mirrors.config_map("shop", "flags")).startswith("LeverDisabled: ")
    assert "configmaps" not in server.selectors


async def test_configmaps_that_cannot_be_seen_stop_no_other_lever() -> None:
    server = Server(deployments=[_deployment()])
    server.broken = "configmaps"
    async with seen(server, WITH_CACHE) as mirrors:
        assert _problem(mirrors) is None
        assert "has told nothing of configmaps yet" in _refusal(mirrors.config_map("shop", "flags"))
