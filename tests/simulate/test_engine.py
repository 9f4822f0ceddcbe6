"""What a request goes through."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perfslo.simulate import loop
from perfslo.simulate.engine import Engine
from perfslo.simulate.model import Balancing, Dependency, Load, Service
from tests.simulate.worlds import bad_ratio, ended, engine, mean_seconds, steady

EXACT = Service(workers=2, mean_seconds=0.040, variation=0.0)
"""Each request takes 40 ms."""
RARE = 0.05
"""Requests a second that hardly ever meet."""


def accounted(made: Engine) -> int:
    tallies = made.state
    ends = tallies.completed + tallies.given_up + tallies.dropped + tallies.refused + tallies.lost
    return int(ends + made.pods.in_flight.sum())


@pytest.mark.parametrize("balancing", list(Balancing))
def test_the_same_seed_is_the_same_run(balancing: Balancing) -> None:
    one, same, other = (ended(Service(), 200.0, 300.0, pods=6, balancing=balancing, seed=s) for s in (7, 7, 8))
    assert (one.counts == same.counts).all()
    assert (one.minutes == same.minutes).all()
    assert (one.minutes.requests != other.minutes.requests).any()


def test_the_steps_in_which_time_passes_change_nothing() -> None:
    at_once = ended(Service(), 100.0, 120.0, pods=3)
    in_steps = engine(Service(), 100.0, 120.0, pods=3)
    for until in np.arange(0.7, 125.0, 0.7):
        in_steps.advance(float(until))
    in_steps.advance(125.0)
    assert (at_once.counts == in_steps.counts).all()


def test_every_policy_meets_the_same_requests() -> None:
    few = ended(Service(), 100.0, 300.0, pods=1)
    many = ended(Service(), 100.0, 300.0, pods=9, balancing=Balancing.LEAST_REQUEST)
    assert (few.minutes.requests == many.minutes.requests).all()


def test_no_request_is_forgotten() -> None:
    made = engine(Service(workers=2, timeout_seconds=1.0, failing_ratio=0.1), 250.0, 200.0, pods=3)
    made.advance(50.0)
    assert made.state.dropped > 0
    assert made.state.given_up > 0
    assert accounted(made) == made.state.arrived
    assert made.state.in_flight == made.pods.in_flight.sum()
    first, *others = made.ready_rows
    made.end(first)
    assert made.state.lost > 0
    made.advance(100.0)
    for row in others:
        made.close(row)
    assert made.state.in_flight == 0 < made.pods.in_flight.sum()
    made.advance(150.0)
    assert made.state.refused > 0
    assert made.pods.in_flight.sum() == 0
    assert accounted(made) == made.state.arrived
    made.finish()
    assert accounted(made) == made.state.arrived == made.minutes.requests.sum()


def test_more_requests_and_pods_than_there_was_room_for() -> None:
    made = engine(Service(timeout_seconds=30.0), 3000.0, 20.0, pods=150)
    made.advance(20.0)
    for _ in range(100):
        made.close(made.ready_rows[0])
    made.advance(50.0)
    assert made.state.arrived == pytest.approx(60_000, rel=0.02)
    assert accounted(made) == made.state.arrived


def test_a_load_may_jump_and_end() -> None:
    load = Load((0.0, 60.0, 60.0, 120.0, 180.0, 240.0), (100.0, 100.0, 300.0, 300.0, 0.0, 0.0))
    made = Engine(Service(), load, seed=1, target_seconds=0.25)
    for _ in range(10):
        made.open(made.add())
    made.advance(300.0)
    assert made.minutes.requests[:4] == pytest.approx([6000, 18_000, 9000, 0], rel=0.05)
    assert made.minutes.requests[4:].sum() == 0


def test_clients_give_up_and_servers_do_not_see_it() -> None:
    service = Service(workers=2, timeout_seconds=2.0, buckets_seconds=(0.25, 2.0, math.inf))
    made = ended(service, 80.0, 600.0)  # 50 can be completed
    fast, slow, beyond = made.counts.sum(axis=0)
    assert beyond == 0
    assert made.state.dropped > 0
    assert bad_ratio(made) > slow / (fast + slow)
    assert made.minutes.bad.sum() == made.state.arrived - fast


def test_without_a_pod_requests_are_refused() -> None:
    made = ended(EXACT, 20.0, 60.0, pods=0)
    assert made.state.refused == made.state.arrived == made.minutes.bad.sum() > 0
    assert made.latency(0, 50.0) == pytest.approx(EXACT.timeout_seconds, rel=0.02)


def test_failures_are_bad_however_fast() -> None:
    made = ended(Service(failing_ratio=0.2), 20.0, 600.0, pods=2, target_seconds=4.0)
    assert bad_ratio(made) == pytest.approx(0.2, rel=0.1)
    assert made.pods.failed.sum() == made.minutes.bad.sum()


def test_percentiles_are_those_of_clients() -> None:
    made = ended(Service(workers=50, mean_seconds=0.1, variation=0.5), 300.0, 60.0, pods=2)
    sigma = math.sqrt(math.log1p(0.25))
    expected = 0.1 * math.exp(1.6449 * sigma - sigma**2 / 2)
    assert made.latency(0, 95.0) == pytest.approx(expected, rel=0.03)


def test_a_new_pod_is_slow_until_it_is_warm() -> None:
    service = Service(workers=2, mean_seconds=0.040, variation=0.0, warmup_factor=3.0)
    made = Engine(service, steady(1.0, 1000.0), seed=1, target_seconds=0.1)
    made.open(made.add(), warmup_seconds=500.0)
    made.advance(1010.0)
    first, last = made.minutes[:8], made.minutes[9:16]
    assert (first.bad == first.requests).all()
    assert last.bad.sum() < 0.1 * last.requests.sum()


def test_a_slow_pod_takes_longer() -> None:
    made = engine(EXACT, RARE, 100_000.0, pods=1)
    made.slow_down(made.ready_rows[0], 3.0)
    made.advance(100_010.0)
    assert mean_seconds(made) == pytest.approx(0.120, rel=0.01)


@pytest.mark.parametrize("hit_ratio", [0.0, 0.5, 1.0])
def test_a_dependency_is_called_by_what_no_cache_answers(hit_ratio: float) -> None:
    service = Service(
        variation=0.0, mean_seconds=0.040, dependency=Dependency(5, 0.100, variation=0.0), hit_ratio=hit_ratio
    )
    made = ended(service, RARE, 100_000.0)
    assert mean_seconds(made) == pytest.approx(0.040 + (1 - hit_ratio) * 0.100, rel=0.02)


@pytest.mark.parametrize("static_ratio", [0.0, 0.4, 1.0])
def test_static_files_take_their_own_time_and_call_nothing(static_ratio: float) -> None:
    service = Service(
        variation=0.0,
        mean_seconds=0.040,
        dependency=Dependency(5, 0.100, variation=0.0),
        hit_ratio=0.5,
        static_ratio=static_ratio,
        static_seconds=0.120,
    )
    made = ended(service, RARE, 100_000.0)
    assert mean_seconds(made) == pytest.approx(0.090 + static_ratio * 0.030, rel=0.02)
    assert service.worker_seconds == pytest.approx(0.090 + static_ratio * 0.030)


def test_a_dependency_is_shared_by_all_pods() -> None:
    service = Service(workers=10, mean_seconds=0.001, dependency=Dependency(4, 0.050, variation=0.0))
    few, many = (ended(service, 100.0, 600.0, pods=pods) for pods in (2, 40))
    # It completes 80 a second for however many pods.
    for made in (few, many):
        assert made.state.completed + made.state.given_up == pytest.approx(80.0 * 600.0, rel=0.02)


def test_a_dependency_that_takes_fewer_at_a_time_makes_others_wait_until_it_takes_more() -> None:
    service = Service(workers=10, mean_seconds=1e-6, variation=0.0, dependency=Dependency(4, 0.050, variation=0.0))
    made = engine(service, 60.0, 300.0, pods=2)
    made.advance(100.0)
    assert made.dependency_wait_seconds == 0.0
    made.serve_as(replace(service, dependency=Dependency(2, 0.050, variation=0.0)))
    made.advance(200.0)
    assert made.dependency_wait_seconds > 0.0, "60 a second, of which it takes 40"
    before = int(made.state.completed)
    made.serve_as(service)
    made.advance(300.0)
    assert made.dependency_wait_seconds == 0.0
    assert (made.state.completed - before) / 100.0 == pytest.approx(60.0, rel=0.1)


def test_a_dependency_that_waits_for_nobody_is_a_queue_of_its_own() -> None:
    service = Service(workers=500, mean_seconds=1e-6, variation=0.0, dependency=Dependency(1, 0.040, variation=1.0))
    made = ended(service, 0.7 / 0.040, 40_000.0, pods=3)
    waited = 0.7 / 0.3 * (1 + 1) / 2 * 0.040
    assert mean_seconds(made) == pytest.approx(0.040 + waited, rel=0.03)


def test_cpu_seconds_are_those_of_the_work() -> None:
    made = ended(Service(cpu_share=0.3), 60.0, 2000.0, pods=3)
    assert made.pods.cpu_seconds.sum() == pytest.approx(60.0 * 2000.0 * 0.040 * 0.3, rel=0.02)


def test_work_beyond_the_quota_waits_for_the_next_period() -> None:
    service = Service(workers=1, mean_seconds=0.140, variation=0.0, cpu_limit_cores=0.5)
    made = ended(service, RARE, 100_000.0)
    # 50 ms of each 100, and the rest: 0-50, 100-150, 200-240.
    assert mean_seconds(made) == pytest.approx(0.240, rel=0.01)
    assert made.pods.periods.sum() == pytest.approx(3 * made.state.arrived, rel=0.02)
    assert made.pods.throttled_periods.sum() == pytest.approx(2 * made.state.arrived, rel=0.02)


def test_many_at_once_use_the_quota_up_sooner() -> None:
    # Two at a time on half a core have 25 ms of each period each.
    service = Service(workers=2, mean_seconds=0.050, variation=0.0, cpu_limit_cores=0.5, timeout_seconds=1.0)
    made = ended(service, 30.0, 3000.0)
    done = made.state.completed + made.state.given_up
    assert done == pytest.approx(10.0 * 3000.0, rel=0.01)
    assert made.pods.cpu_seconds.sum() == pytest.approx(0.5 * 3000.0, rel=0.01)
    assert made.pods.throttled_periods.sum() / made.pods.periods.sum() > 0.95


def test_a_lower_limit_makes_work_last_longer_until_it_is_raised() -> None:
    service = Service(workers=2, mean_seconds=0.100, variation=0.0, cpu_limit_cores=1.9)
    made = engine(service, RARE, 60_000.0)
    for limit, seconds in ((1.9, 0.100), (0.5, 0.150), (1.9, 0.100)):  # 50 ms of each 100: 0-50, 100-150
        made.serve_as(replace(service, cpu_limit_cores=limit))
        spent, arrived = float(made.state.in_flight_seconds), int(made.state.arrived)
        made.advance(float(made.state.now) + 20_000.0)
        mean = (made.state.in_flight_seconds - spent) / (made.state.arrived - arrived)
        assert mean == pytest.approx(seconds, rel=0.02), limit


def test_quotas_are_handed_out_at_any_time() -> None:
    service = Service(workers=8, mean_seconds=0.050, cpu_limit_cores=1.3)
    load = Load((0.0, 300_000.0, 300_000.0, 301_000.0), (0.0, 0.0, 25.0, 25.0))
    made = Engine(service, load, seed=1, target_seconds=0.25)
    made.open(made.add())
    made.finish()
    assert made.state.arrived > 20_000
    assert made.state.completed > 0.99 * made.state.arrived
    assert made.pods.throttled_periods.sum() > 5000


def test_io_needs_no_cpu() -> None:
    service = Service(workers=4, mean_seconds=0.100, variation=0.0, cpu_share=0.1, cpu_limit_cores=1.0)
    limited, free = (ended(each, 20.0, 3000.0) for each in (service, replace(service, cpu_limit_cores=None)))
    assert mean_seconds(limited) == pytest.approx(mean_seconds(free), rel=0.01)


def test_requests_in_flight_are_averaged_by_the_second() -> None:
    made = engine(EXACT, 25.0, 600.0, pods=3)
    assert made.in_flight(60.0) == 0.0
    made.advance(600.0)
    assert made.in_flight(600.0) == pytest.approx(25.0 * 0.040, rel=0.05)


def test_a_scrape_shows_what_has_ended() -> None:
    made = engine(EXACT, 25.0, 600.0, pods=0, scrape_seconds=10.0, kept_scrapes=100)
    row = made.add()
    made.open(row, first_scrape_seconds=3.0)
    made.advance(100.0)
    at, what = made.scrapes
    assert at[row][:10] == pytest.approx(np.arange(3.0, 103.0, 10.0))
    assert np.isneginf(at[row][10:]).all()
    assert what[row, 9, -1] == pytest.approx(25.0 * 93.0, rel=0.05)
    assert (np.diff(what[row, :10, loop.BUCKETS :], axis=0) >= 0).all()
