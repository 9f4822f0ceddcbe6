"""kubectl and helm, as dev/cluster gives them for the cluster that it made or that the user named."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CLUSTER_SCRIPT = ROOT / "dev" / "cluster" / "cluster.py"


class CommandError(Exception):
    """A command failed; the text is what it said."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where a cluster is (`kubeconfig`) and the folder with the programs to speak to it (`tools`)."""

    kubeconfig: Path
    tools: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl. Raises CommandError with what it said."""
        return run(self.kubectl_command(*arguments), stdin)

    def kubectl_command(self, *arguments: str) -> list[str]:
        return [str(self.tools / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]

    def helm(self, *arguments: str) -> str:
        """Output of helm. Raises CommandError with what it said."""
        return run([str(self.tools / "helm"), f"--kubeconfig={self.kubeconfig}", *arguments])

    def get(self, *arguments: str) -> dict[str, Any]:
        """What `kubectl get ... --output=json` answers."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return answer

    def apply(self, namespace: str, manifests: str) -> None:
        self.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=manifests)


def is_users_own() -> bool:
    """Whether the cluster is one that the user named: nothing of it may be removed but what was added."""
    return os.environ.get("PERFSLO_CLUSTER") == "existing"


def bring_up() -> Cluster:
    """Brings a cluster up, or finds the one that is; it tells itself what it changes. Raises CommandError."""
    kubeconfig = _cluster_script("up")
    return Cluster(kubeconfig=Path(kubeconfig), tools=Path(_cluster_script("bin")))


def load_images() -> None:
    """Builds the images and puts them into the cluster. Raises CommandError."""
    _cluster_script("image")


def take_down() -> None:
    """Removes a cluster that `bring_up` made; the user's own stays. Raises CommandError."""
    _cluster_script("down")


def run(command: list[str], stdin: str | None = None) -> str:
    """Runs a command, its output returned. Raises CommandError with what it wrote to standard error."""
    done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"{' '.join(command[:1] + command[2:])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _cluster_script(*arguments: str) -> str:
    """The one line that the script answers; its progress goes to the terminal."""
    done = subprocess.run(
        [sys.executable, str(CLUSTER_SCRIPT), *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(
            f"dev/cluster/cluster.py {' '.join(arguments)} ended with status {done.returncode} (see above)"
        )
    return done.stdout.strip()
