"""The replicas lever: /scale of Deployments, StatefulSets and every other kind the administrator enabled."""

from __future__ import annotations

from dataclasses import dataclass

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.model import JSON, Change, ChangeResult, Replicas, Step, Target, TargetRef
from perfslo.edges.claims import Claims, Holder, Pull, Undo, is_ours
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.edges.kube.writes import Writer
from perfslo.errors import ApiError, ConfigurationError, NotFound
from perfslo.settings import ScaleKind

FIELD = "replicas"


@dataclass(frozen=True, slots=True)
class Reading:
    """A /scale as the server shows it now."""

    uid: str
    replicas: int
    """Wanted."""
    observed_replicas: int


@dataclass(frozen=True, slots=True)
class Order:
    """A step that was decided for an SLO, against the target as it was seen when deciding."""

    holder: Holder
    target: Target
    step: Step
    decision_id: str
    time: float
    on_delete: Undo
    recommend_only: bool = False


class ScaleActuator:
    """Writes replicas: claimed first, guarded by what was read, never forced and never repeated."""

    def __init__(self, api: Api, writer: Writer, claims: Claims, kinds: tuple[ScaleKind, ...]) -> None:
        self._api = api
        self._writer = writer
        self._claims = claims
        self._kinds = {(kind.group, kind.kind): kind for kind in kinds}

    async def read(self, namespace: str, ref: TargetRef) -> Reading:
        """Ask the server; the cycle itself knows this from its watches.

        Raises:
            NotFound: no such object, or it has no /scale. ConfigurationError: the kind is not enabled. ApiError.
        """
        scale = await self._api.request("GET", self._path(namespace, ref))
        return Reading(
            uid=scale["metadata"]["uid"],
            replicas=scale.get("spec", {}).get("replicas", 0),
            observed_replicas=scale.get("status", {}).get("replicas", 0),
        )

    def plan(self, target: Target, replicas: int) -> Step | None:
        """The step to that many replicas, or None when they are ordered already."""
        current = target.replicas.desired
        return None if replicas == current else Step(FIELD, current, replicas)

    async def apply(self, order: Order) -> Change:
        """Carry the order out, unless it is a recommendation.

        A refusal is a result, not an exception: the next cycle plans anew from what it then sees. So is a write whose
        answer was lost: it is not repeated, for whether it arrived will be seen.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        if order.recommend_only:
            return _change(order, ChangeResult.RECOMMENDED, "recommended only: nothing was written")
        try:
            await self._claims.take(_pull(order))
            await self._set(
                order.holder.namespace,
                order.target.ref,
                uid=order.target.uid,
                current=order.step.current,
                wanted=order.step.wanted,
                decision_id=order.decision_id,
            )
        except (ApiError, ConfigurationError) as error:
            return _change(order, ChangeResult.REFUSED, f"{error.reason}: {error}")
        return _change(order, ChangeResult.APPLIED, f"replicas {order.step.current}->{order.step.wanted}")

    def verify(self, step: Step, replicas: Replicas) -> bool:
        """Whether the step's effect is there: the ready replicas follow, not only the order."""
        if step.wanted > step.current:
            return replicas.ready >= step.wanted
        return replicas.ready <= step.wanted

    async def release(self, claim: LeverClaim) -> str:
        """Give the lever back as its holder wished, and forget the claim. Returns what was done, as a sentence.

        Raises:
            LostRace: something changed meanwhile; look again. NotLeading, ConfigurationError, ApiError: still claimed.
        """
        target = claim.spec.target_ref
        done = f"{target.kind}/{target.name} left as it is (onDelete: Keep)"
        if claim.spec.on_delete == "Restore":
            done = await self.restore(claim)
        await self._claims.delete(claim)
        return done

    async def restore(self, claim: LeverClaim) -> str:
        """Put back what was found first, if the value is still ours. Returns what was done, as a sentence.

        Raises:
            LostRace: it changed meanwhile. NotLeading, ConfigurationError, ApiError: nothing was put back.
        """
        spec, namespace = claim.spec, claim.metadata.namespace or ""
        ref = TargetRef(spec.target_ref.group, spec.target_ref.kind, spec.target_ref.name)
        try:
            now = await self.read(namespace, ref)
        except NotFound:
            return f"{ref} is gone"
        if now.uid != spec.target_ref.uid:
            return f"{ref} was replaced by another of its name: left at {now.replicas} replicas"
        if not is_ours(spec, now.uid, str(now.replicas)):
            return f"{ref} was changed since: left at {now.replicas} replicas"
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
            "PATCH", self._path(namespace, ref), patch, content_type=JSON_PATCH, decision_id=decision_id
        )

    def _path(self, namespace: str, ref: TargetRef) -> str:
        if not (kind := self._kinds.get((ref.group, ref.kind))):
            raise ConfigurationError(f"{ref} cannot be scaled: ask the administrator to add its kind to scaleKinds")
        base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return f"{base}/namespaces/{namespace}/{kind.resource}/{ref.name}/scale"


def _pull(order: Order) -> Pull:
    ref = order.target.ref
    return Pull(
        holder=order.holder,
        target=ClaimTarget(group=ref.group, kind=ref.kind, name=ref.name, uid=order.target.uid),
        field=FIELD,
        found=str(order.step.current),
        wanted=str(order.step.wanted),
        decision_id=order.decision_id,
        time=order.time,
        on_delete=order.on_delete,
    )


def _change(order: Order, result: ChangeResult, why: str) -> Change:
    return Change(order.decision_id, order.time, order.step, result, why)
