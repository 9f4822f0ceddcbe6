"""A single-node Kubernetes with a kubelet and real pods, from programs built here, on a bare Linux machine as root."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from string import Template

import binaries
import components
import daemons
import debian
import images
import leftovers
import network
import pki
from paths import CACHE, CONTAINERD_SOCKET, HERE, STATE
from shell import ClusterError, output, say, step, succeeds, wait_until

KUBECONFIG = pki.ADMIN_KUBECONFIG
AUDIT_LOG: Path | None = components.AUDIT_LOG
PARTS = binaries.FROM_SOURCE

_READY_SECONDS = 120.0


def up() -> None:
    """Bring the cluster up, or return at once when it is."""
    if not _processes_run() or not binaries.built(PARTS):
        _announce()
        debian.install(debian.NODE_PACKAGES + debian.IMAGE_PACKAGES)
    tools = binaries.ensure(PARTS)
    if _processes_run():
        # A busy machine may take its time to answer; a cluster in use is never replaced for that.
        _wait_for_node(tools)
    else:
        _begin_anew(tools)


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
    _tell_what_ended()
    return binaries.built(PARTS) and _processes_run() and _usable(binaries.ensure(PARTS))


def load(names: list[str]) -> None:
    """Build images and import them into the node's containerd."""
    tools = binaries.ensure(binaries.for_images(PARTS, names))
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


def _begin_anew(tools: Path) -> None:
    _tell_what_ended()
    down()
    _refuse_conflicts()
    pause_archive = images.archive(images.PAUSE, tools)
    say("Starting the cluster:")
    leftovers.remember()
    with step("certificates"):
        pki.make(components.NODE_NAME, network.NODE_IP, network.API_SERVICE_IP)
    _write_configuration()
    network.up(STATE / "settings-before.json")
    with step("etcd and API server"):
        _start(components.etcd(), components.api_server(tools))
        _wait_for_api(tools)
    with step("containerd and the rest of the control plane"):
        _start(components.containerd(tools), *components.controllers(tools))
        wait_until("containerd", CONTAINERD_SOCKET.exists, timeout_seconds=30, on_timeout=_log_of("containerd"))
        images.import_archive(images.PAUSE, pause_archive, tools)
        kubectl(tools, "apply", "-f", HERE / "config" / "coredns-rbac.yaml")
        _start(components.coredns(tools))
    with step("node"):
        _start(components.kubelet(tools), components.kube_proxy(tools))
        _wait_for_node(tools)


def _announce() -> None:
    wanted = debian.missing(debian.NODE_PACKAGES + debian.IMAGE_PACKAGES)
    say(
        "This brings up a single-node Kubernetes on this machine, as root. It changes:\n"
        f"  packages     {'apt-get install ' + ' '.join(wanted) if wanted else 'none (all installed)'}\n"
        f"  programs     built once into {CACHE} (about 10 minutes the first time, 2 GB with Go's own cache)\n"
        f"  processes    {', '.join(components.ALL)}, and one shim per pod\n"
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


def _start(*started: components.Daemon) -> None:
    for daemon in started:
        daemons.start(daemon.name, daemon.command, daemon.environment)


def _log_of(name: str) -> Callable[[], str]:
    return lambda: daemons.log_tail(name)


def _wait_for_api(tools: Path) -> None:
    def ready() -> bool:
        _refuse_ended("etcd", "kube-apiserver")
        return succeeds(tools / "kubectl", "--kubeconfig", KUBECONFIG, "get", "--raw", "/readyz")

    wait_until("The API server", ready, timeout_seconds=_READY_SECONDS, on_timeout=_log_of("kube-apiserver"))


def _wait_for_node(tools: Path) -> None:
    def ready() -> bool:
        _refuse_ended(*components.ALL)
        return _usable(tools)

    def explain() -> str:
        return f"{daemons.log_tail('kubelet')}\n`make cluster-down cluster` begins again."

    wait_until("The node", ready, timeout_seconds=_READY_SECONDS, on_timeout=explain)


def _tell_what_ended() -> None:
    ended = [name for name in daemons.recorded() if not daemons.running(name)]
    if ended:
        say(f"No longer running, of the cluster that was here: {', '.join(ended)}")


def _processes_run() -> bool:
    return all(map(daemons.running, components.ALL))


def _usable(tools: Path) -> bool:
    """Ready, and with the account that every pod needs."""
    try:
        node = json.loads(kubectl(tools, "get", "node", components.NODE_NAME, "-o", "json", "--request-timeout=5s"))
        kubectl(tools, "get", "serviceaccount", "default", "-n", "default", "--request-timeout=5s")
    except ClusterError:
        return False
    tainted = node["spec"].get("taints")
    return not tainted and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def _refuse_ended(*names: str) -> None:
    for name in names:
        if not daemons.running(name):
            raise ClusterError(f"{name} ended by itself. {daemons.log_tail(name)}")
