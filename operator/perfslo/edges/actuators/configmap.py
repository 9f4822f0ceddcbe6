"""Flags and pools: keys of ConfigMaps whose owners consent by label. Nothing else of a ConfigMap is touched."""

from __future__ import annotations

from dataclasses import dataclass

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import CONFIG_MAP, data_field
from perfslo.core.model import JSON
from perfslo.core.steps import Switch
from perfslo.edges.actuators.levers import Order
from perfslo.edges.claims import Claims, left
from perfslo.edges.kube.client import JSON_PATCH, Api
from perfslo.edges.kube.consents import CONSENT, LABEL, not_consented
from perfslo.edges.kube.writes import Writer
from perfslo.errors import ConfigurationError, LostRace, NotConsented, NotFound

_DATA = data_field("")


@dataclass(frozen=True, slots=True)
class Reading:
    """A key of a ConfigMap as the server shows it now."""

    uid: str
    value: str | None
    """None when there is no such key: what holds then is known to the application only."""
    consented: bool
    immutable: bool


class ConfigMapActuator:
    """Writes values of keys that are there already.

    Whether pods follow is another matter: a mounted file takes up to two minutes; an environment variable or a subPath
    never does.
    """

    step = Switch

    def __init__(self, api: Api, writer: Writer, claims: Claims) -> None:
        self._api = api
        self._writer = writer
        self._claims = claims

    def undoes(self, claim: LeverClaim) -> bool:
        """As every actuator's."""
        return claim.spec.target_ref.kind == CONFIG_MAP and claim.spec.field.startswith(_DATA)

    async def read(self, namespace: str, name: str, key: str) -> Reading:
        """Ask the server; the cycle itself knows this from its watch.

        Raises:
            NotFound: no such ConfigMap. ApiError.
        """
        found = await self._api.request("GET", _path(namespace, name))
        metadata = found["metadata"]
        return Reading(
            uid=metadata["uid"],
            value=(found.get("data") or {}).get(key),
            consented=metadata.get("labels", {}).get(LABEL) == CONSENT,
            immutable=found.get("immutable", False),
        )

    async def apply(self, order: Order) -> None:
        """As every actuator's."""
        step, namespace = order.step, order.holder.namespace
        if not isinstance(step, Switch):
            raise TypeError(f"{step} is not about a key of a ConfigMap")
        name, key = step.config_map, step.key
        try:
            now = await self.read(namespace, name, key)
            _check(step, namespace, now)
            claimed = ClaimTarget(group="", kind=CONFIG_MAP, name=name, uid=now.uid)
            await self._claims.take(order.pull(claimed, data_field(key), step.current, step.wanted))
            await self._set(namespace, name, key, now.uid, step.current, step.wanted, order.decision_id)
        except NotFound as error:
            raise NotConsented(not_consented(namespace, name).message) from error

    async def restore(self, claim: LeverClaim) -> str:
        """As every actuator's."""
        spec, namespace = claim.spec, claim.metadata.namespace or ""
        name, key = spec.target_ref.name, spec.field.removeprefix(_DATA)
        named = f"{key} of {CONFIG_MAP}/{name}"
        try:
            now = await self.read(namespace, name, key)
        except NotFound:
            return f"{named} is gone"
        if now.value is None:
            return f"{named} was removed since"
        if why := left(spec, named, now.uid, now.value):
            return why
        if not now.consented or now.immutable:
            return f"{named} may not be changed any more: left at {now.value}"
        if spec.original_value != now.value:
            await self._set(namespace, name, key, now.uid, now.value, spec.original_value, spec.decision_id or "")
        return f"{named} put back from {now.value} to {spec.original_value}"

    async def _set(
        self, namespace: str, name: str, key: str, uid: str, current: str, wanted: str, decision_id: str
    ) -> None:
        """The one place that writes a ConfigMap."""
        patch: list[JSON] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": f"/metadata/labels/{LABEL.replace('/', '~1')}", "value": CONSENT},
            {"op": "test", "path": f"/data/{key}", "value": current},
            {"op": "replace", "path": f"/data/{key}", "value": wanted},
        ]
        path = _path(namespace, name)
        await self._writer.send("PATCH", path, patch, content_type=JSON_PATCH, decision_id=decision_id)


def _check(step: Switch, namespace: str, now: Reading) -> None:
    """Raises ConfigurationError, with what to do, where the key must not be written; LostRace where it changed."""
    where = f"ConfigMap {step.config_map}"
    if not now.consented:
        raise ConfigurationError(not_consented(namespace, step.config_map).message)
    if now.immutable:
        raise ConfigurationError(f"{where} is immutable: replace it by one without immutable: true")
    if now.value is None:
        raise ConfigurationError(
            f"{where} has no key {step.key}: add it with the value that holds now, so that it is known what to put back"
        )
    if now.value != step.current:
        raise LostRace(f"{step.key} of {where} is no longer {step.current}: somebody changed it")


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"
