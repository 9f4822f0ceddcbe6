"""What the objects of a custom kind want, asked of their /scale when they change and never in the cycle."""

from __future__ import annotations

import asyncio

import structlog

from perfslo.edges.kube.client import Api
from perfslo.edges.kube.projections import CustomResource, Scale, scale
from perfslo.edges.kube.reflector import Key
from perfslo.errors import ApiError, NotFound
from perfslo.settings import ScaleKind

WORKERS = 4
"""Requests in flight: ten thousand objects are read within a minute of the start, and nobody else is crowded out."""
RETRY_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Scales:
    """The Scale of each object of one kind; None for an object that turned out to have none."""

    def __init__(self, api: Api, kind: ScaleKind) -> None:
        self._api = api
        self._kind = kind
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._living: set[Key] = set()
        self._waiting: set[Key] = set()
        self.items: dict[Key, Scale | None] = {}

    def changed(self, key: Key, old: CustomResource | None, new: CustomResource | None) -> None:
        """To be called by the kind's reflector."""
        if new is None:
            self._living.discard(key)
            self._waiting.discard(key)
            self.items.pop(key, None)
            return
        self._living.add(key)
        self._want(key)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"scales {self._kind.resource} {number}")

    async def wait_synced(self) -> None:
        """Until all that is known to have changed was asked for once, with or without an answer."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            if key in self._waiting:
                self._waiting.discard(key)  # from here on, a change asks again
                await self._ask(key)
            self._queue.task_done()

    async def _ask(self, key: Key) -> None:
        try:
            self._keep(key, await self._read(key))
        except ApiError as error:
            _log.warning("cannot read a scale, trying again", kind=self._kind.kind, key=key, problem=str(error))
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._want, key)

    def _want(self, key: Key) -> None:
        if key in self._living and key not in self._waiting:
            self._waiting.add(key)
            self._queue.put_nowait(key)

    def _keep(self, key: Key, new: Scale | None) -> None:
        """Two answers for one object may overtake each other: the newer one stays."""
        old = self.items.get(key)
        if key in self._living and (old is None or new is None or new.resource_version >= old.resource_version):
            self.items[key] = new

    async def _read(self, key: Key) -> Scale | None:
        namespace, name = key
        root = f"/apis/{self._kind.group}/{self._kind.version}"
        try:
            return scale(
                await self._api.request("GET", f"{root}/namespaces/{namespace}/{self._kind.resource}/{name}/scale")
            )
        except NotFound:
            return None
