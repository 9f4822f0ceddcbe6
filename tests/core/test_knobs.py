"""What levers set and look at, as the example with every field names it."""

from __future__ import annotations

from pathlib import Path

import yaml

from perfslo.api.v1alpha1 import DatabaseLever, PerformanceSLOSpec
from perfslo.core.levers import database, knobs
from perfslo.core.levers.knobs import Key
from perfslo.core.model import Missing, Replicas

FULL = Path(__file__).parents[2] / "examples" / "full.yaml"


def spec() -> PerformanceSLOSpec:
    return PerformanceSLOSpec.model_validate(yaml.safe_load(FULL.read_text())["spec"])


def test_every_knob_of_every_lever_is_named() -> None:
    assert knobs.keys(spec()) == {
        ("cache", "redis"): Key("checkout", "CACHE_TIER"),
        knobs.CDN: Key("checkout", "CDN"),
        knobs.OFFLOAD: Key("checkout", "RECEIPTS"),
        knobs.POOL: Key("checkout", "POOL_SIZE"),
    }
    workloads = {knob: ref.name for knob, ref in knobs.workloads(spec()).items()}
    assert workloads == {("cache", "edge"): "checkout-edge", knobs.WORKERS: "checkout-workers"}
    assert {signal.ref: signal.kind for signal in knobs.signals(spec())} == {
        "redis-hits": "CacheHitRatio",
        "tier-seen": "SwitchedOn",
        "cdn-hits": "CacheHitRatio",
        "cdn-seen": "SwitchedOn",
        "receipts-age": "QueueAge",
        "receipts-queued": "SwitchedOn",
    }


def test_without_levers_nothing_is_read() -> None:
    plain = spec().model_copy(update={"levers": None})
    assert (knobs.keys(plain), knobs.workloads(plain), knobs.signals(plain)) == ({}, {}, ())


def test_connections_count_a_rollouts_pods_and_the_pool_as_it_is_set() -> None:
    pooled = spec().levers
    assert pooled
    assert pooled.database
    lever = pooled.database
    assert database.drawn(lever, 4, "8") == (4 + 1) * 8
    assert database.drawn(lever, 5, "8") == (5 + 2) * 8
    assert database.drawn(lever, 0, "8") == 0
    for unknown in (Missing("ConfigMapMissing"), "many", "0", "-3", "٣"):
        assert database.each(lever, unknown) == 20, "an unknown size is the largest that it may have"
    alone = DatabaseLever(budget="pg-main", connections_per_replica=10)
    assert database.each(alone, Missing("NotMeasured")) == 10


def test_pods_on_their_way_hold_connections_too() -> None:
    assert database.holding(Replicas(desired=5, ready=3, starting=1)) == 5
    assert database.holding(Replicas(desired=2, ready=3, starting=1)) == 4
