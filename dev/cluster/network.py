"""The node's network: a bridge for the pods, the kernel settings that carry their traffic, and taking both away."""

import json
import re
from pathlib import Path

from shell import ClusterError, output, succeeds

BRIDGE = "perfslo0"
NODE_IP = "10.244.0.1"
PREFIX_LENGTH = 22
POD_CIDR = f"10.244.0.0/{PREFIX_LENGTH}"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"

_SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    # kube-proxy needs it to serve NodePorts on 127.0.0.1.
    "net/ipv4/conf/all/route_localnet": "1",
    # The kubelet sets these three itself; here they are restored with the others.
    "vm/overcommit_memory": "1",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
}
_OF_KUBERNETES = re.compile(r"^:KUBE-|^-A KUBE-|-[jg] KUBE-")


def up(previous_settings: Path) -> None:
    """Make the bridge and set what the kernel needs; what was set before is kept in `previous_settings`."""
    if not Path("/proc/sys/net/bridge").exists() and not succeeds("modprobe", "br_netfilter"):
        raise ClusterError("The kernel has no br_netfilter (bridged pod traffic would miss the Services' rules).")
    before = {name: _setting(name).read_text().strip() for name in _SETTINGS}
    previous_settings.write_text(json.dumps(before))
    for name, value in _SETTINGS.items():
        _setting(name).write_text(value)
    output("ip", "link", "add", BRIDGE, "type", "bridge")
    output("ip", "address", "add", f"{NODE_IP}/{PREFIX_LENGTH}", "dev", BRIDGE)
    output("ip", "link", "set", BRIDGE, "up")


def down(previous_settings: Path) -> None:
    """Remove the bridge, what is plugged into it, the chains of kube-proxy and kubelet, and restore the settings."""
    if succeeds("ip", "link", "show", BRIDGE):
        for port in _ports():
            succeeds("ip", "link", "delete", port)
        output("ip", "link", "delete", BRIDGE)
    for family in ("iptables", "ip6tables"):
        _remove_kubernetes_rules(family)
    if previous_settings.exists():
        for name, value in json.loads(previous_settings.read_text()).items():
            _setting(name).write_text(value)


def conflict() -> str | None:
    """Why the network cannot be made on this machine, or None."""
    routes = json.loads(output("ip", "-json", "-4", "route", "show"))
    for route in routes:
        if route.get("dev") != BRIDGE and str(route["dst"]).startswith(("10.244.", "10.96.")):
            taken = f"{route['dst']} is routed to {route.get('dev')}"
            return f"{taken}, and the cluster uses {POD_CIDR} and {SERVICE_CIDR}"
    return None


def without_kubernetes(rules: list[str]) -> list[str]:
    """The lines of an iptables dump that are neither a chain of Kubernetes, nor in one, nor lead to one."""
    return [line for line in rules if not _OF_KUBERNETES.search(line)]


def _ports() -> list[str]:
    return [str(link["ifname"]) for link in json.loads(output("ip", "-json", "link", "show", "master", BRIDGE) or "[]")]


def _remove_kubernetes_rules(family: str) -> None:
    try:
        saved = output(f"{family}-save").splitlines()
    except (FileNotFoundError, ClusterError):
        return
    kept = without_kubernetes(saved)
    if kept != saved:
        output(f"{family}-restore", stdin="\n".join(kept) + "\n")


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name
