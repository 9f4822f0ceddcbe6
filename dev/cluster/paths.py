"""Where things are: what survives a cluster (the cache) and what does not (the state)."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perfslo"
"""Binaries, base images and built images: kept, so that the next cluster is up in seconds."""

STATE = Path(os.environ.get("PERFSLO_CLUSTER_STATE") or "/var/lib/perfslo-cluster")
"""Everything of a cluster from source: certificates, data, logs. `down` removes it. Benchmarks have their own."""

LOGS = STATE / "logs"
PKI = STATE / "pki"

CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
"""containerd's default: the kubelet's cAdvisor recognizes containers at no other."""
