"""What is kept of each object that is watched: frozen, slim values; everything else of it is dropped on arrival.

Missing optional fields mean what the API's documentation says they mean; times are Unix seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from perfslo.core.model import JSON
from perfslo.core.steps import TargetRef

REVISION = "deployment.kubernetes.io/revision"
SAME_MOMENT_SECONDS = 2.0
"""The API's times are whole seconds."""
_NEVER = "9999-01-01T00:00:00Z"
_ALWAYS = "1970-01-01T00:00:00Z"
VERSION_LABELS = ("pod-template-hash", "controller-revision-hash")


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or a StatefulSet."""

    uid: str
    desired: int
    generation: int
    observed_generation: int
    existing: int
    updated: int
    update_revision: str = ""
    """StatefulSet: the revision that new pods get."""


@dataclass(frozen=True, slots=True)
class CustomResource:
    """An object of another kind: what it wants is asked of its scale when this changes."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Scale:
    """An autoscaling/v1 Scale."""

    desired: int
    selector: str
    resource_version: int


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    uid: str
    owner_uid: str
    revision: int
    version: str


@dataclass(frozen=True, slots=True)
class Resources:
    """Of one pod, summed over the containers that run side by side; None when one of them has none."""

    cpu_request_cores: float | None = None
    cpu_limit_cores: float | None = None
    memory_request_bytes: float | None = None
    memory_limit_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has not run to its end."""

    uid: str
    owner_uid: str
    version: str
    scheduled: bool
    ready_since: float | None
    """None when it is not ready."""
    never_ready: bool
    """Not ready, and that has not changed since its node took it on."""
    created: float
    deleting: bool
    resources: Resources
    host_network: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    """Kept only where workloads are found by selector."""


@dataclass(frozen=True, slots=True)
class Scaler:
    """An HorizontalPodAutoscaler or ScaledObject, by what it scales."""

    target: TargetRef
    scaled_object: str = ""
    """HorizontalPodAutoscaler: the ScaledObject that made it."""


def workload(item: JSON) -> Workload:
    spec, status, metadata = item["spec"], item.get("status", {}), item["metadata"]
    return Workload(
        uid=metadata["uid"],
        desired=spec.get("replicas", 1),
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        existing=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        update_revision=status.get("updateRevision", ""),
    )


def custom_resource(item: JSON) -> CustomResource:
    return CustomResource(item["metadata"]["uid"], item["metadata"]["resourceVersion"])


def scale(item: JSON) -> Scale:
    return Scale(
        desired=item.get("spec", {}).get("replicas", 0),
        selector=item.get("status", {}).get("selector", ""),
        resource_version=int(item["metadata"]["resourceVersion"]),
    )


def replica_set(item: JSON) -> ReplicaSet | None:
    metadata = item["metadata"]
    owner = _controller(metadata).get("uid", "")
    if not owner:
        return None
    written = metadata.get("annotations", {}).get(REVISION, "")  # anybody may write anything there
    revision = int(written) if written.isascii() and written.isdigit() else 0
    return ReplicaSet(metadata["uid"], sys.intern(owner), revision, _version(metadata.get("labels", {})))


def pod(item: JSON, keep_labels: bool = False) -> Pod | None:
    metadata, status = item["metadata"], item.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    ready_changed = _time(ready.get("lastTransitionTime") or _ALWAYS)  # some kubelets send null
    labels = metadata.get("labels", {})
    return Pod(
        uid=metadata["uid"],
        owner_uid=sys.intern(_controller(metadata).get("uid", "")),
        version=_version(labels),
        scheduled="nodeName" in item["spec"],
        ready_since=ready_changed if is_ready else None,
        never_ready=not is_ready and ready_changed <= _time(status.get("startTime", _NEVER)) + SAME_MOMENT_SECONDS,
        created=_time(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        resources=_resources(*_amounts(item["spec"])),
        host_network=item["spec"].get("hostNetwork", False),
        labels=_interned(labels) if keep_labels else (),
    )


def horizontal_pod_autoscaler(item: JSON) -> Scaler:
    owner = _controller(item["metadata"])
    scaled_object = owner["name"] if owner.get("kind") == "ScaledObject" else ""
    return Scaler(_target(item["spec"]["scaleTargetRef"]), scaled_object)


def scaled_object(item: JSON) -> Scaler:
    return Scaler(_target({"apiVersion": "apps/v1", "kind": "Deployment", **item["spec"]["scaleTargetRef"]}))


def _target(reference: Mapping[str, str]) -> TargetRef:
    group = reference.get("apiVersion", "").rpartition("/")[0]
    return TargetRef(sys.intern(group), sys.intern(reference["kind"]), reference["name"])


def _controller(metadata: JSON) -> Mapping[str, Any]:
    return next((o for o in metadata.get("ownerReferences", []) if o.get("controller")), {})


def _version(labels: Mapping[str, str]) -> str:
    return sys.intern(next((labels[name] for name in VERSION_LABELS if name in labels), ""))


def _interned(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((sys.intern(name), sys.intern(value)) for name, value in labels.items())


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


_Amounts = tuple[str | None, ...]


def _amounts(spec: JSON) -> tuple[_Amounts, ...]:
    """CPU request, CPU limit, memory request, memory limit: of the pod, then of each of its containers."""
    sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    return tuple(_amounts_of(holder.get("resources", {})) for holder in (spec, *spec["containers"], *sidecars))


def _amounts_of(resources: JSON) -> _Amounts:
    return tuple(resources.get(bound, {}).get(name) for name in ("cpu", "memory") for bound in ("requests", "limits"))


@lru_cache(maxsize=4096)
def _resources(whole: _Amounts, *containers: _Amounts) -> Resources:
    """Most pods of a cluster are alike: equal amounts share one value. What is set for the whole pod wins."""
    columns = zip(whole, *containers, strict=True)
    return Resources(*(_sum((of_pod,)) if of_pod else _sum(rest) for of_pod, *rest in columns))


def _sum(amounts: Iterable[str | None]) -> float | None:
    known = [float(parse_quantity(a)) for a in amounts if a is not None]  # type: ignore[no-untyped-call]
    return sum(known) if len(known) == len(tuple(amounts)) else None
