"""Pods that are too few, throttled, or of a release that carries less: more of them help."""

from __future__ import annotations

import pytest

from tests.cluster.scenes import HALF_A_RELEASE, SATURATION, THROTTLING
from tests.cluster.shop import Shop
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def test_more_requests_than_the_pods_carry(stage: Stage) -> None:
    with SATURATION.befallen(stage) as shop:
        shop.finds(*SATURATION.expected)
        grew(shop)


def test_pods_that_their_cpu_limit_throttles(stage: Stage) -> None:
    with THROTTLING.befallen(stage) as shop:
        shop.finds(*THROTTLING.expected)
        grew(shop)


def test_a_release_whose_pods_carry_half_as_much(stage: Stage) -> None:
    with HALF_A_RELEASE.befallen(stage) as shop:
        shop.finds(*HALF_A_RELEASE.expected)
        grew(shop)


def grew(shop: Shop) -> None:
    """By pods alone the promise is kept again."""
    shop.keeps_its_promise()
    assert shop.replicas() > 2
    assert shop.decisions("ScaleUp", lever="replicas")
    assert shop.switches() == []
