"""However an SLO goes, its target is left as its author asked for, and nothing is left behind or stuck."""

import json
from typing import Any

import pytest

from tests.cluster.extras import idle
from tests.cluster.stage import Stage, manifest

pytestmark = pytest.mark.cluster

FOUND, RAISED = 2, 4
"""Replicas that each target starts with, and minReplicas: the operator raises one to the other at once."""
RESTORE = {"minReplicas": RAISED, "onDelete": {"replicas": "Restore"}}
KEEP = {"minReplicas": RAISED}
OF_THE_CHART = (
    "get",
    "all,configmap,role,rolebinding,sa",
    "--selector=app.kubernetes.io/instance=perfslo",
    "--output=name",
)


def test_an_slo_deleted_replaced_or_gone_while_nobody_looked(stage: Stage) -> None:
    stage.operator({"replicas": 1})
    raised(stage, {"kept": KEEP, "restored": RESTORE, "replaced": RESTORE, "missed": RESTORE})
    assert {name: claim["originalValue"] for name, claim in claims(stage).items()} == dict.fromkeys(
        ("kept", "restored", "replaced", "missed"), str(FOUND)
    )

    stage.kubectl("delete", "perfslo", "kept", "restored", "--timeout=20s")
    stage.eventually("their claims are released", lambda: set(claims(stage)) == {"replaced", "missed"})
    assert replicas(stage, "kept", "restored") == [RAISED, FOUND]

    before = claims(stage)["replaced"]["holder"]["uid"]
    replace_forcibly(stage, "replaced")
    after = stage.get("perfslo", "replaced")["metadata"]["uid"]
    assert before != after
    stage.eventually("the claim is the new one's", lambda: claims(stage)["replaced"]["holder"]["uid"] == after)
    assert claims(stage)["replaced"]["originalValue"] == str(FOUND)
    assert scaled(stage).count("replaced") == 1, "raised once, and left alone since"

    with stage.operator_away():
        stage.kubectl("delete", "perfslo", "missed", "--timeout=20s")
    stage.eventually("what was missed is made up for", lambda: replicas(stage, "missed") == [FOUND])
    stage.eventually("only the living hold claims", lambda: set(claims(stage)) == {"replaced"})
    assert replicas(stage, "kept", "replaced") == [RAISED, RAISED]
    print(stage.kubectl("logs", "--selector=app.kubernetes.io/name=perfslo", "--tail=-1"))


def test_all_vanish_at_once_then_the_chart_goes(stage: Stage) -> None:
    stage.operator()
    several = {f"shop-{number}": RESTORE for number in range(4)}
    raised(stage, {**several, "kept": KEEP})

    stage.kubectl("delete", "perfslo", "--all", "--timeout=20s")
    stage.eventually("what needs no restoring is released", lambda: set(claims(stage)) == set(several))
    stage.holds(
        "nothing is restored in a mass",
        lambda: replicas(stage, *several) == [RAISED] * len(several),
        seconds=5 + stage.cycles(3),
    )
    logs = stage.kubectl("logs", "--selector=app.kubernetes.io/name=perfslo", "--tail=-1")
    *_, warning = [json.loads(line) for line in logs.splitlines() if "vanished at once" in line]
    assert warning["claims"] == len(several), "said again when more went"
    assert "perfslo release --all" in warning["fix"]

    for name in ("shop-0", "shop-1"):
        stage.slo(name, several[name])
    stage.eventually("who comes back is given its claim", lambda: adopted(stage, "shop-0", "shop-1"))
    assert scaled(stage) == sorted([*several, "kept"]), "each was raised once, and left alone since"

    stage.slo("kept", KEEP)
    print(stage.helm("uninstall", "perfslo", "--wait", "--timeout=150s"))
    assert replicas(stage, *several, "kept") == [FOUND] * len(several) + [RAISED]
    assert claims(stage) == {}
    stage.eventually("nothing of the chart is left", lambda: not stage.kubectl(*OF_THE_CHART))
    assert stage.get("perfslo", "shop-0")["metadata"].get("finalizers", []) == []
    stage.kubectl("delete", "namespace", stage.namespace, "--timeout=60s")


def raised(stage: Stage, specs: dict[str, dict[str, Any]]) -> None:
    """Apply the SLOs, each with a target, and wait until the operator has raised all of these."""
    for name, spec in specs.items():
        stage.apply(idle(name, replicas=FOUND))
        stage.slo(name, spec)
    stage.eventually("all targets are raised", lambda: replicas(stage, *specs) == [RAISED] * len(specs))


def replicas(stage: Stage, *names: str) -> list[int]:
    return [stage.replicas(f"deployment/{name}") for name in names]


def scaled(stage: Stage) -> list[str]:
    """The targets of all writes that the API server took."""
    return sorted(w["objectRef"]["name"] for w in stage.scale_writes() if w["responseStatus"]["code"] < 300)


def claims(stage: Stage) -> dict[str, dict[str, Any]]:
    """By target."""
    return {item["spec"]["targetRef"]["name"]: item["spec"] for item in stage.get("leverclaims")["items"]}


def adopted(stage: Stage, *names: str) -> bool:
    living = {name: stage.get("perfslo", name)["metadata"]["uid"] for name in names}
    return all(claims(stage)[name]["holder"]["uid"] == uid for name, uid in living.items())


def replace_forcibly(stage: Stage, name: str) -> None:
    stage.kubectl("replace", "--force", "--timeout=20s", "--filename=-", stdin=json.dumps(manifest(name, RESTORE)))
