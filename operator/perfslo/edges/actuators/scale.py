"""The replicas lever: /scale of Deployments, StatefulSets and every other kind the administrator enabled."""

from __future__ import annotations

from dataclasses import dataclass

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import REPLICAS
from perfslo.core.model import JSON, Replicas, Target
from perfslo.core.steps import Scale, TargetRef
from perfslo.edges.actuators.levers import Order
from perfslo.edges.claims import Claims, left
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.edges.kube.enabled import EnabledKinds
from perfslo.edges.kube.writes import Writer
from perfslo.errors import NotFound
from perfslo.settings import ScaleKind


@dataclass(frozen=True, slots=True)
class Reading:
    """A /scale as the server shows it now."""

    uid: str
    replicas: int
    """Wanted."""


class ScaleActuator:
    """Writes replicas: claimed first, guarded by what was read, never forced and never repeated."""

    step = Scale

    def __init__(self, api: Api, writer: Writer, claims: Claims, kinds: tuple[ScaleKind, ...]) -> None:
        self._api = api
        self._writer = writer
        self._claims = claims
        self._enabled = EnabledKinds(kinds, "cannot be scaled: ask the administrator to add its kind to scaleKinds")

    def undoes(self, claim: LeverClaim) -> bool:
        """As every actuator's."""
        return claim.spec.field == REPLICAS

    async def read(self, namespace: str, ref: TargetRef) -> Reading:
        """Ask the server; the cycle itself knows this from its watches.

        Raises:
            NotFound: no such object, or it has no /scale. ConfigurationError: the kind is not enabled. ApiError.
        """
        scale = await self._api.request("GET", f"{self._enabled.path(namespace, ref)}/scale")
        return Reading(
            uid=scale["metadata"]["uid"],
            replicas=scale.get("spec", {}).get("replicas", 0),
        )

    def plan(self, target: Target, replicas: int) -> Scale | None:
        """The step to that many replicas, or None when they are ordered already."""
        current = target.replicas.desired
        return None if replicas == current else Scale(current, replicas)

    async def apply(self, order: Order) -> None:
        """As every actuator's."""
        step, target = order.step, order.target
        if not isinstance(step, Scale) or target is None:
            raise TypeError(f"{step} is not about the replicas of a workload")
        found, wanted = step.values
        claimed = ClaimTarget(group=target.ref.group, kind=target.ref.kind, name=target.ref.name, uid=target.uid)
        await self._claims.take(order.pull(claimed, REPLICAS, found, wanted))
        await self._set(
            order.holder.namespace,
            target.ref,
            uid=target.uid,
            current=step.current,
            wanted=step.wanted,
            decision_id=order.decision_id,
        )

    def verify(self, step: Scale, replicas: Replicas) -> bool:
        """Whether the step's effect is there: the ready replicas follow, not only the order."""
        if step.wanted > step.current:
            return replicas.ready >= step.wanted
        return replicas.ready <= step.wanted

    async def restore(self, claim: LeverClaim) -> str:
        """As every actuator's."""
        spec, namespace = claim.spec, claim.metadata.namespace or ""
        ref = TargetRef(spec.target_ref.group, spec.target_ref.kind, spec.target_ref.name)
        try:
            now = await self.read(namespace, ref)
        except NotFound:
            return await self._enabled.is_gone(self._api, ref)
        if why := left(spec, str(ref), now.uid, str(now.replicas)):
            return f"{why} replicas"
        original = int(spec.original_value)
        if original != now.replicas:
            await self._set(
                namespace,
                ref,
                uid=now.uid,
                current=now.replicas,
                wanted=original,
                decision_id=spec.decision_id or "",
            )
        return f"{ref} put back from {now.replicas} to {original} replicas"

    async def _set(
        self, namespace: str, ref: TargetRef, *, uid: str, current: int, wanted: int, decision_id: str
    ) -> None:
        """The one place that writes replicas. With none, a scale shows an empty spec: then that is tested."""
        unchanged: JSON = (
            {"op": "test", "path": "/spec/replicas", "value": current}
            if current
            else {"op": "test", "path": "/spec", "value": {}}
        )
        patch: list[JSON] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            unchanged,
            {"op": "add", "path": "/spec/replicas", "value": wanted},
        ]
        await self._writer.send(
            "PATCH",
            f"{self._enabled.path(namespace, ref)}/scale",
            patch,
            content_type=JSON_PATCH,
            decision_id=decision_id,
        )
