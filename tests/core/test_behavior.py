"""autoscaling/v2 `behavior`, against worked examples of its formulas."""

from __future__ import annotations

import pytest

from perfslo.api.v1alpha1 import Behavior
from perfslo.core import behavior
from perfslo.core.behavior import Policy, Rules
from perfslo.core.memory import Recommendation, ScaleEvent
from perfslo.core.timescale import TimeScale

NOW = 1000.0


def rules(*policies: Policy, select: str = "Max", window: float = 0.0) -> Rules:
    return Rules(window, policies, select)


PODS, PERCENT = Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)


def pods(value: int, period: float = 60.0) -> Policy:
    return Policy("Pods", value, period)


def percent(value: int, period: float = 60.0) -> Policy:
    return Policy("Percent", value, period)


def evenly(*changes: int) -> list[ScaleEvent]:
    """Within the last 120 s."""
    return [ScaleEvent(NOW - 119 + 120 * i / len(changes), change) for i, change in enumerate(changes)]


@pytest.mark.parametrize(
    ("rule", "events", "current", "limit"),
    [
        (rules(PODS, PERCENT), [], 1, 5),
        (rules(PODS, PERCENT), [], 10, 20),
        # 4 of the 10 came within the period: it began with 6.
        (rules(PODS, PERCENT), [ScaleEvent(NOW - 5, 4)], 10, 12),
        (rules(PODS, PERCENT), [ScaleEvent(NOW - 15, 4)], 10, 20),
        (rules(PODS, PERCENT, select="Min"), [], 10, 14),
        (rules(PODS, select="Disabled"), [], 10, 10),
        (rules(percent(10)), [], 3, 4),
        (rules(percent(10)), [], 10, 11),
        # What was deleted within the period may come back.
        (rules(PODS), [ScaleEvent(NOW - 5, -3)], 7, 14),
        (rules(pods(1, 15.0)), [ScaleEvent(NOW - 5, 4)], 10, 10),
        # TestConvertDesiredReplicasWithBehaviorRate of HPA's own tests
        (rules(percent(1)), [], 3, 4),
        (rules(pods(100), percent(100)), [], 10, 110),
        (rules(pods(2), percent(100)), [], 10, 20),
        (rules(pods(30)), [], 10, 40),
        (rules(percent(200)), [], 10, 30),
        # 100 - 15 + 5 would be fewer than there are
        (rules(pods(5, 120.0)), evenly(1, 5, 9), 100, 100),
        (rules(pods(150, 120.0)), evenly(1, 5, 9), 100, 235),
        (rules(percent(200, 120.0)), evenly(1, 5, 9), 100, 255),
        # (6 - 4 + 2) x 4
        (rules(percent(300, 300.0)), evenly(4, -2), 6, 16),
        # The longer period remembers more: max(100 - 40 + 1, (100 - 19) x 2)
        (rules(pods(1, 120.0), percent(100, 60.0)), evenly(8, 12, 9, 11), 100, 160),
    ],
)
def test_scale_up_limit(rule: Rules, events: list[ScaleEvent], current: int, limit: int) -> None:
    assert behavior.upper_limit(rule, events, NOW, current) == limit


