"""The chart on a real cluster: under enforced Pod Security, with exactly the rights that are used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import keda, stage
from tests.cluster.extras import idle, target
from tests.cluster.stage import Stage
from tests.conftest import ROOT

__all__ = ["keda", "stage"]

pytestmark = pytest.mark.cluster

Right = tuple[str, str, str]
"""Verb, API group, resource."""


def test_it_runs_where_pod_security_is_restricted(stage: Stage) -> None:
    stage.kubectl("label", "namespace", stage.namespace, "pod-security.kubernetes.io/enforce=restricted")
    careless = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "careless"}, "spec": CARELESS})
    refusal = stage.cluster.kubectl(
        "apply", f"--namespace={stage.namespace}", "--filename=-", input=careless, check=False
    )
    assert 'violates PodSecurity "restricted' in refusal.stderr

    stage.operator()
    said = stage.helm("test", "perfslo", "--logs", "--timeout=120s")
    print(said)
    assert "readyz answers:" in said
    assert "Phase:          Succeeded" in said
    upgraded = {"replicas": 1, "cycleSeconds": 7}
    stage.helm(
        "upgrade", "perfslo", str(ROOT / "helm/perfslo"), "--values=-", "--wait", "--timeout=180s", stdin=upgraded
    )
    print(stage.helm("uninstall", "perfslo", "--wait", "--timeout=150s"))
    assert "violates PodSecurity" not in stage.kubectl("get", "events")


CARELESS = {"containers": [{"name": "careless", "image": "none"}]}


def test_every_right_is_used_and_none_is_missing(stage: Stage, keda: None) -> None:
    """One of each thing the operator ever does, then the audit log against the rules."""
    stage.apply(idle("web"))
    stage.apply(idle("db", kind="StatefulSet"))
    stage.operator({"replicas": 1})
    spec = {"minReplicas": 4, "onDelete": {"replicas": "Restore"}}
    stage.slo("web", spec)
    stage.slo("db", {**spec, "scaleTargetRef": target("db", "StatefulSet")})
    stage.eventually("both are raised", lambda: scales(stage) == [4, 4])
    stage.kubectl("label", "leverclaims", "--all", "edited=by-hand")
    stage.kubectl("patch", "perfslo", "web", "--type=merge", '--patch={"spec": {"minReplicas": 5}}')
    stage.eventually("a claim that was edited is read again", lambda: scales(stage) == [5, 4])
    stage.kubectl("delete", "perfslo", "--all")
    stage.eventually("both are put back", lambda: scales(stage) == [2, 2])
    stage.eventually("the claims are gone", lambda: not stage.get("leverclaims")["items"])
    granted = set(rights(stage))
    # Helm takes the rights away while the pod still gives its Lease back, so it stops before.
    stage.kubectl("scale", "deployment/perfslo", "--replicas=0")
    stage.eventually("the operator has stopped", lambda: not stage.pods("app.kubernetes.io/name=perfslo"))

    requests = [request for request in stage.operator_requests() if "objectRef" in request]
    denied = {request["requestURI"] for request in requests if request["responseStatus"]["code"] == 403}
    used = {right(request) for request in requests}
    print(f"{len(granted)} rights, {len(requests)} requests, denied: {denied or 'none'}")
    print(*(" ".join(each) for each in sorted(granted)), sep="\n")
    assert denied == set()
    assert granted - used == set(), "granted, though nothing uses it"
    assert used - granted == set(), "used by another grant than the chart's"


def scales(stage: Stage) -> list[int]:
    return [stage.replicas("deployment/web"), stage.replicas("statefulset/db")]


def rights(stage: Stage) -> Iterator[Right]:
    """All that the chart's roles grant to the operator."""
    bindings = stage.get("rolebindings")["items"]
    bound = {each["roleRef"]["name"] for each in bindings if each["subjects"][0]["name"] == "perfslo"}
    for role in stage.get("roles")["items"]:
        for rule in role["rules"] if role["metadata"]["name"] in bound else ():
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((verb, group, resource) for verb in rule["verbs"])


def right(request: dict[str, Any]) -> Right:
    """What a request needed."""
    where = request["objectRef"]
    resource = "/".join(part for part in (where["resource"], where.get("subresource")) if part)
    return request["verb"], where.get("apiGroup", ""), resource
