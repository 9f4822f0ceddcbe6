"""What one request costs: processor time, then waiting."""

from __future__ import annotations

import asyncio
import math
import random
import time

from demo.app.settings import Behaviour

SLICE_SECONDS = 0.001
"""Processor time is burnt in slices, so that requests in progress share the one event loop fairly."""


async def perform(behaviour: Behaviour) -> None:
    """Burns and waits for one request of random size."""
    size = request_size(behaviour.cv)
    await burn(behaviour.cpu_ms / 1000 * size)
    await asyncio.sleep(behaviour.wait_ms / 1000 * size)


def request_size(cv: float) -> float:
    """A lognormal factor of mean 1 and coefficient of variation `cv`."""
    sigma = math.sqrt(math.log1p(cv * cv))
    return random.lognormvariate(-sigma * sigma / 2, sigma)


async def burn(seconds: float) -> None:
    """Uses `seconds` of processor time (not of wall clock: throttled or crowded out, it takes longer)."""
    while seconds > 0:
        used_up = time.thread_time() + min(seconds, SLICE_SECONDS)
        while time.thread_time() < used_up:
            pass
        seconds -= SLICE_SECONDS
        await asyncio.sleep(0)
