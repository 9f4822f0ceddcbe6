"""Heavy work that moves from the request to real workers, by a real queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo import render
from tests.cluster.shop import Shop, offload
from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster

CALM_RATE = 5


@pytest.fixture
def relieved(stage: Stage) -> Iterator[Shop]:
    """A shop whose heavy work was moved to workers, which was found to help."""
    shop = Shop(stage)
    shop.open(["offload"])
    stage.apply(render.workers("workers", of="shop"))
    with shop.quick_kubelet():
        shop.promise({"offload": offload()}, minReplicas=3, maxReplicas=3, onDelete={"replicas": "Restore"})
        shop.gets_usual()

        shop.behave(heavy_ratio=0.2, heavy_ms=400)
        stage.eventually("the work moves", lambda: shop.flag("OFFLOAD") == "queue", seconds=120)
        stage.eventually("workers follow", lambda: stage.replicas("deployment/workers") >= 2, seconds=90)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        yield shop


def test_heavy_work_moves_to_workers_and_all_is_put_back_though_nobody_looked(stage: Stage, relieved: Shop) -> None:
    (switch,) = relieved.switches()
    assert (switch["lever"], switch["from"], switch["to"]) == ("offload", "inline", "queue")
    assert {"Switch", "Improved"} <= {event["reason"] for event in stage.get("events")["items"]}

    assert stage.replicas("deployment/shop") == 3, "two levers are held: these, and the work with its workers"
    with stage.operator_away():
        stage.kubectl("delete", "perfslo", "shop")
        assert relieved.flag("OFFLOAD") == "queue"
    stage.eventually("the work is taken back", lambda: relieved.flag("OFFLOAD") == "inline", seconds=60)
    stage.eventually("and so are the workers", lambda: stage.replicas("deployment/workers") == 1, seconds=30)
    stage.eventually("and the replicas", lambda: stage.replicas("deployment/shop") == 2, seconds=30)
    stage.eventually("and all is forgotten", lambda: not stage.get("leverclaims")["items"], seconds=30)


@pytest.mark.long
def test_the_work_comes_back_when_it_is_calm_and_the_workers_go(stage: Stage, relieved: Shop) -> None:
    relieved.behave(heavy_ratio=0)
    relieved.load.stop()
    relieved.load = stage.load("shop", f"t_seconds,rps\n0,{CALM_RATE}\n7200,0\n", threshold_ms=relieved.threshold_ms)
    half_an_hour = 120 * stage.tempo.cycle_seconds
    stage.eventually(
        "the work comes back", lambda: relieved.flag("OFFLOAD") == "inline", seconds=2 * half_an_hour + 120
    )
    stage.eventually(
        "the workers go", lambda: stage.replicas("deployment/workers") == 1, seconds=2 * half_an_hour + 120
    )
    relieved.keeps_its_promise()
