"""A real Prometheus as a child process on 127.0.0.1."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT

PROMETHEUS_3 = "prometheus"
PROMETHEUS_2 = "prometheus-2"
"""Programs in PATH; the second one is fetched where it is not there."""


@contextmanager
def prometheus(
    directory: Path,
    scrape_configs: Sequence[Mapping[str, Any]],
    interval: str = "1s",
    program: str = PROMETHEUS_3,
    **config: Any,
) -> Iterator[str]:
    """Starts Prometheus with these jobs and yields its address once it is ready."""
    binary = _program(program)
    directory.mkdir(parents=True, exist_ok=True)
    intervals = {"scrape_interval": interval, "scrape_timeout": interval}
    config = {"global": intervals, "scrape_configs": scrape_configs, **config}
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, address, directory / "log")
        yield address
    finally:
        process.kill()
        process.wait()
        log.close()


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    if name != PROMETHEUS_2:
        pytest.fail(f"these tests need the program `{name}` in PATH: `make test-cluster K=prometheus` puts it there")
    done = subprocess.run(
        [sys.executable, "dev/cluster/cluster.py", name], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        pytest.fail(f"these tests need a Prometheus 2 by the name `{name}` in PATH: {done.stderr}")
    return done.stdout.strip()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/-/ready", timeout=2).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not become ready:\n{log.read_text(errors='replace')[-2000:]}")
