"""A slim mirror of one resource: LIST, then WATCH, keeping of each object only what a projection returns."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import Generic, TypeVar

import structlog

from perfslo.core.model import JSON
from perfslo.edges.kube.client import METADATA, METADATA_LIST, WHOLE, Api
from perfslo.errors import ApiError, ApiUnavailable, Expired, NotFound, Silent

PAGE_SIZE = 500
"""client-go's page: some MiB at a time, whatever the cluster's size."""
BREATH = 100
"""After so many objects others have the event loop: all lists arrive at once, and the lease is renewed meanwhile."""
WATCH_SECONDS = (240, 360)
"""The server is asked to end each watch after a random time in between, so that not all are renewed together."""
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 5.0
"""An API server that is back is noticed within this."""
RELIST_SECONDS = 120.0
"""Nothing was heard for two bookmarks' time (some servers send none): a list says for sure what there is."""
NOT_SERVED_RETRY_SECONDS = 60.0
"""How late a kind may be noticed whose definition is installed after the operator."""

Key = tuple[str, str]
"""Namespace and name."""
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Reflector(Generic[T]):
    """Mirrors a resource in some namespaces, or in all of them when none is named.

    `changed(key, old, new)` is called for each difference, whichever way it was learnt (event or list), in the
    loop's own thread; `old` is None for a new object and `new` for one that is gone or that `project` left out.
    `project` returns a frozen value; objects of which it keeps the same are no change. One that it cannot read is left
    out and reported: whoever may write one odd object must not stop the operator for everybody. With `metadata_only`
    it gets the metadata alone, and nothing else is sent. With `selector` only objects with such labels are sent, and
    one that loses them is gone.
    """

    def __init__(
        self,
        api: Api,
        group_version: str,
        resource: str,
        project: Callable[[JSON], T | None],
        *,
        namespaces: tuple[str, ...] = (),
        changed: Callable[[Key, T | None, T | None], None] | None = None,
        metadata_only: bool = False,
        selector: str = "",
    ) -> None:
        self.resource = resource
        self._api = api
        self._root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        self._project = project
        self._changed = changed
        self._accept, self._accept_list = (METADATA, METADATA_LIST) if metadata_only else (WHOLE, WHOLE)
        self._chosen = {"labelSelector": selector} if selector else {}
        self._scopes = namespaces or ("",)
        self._items: dict[Key, T] = {}
        self._listed: set[str] = set()
        self._synced = asyncio.Event()
        self.items: Mapping[Key, T] = MappingProxyType(self._items)
        self.served = True
        """False while the API server does not know the kind."""
        self.problem = ""
        """Why there is no connection now; "" when all is well."""
        self.lists = 0
        self.events = 0
        self.failures = 0
        self._versions = dict.fromkeys(self._scopes, "")
        self._contacts = dict.fromkeys(self._scopes, float("-inf"))

    async def wait_synced(self) -> None:
        """Until everything was listed once (a kind that is not served counts: there is nothing of it)."""
        await self._synced.wait()

    def heard_at(self, namespace: str) -> float:
        """When the API server last told us anything of that namespace (loop time)."""
        return self._contacts.get(namespace, self._contacts.get("", float("-inf")))

    async def run(self) -> None:
        """Mirror until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._scopes:
                group.create_task(self._mirror(namespace), name=f"reflector {self.resource} {namespace}")

    async def _mirror(self, namespace: str) -> None:
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started = loop.time()
            pause = 0.0
            try:
                if not self._versions[namespace] or started - self.heard_at(namespace) > RELIST_SECONDS:
                    self._versions[namespace] = await self._list(namespace)
                await self._watch(namespace)
            except Expired:
                self._versions[namespace] = ""
            except NotFound:
                self._not_served(namespace)
                pause = NOT_SERVED_RETRY_SECONDS
            except Silent:
                pass  # if it goes on, a list tells a kind at rest from a dead connection
            except ApiError as error:
                self._failed(error)
                pause = error.retry_after_seconds if isinstance(error, ApiUnavailable) else 0.0
            if loop.time() - started > MAX_BACKOFF_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            await asyncio.sleep(max(pause, backoff) * random.uniform(0.75, 1.25))
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)

    async def _list(self, namespace: str) -> str:
        """Bring the mirror to the state of one consistent list; returns its resourceVersion."""
        seen: set[Key] = set()
        query = {"limit": str(PAGE_SIZE), **self._chosen}
        while True:
            page = await self._api.request("GET", self._path(namespace), query=query, accept=self._accept_list)
            self._heard(namespace)
            for count, item in enumerate(page["items"] or (), start=1):
                seen.add(self._put(item))
                if count % BREATH == 0:
                    await asyncio.sleep(0)
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                break
        self._drop(namespace, keep=seen)
        self._was_listed(namespace)
        self.lists += 1
        self.served = True
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self, namespace: str) -> None:
        """Follow events until the server ends the watch, remembering after each where to go on."""
        query = {
            "resourceVersion": self._versions[namespace],
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),
            **self._chosen,
        }
        async for event in self._api.watch(self._path(namespace), query, self._accept):
            self._heard(namespace)
            if event["type"] == "DELETED":
                self._set(_key(event["object"]), None)
            elif event["type"] != "BOOKMARK":
                self._put(event["object"])
            self._versions[namespace] = event["object"]["metadata"]["resourceVersion"]
            self.events += 1

    def _path(self, namespace: str) -> str:
        return f"{self._root}/namespaces/{namespace}/{self.resource}" if namespace else f"{self._root}/{self.resource}"

    def _put(self, item: JSON) -> Key:
        key = _key(item)
        self._set(key, self._read(key, item))
        return key

    def _read(self, key: Key, item: JSON) -> T | None:
        try:
            return self._project(item)
        except Exception:
            _log.exception("an object cannot be read and is left out", resource=self.resource, key=key)
            return None

    def _set(self, key: Key, new: T | None) -> None:
        old = self._items.get(key)
        if old == new:
            return
        if new is None:
            del self._items[key]
        else:
            self._items[key] = new
        if self._changed:
            self._changed(key, old, new)

    def _heard(self, namespace: str) -> None:
        self._contacts[namespace] = asyncio.get_running_loop().time()
        self.problem = ""

    def _drop(self, namespace: str, keep: Set[Key] = frozenset()) -> None:
        for key in [k for k in self._items if k not in keep and namespace in ("", k[0])]:
            self._set(key, None)

    def _not_served(self, namespace: str) -> None:
        self._heard(namespace)
        self._versions[namespace] = ""
        self._drop(namespace)
        self._was_listed(namespace)
        self.served = False

    def _was_listed(self, namespace: str) -> None:
        self._listed.add(namespace)
        if len(self._listed) == len(self._scopes):
            self._synced.set()

    def _failed(self, error: ApiError) -> None:
        self.failures += 1
        if self.problem != str(error):
            self.problem = str(error)
            _log.warning("the mirror is behind, trying again", resource=self.resource, problem=self.problem)


def _key(item: JSON) -> Key:
    metadata = item["metadata"]
    return sys.intern(metadata.get("namespace", "")), metadata["name"]
