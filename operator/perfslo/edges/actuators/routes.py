"""The traffic lever: weights of backends in a route, of any kind that there is a dialect for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import WEIGHTS, weights_field
from perfslo.core.model import JSON, Route
from perfslo.core.steps import TargetRef, Weigh
from perfslo.core.turn import Conflict
from perfslo.edges.actuators.levers import Order
from perfslo.edges.claims import Claims, left
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.edges.kube.enabled import EnabledKinds
from perfslo.edges.kube.routes import DIALECTS, rules
from perfslo.edges.kube.routes.owners import last_manager
from perfslo.edges.kube.routes.rules import RouteObject, Rule
from perfslo.edges.kube.writes import Writer
from perfslo.errors import ConfigurationError, LostRace, NotFound, WriteConflict
from perfslo.settings import RouteKind

PATIENCE = 2
"""Putting weights back once may be a person who knows better; twice is a tool that will do it again."""
HELD_SECONDS = 3600.0
"""So long nothing is written to a route whose weights were put back that often."""

Field = tuple[str, str]
"""Namespace and name of the claim."""


class RouteActuator:
    """Writes weights: claimed first, guarded by what was read, never forced and never repeated.

    The object is read anew before each write, for a controller may write its status at any time, and what is decided on
    is the weights alone: if these are still what they were, the guards are those of the object as it is now.
    """

    step = Weigh

    def __init__(self, api: Api, writer: Writer, claims: Claims, kinds: tuple[RouteKind, ...]) -> None:
        self._api = api
        self._writer = writer
        self._claims = claims
        self._enabled = EnabledKinds(kinds, "cannot be written: ask the administrator to add its kind to routeKinds")
        self._written: dict[Field, str] = {}
        self._put_back: dict[Field, list[float]] = defaultdict(list)
        """When somebody else's value was found where ours had been."""

    def undoes(self, claim: LeverClaim) -> bool:
        """As every actuator's."""
        return claim.spec.field.partition("/")[0] == WEIGHTS

    async def apply(self, order: Order) -> None:
        """As every actuator's."""
        step = order.step
        if not isinstance(step, Weigh):
            raise TypeError(f"{step} is not about weights")
        namespace, ref = order.holder.namespace, step.route
        seen = await self._read(namespace, ref)
        route = self._project(ref, seen)
        rule = rules.choose(route, step.rule, step.wanted)
        if isinstance(rule, str):
            raise ConfigurationError(f"{ref} {rule}")
        if conflict := Conflict.of(route.other_writers, f"writes the weights of {ref}"):
            raise WriteConflict(conflict.message)
        claimed = _claimed(ref, route.uid)
        found = _text(rules.weights(rule, step.wanted))
        pull = order.pull(claimed, weights_field(step.rule), found, _text(step.wanted))
        last = last_manager(seen["metadata"]) or "somebody"
        self._heed((namespace, pull.claim_name), pull.found, order.time, f"{ref}, last by {last}")
        if rules.scaled(DIALECTS[ref.group, ref.kind], rule, step.wanted) != step.current:
            raise LostRace(f"{ref} has other weights by now ({pull.found}) than this was decided on")
        await self._claims.take(pull)
        await self._write(namespace, ref, route, rule, step.wanted, order.decision_id)
        self._written[namespace, pull.claim_name] = pull.wanted

    def verify(self, step: Weigh, route: Route) -> bool | None:
        """Whether the proxy follows the weights that were written; None where the kind has no proof of it."""
        return route.followed if dict(route.weights) == dict(step.wanted) else False

    async def restore(self, claim: LeverClaim) -> str:
        """As every actuator's."""
        spec, namespace = claim.spec, claim.metadata.namespace or ""
        ref = TargetRef(spec.target_ref.group, spec.target_ref.kind, spec.target_ref.name)
        original: dict[str, int] = json.loads(spec.original_value)
        try:
            route = self._project(ref, await self._read(namespace, ref))
        except NotFound:
            return await self._enabled.is_gone(self._api, ref)
        if route.uid != spec.target_ref.uid:
            return f"{ref} was replaced by another of its name: its weights are left as they are"
        rule = rules.choose(route, spec.field.partition("/")[2], original)
        if isinstance(rule, str):
            return f"{ref} {rule}: its weights are left as they are"
        now = rules.weights(rule, original)
        if why := left(spec, str(ref), route.uid, _text(now)):
            return why
        await self._write(namespace, ref, route, rule, original, spec.decision_id or "")
        return f"{ref} put back from {_text(now)} to {_text(original)}"

    def _heed(self, field: Field, now: str, time: float, where: str) -> None:
        """Stop when our weights are put back again and again."""
        if self._written.get(field, now) != now:
            del self._written[field]
            self._put_back[field].append(time)
        recent = self._put_back[field] = [then for then in self._put_back[field] if time - then < HELD_SECONDS]
        if len(recent) >= PATIENCE:
            raise WriteConflict(
                f"the weights of {where}, were changed {len(recent)} times after they had been written here: let "
                "whoever does that leave them alone, or set levers.traffic.mode: Recommend (tried again after an hour)"
            )

    async def _write(
        self,
        namespace: str,
        ref: TargetRef,
        route: RouteObject,
        rule: Rule,
        wanted: Mapping[str, int],
        decision_id: str,
    ) -> None:
        """The one place that writes weights."""
        patch = rules.patch(DIALECTS[ref.group, ref.kind], route, rule, wanted)
        if patch:
            await self._writer.send(
                "PATCH", self._enabled.path(namespace, ref), patch, content_type=JSON_PATCH, decision_id=decision_id
            )

    async def _read(self, namespace: str, ref: TargetRef) -> JSON:
        return await self._api.request("GET", self._enabled.path(namespace, ref))

    def _project(self, ref: TargetRef, seen: JSON) -> RouteObject:
        return DIALECTS[ref.group, ref.kind].project(seen)


def original(claims: Claims, namespace: str, route: Route) -> Mapping[str, int] | None:
    """The weights that were found before those of this route were written here; None when somebody else wrote them."""
    field, now = weights_field(route.rule), _text(route.weights)
    found = claims.original(namespace, _claimed(route.ref, route.uid), field, now)
    return None if found is None else json.loads(found)


def _claimed(ref: TargetRef, uid: str) -> ClaimTarget:
    return ClaimTarget(group=ref.group, kind=ref.kind, name=ref.name, uid=uid)


def _text(weights: Mapping[str, int]) -> str:
    return json.dumps(dict(weights), separators=(",", ":"), sort_keys=True)
