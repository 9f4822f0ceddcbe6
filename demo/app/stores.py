"""What stands behind the service, measured as its clients see it: PostgreSQL behind a pooler, and Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds, as OpenTelemetry's conventions for database clients advise, with two more below."""
SHRINK_SECONDS = 1.0
"""A connection more than there should be, and unused for so long, is closed: a smaller pool is soon one."""
PATIENCE_SECONDS = 5.0
"""How long a request waits for a connection, and for the cache, before it fails."""

QUEUE = "heavy-work"


class Metrics:
    """Under the names of OpenTelemetry's conventions for database clients, where they have one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "db_client_operation_duration_seconds",
            "Duration of database client operations.",
            ["db_system_name"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.wait = Histogram(
            "db_client_connection_wait_time_seconds",
            "Time it took to get a connection from the pool.",
            buckets=BUCKETS,
            registry=registry,
        )
        connections = Gauge("db_client_connection_count", "Connections by state.", ["state"], registry=registry)
        self.used, self.idle = connections.labels("used"), connections.labels("idle")
        self.most = Gauge("db_client_connection_max", "Most connections of the pool.", registry=registry)
        lookups = Counter("cache_requests", "Look-ups by whether the cache answered.", ["result"], registry=registry)
        self.hits, self.misses = lookups.labels("hit"), lookups.labels("miss")
        self.queue_age = Gauge("queue_oldest_age_seconds", "Age of the oldest waiting item.", registry=registry)
        self.queue_length = Gauge("queue_length", "Items waiting.", registry=registry)

    @contextmanager
    def timed(self, system: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.duration.labels(system).observe(time.perf_counter() - started)


class Database:
    """A pool of connections whose size may be changed while it is in use."""

    def __init__(self, url: str, size: int, metrics: Metrics) -> None:
        self._metrics = metrics
        self._used = 0
        # A pooler in transaction mode gives each transaction another connection: so nothing is prepared.
        self._pool = AsyncConnectionPool(
            url,
            min_size=size,
            max_size=size,
            timeout=PATIENCE_SECONDS,
            max_idle=SHRINK_SECONDS,
            kwargs={"prepare_threshold": None, "autocommit": True},
            open=False,
        )
        self._count()

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def resize(self, size: int) -> None:
        if size != self._pool.max_size:
            await self._pool.resize(size, size)
            self._count()

    async def look_up(self, seconds: float) -> None:
        """A query that the server works on for that long. Raises psycopg.Error, also when no connection came free."""
        async with self._connection() as connection:
            with self._metrics.timed("postgresql"):
                await connection.execute("SELECT pg_sleep(%s)", [seconds])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        asked = time.perf_counter()
        async with self._pool.connection() as connection:
            self._metrics.wait.observe(time.perf_counter() - asked)
            self._used += 1
            self._count()
            try:
                yield connection
            finally:
                self._used -= 1
                self._count()

    def _count(self) -> None:
        self._metrics.most.set(self._pool.max_size)
        self._metrics.used.set(self._used)
        self._metrics.idle.set(max(0, self._pool.max_size - self._used))


class Cache:
    """Values that Redis keeps for some time."""

    def __init__(self, redis: Redis, ttl_seconds: float, metrics: Metrics) -> None:
        self._redis = redis
        self._ttl_ms = round(ttl_seconds * 1000)
        self._metrics = metrics

    async def has(self, key: str) -> bool:
        with self._metrics.timed("redis"):
            found = await self._redis.get(key) is not None
        (self._metrics.hits if found else self._metrics.misses).inc()
        return found

    async def put(self, key: str) -> None:
        await self._redis.set(key, "1", px=self._ttl_ms)


class Queue:
    """Work for later, in a list of Redis: each item is the time it was put there."""

    def __init__(self, redis: Redis, metrics: Metrics) -> None:
        self._redis = redis
        self._metrics = metrics

    async def put(self) -> None:
        await self._redis.lpush(QUEUE, f"{time.time():.3f}")

    async def take(self, patience_seconds: float) -> bool:
        """Whether an item came within that time."""
        return await self._redis.brpop([QUEUE], timeout=patience_seconds) is not None

    async def look(self) -> None:
        """Measures how long it is and how old its oldest item."""
        oldest = await self._redis.lindex(QUEUE, -1)
        self._metrics.queue_age.set(max(0.0, time.time() - float(oldest)) if oldest else 0.0)
        self._metrics.queue_length.set(await self._redis.llen(QUEUE))


def redis(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=1.0)
