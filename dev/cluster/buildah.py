"""Runs buildah so that nothing of it stays but its store: no mounts, no containers of a build that was killed."""

import os
from pathlib import Path

from paths import CACHE
from shell import ClusterError, output, run_logged

# In a mount namespace of its own, whatever happens to it, no mount is left behind.
_COMMAND = ("unshare", "--mount", "buildah", f"--root={CACHE}/buildah", f"--runroot={CACHE}/buildah-run")
_ENVIRONMENT = os.environ | {"BUILDAH_ISOLATION": "chroot"}


def build(title: str, reference: str, context: Path, log: Path, options: list[str] | None = None) -> None:
    """Build an image from the Dockerfile in `context`; the one that had its name before is removed."""
    output(*_COMMAND, "rm", "--all")
    previous = image_id(reference)
    command = [*_COMMAND, "build", "--layers", "--force-rm", f"--tag={reference}", *(options or []), str(context)]
    run_logged(title, command, log, env=_ENVIRONMENT)
    if previous not in (None, image_id(reference)):
        output(*_COMMAND, "rmi", str(previous))


def save(title: str, reference: str, archive: Path, log: Path) -> None:
    """Write an image to an archive, whole or not at all."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    target = f"docker-archive:{unfinished}:{reference}"
    run_logged(title, [*_COMMAND, "push", reference, target], log, env=_ENVIRONMENT)
    unfinished.rename(archive)


def image_id(reference: str) -> str | None:
    """The id of the image that has this name in the store, or None."""
    try:
        return output(*_COMMAND, "inspect", "--type=image", "--format={{.FromImageID}}", reference).strip()
    except ClusterError:
        return None
