"""Gives levers back when the SLO that held them is gone, however it went.

It looks at claims only, never at what the watch just said: so an SLO deleted while nobody was looking, replaced under
the same name, pointed at another target or lost by a watch all come to the same thing: a claim nobody stands behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

import structlog

from perfslo.api.v1alpha1 import LeverClaim
from perfslo.edges.actuators.scale import ScaleActuator
from perfslo.edges.claims import Claims, precedence
from perfslo.edges.watch import SLO
from perfslo.errors import ApiError, ConfigurationError

log = structlog.get_logger(__name__)

MASS = 3
"""This many to restore within one grace period, and more than half of all claims, are not somebody tidying up."""


class Caretaker:
    def __init__(self, claims: Claims, actuator: ScaleActuator, grace_seconds: float) -> None:
        self._claims = claims
        self._actuator = actuator
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
        # Of two for one target the older is the heir, as everywhere.
        heirs = {_target_key(slo): slo for slo in sorted(living.values(), key=precedence, reverse=True) if slo.spec}
        orphans = [claim for claim in self._claims if _is_orphan(claim, living)]
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
        restoring = frozenset(_uid(claim) for claim in orphans if claim.spec.on_delete == "Restore")
        is_mass = len(restoring) >= MASS and len(restoring) * 2 > len(list(self._claims))
        if is_mass and not restoring <= self._held:
            log.warning(
                "many SLOs vanished at once: their levers stay where they are",
                claims=len(restoring),
                fix="apply the SLOs again to go on, or run perfslo release --all to put their levers back",
            )
        self._held = restoring if is_mass else self._held & restoring

    async def _follow(self, claim: LeverClaim, living: dict[str, SLO]) -> None:
        """What the holder wants done on its own end may be edited while it lives."""
        holder = living.get(claim.spec.holder.uid)
        if holder and holder.spec and claim.spec.on_delete != (wanted := holder.spec.on_delete.replicas):
            await self._attempt(claim, self._claims.adopt(claim, holder, wanted))

    async def _hand_over(self, claim: LeverClaim, heir: SLO, living: dict[str, SLO]) -> None:
        if heir.spec and await self._is_abandoned(claim, living):
            await self._claims.adopt(claim, heir, heir.spec.on_delete.replicas)

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
            done=await self._actuator.release(claim),
        )

    async def _attempt(self, claim: LeverClaim, work: Awaitable[object]) -> None:
        try:
            await work
        except (ApiError, ConfigurationError) as error:
            log.warning("claim kept for now", claim=claim.metadata.name, reason=error.reason, problem=str(error))
        except ValueError as error:  # edited by hand into what is no number
            log.error("claim cannot be undone: correct or delete it", claim=claim.metadata.name, problem=str(error))


def _is_orphan(claim: LeverClaim, living: dict[str, SLO]) -> bool:
    holder = living.get(claim.spec.holder.uid)
    return holder is None or (holder.spec is not None and _target_key(holder) != _claim_key(claim))


def _target_key(slo: SLO) -> tuple[str, str, str, str]:
    ref = slo.spec.scale_target_ref if slo.spec else None
    return (slo.namespace, ref.group, ref.kind, ref.name) if ref else (slo.namespace, "", "", "")


def _claim_key(claim: LeverClaim) -> tuple[str, str, str, str]:
    target = claim.spec.target_ref
    return claim.metadata.namespace or "", target.group, target.kind, target.name


def _uid(claim: LeverClaim) -> str:
    return claim.metadata.uid or ""
