"""What a request needs of what stands behind the service: look-ups, through a cache or not; heavy work."""

from __future__ import annotations

import logging
import random
from functools import partial

import psycopg
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import RedisError

from demo.app import flags, stores, work
from demo.app.flags import Flags
from demo.app.settings import Behaviour, Server
from demo.app.stores import Cache, Database, Queue

log = logging.getLogger(__name__)


class Behind:
    """Any of the three may be missing: then nothing of it is asked."""

    def __init__(self, switches: Flags, database: Database | None, cache: Cache | None, queue: Queue | None) -> None:
        self._flags = switches
        self._database = database
        self._cache = cache
        self._queue = queue

    async def open(self) -> None:
        if self._database:
            await self._database.open()

    async def close(self) -> None:
        if self._database:
            await self._database.close()

    async def follow(self) -> None:
        """Lets the pool be as large as the flag says, and measures the queue."""
        if self._database and (size := self._flags.pool_size):
            await self._database.resize(size)
        if self._queue:
            try:
                await self._queue.look()
            except RedisError as error:
                log.warning("the queue cannot be seen: %s", error)

    async def look_up(self, behaviour: Behaviour) -> bool:
        """Of one of `keys` keys, each as likely as the others; False when the database did not answer."""
        if self._database is None or not behaviour.query_ms:
            return True
        key = f"item-{random.randrange(max(1, round(behaviour.keys)))}"
        cache = self._cache if self._flags.is_on(flags.CACHE_TIER) else None
        try:
            if cache and await cache.has(key):
                return True
        except RedisError:
            cache = None  # as good as not there
        try:
            await self._database.look_up(behaviour.query_ms / 1000 * work.request_size(behaviour.cv))
        except psycopg.Error:
            return False
        if cache:
            await cache.put(key)
        return True

    async def heavy(self, behaviour: Behaviour) -> None:
        """A share of requests has heavy work: done here, or left to the workers."""
        if random.random() >= behaviour.heavy_ratio:
            return
        if self._queue and self._flags.is_on(flags.OFFLOAD):
            await self._queue.put()
        else:
            await work.perform(behaviour.heavy)


def behind(server: Server, switches: Flags, registry: CollectorRegistry) -> Behind:
    """As the environment has it."""
    metrics = stores.Metrics(registry)
    on = Gauge("feature_flag_on", "Whether this process sees the flag switched on.", ["flag"], registry=registry)
    for key in flags.ON:
        on.labels(key).set_function(partial(switches.is_on, key))
    redis = stores.redis(server.redis_url) if server.redis_url else None
    return Behind(
        switches,
        Database(server.database_url, server.pool_size, metrics) if server.database_url else None,
        Cache(redis, server.cache_ttl_seconds, metrics) if redis else None,
        Queue(redis, metrics) if redis else None,
    )
