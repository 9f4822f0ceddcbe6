"""What the operator writes, against a real API server: claimed, guarded, fenced."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from perfslo.api.v1alpha1 import claim_name
from perfslo.core.model import Change, ChangeResult, Replicas, Step, Target, TargetRef
from perfslo.edges.actuators.scale import Order, ScaleActuator
from perfslo.edges.claims import Claims
from perfslo.edges.kube.client import Api, connect
from perfslo.edges.kube.writes import Event, Writer, apply_status, emit
from perfslo.errors import LostRace, NotFound, NotLeading
from perfslo.settings import DEPLOYMENT, STATEFUL_SET, Lease, ScaleKind
from tests.cluster.stage import Stage
from tests.conftest import ROOT, Cluster

pytestmark = pytest.mark.cluster

GADGET = ScaleKind(group="tests.perfslo.io", version="v1", kind="Gadget", resource="gadgets")
GADGET_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.tests.perfslo.io"},
    "spec": {
        "group": GADGET.group,
        "scope": "Namespaced",
        "names": {"plural": GADGET.resource, "singular": "gadget", "kind": GADGET.kind},
        "versions": [
            {
                "name": GADGET.version,
                "served": True,
                "storage": True,
                "subresources": {
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
                },
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@dataclass(frozen=True)
class Slo:
    namespace: str
    name: str
    uid: str
    created: str


@dataclass
class Hand:
    """The writing edges, wired to the cluster as the operator wires them."""

    stage: Stage
    api: Api
    leads: bool = True
    slos: dict[str, Slo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = Writer(self.api, self._fence, timeout_seconds=5.0)
        self.claims = Claims(self.api, self.writer, (self.stage.namespace,), self.slos.get)
        self.scale = ScaleActuator(self.api, self.writer, self.claims, (DEPLOYMENT, STATEFUL_SET, GADGET))

    def _fence(self) -> None:
        if not self.leads:
            raise NotLeading("not leading")

    def restarted(self) -> Hand:
        """The same after a restart: nothing remembered."""
        return Hand(self.stage, self.api, slos=self.slos)

    def slo(self, name: str, **changes: str) -> Slo:
        self.stage.slo(name, {})
        metadata = self.stage.get("perfslo", name)["metadata"]
        made = Slo(self.stage.namespace, name, metadata["uid"], metadata["creationTimestamp"])
        self.slos[made.uid] = replace(made, **changes)
        return self.slos[made.uid]

    def forget(self, slo: Slo) -> None:
        self.stage.kubectl("delete", "perfslo", slo.name)
        del self.slos[slo.uid]

    def target(self, kind: ScaleKind, name: str) -> Target:
        seen = self.stage.get(f"{kind.resource}.{kind.group}", name)
        replicas = seen["spec"]["replicas"]
        ref = TargetRef(kind.group, kind.kind, name)
        return Target(ref, seen["metadata"]["uid"], Replicas(desired=replicas, ready=0), frozenset())

    async def order(self, slo: Slo, target: Target, wanted: int, **changes: Any) -> Change:
        step = Step("replicas", target.replicas.desired, wanted)
        order = Order(slo, target, step, f"d{wanted}", 1.8e9, on_delete="Restore")
        return await self.scale.apply(replace(order, **changes))

    def claim(self, target: Target) -> dict[str, Any]:
        name = claim_name(target.ref.group, target.ref.kind, target.ref.name, "replicas")
        spec: dict[str, Any] = self.stage.get("leverclaim", name)["spec"]
        return spec

    def claims_there(self) -> int:
        return len(self.stage.get("leverclaims")["items"])


@pytest.fixture
async def hand(stage: Stage) -> AsyncIterator[Hand]:
    api = await connect(stage.cluster.kubeconfig)
    yield Hand(stage, api)
    await api.close()


@pytest.fixture(scope="session")
def gadgets(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(GADGET_CRD))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/gadgets.tests.perfslo.io")


@pytest.fixture
def web(hand: Hand) -> Target:
    """A Deployment of two, of pods that never run: only the numbers matter here."""
    hand.stage.apply(workload("Deployment"))
    return hand.target(DEPLOYMENT, "web")


def workload(kind: str, replicas: int = 2) -> str:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"none": "such"}, "containers": [container()]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    extra = {"serviceName": "web"} if kind == "StatefulSet" else {}
    return json.dumps({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": {**spec, **extra}})


def container() -> dict[str, str]:
    return {"name": "web", "image": "none"}


def gadget(replicas: int) -> str:
    metadata = {"name": "web"}
    return json.dumps(
        {"apiVersion": "tests.perfslo.io/v1", "kind": "Gadget", "metadata": metadata, "spec": {"replicas": replicas}}
    )


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
    print(await hand.scale.release(claim))
    assert hand.target(DEPLOYMENT, "web").replicas.desired == left_at
    assert hand.claims_there() == 0
    assert list(hand.claims) == []


async def test_what_was_changed_since_is_not_put_back(hand: Hand, web: Target) -> None:
    await hand.order(hand.slo("web"), web, 5)
    hand.stage.kubectl("scale", "deployment/web", "--replicas=7")
    (claim,) = hand.claims
    assert "changed since: left at 7" in await hand.scale.release(claim)
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 7
    assert hand.claims_there() == 0


async def test_releasing_a_lever_whose_object_is_gone(hand: Hand, web: Target) -> None:
    await hand.order(hand.slo("web"), web, 5)
    hand.stage.kubectl("delete", "deployment/web")
    (claim,) = hand.claims
    assert "is gone" in await hand.scale.release(claim)
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


# --- the lease ------------------------------------------------------------------------------------------------------


Contend = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def contend(hand: Hand) -> Iterator[Contend]:
    """Start a process that contends for the lease and writes while it leads."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        hand.slo(name)
        arguments = [hand.stage.cluster.kubeconfig, hand.stage.namespace, name]
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.contender", *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": "operator"},
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def read_for(process: subprocess.Popen[str], seconds: float) -> int:
    """The last number it wrote; it has just written it when this returns."""
    assert process.stdout
    deadline, number = time.monotonic() + seconds, -1
    while time.monotonic() < deadline:
        number = int(process.stdout.readline())
    return number


