"""The one door for everything the operator writes, and the two writes that every SLO has: its status and its Events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from perfslo.api.v1alpha1 import API_VERSION
from perfslo.core.model import JSON
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.errors import ApiError, ApiUnavailable

log = structlog.get_logger(__name__)

FIELD_MANAGER = "perfslo"
CONTROLLER = "perfslo.io/operator"
CONCURRENT_WRITES = 8
"""Twice what keeps a 5/s budget busy at the slowest sane answer; never a burst that the API server would throttle."""
NOTE_BYTES = 1024
"""The API's own limit on an Event's note."""


class Owner(Protocol):
    """A PerformanceSLO, as far as writing about it goes."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...


class Writer:
    """Sends writes while this process leads, and says so in the log.

    `fence` raises NotLeading when nothing may be written (Elector.fence). `timeout_seconds` is what the lease leaves
    between its renew deadline and its end: a write that takes longer could land under the next leader. What is left is
    a process frozen in the moment between fence and socket: what it then sends is guarded by what it was planned on.
    """

    def __init__(self, api: Api, fence: Callable[[], None], *, timeout_seconds: float) -> None:
        self._api = api
        self.fence = fence
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(CONCURRENT_WRITES)
        self._not_before = 0.0

    async def send(
        self,
        method: str,
        path: str,
        body: JSON | list[JSON],
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        decision_id: str = "",
    ) -> JSON:
        """One write, never repeated here: what to do after a refusal is the caller's to decide.

        Raises:
            NotLeading: nothing was sent. ApiError: as Api.request.
        """
        manager = {} if method == "DELETE" else {"fieldManager": FIELD_MANAGER}
        async with self._slots:
            await self._as_asked()
            self.fence()
            try:
                answer = await self._api.request(
                    method,
                    path,
                    query={**manager, **(query or {})},
                    body=body,
                    content_type=content_type,
                    timeout_seconds=self._timeout_seconds,
                )
            except ApiError as error:
                log.warning("write failed", method=method, path=path, decision_id=decision_id, problem=str(error))
                if isinstance(error, ApiUnavailable):
                    self._not_before = time.monotonic() + min(error.retry_after_seconds, self._timeout_seconds)
                raise
        log.log(_level(decision_id), "written", method=method, path=path, decision_id=decision_id)
        return answer

    async def _as_asked(self) -> None:
        """An API server that says Retry-After is not asked earlier."""
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))


def slo_path(namespace: str, name: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/performanceslos/{name}"


async def apply_status(writer: Writer, slo: Owner, status: JSON) -> None:
    """Make `status` the whole status of exactly this SLO: one of the same name but another UID is left alone.

    A JSON Patch, because server-side apply does not compare the UID on a custom resource's /status.

    Raises:
        NotFound: the SLO is gone. LostRace: it was replaced. Others as Writer.send.
    """
    patch: list[JSON] = [
        {"op": "test", "path": "/metadata/uid", "value": slo.uid},
        {"op": "add", "path": "/status", "value": status},
    ]
    await writer.send("PATCH", slo_path(slo.namespace, slo.name) + "/status", patch, content_type=JSON_PATCH)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an SLO, once. `reason` and `action` are CamelCase; the note is for people."""

    slo: Owner
    reason: str
    action: str
    note: str
    warning: bool = False
    decision_id: str = ""


async def emit(writer: Writer, instance: str, event: Event) -> None:
    """Record an Event, for `kubectl describe`. One that is refused is logged and dropped; `instance` is the pod's name.

    Raises:
        NotLeading: nothing was sent.
    """
    slo = event.slo
    mark = f" [{event.decision_id}]" if event.decision_id else ""
    note = event.note.encode()[: NOTE_BYTES - len(mark)].decode(errors="ignore") + mark
    body: JSON = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{slo.name}-", "namespace": slo.namespace},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "action": event.action,
        "note": note,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "PerformanceSLO",
            "namespace": slo.namespace,
            "name": slo.name,
            "uid": slo.uid,
        },
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{slo.namespace}/events"
    try:
        await writer.send("POST", path, body, decision_id=event.decision_id)
    except ApiError:
        log.warning("event dropped", namespace=slo.namespace, name=slo.name, reason=event.reason)


def _level(decision_id: str) -> int:
    """Decisions are the audit trail; the many status writes are not."""
    return logging.INFO if decision_id else logging.DEBUG
