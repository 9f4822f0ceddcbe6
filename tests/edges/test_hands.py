"""What stands between a plan and a lever. Doubles are the door to the API server and the claims; all else is real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from perfslo.core.model import Change, ChangeResult, OtherWriter, Plan, Target, TargetProblem
from perfslo.core.steps import Scale, TargetRef
from perfslo.core.turn import Conflict
from perfslo.edges.actuators.levers import Levers
from perfslo.edges.actuators.scale import ScaleActuator
from perfslo.edges.claims import Claims, Pull
from perfslo.edges.hands import Hands, find_conflict
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.edges.watch import SLO
from perfslo.errors import Denied, LostRace, NotLeading, WriteConflict
from perfslo.settings import DEPLOYMENT
from tests.core.turns import NOW, plan, spec, target
from tests.edges.slos import slo

CACHE = {
    "tiers": [
        {
            "name": "redis",
            "workload": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "redis"},
                "onReplicas": 3,
            },
        }
    ]
}


class Bench:
    """Hands whose writes and claims are kept in the order in which they came."""

    def __init__(self, levers: tuple[str, ...] = ("replicas",)) -> None:
        self.done: list[Any] = []
        self.refused_claim: Exception | None = None
        self.refused_write: Exception | None = None
        scale = ScaleActuator(cast(Api, None), cast(Writer, self), cast(Claims, self), (DEPLOYMENT,))
        self.found: Target | TargetProblem = target()
        self.hands = Hands(Levers(cast(Claims, self), scale), levers, lambda *_: self.found)

    async def take(self, pull: Pull) -> None:
        if self.refused_claim:
            raise self.refused_claim
        self.done.append(("claim", pull.found, pull.wanted))

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if self.refused_write:
            raise self.refused_write
        self.done.append((method, path, body[-1]["value"]))
        return {}

    async def act(self, about: SLO, wanted: Plan, conflict: Conflict | None = None) -> Change | None:
        return await self.hands.act(about, target(), wanted, conflict, NOW)


async def test_a_plan_is_claimed_then_written() -> None:
    bench = Bench()
    change = await bench.act(slo(), plan(2, 4))
    assert change
    assert (change.result, change.step.wanted, change.time) == (ChangeResult.APPLIED, 4, NOW)
    assert bench.done == [("claim", "2", "4"), ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale", 4)]


async def test_nothing_planned_nothing_done() -> None:
    bench = Bench()
    assert await bench.act(slo(), plan(2, 2)) is None
    assert await bench.act(slo(problem="spec.window: ..."), plan(2, 4)) is None
    assert bench.done == []


async def test_each_decision_has_an_id_of_its_own() -> None:
    bench = Bench()
    first, second = await bench.act(slo(), plan(2, 4)), await bench.act(slo(), plan(2, 4))
    assert first
    assert second
    assert first.decision_id != second.decision_id


@pytest.mark.parametrize(
    ("promise", "conflict"),
    [
        (spec(mode="Recommend"), None),
        (spec(levers={"replicas": {"mode": "Recommend"}}), None),
        (spec(mode="Recommend"), Conflict("delete the HPA, or set mode: Recommend")),
    ],
)
async def test_recommend_writes_nothing_whoever_else_writes(promise: Any, conflict: Conflict | None) -> None:
    bench = Bench()
    change = await bench.act(slo(spec=promise), plan(2, 4), conflict)
    assert change
    assert change.result is ChangeResult.RECOMMENDED
    assert bench.done == []


async def test_a_lever_that_is_set_to_act_does_so_in_an_slo_that_recommends() -> None:
    bench = Bench()
    change = await bench.act(slo(spec=spec(mode="Recommend", levers={"replicas": {"mode": "Auto"}})), plan(2, 4))
    assert change
    assert change.result is ChangeResult.APPLIED


async def test_a_conflict_refuses_with_what_to_do() -> None:
    bench = Bench()
    change = await bench.act(slo(), plan(2, 4), Conflict("delete the HPA"))
    assert change
    assert (change.result, change.why) == (ChangeResult.REFUSED, "WriteConflict: delete the HPA")
    assert bench.done == []


async def test_a_lever_that_the_administrator_did_not_enable_is_left_alone() -> None:
    bench = Bench(levers=("cache",))
    change = await bench.act(slo(), plan(2, 4))
    assert change
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith("LeverDisabled: ")
    assert bench.done == []


@pytest.mark.parametrize("error", [WriteConflict("an older SLO holds it"), LostRace("changed")])
async def test_without_a_claim_nothing_is_written(error: Exception) -> None:
    bench = Bench()
    bench.refused_claim = error
    change = await bench.act(slo(), plan(2, 4))
    assert change
    assert change.result is ChangeResult.REFUSED
    assert str(error) in change.why
    assert bench.done == []


async def test_a_write_that_is_refused_is_a_result() -> None:
    bench = Bench()
    bench.refused_write = Denied("forbidden")
    change = await bench.act(slo(), plan(2, 4))
    assert change
    assert (change.result, change.why) == (ChangeResult.REFUSED, "Denied: forbidden")


async def test_who_leads_no_more_is_not_told_a_result() -> None:
    bench = Bench()
    bench.refused_write = NotLeading("lost")
    with pytest.raises(NotLeading):
        await bench.act(slo(), plan(2, 4))


async def test_another_workload_is_looked_up_and_its_other_writer_heard() -> None:
    bench, tier = Bench(("replicas", "cache")), TargetRef("apps", "Deployment", "redis")
    about, wanted = slo(spec=spec(levers={"cache": CACHE})), Plan("warm it", (Scale(2, 3, "cache", "redis", tier),))
    change = await bench.act(about, wanted)
    assert change
    assert change.result is ChangeResult.APPLIED
    bench.found = replace(target(), other_writers=(OtherWriter("HorizontalPodAutoscaler", "redis", "delete it"),))
    change = await bench.act(about, wanted)
    assert change
    assert change.result is ChangeResult.REFUSED
    bench.found = TargetProblem("TargetNotFound", "there is no Deployment/redis")
    change = await bench.act(about, wanted)
    assert change
    assert change.why == "TargetNotFound: there is no Deployment/redis"


# --- who else writes -------------------------------------------------------------------------------------------------


def test_alone_there_is_no_conflict() -> None:
    only = slo()
    assert find_conflict(only, target(), [only]) is None


def test_another_autoscaler_is_named_with_what_to_do() -> None:
    scaled = replace(target(), other_writers=(OtherWriter("HPA", "web", "delete it"),))
    conflict = find_conflict(slo(), scaled, [])
    assert conflict
    assert conflict.message == "HPA web also scales Deployment/web: delete it"


def test_of_two_slos_the_older_scales() -> None:
    older = slo("older", created="2026-01-01T00:00:00Z")
    younger = slo("younger", created="2026-01-02T00:00:00Z")
    assert find_conflict(older, target(), [younger, older]) is None
    conflict = find_conflict(younger, target(), [younger, older])
    assert conflict
    assert "older PerformanceSLO older: delete one of the two" in conflict.message


def test_of_two_slos_of_one_second_exactly_one_scales() -> None:
    pair = [slo("a", uid="2"), slo("b", uid="1")]
    assert [find_conflict(each, target(), pair) is None for each in pair] == [False, True]
