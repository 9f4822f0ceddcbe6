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

Page = Callable[[], str]
"""Makes one exposition; an empty one is answered with 503."""


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
    """The kubelet's cAdvisor for one pod that uses `cores`, throttled in a quarter of its periods."""

    def __init__(self, namespace: str, pod: str, cores: float, memory_bytes: float) -> None:
        self._started = time.monotonic()
        self._cores = cores
        self._registry = CollectorRegistry()
        names = ["namespace", "pod", "container"]
        labels = namespace, pod, "app"
        self._cpu = Counter("container_cpu_usage_seconds", "CPU.", names, registry=self._registry).labels(*labels)
        self._periods = Counter("container_cpu_cfs_periods", "P.", names, registry=self._registry).labels(*labels)
        self._throttled = Counter("container_cpu_cfs_throttled_periods", "T.", names, registry=self._registry)
        self._throttled_here = self._throttled.labels(*labels)
        memory = Gauge("container_memory_working_set_bytes", "Memory.", names, registry=self._registry)
        memory.labels(*labels).set(memory_bytes)
        memory.labels(namespace, pod, "").set(memory_bytes * 100)
        self._done = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            passed = time.monotonic() - self._started - self._done
            self._done += passed
            self._cpu.inc(passed * self._cores)
            self._periods.inc(passed * 10)
            self._throttled_here.inc(passed * 2.5)
        return generate_latest(self._registry).decode()


class Exporter:
    """Serves pages by path; a page can be exchanged at run time."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.pages.get(self.path)
                body = page().encode() if page else b""
                self.send_response(200 if body else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
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
