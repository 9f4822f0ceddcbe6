"""What both programs do while they run: follow what is mounted, and wait for the end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from demo.app.settings import Server

PERIOD_SECONDS = 1.0


async def follow(read: Callable[[], None], then: Callable[[], Awaitable[None]]) -> None:
    """Again and again; what goes wrong is told, and tried again."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        try:
            read()
            await then()
        except Exception:
            logging.exception("not followed")


async def terminated() -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await stop.wait()


def program(server: Callable[[], Server], run: Callable[[Server], Coroutine[Any, Any, None]]) -> int:
    """Runs until it is terminated; what the environment lacks is told. Returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        settings = server()
    except ValueError as error:
        logging.error("%s", error)
        return 2
    asyncio.run(run(settings))
    return 0
