"""What the operator writes, against a real API server: claimed, guarded, fenced."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perfslo.core.model import ChangeResult, Target
from perfslo.core.steps import TargetRef
from perfslo.edges.kube.writes import Event, apply_status, emit
from perfslo.errors import LostRace, NotFound, NotLeading
from perfslo.settings import DEPLOYMENT, STATEFUL_SET, ScaleKind
from tests.cluster.writes.hand import GADGET, Hand, gadget, workload

pytestmark = pytest.mark.cluster


# --- /scale -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "manifest"),
    [(DEPLOYMENT, workload("Deployment")), (STATEFUL_SET, workload("StatefulSet")), (GADGET, gadget(2))],
    ids=["Deployment", "StatefulSet", "custom resource"],
)
async def test_a_step_is_claimed_and_written(hand: Hand, gadgets: None, kind: ScaleKind, manifest: str) -> None:
    hand.stage.apply(manifest)
    slo, target = hand.slo("web"), hand.target(kind, "web")
    change = await hand.order(slo, target, 5)
    assert (change.result, change.why) == (ChangeResult.APPLIED, "replicas 2->5")
    assert hand.target(kind, "web").replicas.desired == 5
    claim = hand.claim(target)
    assert claim["holder"] == {"name": "web", "uid": slo.uid}
    assert (claim["originalValue"], claim["lastValue"], claim["decisionID"]) == ("2", "5", "d5")
    assert claim["targetRef"]["uid"] == target.uid
    assert (await hand.order(slo, hand.target(kind, "web"), 3)).result is ChangeResult.APPLIED
    assert (hand.claim(target)["originalValue"], hand.claim(target)["lastValue"]) == ("2", "3")


async def test_the_claim_is_there_before_the_lever_is_written(hand: Hand, web: Target) -> None:
    await hand.order(hand.slo("web"), web, 5)

    def ours() -> list[str]:
        writes = hand.stage.audit(0, verbs=("create", "patch"))
        return [entry["objectRef"]["resource"] for entry in writes if entry["userAgent"].startswith("perfslo/")]

    hand.stage.eventually("both writes are in the audit log", lambda: len(ours()) == 2)
    assert ours() == ["leverclaims", "deployments"]


@pytest.mark.parametrize(("kind", "manifest"), [(DEPLOYMENT, workload("Deployment", 0)), (GADGET, gadget(0))])
async def test_no_replicas_are_guarded_too(hand: Hand, gadgets: None, kind: ScaleKind, manifest: str) -> None:
    hand.stage.apply(manifest)
    slo, target = hand.slo("web"), hand.target(kind, "web")
    assert (await hand.order(slo, target, 3)).result is ChangeResult.APPLIED
    assert (await hand.order(slo, target, 4)).result is ChangeResult.REFUSED, "there are 3 by now, not 0"
    assert hand.target(kind, "web").replicas.desired == 3


async def test_a_lost_race_is_not_forced(hand: Hand, web: Target) -> None:
    slo = hand.slo("web")
    hand.stage.kubectl("scale", "deployment/web", "--replicas=7")
    change = await hand.order(slo, web, 5)
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith("LostRace: ")
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 7
    assert (await hand.order(slo, hand.target(DEPLOYMENT, "web"), 9)).result is ChangeResult.APPLIED
    assert hand.claim(web)["originalValue"] == "7", "what somebody else wanted last is what is put back"


async def test_an_object_that_was_replaced_is_left_alone(hand: Hand, web: Target) -> None:
    hand.stage.kubectl("replace", "--force", "--filename=-", stdin=workload("Deployment"))
    change = await hand.order(hand.slo("web"), web, 5)
    assert change.result is ChangeResult.REFUSED
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2


async def test_a_recommendation_touches_nothing(hand: Hand, web: Target) -> None:
    change = await hand.order(hand.slo("web"), web, 5, recommend_only=True)
    assert change.result is ChangeResult.RECOMMENDED
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0


async def test_without_the_lease_nothing_is_written(hand: Hand, web: Target) -> None:
    slo = hand.slo("web")
    hand.leads = False
    with pytest.raises(NotLeading):
        await hand.order(slo, web, 5)
    with pytest.raises(NotLeading):
        await apply_status(hand.writer, slo, {"currentReplicas": 1})
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0


async def test_a_kind_that_is_not_enabled_is_refused_with_the_fix(hand: Hand, web: Target) -> None:
    stranger = replace(web, ref=TargetRef("example.com", "Widget", "web"))
    change = await hand.order(hand.slo("web"), stranger, 5)
    assert change.result is ChangeResult.REFUSED
    assert "add its kind to scaleKinds" in change.why


# --- claims -------------------------------------------------------------------------------------------------------


async def test_the_older_slo_keeps_the_lever(hand: Hand, web: Target) -> None:
    old = hand.slo("old", created="2026-01-01T00:00:00Z")
    young = hand.slo("young", created="2026-01-02T00:00:00Z")
    await hand.order(old, web, 5)
    restarted = hand.restarted()
    await restarted.claims.refresh()
    change = await restarted.order(young, hand.target(DEPLOYMENT, "web"), 9)
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith("WriteConflict: ")
    assert "older PerformanceSLO old" in change.why
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 5


async def test_the_older_slo_takes_the_lever_from_a_younger_one(hand: Hand, web: Target) -> None:
    old = hand.slo("old", created="2026-01-01T00:00:00Z")
    young = hand.slo("young", created="2026-01-02T00:00:00Z")
    await hand.order(young, web, 5)
    assert (await hand.order(old, hand.target(DEPLOYMENT, "web"), 6)).result is ChangeResult.APPLIED
    assert (hand.claim(web)["holder"]["name"], hand.claim(web)["originalValue"]) == ("old", "2")


async def test_a_new_slo_inherits_the_claim_of_one_that_is_gone(hand: Hand, web: Target) -> None:
    first = hand.slo("first")
    await hand.order(first, web, 5)
    hand.forget(first)
    heir = hand.slo("heir")
    assert (await hand.order(heir, hand.target(DEPLOYMENT, "web"), 6)).result is ChangeResult.APPLIED
    assert (hand.claim(web)["holder"]["uid"], hand.claim(web)["originalValue"]) == (heir.uid, "2")


async def test_an_slo_that_the_watch_missed_is_not_taken_for_gone(hand: Hand, web: Target) -> None:
    first = hand.slo("first")
    await hand.order(first, web, 5)
    del hand.slos[first.uid]
    change = await hand.order(hand.slo("second"), hand.target(DEPLOYMENT, "web"), 9)
    assert change.why.startswith("WriteConflict: ")


async def test_a_claim_can_be_adopted_without_touching_the_lever(hand: Hand, web: Target) -> None:
    first = hand.slo("first")
    await hand.order(first, web, 5)
    hand.forget(first)
    (claim,) = hand.claims
    assert await hand.claims.holder_is_gone(claim)
    heir = hand.slo("heir")
    adopted = await hand.claims.adopt(claim, heir, "Keep")
    assert not await hand.claims.holder_is_gone(adopted)
    assert (hand.claim(web)["holder"]["name"], hand.claim(web)["onDelete"]) == ("heir", "Keep")
    with pytest.raises(LostRace):
        await hand.claims.adopt(claim, heir, "Restore")


async def test_a_claim_that_was_deleted_by_hand_costs_one_cycle(hand: Hand, web: Target) -> None:
    slo = hand.slo("web")
    await hand.order(slo, web, 5)
    hand.stage.kubectl("delete", "leverclaims", "--all")
    seen = hand.target(DEPLOYMENT, "web")
    assert (await hand.order(slo, seen, 6)).result is ChangeResult.REFUSED
    assert (await hand.order(slo, seen, 6)).result is ChangeResult.APPLIED


async def test_a_second_first_claim_loses_the_race(hand: Hand, web: Target) -> None:
    slo, forgetful = hand.slo("web"), hand.restarted()
    await hand.order(slo, web, 5)
    seen = hand.target(DEPLOYMENT, "web")
    assert (await forgetful.order(slo, seen, 6)).why.startswith("LostRace: ")
    assert (await forgetful.order(slo, seen, 6)).result is ChangeResult.APPLIED
    assert hand.claim(web)["originalValue"] == "2"


# --- giving back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_delete", "left_at"), [("Restore", 2), ("Keep", 5)])
async def test_releasing_does_what_the_holder_wished(hand: Hand, web: Target, on_delete: str, left_at: int) -> None:
    await hand.order(hand.slo("web"), web, 5, on_delete=on_delete)
    (claim,) = hand.claims
    print(await hand.levers.release(claim))
    assert hand.target(DEPLOYMENT, "web").replicas.desired == left_at
    assert hand.claims_there() == 0
    assert list(hand.claims) == []


async def test_what_was_changed_since_is_not_put_back(hand: Hand, web: Target) -> None:
    await hand.order(hand.slo("web"), web, 5)
    hand.stage.kubectl("scale", "deployment/web", "--replicas=7")
    (claim,) = hand.claims
    assert "changed since: left at 7" in await hand.levers.release(claim)
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 7
    assert hand.claims_there() == 0


async def test_releasing_a_lever_whose_object_is_gone(hand: Hand, web: Target) -> None:
    await hand.order(hand.slo("web"), web, 5)
    hand.stage.kubectl("delete", "deployment/web")
    (claim,) = hand.claims
    assert "is gone" in await hand.levers.release(claim)
    assert hand.claims_there() == 0


# --- status and Events ----------------------------------------------------------------------------------------------


async def test_the_status_is_what_was_applied_and_nothing_else_changes(hand: Hand) -> None:
    slo = hand.slo("web")
    before = hand.stage.get("perfslo", "web")
    await apply_status(hand.writer, slo, {"currentReplicas": 2, "readyReplicas": 1})
    await apply_status(hand.writer, slo, {"currentReplicas": 3, "summary": {"state": "Healthy"}})
    after = hand.stage.get("perfslo", "web")
    assert after["status"] == {"currentReplicas": 3, "summary": {"state": "Healthy"}}
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])


async def test_a_status_meets_only_the_slo_it_is_about(hand: Hand) -> None:
    slo = hand.slo("web")
    hand.forget(slo)
    with pytest.raises(NotFound):
        await apply_status(hand.writer, slo, {"currentReplicas": 2})
    namesake = hand.slo("web")
    with pytest.raises(LostRace):
        await apply_status(hand.writer, slo, {"currentReplicas": 2})
    assert namesake.uid != slo.uid
    assert "currentReplicas" not in hand.stage.get("perfslo", "web").get("status", {})


async def test_an_event_is_seen_in_describe(hand: Hand) -> None:
    slo = hand.slo("web")
    await emit(hand.writer, "pod-1", Event(slo, "ScaleUp", "Scale", "replicas 2->5: é" + "x" * 2000, decision_id="d1"))
    await emit(hand.writer, "pod-1", Event(slo, "Gone", "Scale", "nowhere to go", warning=True))
    described = hand.stage.kubectl("describe", "perfslo", "web")
    assert re.search(r"Normal +ScaleUp .*perfslo.io/operator.* replicas 2->5: éx+ \[d1\]", described)
    assert re.search(r"Warning +Gone .*nowhere to go", described)
