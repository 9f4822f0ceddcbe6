"""Who may write: the holder of one Lease, by client-go's rules, fenced.

Safety rests on lengths of time that each process measures with its own monotonic clock, never on the times written
into the record:

    the holder   stops writing `renew_deadline` after it *asked* for its last successful renewal,
    a candidate  takes over `duration` after it first *saw* the record that has not changed since,
    a write      is given up `duration - renew_deadline` after the fence let it pass.

A renewal is seen after it was committed, and committed after it was asked for: so the holder has stopped before anyone
takes over, however long requests hang or processes are frozen, while clocks run at rates less than
`duration / renew_deadline` apart. A record that is deleted by hand takes its promise along: who has not seen it waits
for the one seen before.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import structlog
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from perfslo.core.model import JSON
from perfslo.edges.kube.client import Api
from perfslo.errors import ApiError, LostRace, NotFound, NotLeading
from perfslo.settings import Lease

log = structlog.get_logger(__name__)


class LeaseSpec(BaseModel):
    """The spec of a coordination.k8s.io/v1 Lease, as far as election goes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    holder_identity: str | None = None
    lease_duration_seconds: int | None = Field(default=None, gt=0)
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    spec: LeaseSpec
    version: str
    """The record's resourceVersion; "" once the record is gone."""
    since: float


class Candidate:
    """The rules, without clock or network: `now` is the caller's monotonic clock, in seconds.

    With `seize` the lease is taken from a living holder, who learns of it only when it next renews: `holds` stays
    false for as long as that holder may still write.
    """

    def __init__(self, identity: str, timing: Lease, *, seize: bool = False) -> None:
        self.lost = False
        self._identity = identity
        self._timing = timing
        self._seize = seize
        self._seen: _Seen | None = None
        self._renewed_at: float | None = None
        self._clear_at = -math.inf

    @property
    def leads(self) -> bool:
        """The lease was won and is not known to be lost. Not a permission to write: that is `holds`."""
        return self._renewed_at is not None and not self.lost

    @property
    def holder(self) -> str:
        """Who held the lease when the record was last seen; "" for nobody."""
        return (self._seen.spec.holder_identity if self._seen else None) or ""

    def holds(self, now: float) -> bool:
        """May this process write at `now`?"""
        if self._renewed_at is None or self.lost:
            return False
        return self._clear_at <= now < self._renewed_at + self._timing.renew_deadline_seconds

    def observe(self, spec: LeaseSpec | None, version: str, now: float) -> None:
        """Take in the record as the server just showed it; None when there is none.

        A record that vanished counts as just renewed: its holder may not have noticed yet.
        """
        if self._seen is None and spec is None:
            return
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(spec or (self._seen.spec if self._seen else LeaseSpec()), version, now)
        if self._renewed_at is not None and (spec is None or self.holder != self._identity):
            self.lost = True

    def draft(self, now: float, stamp: str) -> LeaseSpec | None:
        """The record to write now, or None when it is not our turn. `stamp` is for people to read."""
        if self._renewed_at is not None and now >= self._renewed_at + self._timing.renew_deadline_seconds:
            self.lost = True
        if self.lost or not (self.leads or self._is_free(now)):
            return None
        seen = self._seen.spec if self._seen else LeaseSpec()
        ours = self.holder == self._identity
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=math.ceil(self._promising(now)),
            acquire_time=seen.acquire_time if ours else stamp,
            renew_time=stamp,
            lease_transitions=(seen.lease_transitions or 0) + (0 if ours or not self._seen else 1),
        )

    def written(self, spec: LeaseSpec, version: str, asked_at: float, now: float) -> None:
        """The server took our draft, which was sent at `asked_at`."""
        if self._seize and self._renewed_at is None and self.holder not in ("", self._identity):
            self._clear_at = now + self._promised_seconds
        self._renewed_at = asked_at
        self._seen = _Seen(spec, version, now)

    def resign(self, stamp: str) -> LeaseSpec | None:
        """Stop holding from this moment on; the record that lets others in at once, or None when it is not ours."""
        self.lost = True
        if self._seen is None or self.holder != self._identity:
            return None
        return self._seen.spec.model_copy(
            update={"holder_identity": "", "lease_duration_seconds": 1, "renew_time": stamp, "acquire_time": stamp}
        )

    def wait_seconds(self, started: float, now: float) -> float:
        """How long to sleep after an attempt that began at `started`, so as to wake just when something falls due."""
        due = [started + self._timing.retry_period_seconds, self._clear_at]
        if self._seen and not self.leads:
            due.append(self._seen.since + self._promised_seconds)
        return max(0.0, min(time for time in due if time > started) - now)

    @property
    def _promised_seconds(self) -> float:
        """What the holder itself wrote, which may differ from our own settings."""
        written = self._seen.spec.lease_duration_seconds if self._seen else None
        return written or self._timing.duration_seconds

    def _promising(self, now: float) -> float:
        """What to write into the record: who finds it must wait for the holder that it was seized from, too."""
        seizing = self._seize and self._renewed_at is None and self.holder != self._identity
        own = self._timing.duration_seconds
        return max(own, self._promised_seconds) if seizing or now < self._clear_at else own

    def _is_free(self, now: float) -> bool:
        if self._seen is None or self._seize or self.holder == self._identity:
            return True
        if self._seen.version and not self.holder:
            return True
        return now >= self._seen.since + self._promised_seconds


