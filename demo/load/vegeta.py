"""One `vegeta attack` for each segment, its results read as they come."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import os
from collections.abc import AsyncIterator

from demo.load.rates import Segment

MAX_WORKERS = 20000
"""Requests in flight at most: far above rate x timeout, so that a slow service never slows the load down."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of request `number` of an attack; it succeeded when the answer was 2xx."""

    number: int
    sent_unix: float
    latency_seconds: float
    succeeded: bool


async def attack(segment: Segment, url: str, timeout_seconds: float) -> AsyncIterator[Result]:
    """Runs one segment from now on; yields each result when its request ends, and returns when the last has ended.

    A new connection for each request, since Services balance by connection.
    """
    results_out, attack_out = os.pipe()
    attacker = await asyncio.create_subprocess_exec(
        "vegeta",
        "attack",
        f"-rate={round(segment.rps * 100)}/100s",
        f"-duration={_duration_nanoseconds(segment)}ns",
        f"-timeout={timeout_seconds}s",
        "-keepalive=false",
        "-redirects=-1",
        "-max-body=0",
        f"-max-workers={MAX_WORKERS}",
        stdin=asyncio.subprocess.PIPE,
        stdout=attack_out,
    )
    encoder = await asyncio.create_subprocess_exec(
        "vegeta", "encode", "--to=csv", stdin=results_out, stdout=asyncio.subprocess.PIPE
    )
    os.close(results_out)
    os.close(attack_out)
    assert attacker.stdin is not None
    assert encoder.stdout is not None
    attacker.stdin.write(f"GET {url}\n".encode())
    attacker.stdin.close()
    async for line in encoder.stdout:
        yield _result(line.decode())
    for process in (attacker, encoder):
        if code := await process.wait():
            raise RuntimeError(f"vegeta ended with status {code}")


def first_request_seconds(segment: Segment) -> float:
    """How long after its start an attack sends its first request: one interval."""
    return 1 / segment.rps if segment.rps else 0.0


def _duration_nanoseconds(segment: Segment) -> int:
    """Half an interval short: vegeta stops at the first check after it, which makes the number of requests certain."""
    return round((segment.duration_seconds - 0.5 / segment.rps) * 1e9)


def _result(line: str) -> Result:
    row = next(csv.reader([line]))
    return Result(
        number=int(row[8]),
        sent_unix=int(row[0]) / 1e9,
        latency_seconds=int(row[2]) / 1e9,
        succeeded=200 <= int(row[1]) < 300 and not row[5],
    )
