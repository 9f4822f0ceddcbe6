"""The core's exact pipeline on a simulated world: what a user would see happen."""

from __future__ import annotations

import itertools
import math

import pytest

from perfslo.api.v1alpha1 import PerformanceSLOSpec, duration_seconds
from perfslo.core import codec
from perfslo.core.steps import Scale
from perfslo.core.timescale import TimeScale
from tests.core.world import Cycle, Service, World, drive, faster, smallest

LONG = TimeScale(15.0, 15.0)
SHORT = TimeScale(2.0, 2.0)
SLOW_POD = (Service(1, 0.06), "200ms", 7.0)
"""About 7 requests a second within the promise, of 17 that it can complete: a flat tail."""
POD = (Service(2, 0.055), "200ms", 26.0)
BIG_POD = (Service(4, 0.05), "300ms", 74.0)
"""92 % of what it can complete: a cliff, without warning."""

Kind = tuple[Service, str, float]


def slo(threshold: str, least: int = 2) -> PerformanceSLOSpec:
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": least,
            "maxReplicas": 40,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": threshold}}],
        }
    )


def minutes_over(world: World, start: float, end: float, threshold: float) -> list[bool]:
    """By the client's clock, minute by minute (or window by window when these are longer)."""
    step = max(60.0, world.scale.window_seconds)
    count = int((end - start) / step)
    return [world.slow_share(start + i * step, start + (i + 1) * step, threshold) > 0.05 for i in range(count)]


def turns(cycles: list[Cycle]) -> int:
    """Changes of direction."""
    moves = [c.plan.steps[0].action for c in cycles if c.plan.steps]
    return sum(a != b for a, b in itertools.pairwise(moves))


@pytest.mark.parametrize(("scale", "seed"), [(LONG, 1), (SHORT, 1), (SHORT, 2)], ids=["15s", "2s", "2s-again"])
@pytest.mark.parametrize("gauge", [True, False], ids=["gauge", "no-gauge"])
@pytest.mark.parametrize("kind", [SLOW_POD, POD, BIG_POD], ids=["slow", "middle", "big"])
def test_load_triples_and_falls_again(kind: Kind, scale: TimeScale, gauge: bool, seed: int) -> None:
    service, threshold, capacity = kind
    target, unit, base = duration_seconds(threshold), scale.unit_seconds, 1.4 * capacity
    # Long enough for the steps that the stabilization window leaves time for.
    up, down = 40 * unit, 140 * unit
    end = down + 100 * unit
    world = World(
        service,
        lambda t: 3 * base if up <= t < down else base,
        replicas=2,
        scale=scale,
        gauge=gauge,
        seed=seed,
        startup_seconds=5.0,
    )
    cycles = list(drive(world, slo(threshold), end))
    over = minutes_over(world, up, down, target)
    recovered_seconds = max(60.0, world.scale.window_seconds) * (
        max((i for i, o in enumerate(over) if o), default=-1) + 1
    )
    assert recovered_seconds <= max(180.0, 12 * unit)
    at_peak = next(c for c in reversed(cycles) if c.observation.time < down).plan.final_replicas
    assert at_peak is not None
    least = smallest(service, 3 * base, target)
    assert at_peak <= max(1.4 * least, least + 3)
    assert not any(minutes_over(world, down, end, target))
    assert (cycles[-1].plan.final_replicas or 0) <= 4
    assert turns(cycles) <= 8


@pytest.mark.parametrize("scale", [LONG, SHORT], ids=["15s", "2s"])
def test_a_service_that_loses_capacity_at_run_time_is_learnt_anew(scale: TimeScale) -> None:
    service, threshold, capacity = POD
    target, unit, load = duration_seconds(threshold), scale.unit_seconds, 3 * capacity
    world = World(service, lambda _: load, replicas=4, scale=scale, seed=1, startup_seconds=5.0)
    spec = slo(threshold, least=2)
    cycles = list(drive(world, spec, 80 * unit))
    world.set_service(faster(service, 0.75))
    cycles = list(drive(world, spec, 200 * unit, cycles[-1].memory))
    assert not any(minutes_over(world, 80 * unit + max(180.0, 16 * unit), 200 * unit, target))
    assert (cycles[-1].plan.final_replicas or 0) <= 1.4 * smallest(faster(service, 0.75), load, target)


def test_a_service_that_gains_capacity_gets_cheaper() -> None:
    service, threshold, capacity = POD
    world = World(service, lambda _: 5 * capacity, replicas=7, scale=LONG, seed=1, startup_seconds=5.0)
    spec = slo(threshold)
    before = list(drive(world, spec, 80 * 15.0))[-1]
    world.set_service(faster(service, 1.6))
    after = list(drive(world, spec, 240 * 15.0, before.memory))[-1]
    assert (after.plan.final_replicas or 0) < (before.plan.final_replicas or 0)


def test_nothing_is_reduced_while_metrics_are_missing_and_for_a_window_after() -> None:
    service, threshold, capacity = POD
    unit = LONG.unit_seconds
    # The load falls just before the outage: a reduction is due, and must not happen.
    world = World(service, lambda t: 3 * capacity if t < 60 * unit else capacity, replicas=5, scale=LONG, seed=3)
    spec = slo(threshold)
    known = list(drive(world, spec, 62 * unit))[-1]
    replicas = world.desired
    world.metrics_up = False
    blind = list(drive(world, spec, 100 * unit, known.memory))
    assert all(not c.plan.steps for c in blind)
    assert all(c.plan.proposed_replicas is None for c in blind)
    assert "metrics are missing" in blind[-1].plan.why
    world.metrics_up = True
    held = list(drive(world, spec, 100 * unit + LONG.down_window_seconds, blind[-1].memory))
    assert all(not c.plan.steps for c in held)
    after = list(drive(world, spec, 160 * unit, held[-1].memory))
    assert world.desired < replicas
    assert after[-1].memory.missing_cycles == 0


