"""Replays a rate file against a URL; prints one JSON line a second, a few seconds behind, and a summary at the end."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from pathlib import Path

from demo.load import rates, vegeta
from demo.load.rates import Segment
from demo.load.tally import Tally

RESULT_DELAY_SECONDS = 2.0
"""How long a result may take from vegeta to here on a busy machine."""


async def replay(segments: list[Segment], tally: Tally, url: str, window_seconds: int) -> None:
    """Sends the load and prints the lines; ends when the last request has ended."""
    start_unix = math.ceil(time.time() + 0.5 + vegeta.first_request_seconds(segments[0]))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_print_lines(tally, start_unix, window_seconds))
        for number, segment in enumerate(segments):
            if segment.requests:
                tasks.create_task(_send(number, segment, tally, url, start_unix))
    print(json.dumps({"summary": {"start_unix": start_unix} | tally.summary()}), flush=True)


async def _send(number: int, segment: Segment, tally: Tally, url: str, start_unix: float) -> None:
    await _sleep_until(start_unix + segment.start_seconds - vegeta.first_request_seconds(segment))
    async for result in vegeta.attack(segment, url, tally.timeout_seconds):
        tally.add(number, result.number, result.sent_unix - start_unix, result.latency_seconds, result.succeeded)
    tally.finish(number)


async def _print_lines(tally: Tally, start_unix: float, window_seconds: int) -> None:
    behind = max(RESULT_DELAY_SECONDS, tally.threshold_seconds + 1)
    for number in range(len(tally.seconds)):
        await _sleep_until(start_unix + number + 1 + behind)
        line = tally.line(number, time.time() - start_unix, window_seconds)
        print(json.dumps({"unix": start_unix + number} | line), flush=True)


async def _sleep_until(unix: float) -> None:
    await asyncio.sleep(max(0.0, unix - time.time()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.load", description=__doc__)
    parser.add_argument("rates", type=Path, help="rate file: t_seconds,rps")
    parser.add_argument("url", help="where each request goes")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the rates (default 1)")
    parser.add_argument("--threshold-ms", type=float, required=True, help="a slower request counts as over")
    parser.add_argument("--timeout-seconds", type=float, default=10.0, help="a slower request is given up (default 10)")
    parser.add_argument("--window-seconds", type=int, default=10, help="of percentiles and over_ratio (default 10)")
    arguments = parser.parse_args()
    try:
        segments = rates.parse(arguments.rates.read_text(), arguments.scale)
    except (OSError, ValueError) as error:
        parser.error(f"{arguments.rates}: {error}")
    tally = Tally(segments, arguments.threshold_ms / 1000, arguments.timeout_seconds)
    asyncio.run(replay(segments, tally, arguments.url, arguments.window_seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
