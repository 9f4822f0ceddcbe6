"""Supporting cast: workloads of which only the numbers matter, and what refers to them."""

from __future__ import annotations

import json
from typing import Any


def idle(name: str, *, kind: str = "Deployment", replicas: int = 2) -> str:
    """A workload whose pods never run: no node fits them."""
    labels = {"app": name}
    container = {"name": "idle", "image": "none"}
    pod = {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"none": "such"}, "containers": [container]}}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": pod}
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return json.dumps({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def target(name: str, kind: str = "Deployment", api_version: str = "apps/v1") -> dict[str, str]:
    """A scaleTargetRef."""
    return {"apiVersion": api_version, "kind": kind, "name": name}


def hpa(name: str, *, least: int = 1, most: int = 5, cpu_percent: int = 50) -> str:
    """A HorizontalPodAutoscaler for the Deployment of that name."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": cpu_percent}}
    spec = {
        "scaleTargetRef": target(name),
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    return json.dumps({**kind, "metadata": {"name": name}, "spec": spec})


def scaled_object(name: str, **spec: Any) -> str:
    """A KEDA ScaledObject for the Deployment of that name."""
    kind = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
    return json.dumps({**kind, "metadata": {"name": name}, "spec": {"scaleTargetRef": {"name": name}, **spec}})
