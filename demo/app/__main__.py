"""Runs the service until SIGTERM, then drains: accepts a little longer, finishes what is in flight, leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from demo.app.service import Service
from demo.app.settings import BehaviourFile, Server

BEHAVIOUR_PERIOD_SECONDS = 1.0
FINISH_SECONDS = 20.0
"""How long requests in flight may take to finish; below the 30 s of grace that Kubernetes gives a pod."""


async def run(server: Server) -> None:
    """Serves until SIGTERM or SIGINT."""
    behaviour = BehaviourFile(server.behaviour_file)
    behaviour.refresh()
    service = Service(server, behaviour)
    runner = web.AppRunner(
        service.application(), access_log=None, handler_cancellation=True, shutdown_timeout=FINISH_SECONDS
    )
    await runner.setup()
    await web.TCPSite(runner, port=server.port, backlog=4096).start()
    logging.info("serving on port %d with %d workers", server.port, server.workers)

    following = asyncio.create_task(_follow(behaviour))
    await _terminated()
    service.draining = True
    await asyncio.sleep(server.drain_seconds)
    await runner.cleanup()
    following.cancel()


async def _follow(behaviour: BehaviourFile) -> None:
    while True:
        await asyncio.sleep(BEHAVIOUR_PERIOD_SECONDS)
        behaviour.refresh()


async def _terminated() -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await stop.wait()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        server = Server.from_environment(os.environ)
    except ValueError as error:
        logging.error("%s", error)
        return 2
    asyncio.run(run(server))
    return 0


if __name__ == "__main__":
    sys.exit(main())
