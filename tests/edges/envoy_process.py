"""A real Envoy as a child process on 127.0.0.1, with a cluster named as Envoy Gateway names it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests


@dataclass(frozen=True)
class Envoy:
    admin: str
    """Address of /stats/prometheus."""
    proxy: str


@contextmanager
def envoy(directory: Path, cluster: str, upstream: str) -> Iterator[Envoy]:
    """Starts Envoy in front of `upstream` (host:port) and yields its addresses once it is ready."""
    binary = Path(str(files("envoy._bin") / "envoy"))
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        admin, proxy = one.getsockname()[1], other.getsockname()[1]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "envoy.json").write_text(json.dumps(_config(cluster, upstream, admin, proxy)))
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        [binary, "-c", directory / "envoy.json", "--disable-hot-restart", "--concurrency", "1", "-l", "error"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{admin}/ready", directory / "log")
        yield Envoy(f"127.0.0.1:{admin}", f"http://127.0.0.1:{proxy}")
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(address, timeout=2).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    pytest.fail(f"Envoy did not become ready:\n{log.read_text(errors='replace')[-2000:]}")


def _config(cluster: str, upstream: str, admin: int, proxy: int) -> dict[str, Any]:
    filters = "type.googleapis.com/envoy.extensions.filters"
    host, _, port = upstream.partition(":")
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    return {
        "stats_flush_interval": "0.2s",  # of histograms: 5 s by default, longer than a window of four scrapes a second
        "admin": {"address": _address("127.0.0.1", admin)},
        "static_resources": {
            "listeners": [
                {
                    "address": _address("127.0.0.1", proxy),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": cluster,
                    "load_assignment": {
                        "cluster_name": cluster,
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(host, int(port))}}]}],
                    },
                }
            ],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
