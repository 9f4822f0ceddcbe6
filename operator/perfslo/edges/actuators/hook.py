"""Levers behind an HTTP hook: what a provider turns on and off for us."""

from __future__ import annotations

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import HOOK, HOOK_FIELD
from perfslo.core.steps import Call
from perfslo.edges.actuators.levers import Order
from perfslo.edges.claims import Claims, is_ours
from perfslo.edges.hooks import Hooks
from perfslo.edges.kube.writes import Writer
from perfslo.errors import LostRace


class HookActuator:
    """What the hook says is read before it is written: an answer that was lost is made up for by the next cycle."""

    step = Call

    def __init__(self, hooks: Hooks, writer: Writer, claims: Claims) -> None:
        self._hooks = hooks
        self._fence = writer.fence
        self._claims = claims

    def undoes(self, claim: LeverClaim) -> bool:
        """As every actuator's."""
        return claim.spec.target_ref.kind == HOOK

    async def apply(self, order: Order) -> None:
        """As every actuator's."""
        step, namespace = order.step, order.holder.namespace
        if not isinstance(step, Call):
            raise TypeError(f"{step} is not about a hook")
        now = await self._hooks.read(namespace, step.hook)
        if now != step.current:
            raise LostRace(f"the hook {step.hook} is {now} by now, and not {step.current}")
        claimed = ClaimTarget(group="", kind=HOOK, name=step.hook, uid=self._hooks.identity(namespace, step.hook))
        await self._claims.take(order.pull(claimed, HOOK_FIELD, step.current, step.wanted))
        await self._hooks.write(namespace, step.hook, step.current, step.wanted, order.decision_id, self._fence)

    async def restore(self, claim: LeverClaim) -> str:
        """As every actuator's."""
        spec, namespace, name = claim.spec, claim.metadata.namespace or "", claim.spec.target_ref.name
        named = f"{HOOK}/{name}"
        identity = self._hooks.identity(namespace, name)
        now = await self._hooks.read(namespace, name)
        if identity != spec.target_ref.uid:
            return f"{named} has another URL by now: left {now}"
        if not is_ours(spec, identity, now):
            return f"{named} was changed since: left {now}"
        if now != spec.original_value:
            key = f"{spec.decision_id}-undone"  # a replay of the decision itself would be taken for done
            await self._hooks.write(namespace, name, now, spec.original_value, key, self._fence)
        return f"{named} put back from {now} to {spec.original_value}"
