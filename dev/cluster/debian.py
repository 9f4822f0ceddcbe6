"""Installs Debian packages without questions and without starting the services they bring."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from paths import CACHE
from shell import ClusterError, output, run_logged, succeeds

NODE_PACKAGES = (
    "etcd-server",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "iproute2",
    "kmod",
    "openssl",
)
IMAGE_PACKAGES = ("buildah", "debootstrap")

_POLICY = Path("/usr/sbin/policy-rc.d")


def missing(packages: tuple[str, ...]) -> list[str]:
    """Those of `packages` that are not installed."""
    return [name for name in packages if not _installed(name)]


def install(packages: tuple[str, ...]) -> None:
    """Install what is missing of `packages`. Raises ClusterError where there is no apt."""
    wanted = missing(packages)
    if not wanted:
        return
    if not succeeds("apt-get", "--version"):
        raise ClusterError(
            f"This machine has no apt-get; install the equivalents of {', '.join(wanted)} or use a cluster of your own "
            "(PERFSLO_CLUSTER=existing)."
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    log = CACHE / "logs" / "apt.log"
    with _services_stay_stopped():
        run_logged("apt-get update", ["apt-get", "update", "-q"], log, env=environment)
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted]
        run_logged(f"apt-get install {' '.join(wanted)}", command, log, env=environment)


def program(package: str, path: str) -> Path:
    """A program of a package that is unpacked into the cache, not installed. Raises ClusterError without apt-get."""
    directory = CACHE / "debian" / package
    if not directory.exists():
        if not succeeds("apt-get", "--version"):
            raise ClusterError(f"This machine has no apt-get to fetch the package {package} with.")
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as unfinished:
            (archive,) = _download(package, Path(unfinished))
            output("dpkg", "--extract", archive, f"{unfinished}/files")
            directory.parent.mkdir(exist_ok=True)
            try:
                Path(unfinished, "files").rename(directory)
            except OSError:
                if not directory.exists():  # else somebody was quicker
                    raise
    return directory / path


def _download(package: str, directory: Path) -> Iterator[Path]:
    title, log = f"apt-get download {package}", CACHE / "logs" / "apt.log"
    try:
        run_logged(title, title.split(), log, cwd=directory)
    except ClusterError:  # it may never have heard of the package
        run_logged("apt-get update", ["apt-get", "update", "-q"], log)
        run_logged(title, title.split(), log, cwd=directory)
    return directory.glob("*.deb")


def _installed(package: str) -> bool:
    try:
        return output("dpkg-query", "-W", "-f", "${db:Status-Status}", package) == "installed"
    except (ClusterError, FileNotFoundError):
        return False


@contextmanager
def _services_stay_stopped() -> Iterator[None]:
    """Debian's own switch: a package's scripts start no service while policy-rc.d says 101."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
