"""Flags and pools in ConfigMaps. Doubles are the door to the API server and the claims; all else is real."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from perfslo.api.v1alpha1 import LeverClaim
from perfslo.core.model import JSON, Change, ChangeResult
from perfslo.core.steps import Switch
from perfslo.edges.actuators.configmap import ConfigMapActuator
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.claims import Claims, Pull
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.errors import Denied, LostRace, NotFound, NotLeading, WriteConflict
from tests.edges.slos import slo

ON = Switch("cache", "redis", "flags", "CACHE", "none", "redis")


def flags(**changes: Any) -> JSON:
    metadata = {"name": "flags", "uid": "c-1", "labels": {"perfslo.io/managed": "true"}}
    return {"metadata": metadata, "data": {"CACHE": "none"}, **changes}


@dataclass
class Bench:
    """A ConfigMap, and what was claimed and written, in order."""

    config_map: JSON | None = field(default_factory=flags)
    refused: Exception | None = None
    unclaimable: Exception | None = None
    done: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.actuator = ConfigMapActuator(cast(Api, self), cast(Writer, self), cast(Claims, self))

    async def request(self, method: str, path: str) -> JSON:
        assert (method, path) == ("GET", "/api/v1/namespaces/shop/configmaps/flags")
        if self.config_map is None:
            raise NotFound("no such ConfigMap")
        return self.config_map

    async def take(self, pull: Pull) -> None:
        if self.unclaimable:
            raise self.unclaimable
        self.done.append(
            ("claim", pull.target.kind, pull.target.uid, pull.field, pull.found, pull.wanted, pull.on_delete)
        )

    async def send(self, method: str, path: str, body: Any, **_: Any) -> JSON:
        if self.refused:
            raise self.refused
        self.done.append((method, path, *body))
        return {}

    async def apply(self, step: Switch = ON, **changes: Any) -> Change:
        order = Order(holder=slo(), step=step, decision_id="d1", time=1.8e9, on_delete="Restore")
        levers = Levers(cast(Claims, self), self.actuator)
        return await levers.apply(Order(**{**{f: getattr(order, f) for f in order.__slots__}, **changes}))


async def test_a_switch_is_claimed_then_written_on_what_was_read() -> None:
    bench = Bench()
    change = await bench.apply()
    assert (change.result, change.why) == (ChangeResult.APPLIED, str(ON))
    assert bench.done == [
        ("claim", "ConfigMap", "c-1", "data.CACHE", "none", "redis", "Restore"),
        (
            "PATCH",
            "/api/v1/namespaces/shop/configmaps/flags",
            {"op": "test", "path": "/metadata/uid", "value": "c-1"},
            {"op": "test", "path": "/metadata/labels/perfslo.io~1managed", "value": "true"},
            {"op": "test", "path": "/data/CACHE", "value": "none"},
            {"op": "replace", "path": "/data/CACHE", "value": "redis"},
        ),
    ]


@pytest.mark.parametrize(
    ("config_map", "why"),
    [
        (None, "kubectl label configmap flags -n shop perfslo.io/managed=true"),
        (flags(metadata={"name": "flags", "uid": "c-1"}), "kubectl label configmap flags -n shop"),
        (flags(metadata={"uid": "c-1", "labels": {"perfslo.io/managed": "no"}}), "kubectl label configmap flags"),
        (flags(immutable=True), "replace it by one without immutable: true"),
        (flags(data={"OTHER": "x"}), "has no key CACHE: add it with the value that holds now"),
        (flags(data=None), "has no key CACHE"),
        (flags(data={"CACHE": "memory"}), "LostRace: CACHE of ConfigMap flags is no longer none"),
    ],
)
async def test_what_may_not_be_written_is_neither_claimed_nor_written(config_map: JSON | None, why: str) -> None:
    bench = Bench(config_map)
    change = await bench.apply()
    assert change.result is ChangeResult.REFUSED
    assert why in change.why
    assert bench.done == []


async def test_a_recommendation_touches_nothing() -> None:
    bench = Bench()
    assert (await bench.apply(recommend_only=True)).result is ChangeResult.RECOMMENDED
    assert bench.done == []


@pytest.mark.parametrize("trouble", [LostRace("changed"), Denied("no"), WriteConflict("another")])
async def test_a_refusal_is_a_result(trouble: Exception) -> None:
    for bench in (Bench(refused=trouble), Bench(unclaimable=trouble)):
        change = await bench.apply()
        assert change.result is ChangeResult.REFUSED
        assert str(trouble) in change.why


async def test_without_the_lease_it_is_an_exception() -> None:
    with pytest.raises(NotLeading):
        await Bench(refused=NotLeading("lost")).apply()


# --- giving back --------------------------------------------------------------------------------------------------


def claim(**changes: Any) -> LeverClaim:
    spec = {
        "targetRef": {"group": "", "kind": "ConfigMap", "name": "flags", "uid": "c-1"},
        "field": "data.CACHE",
        "holder": {"name": "web", "uid": "uid-web"},
        "originalValue": "none",
        "lastValue": "redis",
        "onDelete": "Restore",
        **changes,
    }
    return LeverClaim.model_validate({"metadata": {"name": "claim-1", "namespace": "shop"}, "spec": spec})


async def test_what_is_still_ours_is_put_back() -> None:
    bench = Bench(flags(data={"CACHE": "redis"}))
    assert bench.actuator.undoes(claim())
    assert "put back from redis to none" in await bench.actuator.restore(claim())
    assert bench.done[-1][-2:] == (
        {"op": "test", "path": "/data/CACHE", "value": "redis"},
        {"op": "replace", "path": "/data/CACHE", "value": "none"},
    )


@pytest.mark.parametrize(
    ("config_map", "done"),
    [
        (None, "is gone"),
        (flags(data={}), "was removed since"),
        (flags(data={"CACHE": "memory"}), "was changed since: left at memory"),
        (flags(metadata={"uid": "c-2"}, data={"CACHE": "redis"}), "was replaced by another of its name: left at redis"),
        (flags(metadata={"uid": "c-1"}, data={"CACHE": "redis"}), "may not be changed any more: left at redis"),
        (flags(immutable=True, data={"CACHE": "redis"}), "may not be changed any more"),
        (flags(), "was changed since: left at none"),
    ],
)
async def test_what_is_not_ours_any_more_is_left(config_map: JSON | None, done: str) -> None:
    bench = Bench(config_map)
    assert done in await bench.actuator.restore(claim())
    assert bench.done == []


def test_claims_of_other_fields_are_not_its_own() -> None:
    bench = Bench()
    assert not bench.actuator.undoes(claim(field="replicas"))
    other = {"group": "example.com", "kind": "Widget", "name": "x", "uid": "u"}
    assert not bench.actuator.undoes(claim(targetRef=other))
