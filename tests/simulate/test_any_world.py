"""What holds for any service, load and number of pods."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfslo.simulate.model import Balancing, Dependency, Load, Scenario, Service, Shift
from perfslo.simulate.world import World

DURATION = 240.0

services = st.builds(
    Service,
    workers=st.sampled_from([1, 2, 16]),
    mean_seconds=st.sampled_from([1e-4, 0.04, 2.0]),
    variation=st.sampled_from([0.0, 1.0, 2.5]),
    cpu_share=st.sampled_from([0.0, 0.3, 1.0]),
    cpu_limit_cores=st.sampled_from([None, 0.05, 0.7, 3.9]),
    dependency=st.sampled_from([None, Dependency(1, 0.01), Dependency(300, 0.1, 2.0)]),
    hit_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    failing_ratio=st.sampled_from([0.0, 0.1, 1.0]),
    static_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    startup_seconds=st.sampled_from([1.0, 30.0, 200.0]),
    warmup_seconds=st.sampled_from([0.0, 60.0]),
    drain_seconds=st.sampled_from([0.0, 1.0, 30.0]),
    timeout_seconds=st.sampled_from([0.1, 5.0, 30.0]),
)
shifts = st.builds(
    Shift,
    at_seconds=st.floats(0.0, DURATION),
    service_factor=st.sampled_from([None, 0.5, 3.0]),
    dependency_factor=st.sampled_from([None, 4.0]),
    metrics_up=st.sampled_from([None, True, False]),
    slow_pods_share=st.sampled_from([None, 0.3, 1.0]),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    services,
    st.lists(st.floats(0.0, 3.0), min_size=2, max_size=5),
    st.lists(shifts, max_size=3),
    st.sampled_from(Balancing),
    st.lists(st.integers(1, 20), min_size=1, max_size=8),
    st.sampled_from([None, 3]),
)
def test_every_request_is_accounted_for(
    service: Service,
    loads: list[float],
    changes: list[Shift],
    balancing: Balancing,
    replicas: list[int],
    room: int | None,
) -> None:
    full_rps = min(300.0, 4 * service.workers / service.mean_seconds)
    times = np.linspace(0.0, DURATION, len(loads)).tolist()
    scenario = Scenario(
        "any",
        Load(tuple(times), tuple(load * full_rps for load in loads)),
        service,
        shifts=tuple(sorted(changes, key=lambda shift: shift.at_seconds)),
        balancing=balancing,
        room_replicas=room,
    )
    world = World(scenario, 1, replicas[0])
    tallies = world.engine.state
    for number, wanted in enumerate(replicas, 1):
        world.advance(DURATION * number / len(replicas))
        world.scale_to(wanted)
        pods = world.engine.pods
        ends = tallies.completed + tallies.given_up + tallies.dropped + tallies.refused + tallies.lost
        assert tallies.arrived == ends + pods.in_flight.sum()
        assert tallies.in_flight == pods.in_flight[~pods.leaving].sum()
        assert tallies.ready == sum(pod.is_ready for pod in world.living)
        assert len(world.living) == wanted
        assert (pods.busy <= service.workers).all()
    world.engine.finish()
    assert tallies.arrived == world.engine.minutes.requests.sum()
    assert sum(world.engine.latency(minute, 50.0) > 0 for minute in range(len(world.engine.minutes))) == np.sum(
        world.engine.minutes.requests > 0
    )
