"""The real rivals: metrics-server with the stock HPA, and KEDA.

They run as processes of this machine, and the API server finds them as it finds pods: by a Service, which here has no
selector but an EndpointSlice of its own. So they need the local cluster that is built from source.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import binaries
import cluster
import daemons
from network import NODE_IP
from paths import PKI
from pki import ADMIN_KUBECONFIG
from shell import succeeds, wait_until

from tests.cluster.stage import Stage

PATIENCE_SECONDS = 120
AS_ADMINISTRATOR = (
    f"--authentication-kubeconfig={ADMIN_KUBECONFIG}",
    f"--authorization-kubeconfig={ADMIN_KUBECONFIG}",
)
KEDA_CRDS = "config/crd/bases"
KEDA_TALKS_AT = "127.0.0.1:19666"
KEDA_TELLS_AT = "127.0.0.1:19081"


@dataclass(frozen=True)
class Served:
    """A group of the API that a process of this machine serves, by a Service of that name in a namespace."""

    service: str
    namespace: str
    group: str
    port: int

    @property
    def api(self) -> str:
        return f"apiservice/v1beta1.{self.group}"

    def manifests(self) -> str:
        metadata = {"name": self.service, "namespace": self.namespace}
        of_service = {"labels": {"kubernetes.io/service-name": self.service}}
        items: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": self.port}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata | of_service,
                "addressType": "IPv4",
                "ports": [{"name": "https", "port": self.port}],
                "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": True}}],
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"v1beta1.{self.group}"},
                "spec": {
                    "group": self.group,
                    "version": "v1beta1",
                    "service": {"name": self.service, "namespace": self.namespace},
                    "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                },
            },
        ]
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@contextmanager
def metrics_server(stage: Stage) -> Iterator[None]:
    """What the stock HPA reads CPU use from: with the upstream manifests' resolution of 15 s."""
    served = Served("metrics-server", "kube-system", "metrics.k8s.io", 19443)
    program = cluster.programs(binaries.RIVALS[:1]) / "metrics-server"
    with tempfile.TemporaryDirectory(prefix="perfslo-metrics-server-") as private:
        daemons.start(
            "metrics-server",
            (
                program,
                f"--kubeconfig={ADMIN_KUBECONFIG}",
                *AS_ADMINISTRATOR,
                f"--bind-address={NODE_IP}",
                f"--secure-port={served.port}",
                f"--cert-dir={private}",
                f"--kubelet-certificate-authority={PKI}/ca.crt",
                "--kubelet-preferred-address-types=InternalIP",
                "--metric-resolution=15s",
            ),
        )
        with _served(stage, served, "metrics-server"):
            yield


@contextmanager
def keda(stage: Stage) -> Iterator[None]:
    """KEDA's operator and its server of metrics, for the stage's namespace only."""
    programs = cluster.programs(binaries.RIVALS[1:])
    crds = str(binaries.source("keda") / KEDA_CRDS)
    environment = {
        "KUBECONFIG": str(ADMIN_KUBECONFIG),
        "POD_NAMESPACE": stage.namespace,
        "WATCH_NAMESPACE": stage.namespace,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": stage.namespace,
    }
    served = Served("keda-metrics", stage.namespace, "external.metrics.k8s.io", 19444)
    stage.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={crds}")
    try:
        with tempfile.TemporaryDirectory(prefix="perfslo-keda-") as private:
            _certificate(Path(private))
            daemons.start(
                "keda-operator",
                (
                    programs / "keda-operator",
                    f"--cert-dir={private}",
                    f"--metrics-service-bind-address={KEDA_TALKS_AT}",
                    "--enable-prometheus-metrics=false",
                    f"--health-probe-bind-address={KEDA_TELLS_AT}",
                ),
                environment,
            )
            daemons.start(
                "keda-metrics",
                (
                    programs / "keda-metrics",
                    *AS_ADMINISTRATOR,
                    f"--lister-kubeconfig={ADMIN_KUBECONFIG}",
                    f"--bind-address={NODE_IP}",
                    f"--secure-port={served.port}",
                    f"--tls-cert-file={private}/tls.crt",
                    f"--tls-private-key-file={private}/tls.key",
                    f"--cert-dir={private}",
                    f"--metrics-service-address={KEDA_TALKS_AT}",
                    "--metrics-service-grpc-authority=keda",
                    "--port=19080",
                ),
                environment,
            )
            with _served(stage, served, "keda-operator", "keda-metrics"):
                wait_until(
                    "KEDA's operator",
                    lambda: succeeds("curl", "--fail", "--silent", f"http://{KEDA_TELLS_AT}/readyz"),
                    timeout_seconds=PATIENCE_SECONDS,
                    on_timeout=lambda: daemons.log_tail("keda-operator"),
                )
                yield
                # Its finalizers are taken off by the operator, while it is there.
                stage.kubectl("delete", "scaledobjects", "--all")
    finally:
        stage.kubectl("delete", "--ignore-not-found", "--wait=false", f"--filename={crds}")


@contextmanager
def _served(stage: Stage, served: Served, *processes: str) -> Iterator[None]:
    """An APIService whose server is gone holds up every deletion of a namespace: it goes first."""
    try:
        stage.cluster.kubectl("apply", "--filename=-", input=served.manifests())
        stage.kubectl("wait", "--for=condition=Available", served.api, f"--timeout={PATIENCE_SECONDS}s")
        yield
    finally:
        for kind in (served.api, f"service/{served.service}", f"endpointslice/{served.service}"):
            stage.cluster.kubectl(f"--namespace={served.namespace}", "delete", kind, "--ignore-not-found", check=False)
        daemons.stop(processes)


def _certificate(directory: Path) -> None:
    """By which KEDA's two processes know each other: one that both trust and show."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-subj", "/CN=keda", "-addext", "subjectAltName=DNS:keda",
            "-addext", "extendedKeyUsage=serverAuth,clientAuth",
            "-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (directory / "ca.crt").write_bytes((directory / "tls.crt").read_bytes())
