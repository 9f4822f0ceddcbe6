"""A Python base image made of Debian's packages, for machines that reach no image registry."""

import shutil
import tarfile
from pathlib import Path

import buildah
from paths import CACHE
from shell import run_logged

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_SCRATCH = CACHE / "base-image"

REFERENCE = "localhost/perfslo/python:dev"
FINGERPRINT = f"{_SUITE} {_PACKAGES}"


def ensure() -> str:
    """Make the base image unless it is there; return its reference."""
    if buildah.image_id(REFERENCE):
        return REFERENCE
    shutil.rmtree(_SCRATCH, ignore_errors=True)
    _SCRATCH.mkdir(parents=True)
    log = CACHE / "logs" / "base-image.log"
    root = _SCRATCH / "root"
    # In a mount namespace of its own, so that no /proc stays mounted in a directory that is about to be deleted.
    debootstrap = [
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        f"--include={_PACKAGES}",
        _SUITE,
        str(root),
    ]
    run_logged("Python base image from Debian's packages", debootstrap, log)
    _slim(root)
    context = _SCRATCH / "context"
    context.mkdir()
    with tarfile.open(context / "root.tar", "w") as archive:
        archive.add(root, arcname=".")
    (context / "Dockerfile").write_text(_DOCKERFILE)
    buildah.build("Python base image", REFERENCE, context, log)
    shutil.rmtree(_SCRATCH)
    return REFERENCE


def _slim(root: Path) -> None:
    """Drop what an image does not need, and add what python:*-slim has."""
    for directory in ("cache/apt/archives", "lib/apt/lists"):
        _empty(root / "var" / directory)
    for directory in ("doc", "man", "locale"):
        _empty(root / "usr" / "share" / directory)
    (root / "usr/bin/python").symlink_to("python3")
    # Packages that bring a service must not try to start it during a build.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
