"""What is the matter, by signals from behind the service, and the gate for replicas in both directions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.core import identify, usual
from perfslo.core.memory import Bin, Capacity, Curve, Order, Sample, Usual
from perfslo.core.model import Bottleneck, Histogram, Missing, Replicas, Signal, Stale, Value
from tests.core.stress import Stress, deeds, promise
from tests.core.turns import FAST, NOW, SLOW, memory, observation, spec

KINDS = {"db": "DependencyLatency", "hits": "CacheHitRatio", "used": "PoolUse", "wait": "PoolWait", "queue": "QueueAge"}
METRICS = {"signals": [{"name": name, "kind": kind, "ref": name} for name, kind in KINDS.items()]}
USUAL = {"db": 0.02, "hits": 0.9, "used": 0.3, "wait": 0.001, "queue": 2.0}
SPEC = spec(metrics=METRICS)


def diagnosed(latency: Histogram, **signals: Signal) -> tuple[Bottleneck, dict[str, str]]:
    known = memory(
        usual={name: Usual(value, 1e4) for name, value in USUAL.items()},
        slow_ratios=_ratio(latency),
        capacities=(Capacity("v1", curves={"0.2s/0.05": Curve(bins=(Bin(20.0, 1e4, 10.0),), low=20.0, median=25.0)}),),
    )
    seen = observation(latency, signals=signals)
    found = identify.diagnose(SPEC, usual.noticed(SPEC, known, seen), seen)
    return found.bottleneck, dict(found.forbidden)


def _ratio(latency: Histogram) -> tuple[Sample, ...]:
    return (Sample(NOW, 6.0 if latency is SLOW else 0.4),)


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ({}, Bottleneck.SATURATED),
        ({"db": Value(0.2)}, Bottleneck.DEPENDENCY_BOUND),
        ({"hits": Value(0.5)}, Bottleneck.CACHE_COLD),
        ({"used": Value(0.97)}, Bottleneck.CONNECTION_POOL_BOUND),
        ({"wait": Value(0.1)}, Bottleneck.CONNECTION_POOL_BOUND),
        ({"hits": Value(0.5), "db": Value(0.2), "wait": Value(0.1)}, Bottleneck.CACHE_COLD),
        ({"db": Value(0.2), "wait": Value(0.1)}, Bottleneck.DEPENDENCY_BOUND),
        # Benign look-alikes.
        ({"db": Value(0.025), "hits": Value(0.85), "used": Value(0.8), "wait": Value(0.01)}, Bottleneck.SATURATED),
        ({"db": Stale(900.0), "hits": Missing("SeriesMissing")}, Bottleneck.SATURATED),
        ({"queue": Value(600.0)}, Bottleneck.SATURATED),
    ],
)
def test_causes_come_before_what_follows_from_them(signals: dict[str, Signal], expected: Bottleneck) -> None:
    assert diagnosed(SLOW, **signals)[0] == expected


def test_the_gate_is_shut_both_ways_where_pods_only_wait() -> None:
    for signals in ({"db": Value(0.2)}, {"wait": Value(0.1)}):
        _, forbidden = diagnosed(SLOW, **signals)
        assert {"replicas:up", "replicas:down"} <= forbidden.keys()
    _, forbidden = diagnosed(FAST, db=Value(0.2))
    assert "replicas:down" in forbidden, "pods that wait look idle"
    assert "db takes 200ms (usually 20ms)" in forbidden["replicas:down"]
    assert diagnosed(FAST)[1] == {}
    assert "replicas:up" not in diagnosed(SLOW, hits=Value(0.5))[1], "until a cache is warm, pods make up for it"


def test_a_backlog_is_told_while_requests_are_quick() -> None:
    assert diagnosed(FAST, queue=Value(60.0))[0] == Bottleneck.QUEUE_BACKLOG
    assert diagnosed(FAST, queue=Value(5.0))[0] != Bottleneck.QUEUE_BACKLOG


def test_a_slow_database_neither_adds_nor_removes_pods_nor_teaches_what_they_carry() -> None:
    stress = Stress(
        promise({"replicas": {}}, metrics=METRICS),
        lambda now: 0.4 if now.signals["db"] == Value(0.2, 5.0) else 0.01,
        signals={"db": Value(0.02, 5.0)},
    )
    stress.turns(900)
    before = stress.memory.capacities[0].curves
    stress.signals["db"] = Value(0.2, 5.0)
    assert deeds(stress.turns(1200)) == []
    stress.rate = 40.0
    assert deeds(stress.turns(600)) == [], "fewer requests get through: that is no calm"
    assert stress.memory.capacities[0].curves == before


def test_a_database_that_is_slow_since_pods_were_added_is_saturated_by_us() -> None:
    order = Order("d1", NOW - 100.0, 1, 2, 20.0, 20.0, 1.0)
    known = memory(usual={"db": Usual(0.02, 1e4)}, order=order, slow_ratios=_ratio(SLOW))
    seen = observation(SLOW, signals={"db": Value(0.2)})
    since = replace(known, troubled_since=NOW - 60.0)
    assert identify.diagnose(SPEC, since, seen).bottleneck == Bottleneck.DEPENDENCY_SATURATED_BY_US
    before = replace(known, troubled_since=NOW - 160.0)
    assert identify.diagnose(SPEC, before, seen).bottleneck == Bottleneck.DEPENDENCY_BOUND


def test_a_version_that_is_slower_than_the_one_before_at_the_same_load() -> None:
    key = "0.2s/0.05"
    old = Capacity("v1", curves={key: Curve(bins=(Bin(20.0, 1e4, 10.0),), low=20.0, median=25.0)})
    new = Capacity("v2", curves={key: Curve(bins=(Bin(10.0, 500.0, 200.0),), low=6.0, median=8.0)})
    known = memory(capacities=(new, old), slow_ratios=_ratio(SLOW))
    seen = observation(SLOW, Replicas(2, 2, version="v2"))
    found = identify.diagnose(spec(), known, seen)
    assert found.bottleneck == Bottleneck.ROLLOUT_REGRESSION
    assert "the version before carried 20.0/s per pod" in found.why
    assert found.forbidden.keys() == {"replicas:down"}, "replicas protect the promise meanwhile"
    busier = replace(seen, completions_per_second=Value(60.0))
    heavier = replace(known, arrivals=(replace(known.arrivals[0], value=60.0),))
    assert identify.diagnose(spec(), heavier, busier).bottleneck == Bottleneck.SATURATED


def test_what_the_version_before_was_only_thought_to_carry_is_no_regression() -> None:
    old = Curve(bins=(Bin(20.0, 1e4, 10.0),), low=30.0, median=33.0)
    new = Curve(bins=(Bin(26.0, 500.0, 40.0),), low=24.0, median=25.0)
    capacities = tuple(Capacity(name, curves={"0.2s/0.05": curve}) for name, curve in (("v2", new), ("v1", old)))
    known = memory(capacities=capacities, slow_ratios=_ratio(SLOW))

    def found(completed: float, pods_before: int = 2, queued: float = 0.0, thought: float = 0.0) -> Bottleneck:
        seen = observation(SLOW, Replicas(2, 2, version="v2"), completions_per_second=Value(completed))
        readies = (Sample(NOW - 30.0, float(pods_before)), Sample(NOW, 2.0))
        waiting = (Sample(NOW - 45.0, 9.0), Sample(NOW - 15.0, 9.0 + 30.0 * queued))
        arrivals = (Sample(NOW, max(completed, thought)),)
        return identify.diagnose(
            spec(), replace(known, arrivals=arrivals, readies=readies, in_flight=waiting), seen
        ).bottleneck

    assert found(42.0) == Bottleneck.ROLLOUT_REGRESSION, "21/s a pod, as before"
    assert found(42.0, thought=60.0) == Bottleneck.ROLLOUT_REGRESSION, "whatever Little's law makes of a queue"
    assert found(52.0) == Bottleneck.SATURATED, "nobody has seen 26/s kept"
    assert found(42.0, pods_before=1) == Bottleneck.SATURATED, "that was slow with fewer pods"
    assert found(30.0, queued=12.0) == Bottleneck.ROLLOUT_REGRESSION, "21/s a pod came"
    assert found(30.0, queued=22.0) == Bottleneck.SATURATED, "26/s a pod came"


@pytest.mark.parametrize(
    ("throttled", "load", "expected"),
    [
        (0.1, 20.0, Bottleneck.CPU_THROTTLED),
        (0.1, 60.0, Bottleneck.SATURATED),
        (0.9, 60.0, Bottleneck.CPU_THROTTLED),
        (0.02, 20.0, Bottleneck.SATURATED),
    ],
)
def test_a_cpu_limit_is_told_from_load_and_by_most_periods_throttled_even_when_it_saturates_pods(
    throttled: float, load: float, expected: Bottleneck
) -> None:
    capacities = (Capacity("v1", curves={"0.2s/0.05": Curve(bins=(Bin(20.0, 1e4, 10.0),), low=20.0, median=25.0)}),)
    known = memory(capacities=capacities, slow_ratios=_ratio(SLOW), arrivals=(Sample(NOW, load),))
    seen = observation(SLOW, cpu_throttled_ratio=Value(throttled))
    found = identify.diagnose(spec(), known, seen)
    assert found.bottleneck == expected
    assert "replicas" in found.allowed
    kept = identify.diagnose(spec(), replace(known, slow_ratios=_ratio(FAST)), replace(seen, latency={"p95": FAST}))
    assert kept.bottleneck != Bottleneck.CPU_THROTTLED, "a limit that breaks no promise is none of our business"


def test_pods_about_to_be_killed_are_under_memory_pressure() -> None:
    known = memory(slow_ratios=_ratio(SLOW))
    pods = Replicas(2, 2, version="v1", memory_limit_bytes=1e9)
    assert identify.diagnose(spec(), known, observation(SLOW, pods, memory_bytes=Value(1.9e9))).bottleneck == (
        Bottleneck.MEMORY_PRESSURE
    )
    assert identify.diagnose(spec(), known, observation(SLOW, pods, memory_bytes=Value(1.2e9))).bottleneck == (
        Bottleneck.SATURATED
    )


def test_what_is_usual_is_learnt_while_the_promise_is_kept_and_forgets() -> None:
    stress = Stress(promise({"replicas": {}}, metrics=METRICS), lambda now: 0.01, signals={"db": Value(0.02, 5.0)})
    stress.turns(1800)
    assert stress.memory.usual["db"].value == pytest.approx(0.02)
    stress.signals["db"] = Value(0.09, 5.0)
    stress.turns(60)
    assert stress.memory.troubled_since is not None
    stress.turns(7200)
    assert stress.memory.troubled_since is None, "what is slower for good becomes usual, as the promise is kept"
