"""The writing edges wired to the real cluster as the operator wires them, and objects for them to write to."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from perfslo.api.v1alpha1 import claim_name
from perfslo.core.model import Change, Replicas, Target
from perfslo.core.steps import Scale, TargetRef
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.actuators.scale import ScaleActuator
from perfslo.edges.claims import Claims
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.errors import NotLeading
from perfslo.settings import DEPLOYMENT, STATEFUL_SET, ScaleKind
from tests.cluster.stage import Stage

Contend = Callable[[str], subprocess.Popen[str]]
"""Start a process that contends for the lease and, while it leads, writes the status of the SLO of that name."""

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
        self.levers = Levers(self.claims, self.scale)

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
        step = Scale(target.replicas.desired, wanted)
        order = Order(slo, step, f"d{wanted}", 1.8e9, on_delete="Restore", target=target)
        return await self.levers.apply(replace(order, **changes))

    def claim(self, target: Target) -> dict[str, Any]:
        name = claim_name(target.ref.group, target.ref.kind, target.ref.name, "replicas")
        spec: dict[str, Any] = self.stage.get("leverclaim", name)["spec"]
        return spec

    def claims_there(self) -> int:
        return len(self.stage.get("leverclaims")["items"])


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


def read_for(process: subprocess.Popen[str], seconds: float) -> int:
    """The last number it wrote; it has just written it when this returns."""
    assert process.stdout
    deadline, number = time.monotonic() + seconds, -1
    while time.monotonic() < deadline:
        number = int(process.stdout.readline())
    return number


def holder(stage: Stage) -> str:
    return stage.leader().partition("_")[0]
