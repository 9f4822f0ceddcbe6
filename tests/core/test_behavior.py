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


@pytest.mark.parametrize(
    ("rule", "events", "current", "limit"),
    [
        (rules(PODS, PERCENT), [], 1, 5),
        (rules(PODS, PERCENT), [], 10, 20),
        # 4 of the 10 came within the period: it began with 6.
        (rules(PODS, PERCENT), [ScaleEvent(NOW - 5, 4)], 10, 12),
        (rules(PODS, PERCENT), [ScaleEvent(NOW - 20, 4)], 10, 20),
        (rules(PODS, PERCENT, select="Min"), [], 10, 14),
        (rules(PODS, select="Disabled"), [], 10, 10),
        (rules(Policy("Percent", 10, 60.0)), [], 3, 4),
        (rules(Policy("Percent", 10, 60.0)), [], 10, 11),
        # What was deleted within the period may come back.
        (rules(PODS), [ScaleEvent(NOW - 5, -3)], 7, 14),
        (rules(Policy("Pods", 1, 15.0)), [ScaleEvent(NOW - 5, 4)], 10, 10),
    ],
)
def test_scale_up_limit(rule: Rules, events: list[ScaleEvent], current: int, limit: int) -> None:
    assert behavior.upper_limit(rule, events, NOW, current) == limit


@pytest.mark.parametrize(
    ("rule", "events", "current", "limit"),
    [
        (rules(PERCENT), [], 10, 0),
        (rules(Policy("Pods", 2, 60.0)), [], 10, 8),
        (rules(Policy("Pods", 2, 60.0)), [ScaleEvent(NOW - 30, -2)], 8, 8),
        (rules(Policy("Pods", 2, 60.0)), [ScaleEvent(NOW - 90, -2)], 8, 6),
        (rules(Policy("Percent", 20, 60.0)), [], 10, 8),
        (rules(Policy("Percent", 20, 60.0)), [], 6, 4),
        (rules(Policy("Percent", 20, 60.0), Policy("Pods", 1, 60.0), select="Min"), [], 6, 5),
        (rules(PODS, select="Disabled"), [], 10, 10),
    ],
)
def test_scale_down_limit(rule: Rules, events: list[ScaleEvent], current: int, limit: int) -> None:
    assert behavior.lower_limit(rule, events, NOW, current) == limit


@pytest.mark.parametrize(
    ("up_window", "down_window", "recent", "current", "wanted", "stable"),
    [
        (0, 300, [(NOW - 100, 8)], 8, 3, 8),
        (0, 300, [(NOW - 301, 8)], 8, 3, 3),
        (0, 300, [(NOW - 100, 5)], 8, 3, 5),
        (0, 300, [], 8, 12, 12),
        (60, 300, [(NOW - 30, 9)], 8, 12, 9),
        (60, 300, [(NOW - 30, 7)], 8, 12, 8),
    ],
)
def test_stabilization(
    up_window: float, down_window: float, recent: list[tuple[float, int]], current: int, wanted: int, stable: int
) -> None:
    limits = behavior.Limits(rules(PODS, window=up_window), rules(PERCENT, window=down_window))
    recommendations = [Recommendation(time, time, replicas) for time, replicas in recent]
    assert behavior.stabilized(limits, recommendations, NOW, current, wanted) == stable


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
