"""The ConfigMaps that the operator may change: those whose owners consent by a label, and never any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perfslo.core.model import JSON, TargetProblem
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.reflector import Reflector

LABEL = "perfslo.io/managed"
CONSENT = "true"
MAX_VALUE_LENGTH = 1024
"""Of a value that can be switched: what a LeverClaim can hold, to put it back. Files that lie beside it are dropped."""
LEVERS = frozenset({"cache", "cdn", "database", "offload"})
"""Those that change ConfigMaps."""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """Its values as somebody wrote them, which pods follow later or never."""

    uid: str
    data: Mapping[str, str]
    immutable: bool = False

    def __hash__(self) -> int:
        return hash(self.uid)


def config_map(item: JSON) -> ConfigMap:
    data = item.get("data") or {}
    short = {key: value for key, value in data.items() if len(value) <= MAX_VALUE_LENGTH}
    return ConfigMap(item["metadata"]["uid"], short, item.get("immutable", False))


def mirror(api: Api, namespaces: tuple[str, ...]) -> Reflector[ConfigMap]:
    """Of labelled ConfigMaps only: what the others hold is nobody's business here, and may be much."""
    return Reflector(api, "v1", "configmaps", config_map, namespaces=namespaces, selector=f"{LABEL}={CONSENT}")


def wanted(levers: Iterable[str]) -> bool:
    """Whether one of these changes ConfigMaps: if not, none is read either."""
    return not LEVERS.isdisjoint(levers)


def not_consented(namespace: str, name: str) -> TargetProblem:
    return TargetProblem(
        "ConfigMapNotManaged",
        f'there is no ConfigMap {name} with the label {LABEL}: "{CONSENT}" in namespace {namespace}: create it, or '
        f"consent with `kubectl label configmap {name} -n {namespace} {LABEL}={CONSENT}`",
    )
