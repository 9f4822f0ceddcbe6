from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import CONCURRENT_WRITES, Writer
from perfslo.errors import ApiUnavailable, NotLeading


class SlowApi:
    """Keeps every request until `answer` is set, or refuses it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer = asyncio.Event()
        self.refusal: Exception | None = None

    async def request(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append({"method": method, "path": path, "at": time.monotonic(), **arguments})
        if self.refusal:
            raise self.refusal
        await self.answer.wait()
        return {}


class Fence:
    down = False

    def __call__(self) -> None:
        if self.down:
            raise NotLeading("lost")


async def test_a_write_that_waited_its_turn_meets_the_fence_as_it_is_then() -> None:
    api, fence = SlowApi(), Fence()
    writer = Writer(cast(Api, api), fence, timeout_seconds=5.0)
    writes = [asyncio.create_task(writer.send("PATCH", f"/{n}", {})) for n in range(CONCURRENT_WRITES + 3)]
    await asyncio.sleep(0.01)
    fence.down = True
    api.answer.set()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert len(api.asked) == CONCURRENT_WRITES
    assert [type(result) for result in results[CONCURRENT_WRITES:]] == [NotLeading] * 3


async def test_a_server_that_says_when_is_not_asked_earlier() -> None:
    api = SlowApi()
    writer = Writer(cast(Api, api), Fence(), timeout_seconds=5.0)
    api.refusal = ApiUnavailable("429", retry_after_seconds=0.3)
    with pytest.raises(ApiUnavailable):
        await writer.send("PATCH", "/a", {})
    api.refusal = None
    api.answer.set()
    await writer.send("PATCH", "/b", {})
    first, second = api.asked
    assert second["at"] - first["at"] >= 0.3


async def test_waiting_as_asked_does_not_pass_a_fence_that_fell_meanwhile() -> None:
    api, fence = SlowApi(), Fence()
    writer = Writer(cast(Api, api), fence, timeout_seconds=5.0)
    api.refusal = ApiUnavailable("429", retry_after_seconds=0.2)
    with pytest.raises(ApiUnavailable):
        await writer.send("PATCH", "/a", {})
    waiting = asyncio.create_task(writer.send("PATCH", "/b", {}))
    await asyncio.sleep(0.01)
    fence.down = True
    with pytest.raises(NotLeading):
        await waiting
    assert len(api.asked) == 1


async def test_every_write_is_named_and_given_up_in_time() -> None:
    api = SlowApi()
    api.answer.set()
    writer = Writer(cast(Api, api), Fence(), timeout_seconds=5.0)
    await writer.send("PATCH", "/a", {}, query={"x": "1"})
    await writer.send("DELETE", "/a", {})
    assert [asked["query"] for asked in api.asked] == [{"fieldManager": "perfslo", "x": "1"}, {}]
    assert {asked["timeout_seconds"] for asked in api.asked} == {5.0}
