"""What must not grow with the number of SLOs: a small run of bench/scale, with a real API server and Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SLOS = 200
FAMILIES = 4
"""Response time, throughput, utilization and errors."""
CHUNKS = 1
"""Two namespaces fit in one query."""
HISTORY = 2
"""One hour of the error budget a cycle: its buckets and its counts."""
CHECK = 1
"""Whether the buckets of a promise that looks broken are whole."""


@pytest.mark.cluster
def test_queries_and_writes_do_not_grow_with_slos(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.scale", "--slos", str(SLOS), "--minutes", "0.5", "--interval", "5"]
    done = subprocess.run(
        [*command, "--cycle", "5"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"dev/cluster{os.pathsep}.", "PERFSLO_CLUSTER_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    for series in ("noisy", "constant"):
        _asks_little(row[series])
    assert row["noisy"]["pod_changes"] > 0
    assert row["noisy"]["writes_a_second"] <= 5.0 * 1.5, "a burst of one cycle is allowed"
    # What a pod carries is still being learnt after a minute, and on a busy machine scrapes come late.
    assert sum(row["constant"]["writes"].values()) <= 0.1 * SLOS, "constant series are no news"
    assert row["constant"]["lease_writes"] > 0
    assert row["per_slo"]["queries_a_cycle"] == SLOS
    assert row["per_slo"]["without_a_number"] == 0, "the series that the operator was measured with are there"


def _asks_little(run: dict[str, Any]) -> None:
    assert run["cycles"] > 0
    assert run["queries_a_cycle"] <= 2 * FAMILIES + CHUNKS + HISTORY + CHECK
    assert run["queries_failed"] == 0
    assert run["in_flight"] <= 4
    assert run["rows_a_cycle"] >= 12 * SLOS
    assert run["cycle_errors"] == 0
