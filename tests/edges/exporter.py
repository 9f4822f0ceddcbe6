"""A small exporter on 127.0.0.1; each URL path is one pod with traffic of a known kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STOCK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""OpenTelemetry's advice for http.server.request.duration."""

Page = Callable[[], str | bytes]
"""Makes one exposition, as text or as protobuf; an empty one is answered with 503."""
_TEXT = "text/plain; version=0.0.4"
_PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


class Service:
    """A pod with `per_second` requests that began when the object was made; one in ten fails, at `slow_seconds`."""

    def __init__(self, per_second: float, fast_seconds: float = 0.02, slow_seconds: float = 0.3) -> None:
        self._per_second = per_second
        self._durations = fast_seconds, slow_seconds
        self._registry = CollectorRegistry()
        self._histogram = Histogram(
            "http_server_request_duration_seconds",
            "Response time.",
            ["http_route", "http_response_status_code"],
            buckets=STOCK_BUCKETS,
            registry=self._registry,
        )
        in_flight = Gauge("http_server_active_requests", "In flight.", registry=self._registry)
        in_flight.set(3)
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._done = 0
        for _ in range(20):
            self._request()

    def _request(self) -> None:
        slow = self._done % 10 == 9
        status = "503" if slow else "200"
        self._histogram.labels("/", status).observe(self._durations[slow])
        self._done += 1

    def __call__(self) -> str:
        with self._lock:
            due = 20 + int((time.monotonic() - self._started) * self._per_second)
            while self._done < due:
                self._request()
        return generate_latest(self._registry).decode()


class Container:
    """The kubelet's cAdvisor for one pod that uses `cores`, throttled in a quarter of its periods.

    Each second it reads 1 kB from each of two disks and writes 3 kB, receives 20 kB on each of two interfaces and sends
    50 kB. As in life, there are rows that count the same again: of the whole pod, of its loopback, of its containers.
    """

    def __init__(self, namespace: str, pod: str, cores: float, memory_bytes: float) -> None:
        self._registry = CollectorRegistry()
        self._pod = {"namespace": namespace, "pod": pod}
        self._families: dict[str, Counter] = {}
        self._per_second = [
            (self._counter("cpu_usage_seconds", container="app"), cores),
            (self._counter("cpu_cfs_periods", container="app"), 10.0),
            (self._counter("cpu_cfs_throttled_periods", container="app"), 2.5),
            (self._counter("fs_reads_bytes", container="app", device="/dev/sda"), 1e3),
            (self._counter("fs_reads_bytes", container="app", device="/dev/sdb"), 1e3),
            (self._counter("fs_reads_bytes", container="", device="/dev/sda"), 1e6),
            (self._counter("fs_writes_bytes", container="app", device="/dev/sda"), 3e3),
            (self._counter("network_receive_bytes", container="", interface="eth0"), 20e3),
            (self._counter("network_receive_bytes", container="", interface="net1"), 20e3),
            (self._counter("network_receive_bytes", container="", interface="lo"), 1e6),
            (self._counter("network_receive_bytes", container="app", interface="eth0"), 20e3),
            (self._counter("network_transmit_bytes", container="POD", interface="eth0"), 50e3),
        ]
        memory = Gauge(
            "container_memory_working_set_bytes", "Memory.", [*self._pod, "container"], registry=self._registry
        )
        memory.labels(**self._pod, container="app").set(memory_bytes)
        memory.labels(**self._pod, container="").set(memory_bytes * 100)
        self._seen = time.monotonic()
        self._lock = threading.Lock()

    def _counter(self, name: str, **labels: str) -> Counter:
        if name not in self._families:
            names = [*self._pod, *labels]
            self._families[name] = Counter(f"container_{name}", name, names, registry=self._registry)
        return self._families[name].labels(**self._pod, **labels)

    def __call__(self) -> str:
        with self._lock:
            now = time.monotonic()
            for counter, per_second in self._per_second:
                counter.inc((now - self._seen) * per_second)
            self._seen = now
        return generate_latest(self._registry).decode()


class Exporter:
    """Serves pages by path; a page can be exchanged at run time."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.pages.get(self.path)
                made = page() if page else b""
                body = made.encode() if isinstance(made, str) else made
                self.send_response(200 if body else 503)
                self.send_header("Content-Type", _TEXT if isinstance(made, str) else _PROTOBUF)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Exporter:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