class Elector:
    """Keeps one Candidate's record on the API server.

    Its Api must be its own: an election that queues behind other requests misses its deadline under load. `identity`
    is for people; what is added to it makes it this process's own, so that a restarted one is somebody else. `seize` is
    for commands: it takes the lease from whoever holds it, and leaves it held.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        timing: Lease,
        identity: str,
        *,
        seize: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leading = asyncio.Event()
        """Set once this process may write."""
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = timing.name
        self._timing = timing
        self._resigns = not seize
        self._clock = clock
        self._candidate = Candidate(f"{identity}_{secrets.token_hex(4)}", timing, seize=seize)
        self._metadata: JSON = {"name": timing.name}
        self._problem = ""

    def holds(self) -> bool:
        """May this process write now?"""
        return self._candidate.holds(self._clock())

    def fence(self) -> None:
        """Called before every write.

        Raises:
            NotLeading: this process may not write (any more).
        """
        if not self.holds():
            raise NotLeading(f"the lease {self._name} does not hold: nothing may be written")

    async def run(self) -> NoReturn:
        """Wait for the lease, set `leading`, keep it. Cancelled, it resigns: so stop what writes first.

        Raises:
            NotLeading: the lease was lost; the process must end.
        """
        try:
            while not self._candidate.lost:
                started = self._clock()
                await self._attempt()
                if self.holds() and not self.leading.is_set():
                    log.info("lease acquired", lease=self._name)
                    self.leading.set()
                await asyncio.sleep(self._candidate.wait_seconds(started, self._clock()))
        except asyncio.CancelledError:
            if self._resigns:
                await self._resign()
            raise
        holder = self._candidate.holder
        log.error("lease lost", lease=self._name, holder=holder)
        raise NotLeading(f"the lease {self._name} was lost (its holder is {holder or 'nobody'}): this process must end")

    async def _attempt(self) -> None:
        try:
            if not self._candidate.leads:
                await self._read()
            asked_at = self._clock()
            if draft := self._candidate.draft(asked_at, _stamp()):
                version = await self._write(draft)
                self._candidate.written(draft, version, asked_at, self._clock())
            self._problem = ""
        except (LostRace, NotFound) as error:
            self._report(error)
            await self._look_again()
        except ApiError as error:
            self._report(error)

    async def _look_again(self) -> None:
        try:
            await self._read()
        except ApiError as error:
            self._report(error)

    async def _resign(self) -> None:
        for _ in range(2):  # the renewal that was just cancelled may have been taken, which makes our version stale
            if (last := self._candidate.resign(_stamp())) is None:
                return
            try:
                await self._write(last)
            except LostRace:
                await self._look_again()
            except ApiError as error:  # as when an uninstall has taken the right to it away
                problem = f"{error.reason}: {error}"
                log.info("lease not released, so others wait until it runs out", lease=self._name, problem=problem)
                return
            else:
                log.info("lease released", lease=self._name)
                return

    async def _read(self) -> None:
        try:
            found = await self._request("GET", f"{self._path}/{self._name}")
        except NotFound:
            self._metadata = {"name": self._name}
            self._candidate.observe(None, "", self._clock())
        else:
            self._metadata = found["metadata"]
            spec = LeaseSpec.model_validate(found.get("spec") or {})
            self._candidate.observe(spec, self._metadata["resourceVersion"], self._clock())

    async def _write(self, spec: LeaseSpec) -> str:
        """Create or replace the record we know of, and no other. Returns its new resourceVersion."""
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self._metadata,
            "spec": spec.model_dump(by_alias=True, exclude_none=True),
        }
        if "resourceVersion" in self._metadata:
            written = await self._request("PUT", f"{self._path}/{self._name}", body)
        else:
            written = await self._request("POST", self._path, body)
        self._metadata = written["metadata"]
        return str(self._metadata["resourceVersion"])

    async def _request(self, method: str, path: str, body: JSON | None = None) -> dict[str, Any]:
        return await self._api.request(method, path, body=body, timeout_seconds=self._timing.retry_period_seconds)

    def _report(self, error: ApiError) -> None:
        if (problem := f"{error.reason}: {error}") != self._problem:
            log.warning("lease not renewed", lease=self._name, problem=problem)
            self._problem = problem


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
