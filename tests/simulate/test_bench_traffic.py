"""One of three backends becomes slower, or fails, for a while. (`python -m bench.traffic`: more seeds, and traces.)"""

from __future__ import annotations

import numpy as np
import pytest

from bench.traffic.fleet import picked
from bench.traffic.play import equal, least_request, moved, plays
from perfslo.simulate.model import Load, Scenario
from perfslo.simulate.world import World

STEADY, _, FAILING = plays({})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weights_that_move_keep_the_promise_with_fewer_pods_and_without_swinging(seed: int) -> None:
    ours, stayed = moved(STEADY, seed), equal(STEADY, seed)
    assert ours.violation_minutes <= 5, "of 24 in which it is slow"
    assert ours.bad_ratio < stayed.bad_ratio
    assert ours.replica_minutes < 0.5 * stayed.replica_minutes
    assert ours.turns_an_hour <= 8


def test_a_proxy_that_knows_meets_the_same_load() -> None:
    knows = least_request(STEADY, 1)
    assert 0.0 < knows.bad_ratio < 0.2
    assert knows.replica_minutes > 0


def test_failing_fast_draws_a_proxy_that_looks_at_outstanding_requests_and_weights_drain_it() -> None:
    ours, knows = moved(FAILING, 2), least_request(FAILING, 2)
    assert knows.bad_ratio > 0.2, "a third for two fifths of the time would be 0.13"
    assert ours.bad_ratio < 0.3 * knows.bad_ratio
    assert ours.violation_minutes <= 8, "of 24 in which it fails"


def test_of_two_pods_that_with_fewer_outstanding_requests_gets_the_next() -> None:
    assert picked({"a": [1, 1], "b": [1, 1]}) == {"a": 0.5, "b": 0.5}
    assert picked({"a": [2, 3], "b": [0]}) == pytest.approx({"a": 4 / 9, "b": 5 / 9})
    assert picked({"a": [], "b": [4]}) == {"a": 0.0, "b": 1.0}


def test_a_backend_gets_its_share_of_the_load() -> None:
    load = Load((0.0, 600.0), (200.0, 200.0))
    whole = World(Scenario("x", load), 1, 10)
    part = World(Scenario("x", load), 1, 10)
    whole.engine.take(1.0)
    part.engine.take(0.25)
    for world in (whole, part):
        world.advance(600.0)
    requests = [int(np.sum(world.engine.minutes.requests)) for world in (whole, part)]
    assert requests[1] == pytest.approx(requests[0] / 4, rel=0.03)
