"""What the mirrors show of the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from perfslo.core.model import Route, TargetProblem
from perfslo.edges.kube.world import World
from perfslo.settings import RouteKind, Settings
from tests.cluster.writes.hand import Hand


@dataclass(frozen=True)
class Named:
    group: str
    kind: str
    name: str
    rule_name: str | None = None


@asynccontextmanager
async def watching(hand: Hand, settings: Settings) -> AsyncIterator[World]:
    """The mirrors of the hand's own namespace."""
    world = World(hand.api, settings.model_copy(update={"watch_namespaces": (hand.stage.namespace,)}))
    running = asyncio.create_task(world.run())
    try:
        await world.synced.wait()
        yield world
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def seen_route(
    hand: Hand, kind: RouteKind, name: str, backends: Collection[str], rule_name: str | None = None
) -> AsyncIterator[Callable[[], Route | None]]:
    """What is seen of it now, None while it is not."""
    async with watching(hand, Settings(levers=("replicas", "traffic"), route_kinds=(kind,))) as world:

        def look() -> Route | None:
            found = world.route(hand.stage.namespace, Named(kind.group, kind.kind, name, rule_name), backends)
            return None if isinstance(found, TargetProblem) else found

        yield look
