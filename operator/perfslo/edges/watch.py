"""Which PerformanceSLOs there are: kopf's watch tells of each change at once, a LIST now and then of all it missed."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import ValidationError

from perfslo.api.v1alpha1 import API_VERSION, Objective, PerformanceSLOSpec
from perfslo.core.model import JSON
from perfslo.edges.kopf_watch import KopfWatch
from perfslo.edges.kube.client import METADATA_LIST, WHOLE, Api
from perfslo.errors import ApiError
from perfslo.settings import Settings

PLURAL = "performanceslos"
PAGE_SIZE = 500
BREATH = 50
"""After so many objects others have the event loop; reading a specification takes longer than a pod."""
SHARED = 1024
"""Different promises that many SLOs share one value of."""
FIRST_LIST_RETRY_SECONDS = 2.0
"""Before the first list nothing is decided, so that is asked for more often than the later ones."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SLO:
    """A PerformanceSLO as last seen."""

    namespace: str
    name: str
    uid: str
    created: str
    """creationTimestamp."""
    generation: int
    resource_version: int
    spec: PerformanceSLOSpec | None
    """None when it does not fit our models; `problem` says why."""
    problem: str
    status_packed: bytes
    """Because ten thousand statuses as dictionaries would be most of the process's memory."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def status(self) -> JSON:
        status: JSON = json.loads(zlib.decompress(self.status_packed))
        return status


class Registry:
    """The PerformanceSLOs of the watched namespaces.

    An object is gone from here as soon as an event or a list says so. Whether it was really deleted, before anything is
    undone because of that, is for whoever undoes to ask.
    """

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._slos: dict[str, SLO] = {}
        self._uids: dict[str, str] = {}
        self._graves: dict[str, int] = {}
        self.synced = asyncio.Event()
        """Set when everything was listed once."""
        self.problem = ""
        """Why the last list failed; "" when it did not."""

    def snapshot(self) -> Mapping[str, SLO]:
        """All of them by "namespace/name"; stays as it is while the registry moves on."""
        return MappingProxyType(dict(self._slos))

    def by_uid(self, uid: str) -> SLO | None:
        key = self._uids.get(uid)
        return self._slos[key] if key else None

    async def run(self) -> None:
        """Follow until cancelled. A missing CRD or API server is waited for; nothing is dropped meanwhile."""
        watch = KopfWatch(self._api.configuration, PLURAL, self._settings.watch_namespaces, self.saw, self.knows)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync())
            await self.synced.wait()  # kopf looks for the kind only once, at its start
            tasks.create_task(watch.run())

    def saw(self, event: str | None, item: JSON) -> None:
        """Take one watch event in; `event` is None for what a list of the watcher's own showed."""
        if event == "DELETED":
            self._bury(_parse(item, self._known(item)))
        else:
            self._put(item)

    def knows(self, item: JSON) -> bool:
        """Whether this very version was taken in. Safe to call from any thread."""
        known = self._known(item)
        return known is not None and known.resource_version == int(item["metadata"]["resourceVersion"])

    async def resync(self) -> None:
        """Take in what is new and drop what is not there any more.

        Raises:
            ApiError: nothing was dropped.
        """
        for namespace in self._settings.watch_namespaces or ("",):
            await self._resync_one(namespace)
        self.synced.set()

    async def _resync(self) -> None:
        while True:
            try:
                await self.resync()
                self.problem = ""
            except ApiError as error:
                if self.problem != str(error):
                    log.warning("PerformanceSLOs cannot be listed", problem=str(error))
                self.problem = str(error)
            pause = self._settings.resync_seconds if self.synced.is_set() else FIRST_LIST_RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _resync_one(self, namespace: str) -> None:
        """List all the first time, and again when a list of their metadata shows what no event told of."""
        seen: set[str] = set()
        missed = not self.synced.is_set()

        def look(item: JSON) -> None:
            nonlocal missed
            seen.add(item["metadata"]["uid"])
            missed = missed or not self._is_known(item)

        def read(item: JSON) -> None:
            seen.add(item["metadata"]["uid"])
            self._put(item)

        listed_at = 0 if missed else await self._list(namespace, METADATA_LIST, look)
        if missed:
            seen.clear()
            listed_at = await self._list(namespace, WHOLE, read)
        for slo in list(self._slos.values()):
            if namespace in ("", slo.namespace) and slo.uid not in seen and slo.resource_version <= listed_at:
                log.info("gone, though no event said so", namespace=slo.namespace, name=slo.name)
                self._bury(slo)
        self._graves = {uid: died_at for uid, died_at in self._graves.items() if died_at > listed_at}

    async def _list(self, namespace: str, accept: str, take: Callable[[JSON], None]) -> int:
        """Page by page: as one answer, ten thousand would fill the memory. Returns the resourceVersion."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        query = {"limit": str(PAGE_SIZE)}
        while True:
            page = await self._api.request("GET", f"/apis/{API_VERSION}{scope}/{PLURAL}", query=query, accept=accept)
            for count, item in enumerate(page["items"] or (), start=1):
                take(item)
                if count % BREATH == 0:
                    await asyncio.sleep(0)
            if not (token := page["metadata"].get("continue")):
                return int(page["metadata"]["resourceVersion"])
            query = {"limit": str(PAGE_SIZE), "continue": token}

    def _is_known(self, item: JSON) -> bool:
        """Whether its specification is the one that an event or a list has told of. Statuses are our own."""
        metadata = item["metadata"]
        known = self._known(item)
        return metadata["uid"] in self._graves or (known is not None and known.generation >= metadata["generation"])

    def _known(self, item: JSON) -> SLO | None:
        metadata = item["metadata"]
        known = self._slos.get(f"{metadata['namespace']}/{metadata['name']}")
        return known if known and known.uid == metadata["uid"] else None

    def _put(self, item: JSON) -> None:
        """Events and lists overtake each other: the newest version stays, and a UID that died never comes back."""
        slo = _parse(item, self._known(item))
        old = self._slos.get(slo.key)
        if slo.uid in self._graves or (old and old.resource_version >= slo.resource_version):
            return
        if slo.problem and not (old and old.problem == slo.problem):
            log.warning("spec not understood", namespace=slo.namespace, name=slo.name, problem=slo.problem)
        if old:
            self._uids.pop(old.uid, None)
        self._slos[slo.key] = slo
        self._uids[slo.uid] = slo.key

    def _bury(self, slo: SLO) -> None:
        self._graves[slo.uid] = slo.resource_version
        if self._uids.pop(slo.uid, None):
            self._slos.pop(slo.key, None)


def _parse(item: JSON, known: SLO | None) -> SLO:
    """Most events are our own status writes: what is known of the same generation is not parsed again."""
    metadata = item["metadata"]
    version = int(metadata["resourceVersion"])
    if known and known.resource_version == version:
        return known
    status = zlib.compress(json.dumps(item.get("status", {})).encode(), 1)
    if known and known.generation == metadata["generation"]:
        return replace(known, resource_version=version, status_packed=status)
    spec, problem = _spec(item.get("spec", {}))
    return SLO(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        created=metadata["creationTimestamp"],
        generation=metadata["generation"],
        resource_version=version,
        spec=spec,
        problem=problem,
        status_packed=status,
    )


def _spec(item: Any) -> tuple[PerformanceSLOSpec | None, str]:
    try:
        spec = PerformanceSLOSpec.model_validate(item)
        return spec.model_copy(update={"objectives": _shared(spec.objectives)}), ""
    except ValidationError as error:
        return None, "; ".join(f"spec.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


@lru_cache(SHARED)
def _shared(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    """The same value for all that are equal: thousands of SLOs promise much the same, and specifications are frozen."""
    return objectives