@pytest.mark.parametrize(
    ("rule", "events", "current", "limit"),
    [
        (rules(PERCENT), [], 10, 0),
        (rules(pods(2)), [], 10, 8),
        (rules(pods(2)), [ScaleEvent(NOW - 30, -2)], 8, 8),
        (rules(pods(2)), [ScaleEvent(NOW - 60, -2)], 8, 6),
        (rules(percent(20)), [], 10, 8),
        # 4.8 is cut, not rounded up
        (rules(percent(20)), [], 6, 4),
        (rules(percent(20), pods(1), select="Min"), [], 6, 5),
        (rules(PODS, select="Disabled"), [], 10, 10),
        # What was added within the period counts against it.
        (rules(pods(2)), [ScaleEvent(NOW - 5, 3)], 10, 5),
        # TestConvertDesiredReplicasWithBehaviorRate
        (rules(pods(20)), [], 1000, 980),
        (rules(pods(20), percent(1)), [], 100, 80),
        (rules(pods(2), percent(1)), [], 100, 98),
        (rules(pods(5)), [], 10, 5),
        (rules(percent(50)), [], 10, 5),
        (rules(pods(5, 120.0)), evenly(-1, -5, -9), 100, 100),
        (rules(percent(50, 120.0)), evenly(-2, -4, -6), 100, 56),
        # (10 + 4 - 2) / 2
        (rules(percent(50, 180.0)), evenly(2, -4), 10, 6),
        # 117 would be more than there are
        (rules(percent(10, 120.0)), evenly(-10, -10, -10), 100, 100),
        (rules(percent(1000, 120.0)), evenly(-10, -10, -10), 10, 0),
    ],
)
def test_scale_down_limit(rule: Rules, events: list[ScaleEvent], current: int, limit: int) -> None:
    assert behavior.lower_limit(rule, events, NOW, current) == limit


@pytest.mark.parametrize(
    ("up_window", "down_window", "recent", "current", "wanted", "stable"),
    [
        (0, 300, [(NOW - 100, 8)], 8, 3, 8),
        # As old as the window is too old.
        (0, 300, [(NOW - 300, 8)], 8, 3, 3),
        (0, 300, [(NOW - 100, 5)], 8, 3, 5),
        (0, 300, [], 8, 12, 12),
        (60, 300, [(NOW - 30, 9)], 8, 12, 9),
        (60, 300, [(NOW - 30, 7)], 8, 12, 8),
        # TestNormalizeDesiredReplicasWithBehavior of HPA's own tests
        (0, 0, [], 100, 5, 5),
        (0, 180, [(NOW - 120, 4), (NOW - 60, 5)], 100, 3, 5),
        (300, 0, [(NOW - 120, 4), (NOW - 60, 5)], 1, 7, 4),
        (300, 0, [(NOW - 120, 1), (NOW - 60, 2)], 100, 3, 3),
        (0, 300, [(NOW - 120, 4), (NOW - 60, 5)], 1, 3, 3),
        (0, 180, [(NOW - 600, 10), (NOW - 60, 4), (NOW - 120, 5), (NOW - 540, 9)], 100, 3, 5),
    ],
)
def test_stabilization(
    up_window: float, down_window: float, recent: list[tuple[float, int]], current: int, wanted: int, stable: int
) -> None:
    limits = behavior.Limits(rules(PODS, window=up_window), rules(PERCENT, window=down_window))
    recommendations = [Recommendation(time, time, replicas) for time, replicas in recent]
    assert behavior.stabilized(limits, recommendations, NOW, current, wanted) == stable


@pytest.mark.parametrize(
    ("wanted", "tolerated"),
    # Both ends of 0.9 .. 1.2 are within.
    [(8, False), (9, True), (10, True), (11, True), (12, True), (13, False)],
)
def test_tolerance(wanted: int, tolerated: bool) -> None:
    given = Behavior.model_validate({"scaleUp": {"tolerance": "0.2"}, "scaleDown": {"tolerance": "100m"}})
    assert behavior.tolerated(behavior.limits(given, TimeScale()), 10, wanted) is tolerated
    assert behavior.tolerated(behavior.limits(Behavior(), TimeScale()), 10, wanted) is (wanted == 10)


def test_what_an_author_leaves_out_is_as_in_autoscaling_v2() -> None:
    given = Behavior.model_validate({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}]}})
    limits = behavior.limits(given, TimeScale(2.0, 2.0))
    assert limits.up == Rules(0.0, (Policy("Pods", 2, 30.0),))
    assert limits.down == Rules(300.0, (Policy("Percent", 100, 15.0),))


def test_our_own_limits_scale_with_the_signal() -> None:
    slow, fast = (behavior.limits(None, TimeScale(s, s)) for s in (15.0, 3.0))
    assert slow.down.window_seconds == pytest.approx(200.0)
    assert fast.down.window_seconds == pytest.approx(40.0)
    assert [p.period_seconds for p in fast.down.policies] == [12.0, 12.0]
