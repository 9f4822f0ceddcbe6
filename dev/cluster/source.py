"""A single-node Kubernetes with a kubelet and real pods, from programs built here, on a bare Linux machine as root."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import binaries
import daemons
import debian
import images
import leftovers
import network
import pki
from paths import CACHE, CONTAINERD_SOCKET, HERE, LOGS, PKI, STATE
from shell import ClusterError, output, say, step, succeeds, wait_until

KUBECONFIG = pki.ADMIN_KUBECONFIG
AUDIT_LOG: Path | None = LOGS / "audit.log"
PARTS = binaries.FROM_SOURCE

NODE_NAME = "perfslo-node"
_READY_SECONDS = 120.0
_ETCD = "https://127.0.0.1:12379"
_ETCD_PEER = "http://127.0.0.1:12380"


@dataclass(frozen=True)
class Daemon:
    """A process of the cluster, and the address at which it answers once it is ready."""

    name: str
    command: tuple[str | Path, ...]
    environment: dict[str, str] = field(default_factory=dict)


def up() -> None:
    """Bring the cluster up, or return at once when it is."""
    if _processes_run():
        # A busy machine may take its time to answer; a cluster in use is never replaced for that.
        _wait_for_node(binaries.ensure(PARTS))
        return
    _announce()
    debian.install(debian.NODE_PACKAGES + debian.IMAGE_PACKAGES)
    tools = binaries.ensure(PARTS)
    down()
    _refuse_conflicts()
    pause_archive = images.archive(images.PAUSE, tools)
    say("Starting the cluster:")
    leftovers.remember()
    with step("certificates"):
        pki.make(NODE_NAME, network.NODE_IP, network.API_SERVICE_IP)
    _write_configuration()
    network.up(STATE / "settings-before.json")
    with step("etcd and API server"):
        _start(_etcd(), _api_server(tools))
        _wait_for_api(tools)
    with step("containerd and the rest of the control plane"):
        _start(_containerd(tools), *_controllers(tools))
        wait_until("containerd", CONTAINERD_SOCKET.exists, timeout_seconds=30, on_timeout=_log_of("containerd"))
        images.import_archive(images.PAUSE, pause_archive, tools)
        kubectl(tools, "apply", "-f", HERE / "config" / "coredns-rbac.yaml")
        _start(_coredns(tools))
    with step("node"):
        _start(_kubelet(tools), _kube_proxy(tools))
        _wait_for_node(tools)


def down() -> None:
    """Remove every trace of a cluster, running or crashed; the cache stays."""
    if not leftovers.present():
        return
    say("Removing the cluster from source: its processes, pods, mounts, network, and directories")
    daemons.stop(["kubelet"])
    daemons.stop(name for name in daemons.recorded() if name != "containerd")
    leftovers.end_pods()
    daemons.stop(["containerd"])
    leftovers.end_pods()
    leftovers.unmount()
    network.down(STATE / "settings-before.json")
    leftovers.remove()


def healthy() -> bool:
    """Whether every process of the cluster runs and its node is ready."""
    return _processes_run() and _usable(binaries.ensure(PARTS))


def load(names: list[str]) -> None:
    """Build images and import them into the node's containerd."""
    tools = binaries.ensure(PARTS)
    for name in names:
        image = images.IMAGES[name]
        images.import_archive(image, images.archive(image, tools), tools)


def check_machine() -> None:
    """Raise ClusterError when this machine cannot carry such a cluster."""
    if sys.platform != "linux":
        raise ClusterError(f"this is {sys.platform}, not Linux")
    if os.geteuid() != 0:
        raise ClusterError("you are not root")


def kubectl(tools: Path, *arguments: str | Path) -> str:
    """Run kubectl as the cluster's administrator."""
    return output(tools / "kubectl", "--kubeconfig", KUBECONFIG, *arguments)


def _announce() -> None:
    wanted = debian.missing(debian.NODE_PACKAGES + debian.IMAGE_PACKAGES)
    say(
        "This brings up a single-node Kubernetes on this machine, as root. It changes:\n"
        f"  packages     {'apt-get install ' + ' '.join(wanted) if wanted else 'none (all installed)'}\n"
        f"  programs     built once into {CACHE} (about 10 minutes the first time, 2 GB with Go's own cache)\n"
        f"  processes    {', '.join(_ALL)}, and one shim per pod\n"
        f"  network      bridge {network.BRIDGE} ({network.NODE_IP}, pods {network.POD_CIDR}, services "
        f"{network.SERVICE_CIDR}), iptables chains KUBE-*, IP forwarding\n"
        f"  directories  {', '.join(map(str, leftovers.DIRECTORIES))}\n"
        '"make cluster-down" removes all of it but the packages and the cache.'
    )


