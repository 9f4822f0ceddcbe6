"""HPA's rules against worked examples: its own tests' where they have one (the names in comments are theirs)."""

from __future__ import annotations

import pytest

from perfslo.core.behavior import Limits, Policy, Rules
from perfslo.core.memory import Recommendation, ScaleEvent
from perfslo.simulate.model import PodView
from perfslo.simulate.policies import hpa
from tests.simulate.policies.views import PENDING, SCENARIO, FakeView, ready, ready_pods, unready

NOW = 1000.0
DEFAULT = Limits(
    up=Rules(0.0, (Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0))),
    down=Rules(300.0, (Policy("Percent", 100, 15.0),)),
)
"""What autoscaling/v2 makes of an empty `behavior`."""
HOT = PodView(NOW - 60.0, NOW - 5.0, 0.3, NOW)
"""Young, and measured over a window that reaches back to before it was ready."""


@pytest.mark.parametrize(
    ("pods", "current", "target", "replicas", "utilization"),
    [
        # TestReplicaCalcScaleUp: 1500/3000 = 50 %; ceil(50/30 x 3)
        ([ready(0.3), ready(0.5), ready(0.7)], 3, 30, 5, 50),
        # TestReplicaCalcScaleUpUnreadyLessScale: 1200/2000 = 60 %; with the unready one as 0: 40 %; ceil(40/30 x 3)
        ([unready(0.3), ready(0.5), ready(0.7)], 3, 30, 4, 60),
        # TestReplicaCalcScaleUpHotCpuLessScale: the same when its sample is too early
        ([HOT, ready(0.5), ready(0.7)], 3, 30, 4, 60),
        # TestReplicaCalcScaleUpUnreadyNoScale: 40 %; with two as 0: 13 %, which would turn round
        ([ready(0.4), unready(0.5), unready(0.7)], 3, 30, 3, 40),
        # TestReplicaCalcScaleDown: 1400/5000 = 28 %; ceil(28/50 x 5)
        ([ready(c) for c in (0.1, 0.3, 0.5, 0.25, 0.25)], 5, 50, 3, 28),
        # TestReplicaCalcScaleDownIncludeUnreadyPods: 900/3000 = 30 %; ceil(30/50 x 3)
        ([ready(0.1), ready(0.3), ready(0.5), unready(0.25), unready(0.25)], 5, 50, 2, 30),
        # TestReplicaCalcScaleDownExcludeUnscheduledPods
        ([ready(0.1), PENDING, PENDING, PENDING, PENDING], 5, 50, 1, 10),
        # TestReplicaCalcMissingMetrics: 495/2000 = 24 % (truncated); with two as 100 %: 2495/4000 = 62 %; ceil(.62 x 4)
        ([ready(0.4), ready(0.095), ready(None), ready(None)], 4, 100, 3, 24),
        # TestReplicaCalcMissingMetricsNoChangeEq
        ([ready(1.0), ready(None)], 2, 100, 2, 100),
        # TestReplicaCalcMissingMetricsNoChangeGt: with the other as 0: 95 %, within the tolerance
        ([ready(1.9), ready(None)], 2, 100, 2, 190),
        # TestReplicaCalcMissingMetricsNoChangeLt: with the other as 100 %: 80 %; ceil(.8 x 2)
        ([ready(0.6), ready(None)], 2, 100, 2, 60),
        # TestReplicaCalcMissingMetricsUnreadyChange: 45 %; with the missing one as 100 %: 72 %, which would turn round
        ([unready(0.1), ready(0.45), ready(None)], 3, 50, 3, 45),
        # TestReplicaCalcMissingMetricsUnreadyScaleUp: 200 %; with two as 0: 66 %; ceil(66/50 x 3)
        ([unready(0.1), ready(2.0), ready(None)], 3, 50, 4, 200),
        # TestReplicaCalcMissingMetricsUnreadyScaleDown: 10 %; with one as 100 %: 40 %; ceil(40/50 x 3)
        ([unready(0.1), ready(0.1), ready(0.1), ready(None)], 4, 50, 3, 10),
        # TestReplicaCalcDuringRollingUpdateWithMaxSurge: ceil(40/50 x 3) = 3, more than there are, on the way down
        ([ready(0.1), ready(0.1), ready(None)], 2, 50, 2, 10),
        # Above 100 % a missing pod counts as the target: 30 %; then 1800/2000 = 90 %; ceil(90/150 x 2)
        ([ready(0.3), ready(None)], 3, 150, 2, 30),
        # Truncation: 668/1000 = 66 % of a target of 60 is 1.1, which the tolerance includes
        ([ready(0.668)], 1, 60, 1, 66),
        ([ready(0.67)], 1, 60, 2, 67),
        ([ready(0.549)], 3, 60, 3, 54),
        ([ready(0.539)], 3, 60, 1, 53),
    ],
)
def test_cpu(pods: list[PodView], current: int, target: int, replicas: int, utilization: int) -> None:
    found = hpa.cpu_proposal(pods, NOW, current, 1.0, target)
    assert found is not None
    assert (found.replicas, found.numbers["utilization_percent"]) == (replicas, utilization)


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        (PodView(NOW - 60.0, NOW - 15.0, 0.9, NOW), True),
        (PodView(NOW - 60.0, NOW - 14.0, 0.9, NOW), False),
        # After five minutes the age of a sample does not matter, but a pod that was never ready still does not count.
        (PodView(NOW - 300.0, NOW - 5.0, 0.9, NOW), True),
        (PodView(NOW - 299.0, NOW - 5.0, 0.9, NOW), False),
        (PodView(NOW - 600.0, None, 0.9, NOW), False),
    ],
)
def test_samples_of_pods_that_start_do_not_count(pod: PodView, counts: bool) -> None:
    found = hpa.cpu_proposal([pod], NOW, 1, 1.0, 60)
    assert (found is not None) is counts


