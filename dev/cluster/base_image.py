"""A Python base image made of Debian's packages, for machines that reach no image registry."""

import shutil
import tempfile
from pathlib import Path

from paths import CACHE
from shell import output, run_logged, succeeds

_SUITE = "bookworm"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
REFERENCE = "localhost/perfslo/python:dev"
FINGERPRINT = f"{_SUITE} {' '.join(_PACKAGES)}"


def ensure(buildah: list[str]) -> str:
    """Make the base image unless buildah has it; return its reference."""
    if succeeds(*buildah, "inspect", "--type", "image", REFERENCE):
        return REFERENCE
    log = CACHE / "logs" / "base-image.log"
    with tempfile.TemporaryDirectory(prefix="perfslo-base-", dir=CACHE) as temporary:
        root = Path(temporary) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, root]
        run_logged("Python base image (debootstrap)", command, log)
        _slim(root)
        container = output(*buildah, "from", "scratch").strip()
        try:
            output(*buildah, "add", "--quiet", container, root, "/")
            output(*buildah, "config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
            run_logged("Python base image (commit)", [*buildah, "commit", "--quiet", container, REFERENCE], log)
        finally:
            output(*buildah, "rm", container)
    return REFERENCE


def _slim(root: Path) -> None:
    """Drop what an image does not need, and add what python:*-slim has."""
    for directory in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / directory, ignore_errors=True)
        (root / directory).mkdir(parents=True)
    (root / "usr/bin/python").symlink_to("python3")
    # Packages that bring a service must not try to start it during a build.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
