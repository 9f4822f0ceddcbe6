"""What is the matter is named, whatever befalls a service: five times each."""

from __future__ import annotations

import pytest

from bench.diagnose.cluster import AT_ONCE, CLASSES, RUNS, measure, right
from tests.conftest import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.mark.parametrize("name", CLASSES)
def test_what_befalls_a_service_is_named(cluster: Cluster, crds: None, name: str) -> None:
    found = [cause for _, cause in measure(cluster, [name] * RUNS, AT_ONCE)]
    print(f"{name}: {found}")
    assert right(name, found) >= RUNS - 1
