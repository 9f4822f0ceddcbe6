"""Heavy work that moves from the request to real workers, by a real queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.scenes import BACKLOG, HEAVY_WORK
from tests.cluster.shop import Shop
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster

CALM_RPS = 5


@pytest.fixture
def relieved(stage: Stage) -> Iterator[Shop]:
    """A shop whose heavy work was moved to workers, which was found to help."""
    with HEAVY_WORK.befallen(stage) as shop:
        stage.eventually("the work moves", lambda: shop.flag("OFFLOAD") == "queue", seconds=120)
        stage.eventually("workers follow", lambda: stage.replicas("deployment/workers") >= 2, seconds=90)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        yield shop


def test_heavy_work_moves_to_workers_and_all_is_put_back_though_nobody_looked(stage: Stage, relieved: Shop) -> None:
    (switch,) = relieved.switches()
    assert (switch["lever"], switch["from"], switch["to"]) == ("offload", "inline", "queue")
    assert {"Switch", "Improved"} <= {event["reason"] for event in stage.get("events")["items"]}

    assert relieved.replicas() == 3, "two levers are held: these, and the work with its workers"
    with stage.operator_away():
        stage.kubectl("delete", "perfslo", "shop")
        assert relieved.flag("OFFLOAD") == "queue"
    stage.eventually("the work is taken back", lambda: relieved.flag("OFFLOAD") == "inline", seconds=60)
    stage.eventually("and so are the workers", lambda: stage.replicas("deployment/workers") == 1, seconds=30)
    stage.eventually("and the replicas", lambda: relieved.replicas() == 2, seconds=30)
    stage.eventually("and all is forgotten", lambda: not stage.get("leverclaims")["items"], seconds=30)


@pytest.mark.long
def test_the_work_comes_back_when_it_is_calm_and_the_workers_go(stage: Stage, relieved: Shop) -> None:
    relieved.behave(heavy_ratio=0)
    relieved.visited(CALM_RPS)
    half_an_hour = 120 * stage.tempo.cycle_seconds
    stage.eventually(
        "the work comes back", lambda: relieved.flag("OFFLOAD") == "inline", seconds=2 * half_an_hour + 120
    )
    stage.eventually(
        "the workers go", lambda: stage.replicas("deployment/workers") == 1, seconds=2 * half_an_hour + 120
    )
    relieved.keeps_its_promise()


@pytest.mark.long
def test_workers_that_are_behind_are_more_until_they_have_caught_up(stage: Stage) -> None:
    with BACKLOG.befallen(stage) as shop:
        shop.finds(*BACKLOG.expected)
        stage.eventually("workers follow", lambda: stage.replicas("deployment/workers") >= 3, seconds=120)
        stage.eventually("they have caught up", lambda: shop.bottleneck() != "QueueBacklog", seconds=180)
        shop.keeps_its_promise()
        assert shop.flag("OFFLOAD") == "queue"
