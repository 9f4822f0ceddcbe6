"""Each scenario gets a stage of its own, so that they play side by side."""

import json
from collections.abc import Iterator

import pytest

from perfslo.core.model import JSON
from tests.cluster.mirrors import definition
from tests.cluster.stage import Stage, staged
from tests.conftest import Cluster

KEDA = "scaledobjects.keda.sh"


@pytest.fixture
def stage(cluster: Cluster, crds: None) -> Iterator[Stage]:
    with staged(cluster) as stage:
        yield stage


@pytest.fixture
def widgets(stage: Stage) -> Iterator[str]:
    """The API group of a kind Widget (v1) with /scale, which is the test's own."""
    group = f"{stage.namespace}.example.com"
    yield from _defined(stage.cluster, definition(group, "Widget"), group)


@pytest.fixture
def rocks(stage: Stage) -> Iterator[str]:
    """The API group of a kind Rock (v1) without /scale, which is the test's own."""
    group = f"{stage.namespace}.example.org"
    yield from _defined(stage.cluster, definition(group, "Rock", scale=False), group)


def _defined(cluster: Cluster, crd: JSON, group: str) -> Iterator[str]:
    name = crd["metadata"]["name"]
    cluster.kubectl("create", "--filename=-", input=json.dumps(crd))
    cluster.established(name)
    yield group
    cluster.kubectl("delete", f"crd/{name}", "--wait=false")


@pytest.fixture(scope="session")
def keda(cluster: Cluster) -> None:
    """KEDA's kind, though not KEDA. It stays, because other test processes may be using it."""
    crd = definition("keda.sh", "ScaledObject", scale=False)
    crd["spec"]["versions"][0]["name"] = "v1alpha1"
    if cluster.kubectl("get", "crd", KEDA, check=False).returncode:
        cluster.kubectl(
            "apply", "--server-side", "--field-manager=perfslo-tests", "--filename=-", input=json.dumps(crd)
        )
    cluster.established(KEDA)
