"""What a request asks of what stands behind the service, by the switches. Doubles are the servers; all else is real."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import psycopg
import pytest
from aiohttp import ClientSession, test_utils
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from demo.app import work
from demo.app.behind import Behind
from demo.app.flags import Flags
from demo.app.service import Service
from demo.app.settings import Behaviour, BehaviourFile, Server
from demo.app.stores import Cache, Database, Metrics, Queue
from demo.app.worker import Worker


@dataclass
class Servers:
    """Redis and the database, as far as they are asked."""

    values: dict[str, str] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    queries: int = 0
    broken: bool = False
    size: int = 0

    async def get(self, key: str) -> str | None:
        if self.broken:
            raise RedisError("gone")
        return self.values.get(key)

    async def set(self, key: str, value: str, px: int) -> None:
        self.values[key] = value

    async def lpush(self, queue: str, item: str) -> None:
        self.items.insert(0, item)

    async def brpop(self, queues: list[str], timeout: float) -> str | None:
        return self.items.pop() if self.items else None

    async def lindex(self, queue: str, index: int) -> str | None:
        return self.items[index] if self.items else None

    async def llen(self, queue: str) -> int:
        return len(self.items)

    async def look_up(self, seconds: float) -> None:
        if self.broken:
            raise psycopg.OperationalError("no connection")
        self.queries += 1

    async def resize(self, size: int) -> None:
        self.size = size


class Street:
    def __init__(self, **flags: str) -> None:
        self.servers = Servers()
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        redis = cast(Redis, self.servers)
        self.queue = Queue(redis, metrics)
        database = cast(Database, self.servers)
        self.behind = Behind(Flags(None, flags), database, Cache(redis, 60, metrics), self.queue)

    def metric(self, name: str) -> float:
        (line,) = [line for line in generate_latest(self.registry).decode().splitlines() if line.startswith(name)]
        return float(line.split()[-1])


LOOK_UP = Behaviour(query_ms=5, keys=1, cv=0)


async def test_with_the_cache_switched_on_the_database_is_asked_once_a_key() -> None:
    street = Street(CACHE_TIER="redis")
    assert [await street.behind.look_up(LOOK_UP) for _ in range(3)] == [True] * 3
    assert street.servers.queries == 1
    assert street.metric('cache_requests_total{result="hit"}') == 2


@pytest.mark.parametrize("flags", [{}, {"CACHE_TIER": "none"}])
async def test_with_the_cache_off_the_database_is_asked_each_time(flags: dict[str, str]) -> None:
    street = Street(**flags)
    for _ in range(3):
        await street.behind.look_up(LOOK_UP)
    assert (street.servers.queries, street.servers.values) == (3, {})


async def test_a_cache_that_is_gone_is_as_good_as_none_and_a_database_that_is_gone_is_not() -> None:
    street = Street(CACHE_TIER="redis")
    street.servers.broken = True
    assert not await street.behind.look_up(LOOK_UP)
    assert await street.behind.look_up(Behaviour(query_ms=0)), "who looks nothing up does not notice"


async def test_heavy_work_is_done_here_or_left_to_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Behaviour] = []

    async def perform(behaviour: Behaviour) -> None:
        done.append(behaviour)

    monkeypatch.setattr(work, "perform", perform)
    heavy = Behaviour(heavy_ratio=1, heavy_ms=500, cv=0)
    await Street(OFFLOAD="inline").behind.heavy(heavy)
    assert [each.wait_ms for each in done] == [500]
    street = Street(OFFLOAD="queue")
    await street.behind.heavy(heavy)
    assert len(done) == 1
    await street.queue.look()
    assert street.metric("queue_length") == 1
    behaviour = BehaviourFile(None)
    behaviour.current = heavy
    worker = Worker(street.queue, behaviour, street.registry)
    assert await worker.work_off()
    assert not await worker.work_off()
    assert len(done) == 2
    await street.behind.follow()
    assert street.metric("queue_oldest_age_seconds") == 0


async def test_the_pool_is_as_large_as_the_flag_says_while_that_makes_sense() -> None:
    for text, size in (("7", 7), ("many", 0), ("0", 0), ("-3", 0)):
        street = Street(POOL_SIZE=text)
        await street.behind.follow()
        assert street.servers.size == size, text


def test_flags_follow_their_files_and_a_missing_one_changes_nothing(tmp_path: Path) -> None:
    flags = Flags(tmp_path)
    flags.refresh()
    assert not flags.is_on("CACHE_TIER")
    (tmp_path / "CACHE_TIER").write_text("redis\n")
    flags.refresh()
    assert flags.is_on("CACHE_TIER")
    (tmp_path / "CACHE_TIER").unlink()
    flags.refresh()
    assert flags.is_on("CACHE_TIER")


@pytest.mark.parametrize(("cdn", "measured", "by"), [("off", 3, "service"), ("on", 0, "cdn")])
async def test_static_assets_are_served_here_or_by_a_cdn(cdn: str, measured: int, by: str) -> None:
    behaviour = BehaviourFile(None)
    behaviour.current = Behaviour(static_ratio=1, wait_ms=60_000)
    server = test_utils.TestServer(Service(Server(), behaviour, Flags(None, {"CDN": cdn})).application())
    await server.start_server()
    text = ""
    async with ClientSession() as session:
        for path in ("/", "/", "/", "/metrics"):
            async with session.get(server.make_url(path)) as response:
                assert response.status == 200
                text = await response.text()
    counts = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if not line.startswith("#")}
    assert counts[f'static_requests_total{{by="{by}"}}'] == 3
    assert (
        sum(value for name, value in counts.items() if "duration_seconds_count{" in name and "/assets" in name)
        == measured
    )
    await server.close()
