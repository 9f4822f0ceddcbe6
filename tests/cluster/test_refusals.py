"""SLOs that cannot be kept say why and what to do, touch nothing, and do not disturb the one beside them."""

import json
from typing import Any

import pytest

from tests.cluster.extras import hpa, idle, scaled_object, target
from tests.cluster.stage import LONG, Stage

pytestmark = pytest.mark.cluster


def test_each_refusal_says_what_to_do(stage: Stage, rocks: str, keda: None) -> None:
    stage.prometheus()
    stage.service("healthy", behaviour={"wait_ms": 20})
    stage.load("healthy", f"t_seconds,rps\n0,5\n{3600 if LONG else 900},0\n", threshold_ms=300)
    for name in ("undefined", "forbidden", "autoscaled", "scaled", "contested"):
        stage.apply(idle(name))
    stage.apply(json.dumps({"apiVersion": f"{rocks}/v1", "kind": "Rock", "metadata": {"name": "rock"}}))
    stage.apply(idle("everywhere", kind="DaemonSet"))
    stage.operator(
        {
            "replicas": 1,
            "scaleKinds": [
                {"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments"},
                {"group": "apps", "version": "v1", "kind": "DaemonSet", "resource": "daemonsets"},
                {"group": rocks, "version": "v1", "kind": "Rock", "resource": "rocks"},
                {"group": "example.com", "version": "v1", "kind": "Ghost", "resource": "ghosts"},
            ],
            "prometheus": {"sources": {"private": {"address": "http://prometheus:9090", "namespaces": ["elsewhere"]}}},
        }
    )
    stage.slo("healthy", {"minReplicas": 2})
    stage.eventually("the healthy one is measured", lambda: is_healthy(stage))

    refused(stage, "missing", {}, "TargetResolved", "TargetNotFound", "create it, or correct spec.scaleTargetRef")
    of_kind = {"scaleTargetRef": target("rock", "Rock", f"{rocks}/v1")}
    refused(stage, "rock", of_kind, "TargetResolved", "ScaleNotSupported", "`subresources.scale`")
    of_kind = {"scaleTargetRef": target("everywhere", "DaemonSet")}
    refused(stage, "everywhere", of_kind, "TargetResolved", "ScaleNotSupported", "scale")
    of_kind = {"scaleTargetRef": target("db", "StatefulSet")}
    refused(stage, "closed", of_kind, "TargetResolved", "KindNotEnabled", "the chart's value scaleKinds")
    of_kind = {"scaleTargetRef": target("ghost", "Ghost", "example.com/v1")}
    refused(stage, "ghost", of_kind, "TargetResolved", "KindNotServed", "install its CustomResourceDefinition")

    measured_at = {"metrics": {"source": "nowhere"}, "minReplicas": 2}
    refused(
        stage, "undefined", measured_at, "Ready", "SourceNotDefined", "(defined: default, private): name one of these"
    )
    measured_at = {"metrics": {"source": "private"}, "minReplicas": 2}
    refused(stage, "forbidden", measured_at, "Ready", "SourceNotAllowed", "name another in spec.metrics.source")

    stage.apply(hpa("autoscaled"))
    in_the_way = f"kubectl delete hpa autoscaled -n {stage.namespace}"
    refused(stage, "autoscaled", {}, "WriteConflict", "OtherWriter", in_the_way)
    stage.apply(scaled_object("scaled"))
    in_the_way = f"kubectl delete scaledobject scaled -n {stage.namespace}"
    refused(stage, "scaled", {}, "WriteConflict", "OtherWriter", in_the_way)

    stage.slo("older", {"minReplicas": 2, "scaleTargetRef": target("contested")})
    stage.eventually("the older one is known", lambda: stage.condition("older", "WriteConflict")["status"] == "False")
    younger = {"scaleTargetRef": target("contested")}
    refused(
        stage, "younger", younger, "WriteConflict", "OtherWriter", "older PerformanceSLO older: delete one of the two"
    )
    assert stage.condition("older", "WriteConflict")["status"] == "False"

    shown_at = stage.status("healthy")["summary"]["observedTime"]
    stage.eventually("the healthy one goes on", lambda: stage.status("healthy")["summary"]["observedTime"] > shown_at)
    stage.eventually("and is healthy", lambda: is_healthy(stage))
    assert stage.scale_writes() == []
    print(stage.kubectl("get", "perfslo"))

    stage.kubectl("delete", "hpa", "autoscaled")
    stage.eventually("once the fix is made, it acts", lambda: stage.replicas("deployment/autoscaled") == WANTED)


WANTED = 4
"""Of an SLO that is refused: so it would be acted on at once if it were not."""


def refused(stage: Stage, name: str, spec: dict[str, Any], condition: str, reason: str, fix: str) -> None:
    """Apply the SLO; the condition must come to say what is in the way, and how to get it out of the way."""
    stage.slo(name, {"minReplicas": WANTED, **spec})
    bad = "True" if condition == "WriteConflict" else "False"
    found = stage.eventually(
        f"{name}: {condition} is {bad}", lambda: (c := stage.condition(name, condition))["status"] == bad and c
    )
    print(f"{name}: {condition}={bad} {found['reason']}: {found['message']}")
    assert found["reason"] == reason
    assert fix in found["message"]


def is_healthy(stage: Stage) -> bool:
    healthy: bool = stage.status("healthy").get("summary", {}).get("state") == "Healthy"
    return healthy and stage.condition("healthy", "MetricsAvailable")["status"] == "True"
