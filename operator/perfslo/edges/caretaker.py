"""Gives levers back when the SLO that held them is gone, however it went.

It looks at claims only, never at what the watch just said: so an SLO deleted while nobody was looking, replaced under
the same name, pointed at another target or lost by a watch all come to the same thing: a claim nobody stands behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

import structlog

from perfslo.api.v1alpha1 import LeverClaim
from perfslo.core.holdings import Holding, Undo, holdings
from perfslo.edges.actuators.levers import Levers
from perfslo.edges.claims import Claims, precedence
from perfslo.edges.watch import SLO
from perfslo.errors import ApiError, ConfigurationError, HookFailed

log = structlog.get_logger(__name__)

MASS = 3
"""So many holders gone within one grace period, and more than half of all, are not somebody tidying up."""


class Caretaker:
    def __init__(self, claims: Claims, levers: Levers, grace_seconds: float) -> None:
        self._claims = claims
        self._levers = levers
        self._grace_seconds = grace_seconds
        self._orphaned_since: dict[str, float] = {}
        self._held: frozenset[str] = frozenset()
        """Claims that vanished in a mass: kept until adopted, or released by hand."""

    async def look_round(self, slos: Iterable[SLO], now: float) -> None:
        """Adopt or release each claim that has had no SLO behind it for the grace period. `now` is monotonic.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        living = {slo.uid: slo for slo in slos}
        for claim in self._claims:
            await self._follow(claim, living)
        orphans = [claim for claim in self._claims if _is_orphan(claim, living)]
        heirs = _heirs(living.values()) if orphans else {}
        self._orphaned_since = {_uid(claim): self._orphaned_since.get(_uid(claim), now) for claim in orphans}
        for claim in orphans:
            if heir := heirs.get(_claim_key(claim)):
                await self._attempt(claim, self._hand_over(claim, heir, living))
        orphans = [claim for claim in orphans if _claim_key(claim) not in heirs]
        due = [claim for claim in orphans if now - self._orphaned_since[_uid(claim)] >= self._grace_seconds]
        self._brake(orphans)
        for claim in due:
            if _uid(claim) not in self._held:
                await self._attempt(claim, self._release(claim, living))

    def _brake(self, orphans: list[LeverClaim]) -> None:
        """Hold what would be restored in a mass, and go on holding what is left of it when others were adopted."""
        undone = [claim for claim in orphans if claim.spec.on_delete == "Restore"]
        restoring = frozenset(map(_uid, undone))
        is_mass = _holders(undone) >= MASS and _holders(undone) * 2 > _holders(self._claims)
        if is_mass and not restoring <= self._held:
            log.warning(
                "many SLOs vanished at once: their levers stay where they are",
                claims=len(restoring),
                fix="apply the SLOs again to go on, or run perfslo release --all to put their levers back",
            )
        self._held = restoring if is_mass else self._held & restoring

    async def _follow(self, claim: LeverClaim, living: dict[str, SLO]) -> None:
        """What the holder wants done on its own end may be edited while it lives."""
        if holder := living.get(claim.spec.holder.uid):
            wanted = _holdings(holder).get(_held(claim), claim.spec.on_delete)
            if wanted != claim.spec.on_delete:
                await self._attempt(claim, self._claims.adopt(claim, holder, wanted))

    async def _hand_over(self, claim: LeverClaim, heir: SLO, living: dict[str, SLO]) -> None:
        if await self._is_abandoned(claim, living):
            await self._claims.adopt(claim, heir, _holdings(heir)[_held(claim)])

    async def _is_abandoned(self, claim: LeverClaim, living: dict[str, SLO]) -> bool:
        """A living holder that was pointed elsewhere gave it up; one that the watch lost is asked for once more."""
        return claim.spec.holder.uid in living or await self._claims.holder_is_gone(claim)

    async def _release(self, claim: LeverClaim, living: dict[str, SLO]) -> None:
        if not await self._is_abandoned(claim, living):
            return
        log.info(
            "lever released",
            namespace=claim.metadata.namespace,
            name=claim.spec.holder.name,
            lever=claim.spec.field,
            decision_id=claim.spec.decision_id,
            done=await self._levers.release(claim),
        )

    async def _attempt(self, claim: LeverClaim, work: Awaitable[object]) -> None:
        try:
            await work
        except (ApiError, ConfigurationError, HookFailed) as error:
            log.warning("claim kept for now", claim=claim.metadata.name, reason=error.reason, problem=str(error))
        except ValueError as error:  # edited by hand into what is no number
            log.error("claim cannot be undone: correct or delete it", claim=claim.metadata.name, problem=str(error))


def _heirs(slos: Iterable[SLO]) -> dict[tuple[str, Holding], SLO]:
    """Who may take a field over. Of two for one field it is the older, as everywhere."""
    return {
        (slo.namespace, holding): slo
        for slo in sorted(slos, key=precedence, reverse=True)
        for holding in _holdings(slo)
    }


def _is_orphan(claim: LeverClaim, living: dict[str, SLO]) -> bool:
    holder = living.get(claim.spec.holder.uid)
    return holder is None or (holder.spec is not None and _held(claim) not in _holdings(holder))


def _holdings(slo: SLO) -> dict[Holding, Undo]:
    return holdings(slo.spec) if slo.spec else {}


def _held(claim: LeverClaim) -> Holding:
    target = claim.spec.target_ref
    return Holding(target.group, target.kind, target.name, claim.spec.field)


def _claim_key(claim: LeverClaim) -> tuple[str, Holding]:
    return claim.metadata.namespace or "", _held(claim)


def _uid(claim: LeverClaim) -> str:
    return claim.metadata.uid or ""


def _holders(claims: Iterable[LeverClaim]) -> int:
    return len({claim.spec.holder.uid for claim in claims})