@pytest.mark.parametrize(
    ("usage", "target", "current", "ready", "replicas"),
    [
        # TestReplicaCalcScaleUpCMObjectIgnoresUnreadyPods
        (50.0, 10.0, 3, 1, 5),
        # TestReplicaCalcScaleUpCMExternalIgnoresUnreadyPods
        (8.6, 4.4, 3, 1, 2),
        # TestReplicaCalcScaleDownCMExternal
        (8.6, 14.334, 5, 5, 3),
        # TestReplicaCalcToleranceCMExternal
        (8.6, 8.888, 3, 3, 3),
        (8.6, 8.888, 3, 1, 3),
        # getUsageRatioReplicaCount at 0: no ready pods, no tolerance
        (8.6, 4.4, 0, 0, 2),
        (0.0, 4.4, 5, 5, 0),
    ],
)
def test_value(usage: float, target: float, current: int, ready: int, replicas: int) -> None:
    assert hpa.value_proposal(usage, target, current, ready) == replicas


@pytest.mark.parametrize(
    ("usage", "target", "pods", "replicas"),
    [
        # TestReplicaCalcScaleUpPerPodCMExternal
        (8.6, 2.15, 3, 4),
        # TestReplicaCalcScaleDownPerPodCMExternal: 2.9996, so 3
        (8.6, 2.867, 5, 3),
        # TestReplicaCalcTolerancePerPodCMExternal
        (8.6, 2.9, 3, 3),
        (100.0, 24.0, 0, 5),
    ],
)
def test_average_value(usage: float, target: float, pods: int, replicas: int) -> None:
    assert hpa.average_value_proposal(usage, target, pods) == replicas


@pytest.mark.parametrize(
    ("recent", "current", "proposed", "wanted"),
    [
        # calculateScaleUpLimit: max(2 x current, 4)
        ([], 1, 9, 4),
        ([], 3, 9, 6),
        ([], 10, 100, 20),
        ([], 60, 150, 100),
        # stabilizeRecommendation: a recommendation of exactly five minutes ago still counts
        ([(NOW - 300.0, 8)], 8, 3, 8),
        ([(NOW - 301.0, 8)], 8, 3, 3),
        ([(NOW - 200.0, 5), (NOW - 100.0, 6)], 8, 3, 6),
        ([], 8, 1, 2),
    ],
)
def test_without_behavior(recent: list[tuple[float, int]], current: int, proposed: int, wanted: int) -> None:
    recommendations = [Recommendation(time, time, count) for time, count in recent]
    assert hpa.without_behavior(NOW, current, proposed, recommendations, least=2, most=100) == wanted


