"""Builds the cluster's programs from pinned Go modules, once per version, into the user's cache."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paths import CACHE, HERE
from shell import ClusterError, output, run_logged, say

_KUBERNETES = "v1.36.3"
_KUBERNETES_VERSION_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in {
        "gitVersion": _KUBERNETES,
        "gitMajor": _KUBERNETES.removeprefix("v").split(".")[0],
        "gitMinor": _KUBERNETES.split(".")[1],
    }.items()
)


@dataclass(frozen=True)
class Part:
    """A Go module in this directory and the commands built from it: name of the binary to its package."""

    directory: str
    commands: dict[str, str]
    version_flags: str = ""
    tags: str = ""

    @property
    def link_flags(self) -> str:
        return f"-s -w {self.version_flags}".strip()

    def fingerprint(self) -> str:
        """Changes when the pinned sources or the way they are built do."""
        digest = hashlib.sha256(f"{self.link_flags} {self.tags}".encode())
        for name in ("go.mod", "go.sum", "main.go"):
            path = HERE / self.directory / name
            digest.update(path.read_bytes() if path.exists() else b"-")
        return digest.hexdigest()[:16]

    def built_in(self) -> Path:
        return CACHE / "parts" / f"{self.directory}-{self.fingerprint()}"


def _kubernetes(*names: str) -> Part:
    commands = {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}
    return Part("kubernetes", commands, _KUBERNETES_VERSION_FLAGS)


NODE = (
    _kubernetes("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"),
    Part(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
    ),
    Part("coredns", {"coredns": "github.com/coredns/coredns"}),
    Part("pause", {"pause": "."}),
)
"""What a node of our own needs."""

PROMETHEUS = Part(
    "prometheus",
    {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
    "-X github.com/prometheus/common/version.Version=3.13.5",
    "remove_all_sd,enable_kubernetes_sd",
)

CLIENTS = (
    Part("vegeta", {"vegeta": "github.com/tsenart/vegeta/v12"}),
    Part("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
    PROMETHEUS,
)
"""What a user of any cluster needs besides kubectl, and what the images are made of."""

WHEN_NAMED = {
    "envoy-gateway": Part("envoy-gateway", {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"}),
    "traefik": Part("traefik", {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"}),
    "postgres-exporter": Part(
        "postgres-exporter",
        {"postgres-exporter": "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"},
    ),
}
"""By image, each built with it only: a proxy takes about as long as all of Kubernetes."""

RIVALS = (
    Part("metrics-server", {"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"}),
    Part(
        "keda",
        {
            "keda-operator": "github.com/kedacore/keda/v2/cmd/operator",
            "keda-metrics": "github.com/kedacore/keda/v2/cmd/adapter",
        },
    ),
)
"""What the stock HorizontalPodAutoscaler and KEDA are compared with, in a benchmark only."""

SOURCES = {
    "envoy-gateway": ("envoy-gateway", "github.com/envoyproxy/gateway"),
    "gateway-api": ("envoy-gateway", "sigs.k8s.io/gateway-api"),
    "istio": ("istio", "istio.io/api"),
    "keda": ("keda", "github.com/kedacore/keda/v2"),
    "traefik": ("traefik", "github.com/traefik/traefik/v3"),
}
"""Modules of which more than programs is used (definitions of kinds, a chart): where each is pinned, and its name."""

FROM_SOURCE = NODE + CLIENTS
ANY_CLUSTER = (_kubernetes("kubectl"), *CLIENTS)
BENCHMARK = (_kubernetes("kube-apiserver", "kubectl"), PROMETHEUS)
"""An API server without a node, and what is measured against it."""


def for_images(parts: tuple[Part, ...], names: Iterable[str]) -> tuple[Part, ...]:
    """With what these images are made of besides."""
    return (*parts, *(WHEN_NAMED[name] for name in names if name in WHEN_NAMED))


def ensure(parts: Iterable[Part]) -> Path:
    """Build what is missing; return a directory with every binary of `parts`."""
    parts = tuple(parts)
    for part in parts:
        _build(part)
    return _gather(parts)


def source(name: str) -> Path:
    """The directory with a module's files, downloaded if need be. Raises ClusterError."""
    directory, module = SOURCES[name]
    told = output("go", "-C", HERE / directory, "mod", "download", "-json", module)
    return Path(json.loads(told)["Dir"])


def built(parts: Iterable[Part]) -> bool:
    """Whether `ensure` has nothing to build."""
    return all((part.built_in() / name).exists() for part in parts for name in part.commands)


def _build(part: Part) -> None:
    target = part.built_in()
    missing = [name for name in part.commands if not (target / name).exists()]
    if not missing:
        return
    if shutil.which("go") is None:
        raise ClusterError("Go is needed to build the cluster's programs: install Go 1.26 or newer and put it on PATH.")
    target.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"CGO_ENABLED": "0"}
    say(f"Building {', '.join(missing)} from {part.directory}/go.mod, once:")
    for name in missing:
        unfinished = target / f".{name}"
        command = ["go", "build", "-trimpath", "-tags", part.tags, "-ldflags", part.link_flags, "-o", str(unfinished)]
        log = CACHE / "logs" / f"build-{name}.log"
        run_logged(name, [*command, part.commands[name]], log, cwd=HERE / part.directory, env=environment)
        unfinished.rename(target / name)


def _gather(parts: tuple[Part, ...]) -> Path:
    """One directory for PATH, with a link to each binary."""
    fingerprint = hashlib.sha256("".join(part.fingerprint() for part in parts).encode()).hexdigest()[:16]
    directory = CACHE / "bin" / fingerprint
    directory.mkdir(parents=True, exist_ok=True)
    for part in parts:
        for name in part.commands:
            link = directory / name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(part.built_in() / name)
    return directory
