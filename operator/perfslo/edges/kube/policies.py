"""Objects that say how a proxy chooses among the pods of a backend, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from perfslo.core.model import JSON, OtherWriter
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.reflector import Reflector
from perfslo.edges.kube.routes.owners import other_writers
from perfslo.settings import POLICY_KINDS, PolicyKind


@dataclass(frozen=True, slots=True)
class Policy:
    """What it says; "" where it leaves that to the proxy. (Of Envoy Gateway and Istio, that is least-request.)"""

    uid: str
    resource_version: str
    value: str
    other_writers: tuple[OtherWriter, ...] = ()


def project(kind: tuple[str, str], item: JSON) -> Policy:
    """Of an object of that group and kind."""
    metadata, pointer = item["metadata"], POLICY_KINDS[kind]
    found: object = item
    for step in pointer[1:].split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return Policy(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        value=str(found or ""),
        other_writers=other_writers(metadata, kind, pointer.replace("/", ".")),
    )


def mirror(api: Api, kind: PolicyKind, namespaces: tuple[str, ...]) -> Reflector[Policy]:
    """Of all objects of that kind."""
    found = partial(project, (kind.group, kind.kind))
    return Reflector(api, f"{kind.group}/{kind.version}", kind.resource, found, namespaces=namespaces)
