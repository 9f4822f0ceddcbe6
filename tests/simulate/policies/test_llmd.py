"""llm-d's law (llm-d/llm-d guides/workload-autoscaling/README.slo-aware.md), step by step."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from perfslo.core.model import Histogram
from perfslo.simulate.policies import llmd
from tests.simulate.policies.views import SCENARIO, FakeView, ready_pods


def latency(seconds: float) -> Histogram:
    """All of 100 requests in a bucket around it, so that the 95th percentile is just that."""
    return Histogram((seconds - 0.0095, seconds + 0.0005, math.inf), (0.0, 100.0, 100.0))


@pytest.mark.parametrize(
    ("saturation", "provisioned", "ready", "replicas"),
    [
        # in the band, its ends included
        (0.40, 8, 8, 8),
        (0.50, 8, 8, 8),
        (0.55, 8, 8, 8),
        # up: 8 + ceil(8 x (0.66/0.55 - 1)) = 8 + ceil(1.6)
        (0.66, 8, 8, 10),
        # credit: 0.66 x 6/8 = 0.495, so 8 + ceil(8 x (0.9 - 1)) = 8 + ceil(-0.8)
        (0.66, 8, 6, 8),
        # and even fewer than there are: 8 + ceil(8 x (0.6 x 4/8/0.55 - 1)) = 8 + ceil(-3.64)
        (0.60, 8, 4, 5),
        # nothing ready, nothing to credit
        (0.66, 8, 0, 10),
        (2.0, 4, 4, 15),
        # down: 8 - floor(8 x (1 - 0.3/0.4)) = 8 - 2; without credit
        (0.30, 8, 8, 6),
        (0.30, 8, 4, 6),
        (0.36, 8, 8, 8),
        (0.0, 8, 8, 0),
    ],
)
def test_formula(saturation: float, provisioned: int, ready: int, replicas: int) -> None:
    assert llmd.formula(saturation, provisioned, ready) == replicas


def asked(metric: llmd.Saturation, seconds: float, pods: int = 10) -> tuple[int, float]:
    """What the metric makes of a latency, 0 standing for no traffic."""
    histogram = latency(seconds) if seconds else Histogram((0.1, math.inf), (0.0, 0.0))
    found = metric(FakeView(desired=pods, pods=ready_pods(pods), latency=histogram))
    assert found is not None
    return found.replicas, round(found.numbers["saturation"], 6)


def test_the_signal_is_clamped_averaged_and_0_without_traffic() -> None:
    metric = llmd.Saturation()
    # The target is 250 ms, and the mean is over three samples.
    assert asked(metric, 0.125) == (10, 0.5)
    assert asked(metric, 5.0) == (23, 1.25)
    assert asked(metric, 0.0) == (16, 0.833333)
    assert asked(metric, 0.0625) == (14, 0.75)


def test_a_source_that_is_down_gives_nothing_and_leaves_a_gap() -> None:
    metric = llmd.Saturation()
    asked(metric, 5.0)
    assert metric(FakeView(desired=10, pods=ready_pods(10))) is None
    assert asked(metric, 0.125) == (10, 0.5)


def test_it_is_the_promised_percentile_that_counts() -> None:
    half = Histogram((0.05, 0.2, math.inf), (94.0, 100.0, 100.0))
    for percentile, saturation in ((90.0, 0.191489), (95.0, 0.3)):
        scenario = replace(SCENARIO, percentile=percentile)
        found = llmd.Saturation()(FakeView(desired=1, pods=ready_pods(1), latency=half, scenario=scenario))
        assert found is not None
        assert found.numbers["saturation"] == pytest.approx(saturation, abs=1e-6)


def test_the_hpa_behind_it_tolerates_a_tenth() -> None:
    # 10 + ceil(10 x (0.58/0.55 - 1)) = 11 is 1.1 times the 10 there are; 10 is more than that of 9
    assert asked(llmd.Saturation(), 0.145) == (10, 0.58)
    assert asked(llmd.Saturation(), 0.145, pods=9) == (10, 0.58)


def run(policy_seconds: list[float], desired: int) -> list[int]:
    policy = llmd.policy("llmd")
    found = []
    for step, seconds in enumerate(policy_seconds):
        view = FakeView(now_seconds=15.0 * step, desired=desired, pods=ready_pods(desired), latency=latency(seconds))
        desired = policy.decide(view)
        found.append(desired)
    return found


def test_up_after_30_seconds_at_most_doubled_or_four_in_a_minute() -> None:
    counts = run([0.75] * 9, 2)
    # The 2 that it found leaves the up window at 30 s; 2 + 4, and a minute later 6 x 2.
    assert counts == [2, 2, 6, 6, 6, 6, 12, 12, 12]


def test_down_one_pod_in_two_minutes_after_three() -> None:
    counts = run([0.05] * 30, 9)
    changes = [15 * step for step, (before, after) in enumerate(itertools.pairwise(counts), 1) if after < before]
    assert changes == [180, 300, 420]
    assert counts[-1] == 6
