"""A cluster in Docker, by kind, for machines that have both."""

import shutil
import tempfile
from pathlib import Path

import binaries
import images
from paths import CACHE, HERE
from shell import ClusterError, output, run_logged, succeeds

_NAME = "perfslo"
KUBECONFIG = CACHE / "kind" / "kubeconfig"
_AUDIT_DIRECTORY = CACHE / "kind" / "audit"
AUDIT_LOG: Path | None = _AUDIT_DIRECTORY / "audit.log"
PARTS = binaries.ANY_CLUSTER
_NODE_PORTS = range(30000, 30100)


def docker_answers() -> bool:
    """Whether a Docker engine runs here (its client alone does not count)."""
    return shutil.which("docker") is not None and succeeds("docker", "version", "--format", "{{.Server.Version}}")


def check_tools() -> None:
    """Raise ClusterError when Docker or kind is missing, with how to get it."""
    if not docker_answers():
        raise ClusterError("No Docker engine answers, and kind needs one: start it (`docker info` tells more).")
    if shutil.which("kind") is None:
        raise ClusterError(
            "Docker runs here but kind is not installed: `go install sigs.k8s.io/kind@latest`, or your package "
            "manager's kind. Or choose another way: PERFSLO_CLUSTER=source (as root on Linux) or =existing."
        )


def up() -> None:
    """Create the cluster unless it is there."""
    if healthy():
        return
    _AUDIT_DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(_configuration())
        config.flush()
        log = CACHE / "logs" / "kind.log"
        command = [
            "kind",
            "create",
            "cluster",
            "--name",
            _NAME,
            "--config",
            config.name,
            "--kubeconfig",
            str(KUBECONFIG),
        ]
        run_logged(f"kind create cluster --name {_NAME}", [*command, "--wait", "180s"], log)
    KUBECONFIG.chmod(0o600)


def down() -> None:
    """Delete the cluster and its kubeconfig."""
    if shutil.which("kind") and _exists():
        output("kind", "delete", "cluster", "--name", _NAME, "--kubeconfig", KUBECONFIG)
    shutil.rmtree(KUBECONFIG.parent, ignore_errors=True)


def healthy() -> bool:
    """Whether the cluster exists and its API server answers."""
    return _exists() and succeeds("docker", "exec", f"{_NAME}-control-plane", "kubectl", "get", "--raw", "/readyz")


def load(names: list[str]) -> None:
    """Build images and load them into the node."""
    references = images.build_for_docker(names, binaries.ensure(binaries.for_images(PARTS, names)))
    output("kind", "load", "docker-image", "--name", _NAME, *references)


def _exists() -> bool:
    return succeeds("kind", "version") and _NAME in output("kind", "get", "clusters").split()


def _configuration() -> str:
    ports = "\n".join(
        f"      - {{containerPort: {port}, hostPort: {port}, listenAddress: 127.0.0.1}}" for port in _NODE_PORTS
    )
    return f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: {HERE}/config/audit-policy.yaml
        containerPath: /etc/kubernetes/perfslo/audit-policy.yaml
        readOnly: true
      - {{hostPath: {_AUDIT_DIRECTORY}, containerPath: /var/log/perfslo}}
    extraPortMappings:
{ports}
    kubeadmConfigPatches:
      - |
        kind: ClusterConfiguration
        apiServer:
          extraArgs:
            audit-policy-file: /etc/kubernetes/perfslo/audit-policy.yaml
            audit-log-path: /var/log/perfslo/audit.log
          extraVolumes:
            - name: audit-policy
              hostPath: /etc/kubernetes/perfslo
              mountPath: /etc/kubernetes/perfslo
              readOnly: true
            - {{name: audit-log, hostPath: /var/log/perfslo, mountPath: /var/log/perfslo}}
"""
