"""What a mode allows: acting on any kind with /scale, recommending without touching, measuring without deciding."""

import json

import pytest

from tests.cluster.extras import idle, target
from tests.cluster.stage import LONG, Stage

pytestmark = pytest.mark.cluster

FLOOR = 4
"""minReplicas of every SLO here, above the two that each target starts with: so there is always something to do."""


def test_it_acts_recommends_or_only_measures(stage: Stage, widgets: str) -> None:
    stage.prometheus()
    stage.service("checkout", behaviour={"wait_ms": 20})
    stage.load("checkout", f"t_seconds,rps\n0,5\n{3600 if LONG else 900},0\n", threshold_ms=300)
    widget = {"apiVersion": f"{widgets}/v1", "kind": "Widget", "metadata": {"name": "web"}, "spec": {"replicas": 2}}
    for manifest in (idle("web"), idle("db", kind="StatefulSet"), idle("careful"), idle("half"), json.dumps(widget)):
        stage.apply(manifest)
    stage.operator(
        {
            "replicas": 1,
            "scaleKinds": [
                {"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments"},
                {"group": "apps", "version": "v1", "kind": "StatefulSet", "resource": "statefulsets"},
                {"group": widgets, "version": "v1", "kind": "Widget", "resource": "widgets"},
            ],
        }
    )
    stage.slo("checkout", {"minReplicas": FLOOR, "suspend": True})
    stage.slo("careful", {"minReplicas": FLOOR, "mode": "Recommend"})
    stage.slo("half", {"minReplicas": FLOOR, "levers": {"replicas": {"mode": "Recommend"}}})
    stage.slo("web", {"minReplicas": FLOOR})
    stage.slo("db", {"minReplicas": FLOOR, "scaleTargetRef": target("db", "StatefulSet")})
    stage.slo("widget", {"minReplicas": FLOOR, "scaleTargetRef": target("web", "Widget", f"{widgets}/v1")})

    for acted_on in ("deployment/web", "statefulset/db", f"widgets.{widgets}/web"):
        stage.eventually(f"{acted_on} is scaled", lambda on=acted_on: stage.replicas(on) == FLOOR)  # type: ignore[misc]

    for name in ("half", "careful"):
        decision = stage.eventually(f"{name} is advised", lambda name=name: stage.status(name).get("lastDecision"))  # type: ignore[misc]
        assert (decision["result"], decision["mode"]) == ("Recommended", "Recommend")
        assert (decision["from"], decision["to"]) == ("2", str(FLOOR))
        assert f"minReplicas is {FLOOR}" in decision["why"]
        stage.eventually(
            f"describe tells what is recommended for {name}",
            lambda name=name: "Recommended" in stage.kubectl("describe", "perfslo", name).partition("Events:")[2],  # type: ignore[misc]
        )

    stage.eventually(
        "the suspended one is measured",
        lambda: (
            stage.status("checkout").get("summary", {}).get("p95")
            and stage.condition("checkout", "SLOMet")["status"] == "True"
        ),
    )
    status = stage.status("checkout")
    assert status["summary"]["state"] == "Suspended"
    assert stage.condition("checkout", "Suspended")["status"] == "True"
    assert not {"lastDecision", "history", "desiredReplicas"} & {key for key, value in status.items() if value}

    stage.holds(
        "nothing but Auto is written",
        lambda: [stage.replicas(f"deployment/{name}") for name in ("checkout", "careful", "half")] == [2, 2, 2],
        seconds=stage.cycles(3),
    )
    assert {write["objectRef"]["name"] for write in stage.scale_writes()} == {"web", "db"}
    advised = stage.kubectl("describe", "perfslo", "careful").partition("Events:")[2]
    assert advised.count("Recommended") == 1, "advice that is only repeated is no news"
    assert stage.status("careful")["lastDecision"] == decision, "nor a reason to write the status"

    stage.kubectl("patch", "perfslo", "checkout", "--type=merge", '--patch={"spec": {"suspend": false}}')
    stage.eventually("resumed, it acts", lambda: stage.replicas("deployment/checkout") == FLOOR)
    print(stage.kubectl("get", "perfslo"), stage.kubectl("describe", "perfslo", "careful"), sep="\n")
