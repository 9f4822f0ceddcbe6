"""Builds container images from this repository and gives them to the cluster, each only when its inputs changed."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import base_image
import buildah
import debian
import pip_configuration
from paths import CACHE, CONTAINERD_SOCKET, HERE, REPOSITORY
from shell import ClusterError, output, run_logged, say

_COPY = re.compile(r"^COPY\s+((?:--\S+\s+)*)(.+)\s+\S+$", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """A Dockerfile, the directory its COPY lines start from, and the binaries it wants in `bin/` there."""

    name: str
    context: Path
    binaries: tuple[str, ...] = ()
    on_base: bool = True

    @property
    def reference(self) -> str:
        return f"localhost/perfslo/{self.name}:dev"


IMAGES = {
    image.name: image
    for image in (
        Image("operator", REPOSITORY),
        Image("demo", REPOSITORY / "demo", ("vegeta",)),
        Image("stores", REPOSITORY / "demo" / "stores"),
        Image("prometheus", HERE / "prometheus", ("prometheus",), on_base=False),
        Image("envoy-gateway", HERE / "envoy-gateway", ("envoy-gateway",), on_base=False),
        Image("envoy", HERE / "envoy"),
        Image("traefik", HERE / "traefik", ("traefik",), on_base=False),
        Image("postgres-exporter", HERE / "postgres-exporter", ("postgres-exporter",), on_base=False),
    )
}
USUAL = ("operator", "demo", "prometheus", "stores")
"""What most tests need; the others take long to build, or are for one test."""
PAUSE = Image("pause", HERE / "pause", ("pause",), on_base=False)
"""Holds a pod's namespaces."""


def build_for_docker(names: list[str], tools: Path) -> list[str]:
    """Build images with Docker; return their references."""
    for name in names:
        image = IMAGES[name]
        with _build_context(image, tools) as context:
            log = CACHE / "logs" / f"image-{name}.log"
            run_logged(f"image {name}", ["docker", "build", "--tag", image.reference, context], log)
    return [IMAGES[name].reference for name in names]


def import_archive(image: Image, archive: Path, tools: Path) -> None:
    """Load an archive into the cluster's containerd, where the kubelet finds it, unless it is there."""
    ctr = (tools / "ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", "images")
    label = "perfslo.io/archive"
    if image.reference in output(*ctr, "list", "--quiet", f'labels."{label}"=={archive.name}').split():
        return
    output(*ctr, "import", "--local", archive)
    output(*ctr, "label", image.reference, f"{label}={archive.name}")
    say(f"  {image.reference} loaded")


def archive(image: Image, tools: Path) -> Path:
    """The image as a file, built when no build of the same inputs is cached."""
    with _build_context(image, tools) as context:
        path = CACHE / "images" / f"{image.name}-{_fingerprint(image, context)}.tar"
        if not path.exists():
            debian.install(debian.IMAGE_PACKAGES)
            _build(image, context, path)
    return path


def _build(image: Image, context: Path, path: Path) -> None:
    log = CACHE / "logs" / f"image-{image.name}.log"
    with tempfile.TemporaryDirectory(prefix="perfslo-pip-") as private:
        options = []
        if image.on_base:
            options = [f"--build-arg=BASE={base_image.ensure()}", *pip_configuration.mounts(Path(private))]
        buildah.build(f"image {image.name}", image.reference, context, log, options)
    for previous in path.parent.glob(f"{image.name}-*.tar"):
        previous.unlink()
    buildah.save(f"image {image.name}, archive", image.reference, path, log)


@contextmanager
def _build_context(image: Image, tools: Path) -> Iterator[Path]:
    """A directory with nothing but what the Dockerfile copies: neither the hash nor the build sees anything else."""
    dockerfile = image.context / "Dockerfile"
    if not dockerfile.exists():
        raise ClusterError(f"{dockerfile} is missing: there is nothing to build image {image.name} from.")
    with tempfile.TemporaryDirectory(prefix="perfslo-image-") as temporary:
        context = Path(temporary)
        shutil.copy(dockerfile, context)
        for name in image.binaries:
            (context / "bin").mkdir(exist_ok=True)
            shutil.copy(tools / name, context / "bin")
        for source in copied_from_context(dockerfile.read_text()):
            _copy(image.context / source, context / source)
        yield context


def copied_from_context(dockerfile: str) -> Iterator[str]:
    """The files and directories that a Dockerfile copies from its context, binaries aside."""
    for flags, sources in _COPY.findall(dockerfile):
        if "--from=" not in flags:
            yield from (source for source in sources.split() if not source.startswith("bin/"))


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise ClusterError(f"A Dockerfile copies {source}, which does not exist.")
    if source.is_dir():
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(source, target, ignore=unwanted, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _fingerprint(image: Image, context: Path) -> str:
    """Of every file in the context and, where it matters, of the base."""
    digest = hashlib.sha256(base_image.FINGERPRINT.encode() if image.on_base else b"")
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(context)} {path.stat().st_mode & 0o111} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
