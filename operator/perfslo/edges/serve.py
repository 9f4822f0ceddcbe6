"""/livez, /readyz and /metrics, on leaders and standbys alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


def stuck(now: float, heartbeat: float | None, patience_seconds: float) -> str | None:
    """Why a restart would help, or None. Times are monotonic; `heartbeat` is the cycle's, None on a standby.

    An API server that does not answer is no reason: a restarted process would not hear more of it, and forget.
    """
    if heartbeat is not None and now - heartbeat > patience_seconds:
        return f"no cycle has ended for {patience_seconds:.0f} s"
    return None


@dataclass(frozen=True)
class Health:
    """Each returns what is wrong, or None."""

    alive: Callable[[], str | None]
    ready: Callable[[], str | None]


async def serve(port: int, health: Health, metrics: CollectorRegistry) -> web.AppRunner:
    """Start serving on all addresses; the caller cleans the returned runner up."""

    async def livez(_: web.Request) -> web.Response:
        return _answer(health.alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(health.ready())

    async def exposition(request: web.Request) -> web.Response:
        """All of them, or those that `name[]` asks for, as the client libraries of Prometheus have it."""
        names = request.query.getall("name[]", [])
        asked = metrics.restricted_registry(names) if names else metrics
        body = await asyncio.to_thread(generate_latest, asked)  # for thousands of SLOs it takes seconds
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)],
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _answer(problem: str | None) -> web.Response:
    return web.Response(text=(problem or "ok") + "\n", status=503 if problem else 200)
