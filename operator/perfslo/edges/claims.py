"""LeverClaims: the write-ahead record of every lever, the lock that only one SLO can have, and the list for undoing.

A claim is written before its lever is. Claims are listed once (`refresh`) and then known from our own writes: only the
leader writes them, each write tests the resourceVersion, and a claim that was edited by hand costs one lost race.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog
from pydantic import ValidationError

from perfslo.api.v1alpha1 import API_VERSION, ClaimHolder, ClaimTarget, LeverClaim, LeverClaimSpec, claim_name
from perfslo.core.holdings import Undo
from perfslo.core.model import JSON
from perfslo.edges.kube.client import MERGE_PATCH, Api
from perfslo.edges.kube.enabled import is_served
from perfslo.edges.kube.writes import Owner, Writer, slo_path
from perfslo.errors import LostRace, NotFound, WriteConflict

log = structlog.get_logger(__name__)

PAGE = "500"


class Holder(Owner, Protocol):
    """A PerformanceSLO that may hold levers. `created` is its creationTimestamp: the older of two keeps a lever."""

    @property
    def created(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Pull:
    """A lever that is about to be written: values as text, `time` in Unix seconds."""

    holder: Holder
    target: ClaimTarget
    field: str
    found: str
    wanted: str
    decision_id: str
    time: float
    on_delete: Undo

    @property
    def claim_name(self) -> str:
        return claim_name(self.target.group, self.target.kind, self.target.name, self.field)


def is_ours(claim: LeverClaimSpec, target_uid: str, value: str) -> bool:
    """Whether that value of that object was written under this claim, the last write having arrived or not."""
    return claim.target_ref.uid == target_uid and value in (claim.last_value, claim.previous_value)


def left(claim: LeverClaimSpec, named: str, target_uid: str, value: str) -> str | None:
    """Why what is there now is not put back, as a sentence; None when it is still what was written under this claim."""
    if claim.target_ref.uid != target_uid:
        return f"{named} was replaced by another of its name: left at {value}"
    return None if is_ours(claim, target_uid, value) else f"{named} was changed since: left at {value}"


def claimed(existing: LeverClaimSpec | None, pull: Pull) -> LeverClaimSpec:
    """The claim for this pull. The original is kept, through every holder, until somebody else writes the field."""
    ours = existing if existing and is_ours(existing, pull.target.uid, pull.found) else None
    return LeverClaimSpec(
        target_ref=pull.target,
        field=pull.field,
        holder=ClaimHolder(name=pull.holder.name, uid=pull.holder.uid),
        original_value=ours.original_value if ours else pull.found,
        last_value=pull.wanted,
        previous_value=pull.found if ours else None,
        last_write_time=datetime.fromtimestamp(pull.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        decision_id=pull.decision_id,
        on_delete=pull.on_delete,
    )


def precedence(holder: Holder) -> tuple[str, str]:
    """Of two SLOs that want one lever, the smaller keeps it: the older, and at the same second the lower UID."""
    return holder.created, holder.uid


class Claims:
    """The claims of the watched namespaces (of all, when `namespaces` is empty).

    `living` answers from the watch: the SLO of that UID, or None when the watch knows none.
    """

    def __init__(
        self,
        api: Api,
        writer: Writer,
        namespaces: tuple[str, ...],
        living: Callable[[str], Holder | None] = lambda uid: None,
    ) -> None:
        self._api = api
        self._writer = writer
        self._namespaces = namespaces
        self._living = living
        self._known: dict[tuple[str, str], LeverClaim] = {}

    def __iter__(self) -> Iterator[LeverClaim]:
        return iter(tuple(self._known.values()))

    def original(self, namespace: str, target: ClaimTarget, field: str, value: str) -> str | None:
        """What was found before this value was written under a claim; None when somebody else wrote it."""
        claim = self._known.get((namespace, claim_name(target.group, target.kind, target.name, field)))
        return claim.spec.original_value if claim and is_ours(claim.spec, target.uid, value) else None

    async def refresh(self) -> None:
        """List them all: when the lease was won, and now and then to see what was done by hand.

        Raises:
            ApiError: nothing was forgotten.
        """
        found: dict[tuple[str, str], LeverClaim] = {}
        for collection in [_path(namespace) for namespace in self._namespaces] or [_path()]:
            async for item in self._list(collection):
                if claim := _read(item):
                    found[_key(claim)] = claim
        self._known = found

    async def take(self, pull: Pull) -> LeverClaim:
        """Claim the lever for this pull, before it is written.

        Raises:
            WriteConflict: an older living SLO holds it. LostRace: the claim had changed, plan again.
            NotLeading, ApiError: as Writer.send; the lever must not be written.
        """
        key = (pull.holder.namespace, pull.claim_name)
        existing = self._known.get(key)
        if existing and existing.spec.holder.uid != pull.holder.uid:
            await self._succeed(existing, pull.holder)
        spec = claimed(existing.spec if existing else None, pull)
        return await self._change(existing, spec) if existing else await self._create(key, spec)

    async def adopt(self, claim: LeverClaim, heir: Holder, on_delete: Undo) -> LeverClaim:
        """Make `heir` the holder, with what it wants done on its own end; the values stay what they are.

        Raises:
            LostRace: the claim had changed. NotLeading, ApiError: as Writer.send.
        """
        holder = ClaimHolder(name=heir.name, uid=heir.uid)
        return await self._change(claim, claim.spec.model_copy(update={"holder": holder, "on_delete": on_delete}))

    async def holder_is_gone(self, claim: LeverClaim) -> bool:
        """Whether the SLO that holds it was surely deleted: the API server says so while it still serves the kind.

        Raises:
            ApiError: nobody knows.
        """
        namespace, holder = claim.metadata.namespace or "", claim.spec.holder
        try:
            found = await self._api.request("GET", slo_path(namespace, holder.name))
        except NotFound:
            return await is_served(self._api, f"/apis/{API_VERSION}", "performanceslos")
        return bool(found["metadata"]["uid"] != holder.uid)

    async def delete(self, claim: LeverClaim) -> None:
        """Forget a claim whose lever was released.

        Raises:
            LostRace: it was changed since, e.g. adopted by another SLO. NotLeading, ApiError: as Writer.send.
        """
        key = _key(claim)
        options: JSON = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": _preconditions(claim)}
        try:
            await self._writer.send("DELETE", _path(*key), options, decision_id=_decision(claim.spec))
        except NotFound:
            pass
        except LostRace:
            await self._reload(key)
            raise
        self._known.pop(key, None)

    async def _create(self, key: tuple[str, str], spec: LeverClaimSpec) -> LeverClaim:
        namespace, name = key
        body: JSON = {
            "apiVersion": API_VERSION,
            "kind": "LeverClaim",
            "metadata": {"name": name},
            "spec": spec.model_dump(exclude_none=True),
        }
        return await self._remember(key, self._writer.send("POST", _path(namespace), body, decision_id=_decision(spec)))

    async def _change(self, claim: LeverClaim, spec: LeverClaimSpec) -> LeverClaim:
        key = _key(claim)
        body: JSON = {"metadata": _preconditions(claim), "spec": spec.model_dump()}
        patch = self._writer.send("PATCH", _path(*key), body, content_type=MERGE_PATCH, decision_id=_decision(spec))
        return await self._remember(key, patch)

    async def _remember(self, key: tuple[str, str], write: Awaitable[JSON]) -> LeverClaim:
        try:
            claim = self._known[key] = LeverClaim.model_validate(await write)
        except (LostRace, NotFound):
            await self._reload(key)
            raise
        return claim

    async def _succeed(self, existing: LeverClaim, heir: Holder) -> None:
        rival = self._living(existing.spec.holder.uid)
        if rival is None and not await self.holder_is_gone(existing):
            raise WriteConflict(f"{_named(existing.spec.target_ref)} is held by an SLO that is not seen yet: held")
        if rival and precedence(rival) < precedence(heir):
            raise WriteConflict(_conflict(existing.spec.target_ref, rival))
        log.info("claim adopted", namespace=heir.namespace, name=heir.name, previous=existing.spec.holder.name)

    async def _reload(self, key: tuple[str, str]) -> None:
        try:
            claim = _read(await self._api.request("GET", _path(*key)))
        except NotFound:
            claim = None
        if claim:
            self._known[key] = claim
        else:
            self._known.pop(key, None)

    async def _list(self, collection: str) -> AsyncIterator[JSON]:
        query = {"limit": PAGE}
        while True:
            page = await self._api.request("GET", collection, query=query)
            for item in page["items"]:
                yield item
            if not (token := page["metadata"].get("continue")):
                return
            query = {"limit": PAGE, "continue": token}


def _conflict(target: ClaimTarget, rival: Holder) -> str:
    return (
        f"{_named(target)} is already scaled for the older PerformanceSLO {rival.name}: "
        "delete one of the two, or give this one another target"
    )


def _named(target: ClaimTarget) -> str:
    return f"{target.kind}/{target.name}"


def _path(namespace: str = "", name: str = "") -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{API_VERSION}{scope}/leverclaims" + (f"/{name}" if name else "")


def _key(claim: LeverClaim) -> tuple[str, str]:
    return claim.metadata.namespace or "", claim.metadata.name


def _decision(spec: LeverClaimSpec) -> str:
    return spec.decision_id or ""


def _preconditions(claim: LeverClaim) -> JSON:
    return {"uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version}


def _read(item: JSON) -> LeverClaim | None:
    try:
        return LeverClaim.model_validate(item)
    except ValidationError as error:
        log.warning("claim not understood", claim=item.get("metadata", {}).get("name"), problem=str(error))
        return None
