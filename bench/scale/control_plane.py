"""etcd and an API server, alone: no node, no controllers. On free ports, with a state of their own."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cluster
import components
import daemons
import network
import pki
from binaries import BENCHMARK
from paths import PKI, REPOSITORY, STATE
from shell import ClusterError, output, succeeds, wait_until

from bench.scale import etcd

KUBECONFIG = pki.ADMIN_KUBECONFIG
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}, {"level": "None"}],
}
LOCALHOST = "127.0.0.1"


def tools() -> Path:
    """The directory of kube-apiserver, kubectl and prometheus, built if need be.

    Raises:
        ClusterError: there is no etcd.
    """
    if not shutil.which("etcd"):
        raise ClusterError("etcd is needed: install it (Debian: apt-get install etcd-server)")
    return cluster.programs(BENCHMARK)


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def up(programs: Path, objects: Iterable[tuple[str, Any]]) -> int:
    """Start both, with these objects in them. Returns how many there are."""
    at = components.Addresses(LOCALHOST, free_port(), free_port(), free_port())
    pki.make("no-node", LOCALHOST, network.API_SERVICE_IP, at.api_server_port)
    policy = STATE / "config" / "audit-policy.yaml"
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.write_text(json.dumps(AUDIT_POLICY))
    _start(components.etcd(at))
    wait_until("etcd", lambda: _listens(at.etcd_port), timeout_seconds=30, on_timeout=lambda: daemons.log_tail("etcd"))
    count = etcd.fill(at.etcd_port, PKI, objects)
    _start(components.api_server(programs, at))
    kubectl = (programs / "kubectl", "--kubeconfig", KUBECONFIG)

    def serves(*paths: str) -> None:
        wait_until(
            f"the API server with {', '.join(paths)}",
            lambda: all(succeeds(*kubectl, "get", "--raw", path) for path in paths),
            timeout_seconds=180,
            on_timeout=lambda: daemons.log_tail("kube-apiserver"),
        )

    serves("/readyz")
    output(*kubectl, "apply", "--server-side", "-f", REPOSITORY / "crds")
    serves(*(f"/apis/perfslo.io/v1alpha1/{plural}?limit=1" for plural in ("performanceslos", "leverclaims")))
    return count


def down() -> None:
    """Stop them."""
    daemons.stop(("kube-apiserver", "etcd"))


class Writes:
    """What the operator wrote, by the API server's audit log."""

    def __init__(self) -> None:
        self._file = components.AUDIT_LOG.open()

    def take(self) -> Counter[str]:
        """Writes since the last call, by resource."""
        events = [json.loads(line) for line in self._file if line.endswith("\n")]
        return Counter(
            "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource"))))
            for event in events
            if event.get("userAgent", "").startswith("perfslo/")
        )


def _start(daemon: components.Daemon) -> None:
    daemons.start(daemon.name, daemon.command, daemon.environment)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOCALHOST, port)) == 0
