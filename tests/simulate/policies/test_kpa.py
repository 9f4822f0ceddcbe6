"""Knative's rule, tick by tick (Scale in pkg/autoscaler/scaling/autoscaler.go)."""

from __future__ import annotations

import pytest

from perfslo.simulate.policies.kpa import Kpa
from tests.simulate.policies.views import FakeView, ready_pods


def tick(
    policy: Kpa, time: float, pods: int, stable: float | None, panic: float | None = None, desired: int | None = None
) -> int:
    panic = stable if panic is None else panic
    seen = {} if stable is None or panic is None else {60.0: stable, 6.0: panic}
    desired = pods if desired is None else desired
    return policy.decide(FakeView(now_seconds=time, desired=desired, pods=ready_pods(pods), concurrencies=seen))


@pytest.mark.parametrize(
    ("stable", "replicas"),
    [(1.0, 1), (1.8, 1), (1.81, 2), (3.6, 2), (0.0, 1)],
)
def test_calm(stable: float, replicas: int) -> None:
    # ceil(concurrency / target); one pod, so it begins calm; never below the scenario's least
    assert tick(Kpa("kpa", 1.8), 0.0, 1, stable) == replicas


def test_it_takes_away_half_at_most() -> None:
    policy = Kpa("kpa", 1.0)
    tick(policy, 0.0, 1, 1.0)
    # floor(9/2)
    assert tick(policy, 2.0, 9, 1.0) == 4


def test_it_begins_in_panic_with_more_than_one_pod() -> None:
    policy = Kpa("kpa", 1.0)
    assert [tick(policy, time, 8, 3.0) for time in (0.0, 30.0, 60.0, 62.0)] == [8, 8, 8, 4]


def test_panic_begins_at_twice_the_ready_pods() -> None:
    policy = Kpa("kpa", 1.0)
    assert tick(policy, 0.0, 1, 1.0) == 1
    # 3.01 in the panic window: ceil = 4 for 2 ready, which is the threshold
    assert tick(policy, 2.0, 2, 2.0, 3.0) == 2
    assert tick(policy, 4.0, 2, 2.0, 3.01) == 4
    assert policy.explain()["panicking"] == 1.0


def test_in_panic_it_never_takes_away() -> None:
    policy = Kpa("kpa", 1.0)
    tick(policy, 0.0, 1, 1.0)
    assert tick(policy, 2.0, 1, 1.0, 9.0) == 9
    assert tick(policy, 4.0, 1, 1.0, 6.0) == 9
    assert tick(policy, 6.0, 9, 1.0, 1.0) == 9
    # The stable window may ask for more than the panic window.
    assert tick(policy, 8.0, 9, 11.0, 1.0) == 11


def test_panic_ends_more_than_a_stable_window_after_it_was_last_over() -> None:
    policy = Kpa("kpa", 1.0)
    tick(policy, 0.0, 1, 1.0)
    tick(policy, 2.0, 1, 1.0, 9.0)
    tick(policy, 10.0, 4, 4.0, 8.0)  # still over: it starts afresh
    assert tick(policy, 62.0, 9, 5.0) == 9
    assert tick(policy, 70.0, 9, 5.0) == 9
    assert tick(policy, 72.0, 9, 5.0) == 5
    # What it needed in that panic is forgotten.
    assert tick(policy, 74.0, 3, 3.0, 6.0) == 6


def test_without_data_nothing_changes() -> None:
    policy = Kpa("kpa", 1.0)
    assert tick(policy, 0.0, 3, None, desired=7) == 7
