"""The operator as a process of its own, and what it takes."""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import daemons
from paths import STATE
from shell import ClusterError

from bench.scale.control_plane import KUBECONFIG, free_port

TICK = os.sysconf("SC_CLK_TCK")
PROBE_SECONDS = 0.25
_SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mebibytes(pid: int) -> float:
    """The largest resident set so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def resident_mebibytes(pid: int) -> float:
    """The resident set now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Operator:
    """One run of it."""

    prometheus: str
    status_writes_per_second: float
    timeout_seconds: float
    cycle_seconds: float
    name: str = "operator"
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """Start it."""
        settings = STATE / "settings.yaml"
        source = {"address": self.prometheus, "timeoutSeconds": self.timeout_seconds}
        settings.write_text(
            json.dumps(
                {
                    "sources": {"default": source},
                    "port": self.port,
                    "cycleSeconds": self.cycle_seconds,
                    "statusWritesPerSecond": self.status_writes_per_second,
                }
            )
        )
        command = (sys.executable, "-m", "perfslo", "run", "--settings", settings, "--kubeconfig", KUBECONFIG)
        self.started = time.time()
        daemons.start(self.name, command, {"POD_NAME": "bench"})

    def stop(self) -> None:
        """Stop it."""
        daemons.stop([self.name])

    @property
    def pid(self) -> int:
        """Raises ClusterError when it ended by itself."""
        if (pid := daemons.pid_of(self.name)) is None:
            raise ClusterError(f"the operator ended by itself. {daemons.log_tail(self.name)}")
        return pid

    def metrics(self, *names: str) -> dict[str, float]:
        """Some of its own metrics, summed over their labels."""
        query = "?" + "&".join(f"name[]={name}" for name in names)
        totals: dict[str, float] = {}
        for name, value in _SAMPLE.findall(self._get(f"/metrics{query}").decode()):
            totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def first_cycle_seconds(self, patience_seconds: float) -> float:
        """From the start of the process to the end of the first cycle that saw everything."""
        name = "perfslo_cycle_finished_timestamp_seconds"
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            assert self.pid
            try:
                if finished := self.metrics(name).get(name):
                    return finished - self.started
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.5)
        raise ClusterError(f"no cycle ended within {patience_seconds:.0f} s. {daemons.log_tail(self.name)}")

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        try:
            return connection.getresponse().read()
        finally:
            connection.close()


class Pulse:
    """How long the operator's event loop lets a probe wait: /livez, four times a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.milliseconds: list[float] = []
        self._thread.start()

    def stop(self) -> None:
        """Stop probing."""
        self._stop.set()
        self._thread.join()

    def quantile(self, q: float) -> float:
        """Of all probes, in milliseconds."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.wait(PROBE_SECONDS):
            begun = time.monotonic()
            try:
                connection.request("GET", "/livez")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
            self.milliseconds.append((time.monotonic() - begun) * 1000)
