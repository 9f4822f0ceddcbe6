"""The engine against what queueing theory says exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfslo.simulate.model import Balancing, Service
from tests.simulate.worlds import bad_ratio, ended, mean_seconds

MEAN_SECONDS = 0.040
PATIENT = 60.0


def erlang_c(servers: int, offered: float) -> float:
    """The share of requests that wait, where `offered` is the load in servers (Erlang's C formula)."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))


def slower_than(seconds: float, servers: int, rps: float) -> float:
    """P(T > t) of M/M/c."""
    mu = 1.0 / MEAN_SECONDS
    rest = servers * mu - rps
    waits, alone = erlang_c(servers, rps / mu), math.exp(-mu * seconds)
    return alone + waits * mu / (rest - mu) * (alone - math.exp(-rest * seconds))


@pytest.mark.parametrize("utilization", [0.6, 0.7, 0.8])
@pytest.mark.parametrize("servers", [1, 2, 8])
def test_shares_and_means_are_those_of_exponential_work(servers: int, utilization: float) -> None:
    targets, rps = (0.1, 0.2), utilization * servers / MEAN_SECONDS
    service = Service(
        workers=servers, mean_seconds=MEAN_SECONDS, timeout_seconds=PATIENT, buckets_seconds=(*targets, math.inf)
    )
    made = ended(service, rps, 1_000_000 / rps, exponential=True)
    slow = 1.0 - np.cumsum(made.counts.sum(axis=0)[:-1]) / made.state.arrived
    assert slow == pytest.approx([slower_than(target, servers, rps) for target in targets], rel=0.03)
    waited = erlang_c(servers, rps * MEAN_SECONDS) / (servers / MEAN_SECONDS - rps)
    assert mean_seconds(made) == pytest.approx(MEAN_SECONDS + waited, rel=0.03)


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0, 1.5])
def test_means_are_those_of_pollaczek_and_khinchine(variation: float) -> None:
    utilization = 0.7
    rps = utilization / MEAN_SECONDS
    service = Service(workers=1, mean_seconds=MEAN_SECONDS, variation=variation, timeout_seconds=PATIENT)
    made = ended(service, rps, 1_000_000 / rps)
    waited = utilization / (1.0 - utilization) * (1.0 + variation**2) / 2.0 * MEAN_SECONDS
    assert mean_seconds(made) == pytest.approx(MEAN_SECONDS + waited, rel=0.03)


def test_a_load_that_is_split_at_random_is_many_independent_ones() -> None:
    rps, pods, target = 35.0, 6, 0.2
    service = Service(workers=2, mean_seconds=MEAN_SECONDS, timeout_seconds=PATIENT)
    made = ended(service, pods * rps, 1_000_000 / rps / pods, pods=pods, exponential=True, target_seconds=target)
    assert bad_ratio(made) == pytest.approx(slower_than(target, 2, rps), rel=0.03)


def test_whoever_looks_before_choosing_balances_better() -> None:
    service, rps = Service(), 36.0 * 8
    random, turns, looking = (
        bad_ratio(ended(service, rps, 1000.0, pods=8, balancing=balancing))
        for balancing in (Balancing.RANDOM, Balancing.ROUND_ROBIN, Balancing.LEAST_REQUEST)
    )
    assert looking < turns < random
    assert looking < 0.25 * random


def test_arrivals_follow_the_load() -> None:
    made = ended(Service(), 50.0, 36_000.0, pods=3)
    counts = made.minutes.requests[:600]
    assert counts.mean() == pytest.approx(3000.0, rel=0.005)
    assert counts.var() == pytest.approx(3000.0, rel=0.15)  # as a Poisson process has it