def holder(stage: Stage) -> str:
    return stage.leader().partition("_")[0]


def test_a_frozen_leader_writes_nothing_when_it_wakes(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    wrote = read_for(old, 4)
    os.kill(old.pid, signal.SIGSTOP)
    frozen = time.monotonic()
    assert read_for(new, 1) >= 0
    print(f"taken over {time.monotonic() - frozen:.1f} s after the leader froze")
    woken_at = time.time()
    os.kill(old.pid, signal.SIGCONT)
    said, complaint = old.communicate(timeout=30)
    print(f"the old leader ended {time.time() - woken_at:.1f} s after waking: {complaint.strip()}")
    assert (said, old.returncode) == ("", 7)
    assert hand.stage.status("old") == {"currentReplicas": wrote}
    read_for(new, 2)
    assert holder(hand.stage) == "new"
    writes = hand.stage.audit(woken_at, verbs=("patch", "create", "update"))
    assert [entry for entry in writes if entry["objectRef"].get("name") == "new"], "the audit log shows writes"
    assert not [entry for entry in writes if entry["objectRef"].get("name") == "old"]


def test_a_killed_leader_is_succeeded(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    read_for(old, 4)
    old.kill()
    killed = time.monotonic()
    read_for(new, 1)
    print(f"taken over {time.monotonic() - killed:.1f} s after the leader was killed")
    assert holder(hand.stage) == "new"
    assert hand.stage.get("lease", "perfslo")["spec"]["leaseTransitions"] == 1


def test_a_clean_stop_lets_the_next_in_at_once(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    read_for(old, 4)
    stopped = time.monotonic()
    old.terminate()
    read_for(new, 0.1)
    assert time.monotonic() - stopped < Lease().duration_seconds
    print(f"taken over {time.monotonic() - stopped:.1f} s after the leader was stopped")
