"""Flags and pools, against a real API server: what it would let pass, the operator must not try."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from perfslo.api.v1alpha1 import claim_name
from perfslo.core.model import Change, ChangeResult
from perfslo.core.steps import Switch
from perfslo.edges.actuators.configmap import ConfigMapActuator
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.errors import NotLeading
from tests.cluster.writes.hand import Hand, Slo

pytestmark = pytest.mark.cluster

ON = Switch("cache", "redis", "flags", "CACHE", "none", "redis")
OFF = Switch("cache", "redis", "flags", "CACHE", "redis", "none")


class Bench:
    """A ConfigMap with a flag, an SLO, and the actuator wired as the operator wires it."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.make()
        self.slo = hand.slo("web")
        self.actuator = ConfigMapActuator(hand.api, hand.writer, hand.claims)
        self.levers = Levers(hand.claims, hand.scale, self.actuator)

    def make(self, **changes: Any) -> None:
        metadata = {"name": "flags", "labels": {"perfslo.io/managed": "true", "team": "shop"}}
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"CACHE": "none", "B": "1"},
        }
        self.hand.stage.kubectl("replace", "--force", "--filename=-", stdin=json.dumps(config_map | changes))

    async def switch(self, step: Switch = ON, slo: Slo | None = None, **changes: Any) -> Change:
        order = Order(slo or self.slo, step, "d1", 1.8e9, on_delete="Restore")
        return await self.levers.apply(replace(order, **changes))

    def write(self, value: str) -> None:
        self.hand.stage.kubectl("patch", "configmap/flags", f"--patch={json.dumps({'data': {'CACHE': value}})}")

    def data(self) -> dict[str, str]:
        data: dict[str, str] = self.hand.stage.get("configmap", "flags")["data"]
        return data

    def claim(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.hand.stage.get("leverclaim", claim_name("", "ConfigMap", "flags", "data.CACHE"))[
            "spec"
        ]
        return spec

    async def release(self) -> str:
        (claim,) = self.hand.claims
        return await self.levers.release(claim)


@pytest.fixture
def bench(hand: Hand) -> Bench:
    return Bench(hand)


async def test_a_flag_is_claimed_switched_and_put_back(bench: Bench) -> None:
    assert (await bench.switch()).result is ChangeResult.APPLIED
    assert bench.data() == {"CACHE": "redis", "B": "1"}, "nothing else is touched"
    claim = bench.claim()
    assert (claim["originalValue"], claim["lastValue"], claim["holder"]["name"]) == ("none", "redis", "web")
    restarted = bench.hand.restarted()
    await restarted.claims.refresh()
    (known,) = restarted.claims
    again = Levers(restarted.claims, ConfigMapActuator(restarted.api, restarted.writer, restarted.claims))
    assert "put back from redis to none" in await again.release(known), "also by one that was away"
    assert (bench.data()["CACHE"], bench.hand.claims_there()) == ("none", 0)


async def test_on_and_off_keep_the_first_value(bench: Bench) -> None:
    for step in (ON, OFF, ON):
        assert (await bench.switch(step)).result is ChangeResult.APPLIED
    assert bench.claim()["originalValue"] == "none"


async def test_a_lost_race_is_not_forced(bench: Bench) -> None:
    bench.write("memory")
    change = await bench.switch()
    assert (change.result, change.why.partition(":")[0]) == (ChangeResult.REFUSED, "LostRace")
    assert (bench.data()["CACHE"], bench.hand.claims_there()) == ("memory", 0)


async def test_what_changed_after_it_was_read_is_refused_by_the_server(bench: Bench) -> None:
    """The reading is from before: what then stands between it and the write is the patch's own tests."""
    stale = await bench.actuator.read(bench.hand.stage.namespace, "flags", "CACHE")

    async def read(namespace: str, name: str, key: str) -> object:
        return stale

    bench.actuator.read = read  # type: ignore[assignment,method-assign]
    for change_it in (
        lambda: bench.write("memory"),
        lambda: bench.hand.stage.kubectl("label", "configmap/flags", "perfslo.io/managed-"),
        lambda: bench.make(),  # another of its name
    ):
        bench.write("none")
        change_it()
        before = bench.data()
        change = await bench.switch()
        assert (change.result, change.why.partition(":")[0]) == (ChangeResult.REFUSED, "LostRace"), change.why
        assert bench.data() == before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metadata": {"name": "flags"}}, "perfslo.io/managed=true"),
        ({"immutable": True}, "without immutable: true"),
        ({"data": {"B": "1"}}, "has no key CACHE"),
    ],
)
async def test_without_consent_key_or_means_it_is_left_alone(bench: Bench, change: dict[str, Any], why: str) -> None:
    bench.make(**change)
    before = bench.hand.stage.get("configmap", "flags")
    refusal = await bench.switch()
    assert refusal.result is ChangeResult.REFUSED
    assert why in refusal.why
    assert bench.hand.stage.get("configmap", "flags") == before


async def test_what_somebody_wrote_since_stays(bench: Bench) -> None:
    await bench.switch()
    bench.write("memory")
    assert "was changed since: left at memory" in await bench.release()
    assert (bench.data()["CACHE"], bench.hand.claims_there()) == ("memory", 0)


async def test_a_withdrawn_consent_is_heeded_on_the_way_back(bench: Bench) -> None:
    await bench.switch()
    bench.hand.stage.kubectl("label", "configmap/flags", "perfslo.io/managed-")
    assert "may not be changed any more" in await bench.release()
    assert bench.data()["CACHE"] == "redis"


async def test_an_older_slo_keeps_its_flag(bench: Bench) -> None:
    old = bench.hand.slo("old", created="2020-01-01T00:00:00Z")
    await bench.switch(slo=old)
    change = await bench.switch(OFF)
    assert change.why.startswith("WriteConflict: ")
    assert bench.data()["CACHE"] == "redis"


async def test_without_the_lease_nothing_is_written(bench: Bench) -> None:
    bench.hand.leads = False
    with pytest.raises(NotLeading):
        await bench.switch()
    assert (bench.data()["CACHE"], bench.hand.claims_there()) == ("none", 0)