@pytest.mark.parametrize(
    ("recent", "events", "current", "proposed", "wanted"),
    [
        ([], [], 1, 9, 5),
        ([], [], 10, 100, 20),
        ([], [(NOW - 10.0, 4)], 10, 100, 12),
        ([(NOW - 299.0, 8)], [], 8, 3, 8),
        ([(NOW - 300.0, 8)], [], 8, 3, 3),
        ([], [], 8, 1, 2),
        ([], [], 90, 150, 100),
    ],
)
def test_with_behavior(
    recent: list[tuple[float, int]], events: list[tuple[float, int]], current: int, proposed: int, wanted: int
) -> None:
    recommendations = [Recommendation(time, time, count) for time, count in recent]
    happened = [ScaleEvent(*event) for event in events]
    found = hpa.with_behavior(DEFAULT, NOW, current, proposed, recommendations, happened, least=2, most=100)
    assert found == wanted


def asking(*proposals: int | None) -> hpa.Metric:
    answers = iter(proposals)

    def metric(_: object) -> hpa.Proposal | None:
        answer = next(answers)
        return None if answer is None else hpa.Proposal(answer)

    return metric


def run(policy: hpa.Hpa, times: list[float], desired: int) -> list[int]:
    found = []
    for time in times:
        desired = policy.decide(FakeView(now_seconds=time, desired=desired))
        found.append(desired)
    return found


def test_the_first_recommendation_is_what_it_finds() -> None:
    policy = hpa.Hpa("hpa", asking(3, 3, 3))
    assert run(policy, [0.0, 300.0, 315.0], 8) == [8, 8, 3]


def test_it_goes_up_at_once_and_down_after_five_minutes() -> None:
    policy = hpa.Hpa("hpa", asking(9, 9, *[2] * 22))
    times = [15.0 * step for step in range(24)]
    counts = run(policy, times, 4)
    assert counts[:2] == [8, 9]
    # The last 9 was asked for at 15 s.
    assert [time for time, count in zip(times, counts, strict=True) if count == 2] == [330.0, 345.0]


def test_an_unknown_metric_changes_nothing() -> None:
    policy = hpa.Hpa("hpa", asking(None, 2, None))
    assert run(policy, [0.0, 15.0, 315.0], 4) == [4, 4, 4]


def test_with_an_up_window_it_takes_the_least_that_was_asked_for() -> None:
    limits = Limits(Rules(30.0, (Policy("Percent", 100, 60.0),)), Rules(180.0, (Policy("Pods", 1, 120.0),)))
    policy = hpa.Hpa("hpa", asking(8, 7, 8, 8), limits)
    # At 0 s and 15 s the 4 that it found are within the window; at 45 s doubling was used up.
    assert run(policy, [0.0, 15.0, 30.0, 45.0], 4) == [4, 4, 7, 8]


def test_it_walks_down_one_pod_in_two_minutes() -> None:
    limits = Limits(Rules(30.0, (Policy("Percent", 100, 60.0),)), Rules(180.0, (Policy("Pods", 1, 120.0),)))
    policy = hpa.Hpa("hpa", asking(*[1] * 40), limits)
    times = [15.0 * step for step in range(40)]
    counts = run(policy, times, 4)
    changes = [time for time, before, after in zip(times[1:], counts, counts[1:], strict=False) if before != after]
    # The 4 that it found leave the window at 180 s; a removal counts for 120 s.
    assert changes == [180.0, 300.0, 420.0]


def test_bounds_come_before_metrics() -> None:
    policy = hpa.Hpa("hpa", asking())
    assert policy.decide(FakeView(desired=500)) == SCENARIO.max_replicas


def test_on_cpu_it_reads_the_pods_of_the_view() -> None:
    policy = hpa.Hpa("hpa-cpu=60", hpa.cpu(60))
    # 1.6 of 2 cores: 80 %, so ceil(80/60 x 6)
    assert policy.decide(FakeView(desired=6, pods=ready_pods(6, cores=1.6))) == 8
    assert policy.explain() == {"utilization_percent": 80.0, "proposed": 8}