def _refuse_conflicts() -> None:
    if daemons.listens(CONTAINERD_SOCKET):
        raise ClusterError(
            f"Another containerd listens on {CONTAINERD_SOCKET}. Use that machine's own cluster "
            "(PERFSLO_CLUSTER=existing with KUBECONFIG), kind (PERFSLO_CLUSTER=kind), or stop it."
        )
    if reason := network.conflict():
        raise ClusterError(f"The cluster's network cannot be made: {reason}.")


def _write_configuration() -> None:
    values = {
        "state": str(STATE),
        "containerd_socket": str(CONTAINERD_SOCKET),
        "pause_image": images.PAUSE.reference,
        "bridge": network.BRIDGE,
        "node_ip": network.NODE_IP,
        "pod_cidr": network.POD_CIDR,
    }
    for source in (HERE / "config").iterdir():
        target = STATE / ("cni" if source.suffix == ".conflist" else "config") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(source.read_text()).substitute(values))


def _start(*started: Daemon) -> None:
    for daemon in started:
        daemons.start(daemon.name, daemon.command, daemon.environment)


def _log_of(name: str) -> Callable[[], str]:
    return lambda: daemons.log_tail(name)


def _etcd() -> Daemon:
    return Daemon(
        "etcd",
        (
            shutil.which("etcd") or "etcd",
            f"--data-dir={STATE}/etcd",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEER}",
            f"--initial-advertise-peer-urls={_ETCD_PEER}",
            f"--initial-cluster=default={_ETCD_PEER}",
            "--client-cert-auth",
            f"--trusted-ca-file={PKI}/ca.crt",
            f"--cert-file={PKI}/etcd.crt",
            f"--key-file={PKI}/etcd.key",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def _api_server(tools: Path) -> Daemon:
    return Daemon(
        "kube-apiserver",
        (
            tools / "kube-apiserver",
            # Reached from this machine and its pods only.
            f"--bind-address={network.NODE_IP}",
            f"--advertise-address={network.NODE_IP}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={network.SERVICE_CIDR}",
            f"--etcd-servers={_ETCD}",
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


def _controllers(tools: Path) -> list[Daemon]:
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


def _containerd(tools: Path) -> Daemon:
    # containerd finds its shim on PATH.
    path = {"PATH": f"{tools}:{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"}
    return Daemon(
        "containerd",
        (tools / "containerd", "--config", STATE / "config" / "containerd.toml", "--log-level", "warn"),
        path,
    )


def _coredns(tools: Path) -> Daemon:
    return Daemon("coredns", (tools / "coredns", "-conf", STATE / "config" / "Corefile"))


def _kubelet(tools: Path) -> Daemon:
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


def _kube_proxy(tools: Path) -> Daemon:
    return Daemon(
        "kube-proxy",
        (tools / "kube-proxy", f"--config={STATE}/config/kube-proxy.yaml", f"--hostname-override={NODE_NAME}"),
    )


_ALL = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
    "containerd", "coredns", "kubelet", "kube-proxy",
)  # fmt: skip


def _wait_for_api(tools: Path) -> None:
    def ready() -> bool:
        _refuse_ended("etcd", "kube-apiserver")
        return succeeds(tools / "kubectl", "--kubeconfig", KUBECONFIG, "get", "--raw", "/readyz")

    wait_until("The API server", ready, timeout_seconds=_READY_SECONDS, on_timeout=_log_of("kube-apiserver"))


def _wait_for_node(tools: Path) -> None:
    def ready() -> bool:
        _refuse_ended(*_ALL)
        return _usable(tools)

    def explain() -> str:
        return f"{daemons.log_tail('kubelet')}\n`make cluster-down cluster` begins again."

    wait_until("The node", ready, timeout_seconds=_READY_SECONDS, on_timeout=explain)


def _processes_run() -> bool:
    return binaries.built(PARTS) and all(map(daemons.running, _ALL))


def _usable(tools: Path) -> bool:
    """Ready, and with the account that every pod needs."""
    try:
        node = json.loads(kubectl(tools, "get", "node", NODE_NAME, "-o", "json", "--request-timeout=5s"))
        kubectl(tools, "get", "serviceaccount", "default", "-n", "default", "--request-timeout=5s")
    except ClusterError:
        return False
    tainted = node["spec"].get("taints")
    return not tainted and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def _refuse_ended(*names: str) -> None:
    for name in names:
        if not daemons.running(name):
            raise ClusterError(f"{name} ended by itself. {daemons.log_tail(name)}")
