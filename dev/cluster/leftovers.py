"""What a cluster leaves on the machine outside its own processes, found again without its help, and removed."""

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import daemons
import network
from paths import STATE
from shell import succeeds, wait_until

_POD_CGROUP = "kubepods"
_CGROUPS = Path("/sys/fs/cgroup")

DIRECTORIES = (
    STATE,
    # These names are fixed in containerd, the CNI library and the kubelet.
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/opt/cni"),
    Path("/usr/libexec/kubernetes"),
)
_FOUND_BEFORE = STATE / "directories-before.json"


def present() -> bool:
    """Whether a cluster, or something of one, is on this machine."""
    return STATE.exists() or succeeds("ip", "link", "show", network.BRIDGE)


def remember() -> None:
    """Record which directories were there before, so that `remove` leaves them. The first thing a cluster writes."""
    found = [str(path) for path in DIRECTORIES if path.exists()]
    STATE.mkdir(parents=True, mode=0o755)
    _FOUND_BEFORE.write_text(json.dumps(found))


def end_pods() -> None:
    """End every container and shim, however often that takes: a shim may just be starting a container."""
    while pids := set(_pod_processes()) | set(_shims()):
        daemons.end_all(pids, patience_seconds=1.0)


def unmount() -> None:
    """Unmount what containers and volumes left, innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(tuple(f"{path}/" for path in DIRECTORIES)):
            succeeds("umount", "--lazy", mount.replace("\\040", " "))


def remove() -> None:
    """Remove the pods' cgroups and every directory that was not there before."""
    for top in _pod_cgroups():
        wait_until(f"Removing {top}", partial(_removed, top), timeout_seconds=120)
    found = json.loads(_FOUND_BEFORE.read_text()) if _FOUND_BEFORE.exists() else []
    for path in reversed(DIRECTORIES):
        if str(path) not in found and path.exists():
            shutil.rmtree(path)


def _removed(cgroup: Path) -> bool:
    """Remove a cgroup with those inside it; the kernel lets go of one a moment after its last process ended."""
    try:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(directory)
    except OSError:
        return False
    return True


def _pod_cgroups() -> list[Path]:
    """One directory on cgroup v2, one per controller on v1."""
    return [top for top in (_CGROUPS / _POD_CGROUP, *_CGROUPS.glob(f"*/{_POD_CGROUP}")) if top.is_dir()]


def _pod_processes() -> Iterator[int]:
    """The processes in the pods' cgroups; containerd removes cgroups meanwhile, which `os.walk` bears."""
    for top in _pod_cgroups():
        for directory, _, _ in os.walk(top):
            try:
                yield from map(int, Path(directory, "cgroup.procs").read_text().split())
            except OSError:
                continue


def _shims() -> Iterator[int]:
    """The shims of containers that run from this cluster's directories; containerd starts them to outlive itself."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            runs, where = os.readlink(process / "exe"), os.readlink(process / "cwd")
        except OSError:
            continue
        if Path(runs).name == "containerd-shim-runc-v2" and where.startswith("/run/containerd/"):
            yield int(process.name)
