"""KEDA's rules: what a query gives, what the scaler makes of it, and the HPA behind it."""

from __future__ import annotations

import math

import pytest

from perfslo.core.model import Histogram
from perfslo.simulate.policies import hpa, keda
from perfslo.simulate.policies.promql import histogram_quantile
from tests.simulate.policies.views import FakeView, ready_pods, unready

EDGES = (0.1, 0.25, 0.5, math.inf)


def counts(*cumulative: float) -> Histogram:
    return Histogram(EDGES, cumulative)


@pytest.mark.parametrize(
    ("ratio", "histogram", "seconds"),
    [
        # rank 95 of 100: 15 of the 20 between 80 and 100
        (0.95, counts(80, 100, 100, 100), 0.1 + 0.15 * 15 / 20),
        (0.95, counts(0, 100, 100, 100), 0.1 + 0.15 * 0.95),
        # the first bucket begins at 0
        (0.5, counts(80, 100, 100, 100), 0.1 * 50 / 80),
        # a rank that is a bucket's count is its edge
        (0.8, counts(80, 100, 100, 100), 0.1),
        # beyond the last finite edge: that edge
        (0.95, counts(80, 90, 94, 100), 0.5),
        # counts that fall are lifted: ranks are of 100, and the last bucket has none
        (0.95, counts(80, 100, 99.5, 99.8), 0.1 + 0.15 * 15 / 20),
        # an empty bucket in between is passed over
        (0.95, counts(90, 90, 100, 100), 0.25 + 0.25 * 0.5),
    ],
)
def test_histogram_quantile(ratio: float, histogram: Histogram, seconds: float) -> None:
    assert histogram_quantile(ratio, histogram) == pytest.approx(seconds)


def test_histogram_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(histogram_quantile(0.95, counts(0, 0, 0, 0)))


def decided(metric: hpa.Metric, view: FakeView) -> int:
    return hpa.Hpa("keda", metric).decide(view)


def test_latency_in_proportion_to_the_ready_pods() -> None:
    # P95 = 0.2125 s; over 0.15 s: ceil(1.417 x 4 ready)
    view = FakeView(desired=5, pods=[*ready_pods(4), unready(None)], latency=counts(80, 100, 100, 100))
    assert decided(keda.latency(95, 0.15), view) == 6
    # 0.2125 / 0.2 is within the tolerance
    assert decided(keda.latency(95, 0.2), view) == 5


def test_the_trap_no_traffic_is_no_latency_so_the_fewest_pods_do() -> None:
    policy = hpa.Hpa("keda", keda.latency(95, 0.2))
    for time in (0.0, 150.0):
        assert policy.decide(FakeView(now_seconds=time, desired=9, pods=ready_pods(9), latency=counts(0, 0, 0, 0))) == 9
    assert policy.decide(FakeView(now_seconds=301.0, desired=9, pods=ready_pods(9), latency=counts(0, 0, 0, 0))) == 1
    assert policy.explain()["latency_seconds"] == 0.0


def test_without_prometheus_it_holds() -> None:
    for metric in (keda.latency(95, 0.2), keda.requests(24.0)):
        assert decided(metric, FakeView(desired=9, pods=ready_pods(9))) == 9


@pytest.mark.parametrize(
    ("rps", "pods", "replicas"),
    [
        # ceil(200/24)
        (200.0, 5, 9),
        # 230/(24 x 9) = 1.065: within the tolerance
        (230.0, 9, 9),
        # The number of pods in the status counts, whatever the spec says.
        (239.0, 10, 10),
        (200.4, 3, 6),
    ],
)
def test_requests(rps: float, pods: int, replicas: int) -> None:
    # At most doubled, from the 3 or more that there are.
    view = FakeView(desired=pods, pods=ready_pods(pods), rps=rps)
    assert decided(keda.requests(24.0), view) == replicas


def test_numbers_are_in_thousandths() -> None:
    # 0.20049 s is read as 0.2 s, so a target of 0.1 s asks for exactly twice as many.
    assert hpa.value_proposal(0.20049, 0.1, 4, 4) == 8
    assert hpa.value_proposal(0.20051, 0.1, 4, 4) == 9