def test_load_that_rises_during_an_outage_is_answered_in_the_first_cycles_after_it() -> None:
    service, threshold, capacity = POD
    unit = LONG.unit_seconds
    world = World(service, lambda t: capacity if t < 50 * unit else 3 * capacity, replicas=2, scale=LONG, seed=3)
    spec = slo(threshold)
    known = list(drive(world, spec, 48 * unit))[-1]
    world.metrics_up = False
    blind = list(drive(world, spec, 60 * unit, known.memory))
    assert all(not c.plan.steps for c in blind)
    world.metrics_up = True
    list(drive(world, spec, 63 * unit, blind[-1].memory))
    assert world.desired >= 3


def test_fallback_only_raises() -> None:
    service, threshold, capacity = POD
    spec = PerformanceSLOSpec.model_validate(
        {**slo(threshold).model_dump(exclude_none=True), "fallback": {"failureThreshold": 3, "minReplicas": 6}}
    )
    world = World(service, lambda _: capacity, replicas=2, scale=LONG, seed=1)
    world.metrics_up = False
    cycles = list(drive(world, spec, 10 * 15.0))
    assert [c.plan.final_replicas for c in cycles[:3]] == [2, 2, 6]
    assert "Fallback" in cycles[2].plan.limited_by
    world.scale_to(9)
    assert all(not c.plan.steps for c in drive(world, spec, 20 * 15.0, cycles[-1].memory))


def test_a_restart_after_a_silence_reduces_nothing_for_a_window_and_keeps_what_was_learnt() -> None:
    service, threshold, capacity = POD
    unit = LONG.unit_seconds
    world = World(service, lambda t: 3 * capacity if t < 90 * unit else capacity, replicas=4, scale=LONG, seed=2)
    spec = slo(threshold)
    before = list(drive(world, spec, 92 * unit))[-1]
    replicas = world.desired
    reborn = codec.decode(codec.encode(before.memory))
    world.advance(102 * unit)
    held = list(drive(world, spec, 102 * unit + LONG.down_window_seconds - unit, reborn))
    assert all(not c.plan.steps for c in held)
    assert any("ColdStart" in c.plan.limited_by for c in held)
    kept = held[0].memory.capacities[0].curves
    assert {key: curve.median for key, curve in kept.items()} == pytest.approx(
        {key: curve.median for key, curve in before.memory.capacities[0].curves.items()}, rel=1e-3
    )
    list(drive(world, spec, 150 * unit, held[-1].memory))
    assert world.desired < replicas


def test_an_unreachable_target_does_not_run_away() -> None:
    # Half of the requests take longer than the target on an idle pod.
    world = World(Service(4, 0.25), lambda _: 4.0, replicas=2, scale=LONG, seed=1)
    cycles = list(drive(world, slo("200ms"), 200 * 15.0))
    assert cycles[-1].diagnosis.bottleneck == "UnreachableTarget"
    assert world.desired <= 8
    assert cycles[-1].diagnosis.forbidden["replicas:up"]


@pytest.mark.parametrize("seed", [3, 6, 10])
def test_a_target_that_is_reached_no_more_does_not_make_it_run_away(seed: int) -> None:
    # By chance a few more requests are counted after pods were added, which must not be taken for relief.
    world = World(Service(8, 0.042, 0.3), lambda _: 25.0, replicas=2, scale=TimeScale(3.0, 3.0), seed=seed)
    calm = list(drive(world, slo("150ms"), 100.0))
    assert (world.desired, calm[-1].diagnosis.bottleneck) == (2, "Healthy")
    world.set_service(Service(8, 0.24, 0.3))
    cycles = list(drive(world, slo("150ms"), 400.0, calm[-1].memory))
    assert cycles[-1].diagnosis.bottleneck == "UnreachableTarget"
    assert world.desired <= 8


def test_pods_without_room_are_not_ordered_again() -> None:
    service, threshold, capacity = POD
    world = World(service, lambda t: 4 * capacity if t > 300 else capacity, replicas=2, scale=LONG, seed=1, room=2)
    world.startup_seconds = math.inf
    cycles = list(drive(world, slo(threshold), 90 * 15.0))
    # Nothing starts: whatever was ordered for the first forecasts is all that is ordered.
    assert world.desired <= 8
    assert any(c.diagnosis.bottleneck == "NodePressure" for c in cycles)


def test_no_traffic_goes_to_the_minimum_step_by_step() -> None:
    service, threshold, capacity = POD
    world = World(service, lambda t: 4 * capacity if t < 600 else 0.0, replicas=6, scale=LONG, seed=1)
    cycles = list(drive(world, slo(threshold), 2400.0))
    assert world.desired == 2
    assert all(s.current - s.wanted <= 2 for c in cycles for s in c.plan.steps if isinstance(s, Scale))
    assert cycles[-1].diagnosis.bottleneck == "NoTraffic"


def test_the_sentences_carry_numbers() -> None:
    service, threshold, capacity = POD
    world = World(
        service, lambda t: 3 * capacity if t > 600 else capacity, replicas=2, scale=LONG, startup_seconds=25.0
    )
    sentences = [c.plan.why for c in drive(world, slo(threshold), 1200.0)]
    assert any(s.startswith("scale out 2 -> ") and "/s per pod (p95 " in s and "> 200ms" in s for s in sentences)
    assert any(s.startswith("hold: p95 ") and "ordered" in s and "are still starting" in s for s in sentences)
