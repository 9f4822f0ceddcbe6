"""Fixtures that several folders share: the local cluster, and the CRDs on it."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
Done = subprocess.CompletedProcess[str]
LONGEST_FIRST = ("test_outage.py", "test_leadership.py")
CRDS = ("performanceslos.perfslo.io", "leverclaims.perfslo.io")

settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("untimed")


@dataclass(frozen=True)
class Cluster:
    """A running cluster, spoken to through its own kubectl."""

    kubeconfig: Path
    binaries: Path

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> Done:  # noqa: A002
        """Run kubectl; with `check`, a refusal fails the test with what kubectl said."""
        return self._run("kubectl", *args, input=input, check=check, timeout=120)

    def helm(self, *args: str, input: str | None = None, check: bool = True) -> Done:  # noqa: A002
        """Run helm, as kubectl."""
        return self._run("helm", *args, input=input, check=check, timeout=300)

    def _run(self, program: str, *args: str, input: str | None, check: bool, timeout: float) -> Done:  # noqa: A002
        done = subprocess.run(
            [str(self.binaries / program), f"--kubeconfig={self.kubeconfig}", *args],
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            pytest.fail(f"{program} {' '.join(args)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def get(self, *args: str) -> Any:
        """What `kubectl get ARGS -o json` prints."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def established(self, *crds: str) -> None:
        """Wait until these CRDs are served; `kubectl wait` fails while there is no condition at all."""
        path = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
        deadline = time.monotonic() + 60
        look = partial(self.kubectl, "get", f"--output={path}", check=False)
        while any(look(f"crd/{name}").stdout != "True" for name in crds):
            if time.monotonic() > deadline:
                pytest.fail(f"not established: {', '.join(crds)}")
            time.sleep(0.2)

    def explained(self, *crds: str) -> None:
        """Wait until their schemas are published, which comes a moment after they are served."""
        deadline = time.monotonic() + 60
        while any(self.kubectl("explain", name, check=False).returncode for name in crds):
            if time.monotonic() > deadline:
                pytest.fail(f"no schema is published for {', '.join(crds)}")
            time.sleep(0.5)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace of its own, deleted afterwards; tests run beside each other."""
        name = f"perfslo-test-{uuid4().hex[:8]}"
        self.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The local cluster; without one the test fails and says how to get it."""
    cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
    if cluster.kubectl("get", "--raw", "/readyz", check=False).stdout != "ok":
        pytest.fail(f"no cluster answers at {cluster.kubeconfig}: run `make cluster`")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> None:
    """The CRDs of this source tree, served. Test processes share the cluster: one at a time writes them."""
    serve_crds(cluster)


def serve_crds(cluster: Cluster) -> None:
    lock = Path(tempfile.gettempdir(), f"perfslo-tests-{os.getuid()}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        cluster.kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=perfslo-tests",
            f"--filename={ROOT / 'crds'}",
        )
        cluster.established(*CRDS)
        cluster.explained(*CRDS)


def cluster_py(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "dev/cluster/cluster.py", *command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.fail(f"no cluster is up: run `make cluster` ({done.stderr.strip() or done.stdout.strip()})")
    return done.stdout.strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest plays begin first, so that the others are over by the time they end."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
