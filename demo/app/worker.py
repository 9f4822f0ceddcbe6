"""A background worker: takes heavy work off the queue, one item at a time, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from redis.exceptions import RedisError

from demo.app import stores, work
from demo.app.running import follow, program, terminated
from demo.app.settings import BehaviourFile, Server
from demo.app.stores import Queue

PATIENCE_SECONDS = 1.0


class Worker:
    def __init__(self, queue: Queue, behaviour: BehaviourFile, registry: CollectorRegistry) -> None:
        self._queue = queue
        self._behaviour = behaviour
        self._registry = registry
        self._done = Counter("queue_items_done", "Items that were worked off.", registry=registry)

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/healthz", self.health), web.get("/metrics", self.metrics)])
        return app

    async def health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def work_off(self) -> bool:
        """Whether there was an item to work off."""
        if not await self._queue.take(PATIENCE_SECONDS):
            return False
        await work.perform(self._behaviour.current.heavy)
        self._done.inc()
        return True

    async def run(self) -> None:
        while True:
            try:
                await self.work_off()
            except RedisError as error:
                logging.warning("no queue: %s", error)
                await asyncio.sleep(PATIENCE_SECONDS)


async def run(server: Server) -> None:
    registry = CollectorRegistry()
    behaviour = BehaviourFile(server.behaviour_file)
    behaviour.refresh()
    queue = Queue(stores.redis(server.redis_url or ""), stores.Metrics(registry))
    worker = Worker(queue, behaviour, registry)
    runner = web.AppRunner(worker.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=server.port).start()
    working = [asyncio.create_task(worker.run()), asyncio.create_task(follow(behaviour.refresh, queue.look))]
    await terminated()
    for task in working:
        task.cancel()
    await runner.cleanup()


def settings() -> Server:
    """Raises ValueError: something is missing or not understood."""
    server = Server.from_environment(os.environ)
    if not server.redis_url:
        raise ValueError("REDIS_URL must say where the queue is, such as redis://redis:6379")
    return server


def main() -> int:
    return program(settings, run)


if __name__ == "__main__":
    sys.exit(main())
