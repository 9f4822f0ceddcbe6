"""The web application: `/` does the work, `/healthz` is for probes, `/metrics` for Prometheus.

With a CDN, requests for static assets never come here. Load that always comes here cannot tell: so what a CDN would
answer is answered at once, without queueing, and counted as its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from demo.app import flags, work
from demo.app.behind import behind
from demo.app.flags import Flags
from demo.app.settings import BehaviourFile, Server

ADVISED_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as OpenTelemetry's HTTP conventions advise and its libraries ship."""

CLIENT_CLOSED_REQUEST = 499
"""Not a registered status: what nginx and ASP.NET Core report for a request that its client gave up on."""


class Service:
    """Serves `server.workers` requests at a time in order of arrival and measures them as stock libraries do."""

    def __init__(self, server: Server, behaviour: BehaviourFile, switches: Flags | None = None) -> None:
        self.draining = False
        self._server = server
        self._behaviour = behaviour
        self._workers = asyncio.Semaphore(server.workers)
        self._in_flight = 0
        self._registry = CollectorRegistry()
        self._active = Gauge(
            "http_server_active_requests",
            "Number of active HTTP server requests.",
            ["http_request_method"],
            registry=self._registry,
        ).labels("GET")
        self._duration = Histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP server requests.",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=ADVISED_BUCKETS,
            registry=self._registry,
        )
        self._static = Counter(
            "static_requests", "Requests for static assets, by who answers them.", ["by"], registry=self._registry
        )
        self._flags = switches or Flags(None)
        self.behind = behind(server, self._flags, self._registry)

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/", self.handle), web.get("/healthz", self.health), web.get("/metrics", self.metrics)])
        return app

    async def handle(self, request: web.Request) -> web.Response:
        """Queues, works and answers; a client that hangs up frees its place."""
        static = random.random() < self._behaviour.current.static_ratio
        if static:
            at_the_edge = self._flags.is_on(flags.CDN)
            self._static.labels("cdn" if at_the_edge else "service").inc()
            if at_the_edge:
                return web.Response(text="200\n")
        with self._measured("/assets" if static else "/") as outcome:
            status = outcome[0] = await self._respond(static)
        return web.Response(status=status, text=f"{status}\n")

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=503 if self.draining else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _respond(self, static: bool) -> int:
        behaviour = self._behaviour.current
        if random.random() < behaviour.fail_ratio:
            return 500
        if self._in_flight > self._server.workers + self._server.queue_limit:
            return 503
        async with self._workers:
            if static:
                await work.perform(behaviour.asset)
                return 200
            await work.perform(behaviour)
            if not await self.behind.look_up(behaviour):
                return 503
            await self.behind.heavy(behaviour)
        return 200

    @contextmanager
    def _measured(self, route: str) -> Iterator[list[int]]:
        """Measures from arrival to answer, queueing included; the block puts the status into the list it is given."""
        outcome = [CLIENT_CLOSED_REQUEST]
        arrived = time.perf_counter()
        self._in_flight += 1
        self._active.inc()
        try:
            yield outcome
        finally:
            self._in_flight -= 1
            self._active.dec()
            self._duration.labels("GET", route, str(outcome[0])).observe(time.perf_counter() - arrived)
