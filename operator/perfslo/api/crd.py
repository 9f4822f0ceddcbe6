"""The API models -> CustomResourceDefinitions. `python -m perfslo.api.crd --write|--check`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from perfslo.api.generated import write_or_check
from perfslo.api.structural import structural
from perfslo.api.v1alpha1 import GROUP, VERSION, LeverClaim, PerformanceSLO

_HEADER = "# Generated from perfslo.api by `make generate`. Do not edit.\n"


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; a wide one needs `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The entry of `additionalPrinterColumns`."""
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
            "priority": int(self.wide),
        }


AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created", "date")

SLO_COLUMNS = (
    Column("Target", ".status.summary.target", "What is scaled"),
    Column("State", ".status.summary.state", "How the promise stands"),
    Column("P95", ".status.summary.p95", "95th percentile of the response time of the last minutes"),
    Column("Objective", ".status.summary.objective", "The primary objective"),
    Column("Replicas", ".status.summary.replicas", "Ready and existing replicas"),
    Column("Budget", ".status.summary.budget", "Error budget that is left of the window"),
    Column("Bottleneck", ".status.summary.bottleneck", "What stands in the way; empty when healthy"),
    Column("Last Action", ".status.summary.lastAction", "The last change"),
    Column("Mode", ".spec.mode", "Auto acts, Recommend records"),
    Column("P50", ".status.summary.p50", "Median of the response time of the last minutes", wide=True),
    Column("P99", ".status.summary.p99", "99th percentile of the response time of the last minutes", wide=True),
    Column("RPS", ".status.summary.requestsPerSecond", "Requests a second", wide=True),
    Column("Errors", ".status.summary.errors", "Share of failed requests", wide=True),
    Column("CPU", ".status.summary.cpu", "CPU used, as a share of what is requested", wide=True),
    Column("Throttled", ".status.summary.throttled", "Share of CPU periods that the CPU limit stopped", wide=True),
    Column("Memory", ".status.summary.memory", "Memory used by all pods", wide=True),
    Column("Mem Limit", ".status.summary.memoryOfLimit", "Memory used, as a share of the limits", wide=True),
    Column("Disk", ".status.summary.disk", "Bytes a second read and written", wide=True),
    Column("Network", ".status.summary.network", "Bytes a second received and sent", wide=True),
    Column("Desired", ".status.summary.desired", "Replicas that were decided", wide=True),
    Column("Cost", ".status.summary.cost", "Price of an hour now", wide=True),
    AGE,
)
CLAIM_COLUMNS = (
    Column("Kind", ".spec.targetRef.kind", "Kind of the object whose field is claimed"),
    Column("Target", ".spec.targetRef.name", "Object whose field is claimed"),
    Column("Field", ".spec.field", "Field that is claimed"),
    Column("Holder", ".spec.holder.name", "PerformanceSLO that holds it"),
    Column("Original", ".spec.originalValue", "Value that was found"),
    Column("Last", ".spec.lastValue", "Value written last"),
    Column("Decision", ".spec.decisionID", "Decision that the last value belongs to", wide=True),
    AGE,
)


def performanceslos() -> dict[str, Any]:
    """CRD of PerformanceSLO."""
    crd = _crd(PerformanceSLO, "performanceslos", SLO_COLUMNS, shortNames=["perfslo"], categories=["slos"])
    crd["spec"]["versions"][0]["subresources"] = {"status": {}}
    return crd


def leverclaims() -> dict[str, Any]:
    """CRD of LeverClaim."""
    return _crd(LeverClaim, "leverclaims", CLAIM_COLUMNS)


def _crd(model: type[BaseModel], plural: str, columns: tuple[Column, ...], **names: list[str]) -> dict[str, Any]:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(model)},
        "additionalPrinterColumns": [column.as_dict() for column in columns],
    }
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(), **names},
            "versions": [version],
        },
    }


def _root(model: type[BaseModel]) -> dict[str, Any]:
    """The API server owns metadata, apiVersion and kind: their schema must be bare."""
    schema = structural(model)
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    schema["required"] = ["spec"]
    return schema


def render() -> dict[Path, str]:
    """Text of each file, by its path from the repository's root."""
    return {
        Path("crds", f"{GROUP}_{crd['spec']['names']['plural']}.yaml"): _HEADER + _yaml(crd)
        for crd in (performanceslos(), leverclaims())
    }


def _yaml(crd: dict[str, Any]) -> str:
    return yaml.dump(crd, Dumper=_WithoutAnchors, sort_keys=False, width=120, allow_unicode=True)


class _WithoutAnchors(yaml.SafeDumper):
    """Repeats what is shared: a CRD is read by people and by tools that do not follow YAML anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    sys.exit(write_or_check(render(), sys.argv[1:]))
