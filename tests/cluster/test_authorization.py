"""An SLO makes the operator scale its target: so only who may scale that may write one."""

import json
import subprocess
from typing import Any

import pytest

from tests.cluster.extras import idle, target
from tests.cluster.stage import Stage, manifest
from tests.cluster.writes.test_policies import CASES
from tests.cluster.writes.test_routes import GATEWAY, ISTIO, NGINX, TRAEFIK

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
    stage.operator({"replicas": 1})
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])
    slo = manifest("checkout", {})
    slo["spec"].pop("scaleTargetRef")
    slo["spec"]["levers"] = {
        "traffic": {
            "routeRef": {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "checkout"},
            "backends": [
                {"name": name, "scaleTargetRef": target(name), "maxReplicas": 5}
                for name in ("blue", "green", "red", "grey")
            ],
        }
    }
    refusal = stage.eventually("the author is denied", lambda: denial(write(stage, slo)))
    assert "you may not scale deployments/blue" in refusal
    stage.apply(json.dumps(slo))
    stage.eventually(
        "who may scale them may write it",
        lambda: stage.condition("checkout", "TargetResolved")["message"].startswith("backend blue: there is no "),
    )


def test_the_route_is_asked_for_too(stage: Stage) -> None:
    stage.operator({"replicas": 1, "levers": ["replicas", "traffic"]})
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])
    grant(stage, "scaler", ["apps"], ["deployments/scale"], ["update"], "checkout")
    traffic = {"routeRef": {"name": "checkout"}, "backends": [{"name": "blue"}, {"name": "green"}]}
    slo = manifest("checkout", {"levers": {"traffic": traffic}})
    refusal = stage.eventually("the author is denied", lambda: denial(write(stage, slo)))
    assert f"you may not change httproutes/checkout in namespace {stage.namespace}" in refusal
    assert "ask for the verb update on httproutes" in refusal

    grant_route(stage, "checkout")
    stage.eventually("with the right to it they may", lambda: write(stage, slo).returncode == 0)


def test_flags_and_tiers_are_asked_for_too(stage: Stage) -> None:
    stage.operator({"replicas": 1, "levers": ["replicas", "cache", "offload"]})
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])
    grant(stage, "scaler", ["apps"], ["deployments/scale"], ["update"], "checkout")
    flags = [{"name": f"tier-{n}", "flag": flag(f"flags-{n}")} for n in range(3)]
    own = {"name": "redis", "workload": {"scaleTargetRef": target("redis"), "onReplicas": 1}}
    slo = manifest("checkout", {"levers": {"cache": {"tiers": flags}}})
    refusal = stage.eventually("the author is denied", lambda: denial(write(stage, slo)))
    assert f"you may not change configmaps/flags-0 in namespace {stage.namespace}" in refusal
    assert "ask for the verb update on configmaps" in refusal

    grant(stage, "switcher", [""], ["configmaps"], ["update"], "flags-0", "flags-1", "flags-2")
    stage.eventually("with the right to each they may", lambda: write(stage, slo).returncode == 0)
    slo["spec"]["levers"]["cache"]["tiers"].append(own)
    refusal = stage.eventually("the tier's own workload is asked for", lambda: denial(write(stage, slo)))
    assert "you may not scale deployments/redis" in refusal


def test_twenty_objects_may_be_granted_by_name(stage: Stage) -> None:
    """As many questions as an API server lets a policy put, or nearly so, however many kinds are enabled."""
    kinds = {
        "routeKinds": [kind.model_dump() for kind in (GATEWAY, ISTIO, TRAEFIK, NGINX)],
        "policyKinds": [case.kind.model_dump() for case in CASES],
    }
    stage.operator({"replicas": 1, "levers": ["replicas", "traffic", "cache"], **kinds})
    backends, maps = [f"backend-{n}" for n in range(11)], [f"flags-{n}" for n in range(8)]
    slo = manifest("checkout", {})
    slo["spec"].pop("scaleTargetRef")
    slo["spec"]["levers"] = {
        "traffic": {
            "routeRef": {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "checkout"},
            "backends": [{"name": name, "scaleTargetRef": target(name), "maxReplicas": 5} for name in backends],
        },
        "cache": {"tiers": [{"name": name, "flag": flag(name)} for name in maps]},
    }
    grant(stage, "slo-author", ["perfslo.io"], ["performanceslos"], ["get", "create", "patch", "update"])
    grant(stage, "scaler", ["apps"], ["deployments/scale"], ["update"], *backends)
    grant(stage, "switcher", [""], ["configmaps"], ["update"], *maps)
    refusal = stage.eventually("only the route is missing", lambda: denial(write(stage, slo, "--dry-run=server")))
    assert "you may not change httproutes/checkout" in refusal
    grant_route(stage, "checkout")
    stage.eventually("with the right to each they may", lambda: write(stage, slo).returncode == 0)


def test_the_operator_itself_may_change_only_what_consents(stage: Stage) -> None:
    """RBAC cannot tell ConfigMaps by their labels, so it is the admission policy that does."""
    stage.operator({"replicas": 1, "levers": ["cache"]})
    for name, labels in (("consents", {"perfslo.io/managed": "true"}), ("does-not", {})):
        metadata = {"name": name, "labels": labels}
        stage.apply(
            json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"CACHE": "none"}})
        )

    def patch(name: str, data: dict[str, str]) -> str:
        return stage.cluster.kubectl(
            f"--namespace={stage.namespace}",
            f"--as=system:serviceaccount:{stage.namespace}:perfslo",
            "patch",
            f"configmap/{name}",
            f"--patch={json.dumps({'data': data})}",
            check=False,
        ).stderr

    stage.eventually(
        "the policy holds", lambda: "only ConfigMaps with the label" in patch("does-not", {"CACHE": "redis"})
    )
    assert patch("consents", {"CACHE": "redis"}) == ""
    assert "only values of keys that are there" in patch("consents", {"OTHER": "x"})


def flag(config_map: str) -> dict[str, str]:
    return {"configMap": config_map, "key": "CACHE", "onValue": "redis", "offValue": "none"}


def grant(stage: Stage, name: str, groups: list[str], resources: list[str], verbs: list[str], *objects: str) -> None:
    """Let the author do that in the stage's namespace, to all objects or to these."""
    joined = [
        f"{resource}.{group}" if group and "/" not in resource else resource
        for resource in resources
        for group in groups
    ]
    only = [f"--resource-name={each}" for each in objects]
    stage.kubectl("create", "role", name, f"--verb={','.join(verbs)}", f"--resource={','.join(joined)}", *only)
    stage.kubectl("create", "rolebinding", name, f"--role={name}", f"--user={AUTHOR.format(namespace=stage.namespace)}")


def grant_route(stage: Stage, name: str) -> None:
    """By hand, as `kubectl create role` knows no kind that is not served."""
    rule = {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["update"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "router"}}
    stage.apply(json.dumps({**role, "rules": [{**rule, "resourceNames": [name]}]}))
    author = AUTHOR.format(namespace=stage.namespace)
    stage.kubectl("create", "rolebinding", "router", "--role=router", f"--user={author}")


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
