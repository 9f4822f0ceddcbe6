"""An SLO makes the operator scale its target: so only who may scale that may write one."""

import json
import subprocess
from typing import Any

import pytest

from tests.cluster.extras import idle, target
from tests.cluster.stage import Stage, manifest

pytestmark = pytest.mark.cluster

AUTHOR = "system:serviceaccount:{namespace}:author"


def test_an_author_must_be_allowed_to_scale_the_target(stage: Stage) -> None:
    stage.apply(idle("checkout"))
    stage.apply(idle("db", kind="StatefulSet"))
    stage.operator({"replicas": 1})
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])

    refusal = stage.eventually("the author is denied", lambda: denial(write(stage, manifest("checkout", {}))))
    print(refusal)
    assert f"you may not scale deployments/checkout in namespace {stage.namespace}" in refusal
    assert "ask for the verb update on deployments/scale" in refusal
    assert stage.kubectl("get", "perfslo", "--output=name") == ""

    grant(stage, "scaler", ["apps"], ["deployments/scale"], ["update"])
    stage.eventually("with the right to scale they may", lambda: write(stage, manifest("checkout", {})).returncode == 0)
    stage.eventually("and it is acted on", lambda: stage.condition("checkout", "TargetResolved")["status"] == "True")
    elsewhere = denial(write(stage, manifest("checkout", {"scaleTargetRef": target("db", "StatefulSet")})))
    assert "you may not scale statefulsets/db" in elsewhere

    stage.kubectl("delete", "rolebinding", "scaler")
    raised = manifest("checkout", {"maxReplicas": 50})
    stage.eventually(
        "without the right they may not change it", lambda: denial(write(stage, raised, "--dry-run=server"))
    )
    labelled = manifest("checkout", {})
    labelled["metadata"]["labels"] = {"team": "shop"}
    assert write(stage, labelled).returncode == 0, "what does not touch the spec needs no right to scale"
    assert stage.get("perfslo", "checkout")["metadata"]["labels"] == {"team": "shop"}


def test_backends_are_targets_too(stage: Stage) -> None:
    """They are not acted on yet; still nobody may write what a later version would act on without the right to."""
    stage.operator({"replicas": 1})
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])
    slo = manifest("checkout", {})
    slo["spec"].pop("scaleTargetRef")
    slo["spec"]["levers"] = {
        "traffic": {
            "routeRef": {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "checkout"},
            "backends": [
                {"name": name, "scaleTargetRef": target(name), "maxReplicas": 5} for name in ("blue", "green")
            ],
        }
    }
    refusal = stage.eventually("the author is denied", lambda: denial(write(stage, slo)))
    assert "you may not scale deployments/blue" in refusal
    stage.apply(json.dumps(slo))
    stage.eventually(
        "who may scale them may write it, and is told that it is too early",
        lambda: stage.condition("checkout", "TargetResolved")["reason"] == "BackendsNotAvailable",
    )


def grant(stage: Stage, name: str, groups: list[str], resources: list[str], verbs: list[str]) -> None:
    """Let the author do that in the stage's namespace."""
    joined = [f"{resource}.{group}" if "/" not in resource else resource for resource in resources for group in groups]
    stage.kubectl("create", "role", name, f"--verb={','.join(verbs)}", f"--resource={','.join(joined)}")
    stage.kubectl("create", "rolebinding", name, f"--role={name}", f"--user={AUTHOR.format(namespace=stage.namespace)}")


def write(stage: Stage, slo: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """Apply it as the author."""
    return stage.cluster.kubectl(
        f"--namespace={stage.namespace}",
        f"--as={AUTHOR.format(namespace=stage.namespace)}",
        "apply",
        "--server-side",
        "--filename=-",
        *options,
        input=json.dumps(slo),
        check=False,
    )


def denial(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr if done.returncode and "ValidatingAdmissionPolicy" in done.stderr else ""
