"""A lever that does harm, on a real cluster."""

from __future__ import annotations

import pytest

from tests.cluster.scenes import HARMFUL_LEVER
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def test_what_makes_things_worse_is_undone_at_once_and_then_barred(stage: Stage) -> None:
    with HARMFUL_LEVER.befallen(stage) as shop:
        stage.eventually("it is tried", lambda: shop.flag("POOL_SIZE") == "1", seconds=120)
        shop.tell("tried")
        stage.eventually("it is found to do harm", lambda: shop.verdicts()[-1:] == ["Worse"], seconds=60)
        shop.tell("found to do harm")
        stage.eventually("it is undone", lambda: shop.flag("POOL_SIZE") == "4", seconds=stage.cycles(3))
        stage.eventually("both are told", lambda: len(shop.switches()) == 2, seconds=20)
        back, tried = shop.switches()
        assert (tried["verdict"], back["from"], back["to"]) == ("Worse", "1", "4")
        stage.holds("it is not tried again", lambda: shop.flag("POOL_SIZE") == "4", seconds=30)
        stage.eventually(
            "and why is told", lambda: "it made things worse" in str(stage.status("shop").get("levers")), seconds=30
        )
