"""Runs the service until SIGTERM, then drains: accepts a little longer, finishes what is in flight, leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from aiohttp import web

from demo.app.flags import Flags
from demo.app.running import follow, program, terminated
from demo.app.service import Service
from demo.app.settings import BehaviourFile, Server

FINISH_SECONDS = 20.0
"""How long requests in flight may take to finish; below the 30 s of grace that Kubernetes gives a pod."""


async def run(server: Server) -> None:
    """Serves until SIGTERM or SIGINT."""
    behaviour = BehaviourFile(server.behaviour_file)
    behaviour.refresh()
    flags = Flags(server.flags_directory)
    flags.refresh()
    service = Service(server, behaviour, flags)
    await service.behind.open()
    runner = web.AppRunner(
        service.application(), access_log=None, handler_cancellation=True, shutdown_timeout=FINISH_SECONDS
    )
    await runner.setup()
    await web.TCPSite(runner, port=server.port, backlog=4096).start()
    logging.info("serving on port %d with %d workers", server.port, server.workers)

    def read() -> None:
        behaviour.refresh()
        flags.refresh()

    following = asyncio.create_task(follow(read, service.behind.follow))
    await terminated()
    service.draining = True
    await asyncio.sleep(server.drain_seconds)
    await runner.cleanup()
    following.cancel()
    await service.behind.close()


def main() -> int:
    return program(lambda: Server.from_environment(os.environ), run)


if __name__ == "__main__":
    sys.exit(main())
