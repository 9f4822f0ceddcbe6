"""The processes of a node: what each is started with."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import network
from paths import LOGS, PKI, STATE

NODE_NAME = "perfslo-node"
AUDIT_LOG = LOGS / "audit.log"
ALL = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
    "containerd", "coredns", "kubelet", "kube-proxy",
)  # fmt: skip


@dataclass(frozen=True)
class Addresses:
    """Where the control plane listens."""

    api_server: str = network.NODE_IP
    """Reached from this machine and its pods only."""
    api_server_port: int = 6443
    etcd_port: int = 12379
    etcd_peer_port: int = 12380

    @property
    def etcd(self) -> str:
        return f"https://127.0.0.1:{self.etcd_port}"

    @property
    def etcd_peer(self) -> str:
        return f"http://127.0.0.1:{self.etcd_peer_port}"


@dataclass(frozen=True)
class Daemon:
    """A process of the cluster and how it is started."""

    name: str
    command: tuple[str | Path, ...]
    environment: dict[str, str] = field(default_factory=dict)


def etcd(at: Addresses = Addresses()) -> Daemon:
    """The store. Nothing in it outlives the machine, so it need not wait for the disk."""
    return Daemon(
        "etcd",
        (
            shutil.which("etcd") or "etcd",
            f"--data-dir={STATE}/etcd",
            f"--listen-client-urls={at.etcd}",
            f"--advertise-client-urls={at.etcd}",
            f"--listen-peer-urls={at.etcd_peer}",
            f"--initial-advertise-peer-urls={at.etcd_peer}",
            f"--initial-cluster=default={at.etcd_peer}",
            "--client-cert-auth",
            f"--trusted-ca-file={PKI}/ca.crt",
            f"--cert-file={PKI}/etcd.crt",
            f"--key-file={PKI}/etcd.key",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def api_server(tools: Path, at: Addresses = Addresses()) -> Daemon:
    """The API server, with an audit log and the aggregation layer."""
    return Daemon(
        "kube-apiserver",
        (
            tools / "kube-apiserver",
            f"--bind-address={at.api_server}",
            f"--advertise-address={at.api_server}",
            f"--secure-port={at.api_server_port}",
            f"--service-cluster-ip-range={network.SERVICE_CIDR}",
            f"--etcd-servers={at.etcd}",
            f"--etcd-cafile={PKI}/ca.crt",
            f"--etcd-certfile={PKI}/kube-apiserver.crt",
            f"--etcd-keyfile={PKI}/kube-apiserver.key",
            f"--client-ca-file={PKI}/ca.crt",
            f"--tls-cert-file={PKI}/kube-apiserver.crt",
            f"--tls-private-key-file={PKI}/kube-apiserver.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
            # The node's name resolves nowhere.
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI}/service-accounts.pub",
            f"--service-account-signing-key-file={PKI}/service-accounts.key",
            f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
            f"--proxy-client-key-file={PKI}/front-proxy-client.key",
            f"--audit-policy-file={STATE}/config/audit-policy.yaml",
            f"--audit-log-path={AUDIT_LOG}",
            "--audit-log-maxsize=1000",
            "--audit-log-maxbackup=2",
            # It waits for progress messages that etcd 3.4 does not send.
            "--feature-gates=SizeBasedListCostEstimate=false",
            "--profiling=false",
        ),
    )


def controllers(tools: Path) -> list[Daemon]:
    """The controller manager and the scheduler, alone in their roles."""
    manager_kubeconfig = f"{STATE}/kube-controller-manager.kubeconfig"
    return [
        Daemon(
            "kube-controller-manager",
            (
                tools / "kube-controller-manager",
                f"--kubeconfig={manager_kubeconfig}",
                f"--authentication-kubeconfig={manager_kubeconfig}",
                f"--authorization-kubeconfig={manager_kubeconfig}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--use-service-account-credentials",
                f"--root-ca-file={PKI}/ca.crt",
                f"--service-account-private-key-file={PKI}/service-accounts.key",
                f"--cluster-signing-cert-file={PKI}/ca.crt",
                f"--cluster-signing-key-file={PKI}/ca.key",
                "--kube-api-qps=100",
                "--kube-api-burst=200",
                "--profiling=false",
            ),
        ),
        Daemon(
            "kube-scheduler",
            (
                tools / "kube-scheduler",
                f"--kubeconfig={STATE}/kube-scheduler.kubeconfig",
                f"--authentication-kubeconfig={STATE}/kube-scheduler.kubeconfig",
                f"--authorization-kubeconfig={STATE}/kube-scheduler.kubeconfig",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--profiling=false",
            ),
        ),
    ]


def containerd(tools: Path) -> Daemon:
    """The container runtime."""
    # containerd finds its shim on PATH.
    path = {"PATH": f"{tools}:{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"}
    return Daemon(
        "containerd",
        (tools / "containerd", "--config", STATE / "config" / "containerd.toml", "--log-level", "warn"),
        path,
    )


def coredns(tools: Path) -> Daemon:
    """DNS for the pods: names of the cluster, and no others."""
    return Daemon("coredns", (tools / "coredns", "-conf", STATE / "config" / "Corefile"))


def kubelet(tools: Path) -> Daemon:
    """The node's agent, with cAdvisor."""
    return Daemon(
        "kubelet",
        (
            tools / "kubelet",
            f"--config={STATE}/config/kubelet.yaml",
            f"--kubeconfig={STATE}/kubelet.kubeconfig",
            f"--root-dir={STATE}/kubelet",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={network.NODE_IP}",
            "--housekeeping-interval=10s",
        ),
    )


def kube_proxy(tools: Path) -> Daemon:
    """Services, by iptables."""
    return Daemon(
        "kube-proxy",
        (tools / "kube-proxy", f"--config={STATE}/config/kube-proxy.yaml", f"--hostname-override={NODE_NAME}"),
    )
