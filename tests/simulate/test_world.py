"""Pods that come and go, and what befalls a service."""

from __future__ import annotations

import math

import pytest

from perfslo.simulate.model import Load, Scenario, Service, Shift, View
from perfslo.simulate.world import World
from tests.simulate.worlds import steady

STEADY = Scenario("steady", steady(60.0, 1200.0), Service(startup_variation=0.0))


def scenario(**changes: object) -> Scenario:
    return Scenario(**{"name": "changed", "load": STEADY.load, "service": STEADY.service, **changes})  # type: ignore[arg-type]


def ready(view: View) -> int:
    return sum(pod.ready_seconds is not None for pod in view.pods)


def test_ordered_pods_become_ready_after_their_start_up_time() -> None:
    world = World(STEADY, 1, 2)
    world.advance(100.0)
    world.scale_to(5)
    assert (world.desired, len(world.pods), ready(world)) == (5, 5, 2)
    world.advance(129.9)
    assert ready(world) == 2
    world.advance(130.1)
    assert ready(world) == 5
    assert [pod.created_seconds for pod in world.pods] == [-3600.0, -3600.0, 100.0, 100.0, 100.0]
    assert world.pods[-1].ready_seconds == pytest.approx(130.0)


def test_start_up_times_vary_around_their_mean() -> None:
    world = World(scenario(service=Service(startup_seconds=20.0, startup_variation=0.5)), 1, 200)
    took = [pod.ready - pod.created for pod in world.pods_ever]
    assert sum(took) / 200 == pytest.approx(20.0, rel=0.1)
    assert max(took) > 1.5 * min(took)


def test_starting_pods_go_first_and_then_the_youngest() -> None:
    world = World(STEADY, 1, 2)
    world.advance(10.0)
    world.scale_to(3)
    world.advance(60.0)
    world.scale_to(4)
    world.advance(70.0)
    world.scale_to(3)
    assert [pod.number for pod in world.living] == [0, 1, 2]
    world.scale_to(2)
    assert [pod.number for pod in world.living] == [0, 1]
    # The one that was starting had nothing to finish.
    assert world.pods_ever[3].ended == 70.0


def test_a_pod_that_leaves_finishes_what_it_has() -> None:
    service = Service(workers=1, mean_seconds=2.0, variation=0.0, startup_variation=0.0, timeout_seconds=60.0)
    world = World(scenario(service=service, load=Load((0.0, 100.0), (2.0, 2.0))), 1, 10)
    world.advance(99.0)
    world.scale_to(1)
    world.advance(150.0)
    ended = [pod.ended for pod in world.pods_ever if math.isfinite(pod.ended)]
    assert len(ended) == 9
    assert 99.0 < max(ended) <= 129.0
    assert world.engine.state.lost == 0


def test_a_pod_that_takes_too_long_to_leave_is_killed() -> None:
    service = Service(workers=1, mean_seconds=5.0, variation=0.0, drain_seconds=7.0, timeout_seconds=60.0)
    world = World(scenario(service=service, load=Load((0.0, 100.0), (4.0, 4.0))), 1, 10)
    world.advance(99.0)
    world.scale_to(1)
    world.advance(110.0)
    assert world.engine.state.lost > 0
    assert max(pod.ended for pod in world.pods_ever if math.isfinite(pod.ended)) == 106.0


def test_pods_without_room_wait_for_it() -> None:
    world = World(scenario(room_replicas=3), 1, 2)
    world.advance(10.0)
    world.scale_to(5)
    world.advance(100.0)
    assert (ready(world), sum(pod.pending for pod in world.pods)) == (3, 2)
    world.scale_to(4)
    assert (ready(world), sum(pod.pending for pod in world.pods)) == (3, 1)  # the pending go first
    world.scale_to(2)
    assert (ready(world), sum(pod.pending for pod in world.pods)) == (2, 0)


def test_the_metrics_server_looks_every_15_seconds() -> None:
    world = World(STEADY, 1, 2)
    world.advance(14.0)
    assert all(pod.cpu_cores is None for pod in world.pods)
    world.advance(50.0)
    assert sum(pod.cpu_cores or 0.0 for pod in world.pods) == pytest.approx(60.0 * 0.040, rel=0.2)
    assert {pod.cpu_measured_seconds for pod in world.pods} == {45.0}


def test_shifts_come_in_time() -> None:
    shifts = (
        Shift(100.0, service_factor=2.0, new_version=True, startup_seconds=90.0),
        Shift(200.0, metrics_up=False),
        Shift(300.0, metrics_up=True, failing_ratio=0.5),
        Shift(400.0, slow_pods_share=0.5, slow_pods_factor=4.0),
    )
    world = World(scenario(shifts=shifts), 1, 4)
    world.advance(100.0)
    assert world.version == "v2"
    assert world.requests_per_second(60.0) == pytest.approx(60.0, rel=0.1)
    world.scale_to(5)
    world.advance(180.0)
    assert ready(world) == 4
    world.advance(190.5)
    assert ready(world) == 5
    world.advance(250.0)
    assert (world.histogram(60.0), world.requests_per_second(60.0), world.in_flight()) == (None, None, None)
    assert world.concurrency(60.0) is not None
    world.advance(390.0)
    assert world.histogram(60.0) is not None
    assert world.engine.minutes[5].bad > 0.4 * world.engine.minutes[5].requests
    world.advance(401.0)
    factors = [world.engine.pods[pod.row].factor for pod in world.living]
    assert factors == [1.0, 4.0, 1.0, 4.0, 1.0]


def test_a_service_without_a_gauge_has_none() -> None:
    world = World(scenario(service=Service(has_in_flight=False)), 1, 2)
    world.advance(100.0)
    assert world.in_flight() is None


def test_many_pods_over_time_need_no_more_room() -> None:
    world = World(scenario(load=steady(1.0, 20_000.0)), 1, 1)
    for at in range(0, 20_000, 100):
        world.advance(float(at))
        world.scale_to(5 if world.desired == 1 else 1)
    assert len(world.pods_ever) > 300
    assert len(world.engine.pods) <= 128
