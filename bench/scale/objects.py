"""The objects of a cluster of n services: a Deployment, a ReplicaSet, three pods and an SLO for each.

They have the size and the fields of real ones, since what the operator pays for them is reading them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

JSON = dict[str, Any]

PODS = 3
SERVICES_PER_NAMESPACE = 100
CREATED = "2026-01-05T08:00:00Z"
READY = "2026-01-05T08:00:12Z"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_IMAGE = "registry.example.com/shop/service@sha256:" + "5d" * 32
_THRESHOLDS = ("200ms", "250ms", "300ms")


@dataclass(frozen=True)
class Service:
    """One service, by its number."""

    number: int

    @property
    def namespace(self) -> str:
        return f"team-{self.number // SERVICES_PER_NAMESPACE:03d}"

    @property
    def name(self) -> str:
        return f"service-{self.number:05d}"

    @property
    def template_hash(self) -> str:
        return _letters(self.number, 9)

    @property
    def replica_set(self) -> str:
        return f"{self.name}-{self.template_hash}"

    @property
    def pods(self) -> tuple[str, ...]:
        return tuple(f"{self.replica_set}-{_letters(self.number * 31 + pod, 5)}" for pod in range(PODS))


def services(count: int) -> list[Service]:
    """All of them."""
    return [Service(number) for number in range(count)]


def stored(count: int) -> Iterator[tuple[str, JSON]]:
    """Every object with its key in the API server's store, namespaces first."""
    everything = services(count)
    for namespace in ("default", "kube-system", "perfslo-system", *dict.fromkeys(s.namespace for s in everything)):
        yield f"/registry/namespaces/{namespace}", _namespace(namespace)
    for service in everything:
        where = f"{service.namespace}/{service.name}"
        yield f"/registry/deployments/{where}", _deployment(service)
        yield f"/registry/replicasets/{service.namespace}/{service.replica_set}", _replica_set(service)
        for number, name in enumerate(service.pods):
            yield f"/registry/pods/{service.namespace}/{name}", pod(service, number)
        yield f"/registry/perfslo.io/performanceslos/{where}", _slo(service)


def pod(service: Service, number: int) -> JSON:
    """One of a service's pods, ready."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(
            service,
            service.pods[number],
            labels={"app": service.name, "pod-template-hash": service.template_hash},
            owner={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": service.replica_set},
        ),
        "spec": {
            **_template(service)["spec"],
            "nodeName": f"node-{(service.number + number) % 97:02d}",
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {
            "phase": "Running",
            "conditions": pod_conditions(ready=True, changed=READY),
            "hostIP": "10.0.0.7",
            "podIP": f"10.{number}.{service.number // 250}.{service.number % 250}",
            "startTime": CREATED,
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": "app",
                    "image": _IMAGE,
                    "imageID": _IMAGE,
                    "containerID": "containerd://" + "7f" * 32,
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": CREATED}},
                }
            ],
        },
    }


def pod_conditions(ready: bool, changed: str) -> list[JSON]:
    """A running pod's conditions."""
    state = "True" if ready else "False"
    return [
        {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": CREATED},
        {"type": "Initialized", "status": "True", "lastTransitionTime": CREATED},
        {"type": "Ready", "status": state, "lastTransitionTime": changed},
        {"type": "ContainersReady", "status": state, "lastTransitionTime": changed},
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED},
    ]


def _letters(seed: int, length: int) -> str:
    """Like Kubernetes' generated suffixes."""
    return "".join(random.Random(f"{seed}/{length}").choices(_SAFE, k=length))


def _uid(*parts: object) -> str:
    return str(UUID(int=random.Random("/".join(map(str, parts))).getrandbits(128), version=4))


def _metadata(service: Service, name: str, labels: JSON, owner: JSON | None = None) -> JSON:
    metadata: JSON = {
        "name": name,
        "namespace": service.namespace,
        "uid": _uid("of", service.namespace, name, *labels),
        "generation": 1,
        "creationTimestamp": CREATED,
        "labels": labels,
        "managedFields": [_managed_fields()],
    }
    if owner:
        uid = _owner_uid(service, owner["kind"])
        metadata["ownerReferences"] = [{**owner, "uid": uid, "controller": True, "blockOwnerDeletion": True}]
    return metadata


def _owner_uid(service: Service, kind: str) -> str:
    return _replica_set(service)["metadata"]["uid"] if kind == "ReplicaSet" else _deployment_uid(service)


def _deployment_uid(service: Service) -> str:
    return _uid("of", service.namespace, service.name, "app")


def _managed_fields() -> JSON:
    container: JSON = {
        field: {}
        for field in (".", "f:image", "f:imagePullPolicy", "f:name", "f:ports", "f:readinessProbe", "f:resources",
                      "f:terminationMessagePath", "f:terminationMessagePolicy", "f:livenessProbe", "f:env")
    }  # fmt: skip
    spec: JSON = {field: {} for field in ("f:dnsPolicy", "f:restartPolicy", "f:schedulerName", "f:securityContext")}
    return {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": CREATED,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:ownerReferences": {".": {}}},
            "f:spec": {"f:containers": {'k:{"name":"app"}': container}, **spec},
        },
    }


def _template(service: Service) -> JSON:
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1}
    return {
        "metadata": {"labels": {"app": service.name}},
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": _IMAGE,
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "env": [{"name": name, "value": "value"} for name in ("DATABASE", "CACHE", "REGION", "LOG_LEVEL")],
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "256Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                    "readinessProbe": probe,
                    "livenessProbe": probe,
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
                }
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
            "tolerations": [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ],
        },
    }


def _deployment(service: Service) -> JSON:
    metadata = _metadata(service, service.name, {"app": service.name})
    metadata["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": {"app": service.name}},
            "template": _template(service),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": PODS,
            "updatedReplicas": PODS,
            "readyReplicas": PODS,
            "availableReplicas": PODS,
        },
    }


def _replica_set(service: Service) -> JSON:
    labels = {"app": service.name, "pod-template-hash": service.template_hash}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name}
    metadata = _metadata(service, service.replica_set, labels, owner)
    metadata["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"replicas": PODS, "selector": {"matchLabels": labels}, "template": _template(service)},
        "status": {"replicas": PODS, "readyReplicas": PODS, "availableReplicas": PODS, "observedGeneration": 1},
    }


def _slo(service: Service) -> JSON:
    threshold = _THRESHOLDS[service.number % len(_THRESHOLDS)]
    return {
        "apiVersion": "perfslo.io/v1alpha1",
        "kind": "PerformanceSLO",
        "metadata": _metadata(service, service.name, {"app": service.name, "team": service.namespace}),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
            "minReplicas": PODS,
            "maxReplicas": 4 * PODS,
            "objectives": [
                {"name": "p95", "primary": True, "latency": {"percentile": 95, "threshold": threshold}},
                {"name": "errors", "errorRate": {"maxPercent": "1"}},
            ],
        },
    }


def _namespace(name: str) -> JSON:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": _uid("namespace", name),
            "creationTimestamp": CREATED,
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
