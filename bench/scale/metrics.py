"""Prometheus, the exporter that it scrapes, and what its log of queries tells about whoever asked."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import daemons
from paths import STATE
from shell import wait_until

from bench.scale.control_plane import free_port
from bench.scale.exporter import TARGETS

DIRECTORY = STATE / "prometheus"
QUERY_LOG = DIRECTORY / "queries.log"


@dataclass(frozen=True)
class Load:
    """What Prometheus did for some queries; how many there were, the operator counts itself."""

    seconds: float = 0.0
    """Of evaluation, all queries together."""
    in_flight: int = 0
    """How many were evaluated at once, at most."""


class Prometheus:
    """One server, with an exporter whose series can be exchanged for others."""

    def __init__(self, programs: Path, services: int, interval_seconds: float) -> None:
        self._services = services
        self._interval = interval_seconds
        self._exporter_port = free_port()
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        (DIRECTORY / "prometheus.yml").write_text(json.dumps(self._configuration()))
        self._command: tuple[str | Path, ...] = (
            programs / "prometheus",
            f"--config.file={DIRECTORY / 'prometheus.yml'}",
            f"--storage.tsdb.path={DIRECTORY / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )
        self._read = 0

    def start(self, noisy: bool) -> None:
        """Start both."""
        self.expose(noisy)
        daemons.start("prometheus", self._command)
        wait_until(
            "Prometheus",
            lambda: self._ready(),
            timeout_seconds=60,
            on_timeout=lambda: daemons.log_tail("prometheus"),
        )

    def expose(self, noisy: bool) -> None:
        """Serve these series from now on; counters begin anew, as after a deployment of everything."""
        daemons.stop(["exporter"])
        arguments = ("--port", str(self._exporter_port), "--services", str(self._services))
        kind = ("--noisy",) if noisy else ()
        command = (sys.executable, "-m", "bench.scale.exporter", *arguments, "--interval", str(self._interval), *kind)
        daemons.start("exporter", command)

    def stop(self) -> None:
        """Stop both."""
        daemons.stop(("prometheus", "exporter"))

    def ask(self, query: str) -> Any:
        """The result of an instant query."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/api/v1/query?" + urlencode({"query": query}))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["data"]["result"]

    def load(self) -> Load:
        """Of the queries since the last call."""
        if not QUERY_LOG.exists():
            return Load()
        with QUERY_LOG.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._read += sum(map(len, whole))
        return _load(map(json.loads, whole))

    def _ready(self) -> bool:
        try:
            return isinstance(self.ask("vector(1)"), list)
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return False

    def _configuration(self) -> Mapping[str, Any]:
        def job(name: str, path: str) -> Mapping[str, Any]:
            here = f"127.0.0.1:{self._exporter_port}"
            return {
                "job_name": name,
                "static_configs": [
                    {"targets": [here], "labels": {"__metrics_path__": f"/{path}/{n}", "instance": f"{name}-{n}"}}
                    for n in range(TARGETS)
                ],
            }

        every = f"{self._interval:g}s"
        return {
            "global": {"scrape_interval": every, "scrape_timeout": every, "query_log_file": str(QUERY_LOG)},
            "scrape_configs": [job("pods", "pods"), job("kubelet", "kubelets")],
        }


def _load(entries: Iterable[Mapping[str, Any]]) -> Load:
    spans = []
    for entry in entries:
        ended = datetime.fromisoformat(entry["time"]).timestamp()
        seconds = entry["stats"]["timings"]["execTotalTime"]
        spans.append((ended - seconds, ended))
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return Load(sum(ended - begun for begun, ended in spans), most)
