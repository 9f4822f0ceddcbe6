"""Balancing policies: one word of an object that says how a proxy chooses among pods."""

from __future__ import annotations

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import POLICY
from perfslo.core.model import JSON
from perfslo.core.steps import Balance, TargetRef
from perfslo.core.turn import Conflict
from perfslo.edges.actuators.levers import Order
from perfslo.edges.claims import Claims, left
from perfslo.edges.kube import policies
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.edges.kube.enabled import EnabledKinds
from perfslo.edges.kube.policies import Policy
from perfslo.edges.kube.writes import Writer
from perfslo.errors import LostRace, NotFound, WriteConflict
from perfslo.settings import POLICY_KINDS, PolicyKind


class PolicyActuator:
    """Replaces a policy that is written there; where none is, the proxy's own choice is left alone."""

    step = Balance

    def __init__(self, api: Api, writer: Writer, claims: Claims, kinds: tuple[PolicyKind, ...]) -> None:
        self._api = api
        self._writer = writer
        self._claims = claims
        self._enabled = EnabledKinds(kinds, "cannot be written: ask the administrator to add its kind to policyKinds")

    def undoes(self, claim: LeverClaim) -> bool:
        """As every actuator's."""
        return claim.spec.field == POLICY

    async def apply(self, order: Order) -> None:
        """As every actuator's."""
        step, namespace = order.step, order.holder.namespace
        if not isinstance(step, Balance):
            raise TypeError(f"{step} is not about a balancing policy")
        now = await self._read(namespace, step.policy)
        if now.value != step.current:
            raise LostRace(f"{step.policy} says {now.value or 'nothing'} by now, and not {step.current}")
        if conflict := Conflict.of(now.other_writers, f"writes {step.policy}"):
            raise WriteConflict(conflict.message)
        ref = step.policy
        claimed = ClaimTarget(group=ref.group, kind=ref.kind, name=ref.name, uid=now.uid)
        await self._claims.take(order.pull(claimed, POLICY, step.current, step.wanted))
        await self._write(namespace, ref, now, step.wanted, order.decision_id)

    async def restore(self, claim: LeverClaim) -> str:
        """As every actuator's."""
        spec, namespace = claim.spec, claim.metadata.namespace or ""
        ref = TargetRef(spec.target_ref.group, spec.target_ref.kind, spec.target_ref.name)
        try:
            now = await self._read(namespace, ref)
        except NotFound:
            return await self._enabled.is_gone(self._api, ref)
        if why := left(spec, str(ref), now.uid, now.value):
            return why
        if now.value != spec.original_value:
            await self._write(namespace, ref, now, spec.original_value, spec.decision_id or "")
        return f"{ref} put back from {now.value} to {spec.original_value}"

    async def _read(self, namespace: str, ref: TargetRef) -> Policy:
        return policies.project(
            (ref.group, ref.kind), await self._api.request("GET", self._enabled.path(namespace, ref))
        )

    async def _write(self, namespace: str, ref: TargetRef, now: Policy, wanted: str, decision_id: str) -> None:
        """The one place that writes a policy."""
        pointer = POLICY_KINDS[ref.group, ref.kind]
        patch: list[JSON] = [
            {"op": "test", "path": "/metadata/uid", "value": now.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": now.resource_version},
            {"op": "test", "path": pointer, "value": now.value},
            {"op": "replace", "path": pointer, "value": wanted},
        ]
        path = self._enabled.path(namespace, ref)
        await self._writer.send("PATCH", path, patch, content_type=JSON_PATCH, decision_id=decision_id)
