"""Objects as the API server sends them, reduced to what matters to a test."""

from __future__ import annotations

from datetime import UTC, datetime

from perfslo.core.model import JSON

NOW = 1_800_000_000.0


def at(seconds: float) -> str:
    """The API's text for a moment counted from NOW."""
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner(kind: str, name: str, uid: str) -> list[JSON]:
    return [{"kind": kind, "name": name, "uid": uid, "controller": True}]


def pod(
    name: str = "web-5d4f8c7b9c-x2k4j",
    *,
    uid: str = "",
    owner_uid: str = "rs-1",
    version: str = "5d4f8c7b9c",
    created: float = -100.0,
    taken_on: float | None = -99.0,
    ready: bool = True,
    ready_changed: float = -90.0,
    deleting: bool = False,
    phase: str = "Running",
    labels: dict[str, str] | None = None,
    spec: JSON | None = None,
) -> JSON:
    """Times count from NOW; a pod with `taken_on=None` has no node."""
    item: JSON = {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": uid or f"uid-{name}",
            "creationTimestamp": at(created),
            "labels": {"pod-template-hash": version, **(labels or {})},
            "ownerReferences": owner("ReplicaSet", "web", owner_uid),
        },
        "spec": {"containers": [{"name": "main"}], **(spec or {})},
        "status": {"phase": phase},
    }
    if taken_on is not None:
        item["spec"]["nodeName"] = "node-1"
        item["status"]["startTime"] = at(taken_on)
        item["status"]["conditions"] = [
            {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": at(ready_changed)}
        ]
    if deleting:
        item["metadata"]["deletionTimestamp"] = at(0)
    return item


def replica_set(uid: str, owner_uid: str, revision: int, version: str) -> JSON:
    return {
        "metadata": {
            "namespace": "shop",
            "name": f"web-{version}",
            "uid": uid,
            "labels": {"pod-template-hash": version},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": owner("Deployment", "web", owner_uid),
        },
    }


def hpa(name: str, target: JSON, owners: list[JSON] | None = None) -> JSON:
    metadata = {"namespace": "shop", "name": name, "uid": f"uid-{name}", "ownerReferences": owners or []}
    return {"metadata": metadata, "spec": {"scaleTargetRef": target}}
