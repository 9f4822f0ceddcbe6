"""A cluster of the user's own: nothing is created, nothing removed."""

import os
from pathlib import Path

import binaries
import images
from shell import ClusterError, say, succeeds

KUBECONFIG = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
AUDIT_LOG: Path | None = None
PARTS = binaries.ANY_CLUSTER


def up() -> None:
    """Check that it answers."""
    if not healthy():
        raise ClusterError(f"No API server answers by {KUBECONFIG}: set KUBECONFIG to your cluster's file.")


def down() -> None:
    """Leave it."""
    say("PERFSLO_CLUSTER=existing: the cluster is yours and stays.")


def healthy() -> bool:
    """Whether its API server answers."""
    kubectl = binaries.ensure(PARTS) / "kubectl"
    return succeeds(kubectl, "--kubeconfig", KUBECONFIG, "get", "--raw", "/readyz", "--request-timeout=10s")


def load(names: list[str]) -> None:
    """How a cluster gets images is its owner's matter."""
    references = ", ".join(images.IMAGES[name].reference for name in names)
    raise ClusterError(f"PERFSLO_CLUSTER=existing: build {references} and load them by your cluster's own means.")
