"""Promises that more pods cannot keep: none are added, or next to none, and why is told."""

from __future__ import annotations

import pytest

from tests.cluster.scenes import FAST_ERRORS, OUT_OF_REACH, SLOW_DATABASE, Scene
from tests.cluster.shop import Shop
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

LONG_ENOUGH_SECONDS = 60
"""Twenty cycles: whoever ran away would be at maxReplicas."""


@pytest.mark.parametrize(
    ("scene", "bottleneck"),
    [(SLOW_DATABASE, "DependencyBound"), (FAST_ERRORS, "FastFailing")],
    ids=["slow-database", "fast-errors"],
)
def test_what_pods_do_not_cure_is_not_answered_with_more_pods(stage: Stage, scene: Scene, bottleneck: str) -> None:
    with scene.calm(stage) as shop:
        before = shop.replicas()
        scene.befalls(shop)
        shop.finds(bottleneck)
        stays(shop, before, bottleneck)

        shop.behave()
        shop.keeps_its_promise()
        assert shop.replicas() <= before


def test_a_target_that_no_pod_can_meet_makes_nobody_run_away(stage: Stage) -> None:
    with OUT_OF_REACH.befallen(stage) as shop:
        shop.finds("UnreachableTarget", seconds=240)
        stays(shop, 8, "UnreachableTarget")


def stays(shop: Shop, most: int, reason: str) -> None:
    """No pod is added, and everybody is told that the promise is broken, and why."""
    shop.stage.holds(f"at most {most} pods", lambda: shop.replicas() <= most, seconds=LONG_ENOUGH_SECONDS)
    shop.tell("and stays")
    assert shop.bad() > 0.05

    def told() -> str:
        condition = shop.stage.condition("shop", "SLOMet")
        return str(condition["message"]) if (condition["status"], condition["reason"]) == ("False", reason) else ""

    print(shop.stage.eventually("it is told", told, seconds=30))
