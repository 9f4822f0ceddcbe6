"""An HTTP proxy before Prometheus that can fail as sources do, and lets the server evaluate at another time."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Exchange:
    """One request, on its way to the answer."""

    handler: BaseHTTPRequestHandler
    proxy: Proxy
    body: bytes

    def forwarded(self) -> tuple[int, bytes]:
        """Status and body as Prometheus answers them."""
        path = self.handler.path
        if self.proxy.at is not None:
            path += f"{'&' if '?' in path else '?'}time={self.proxy.at():.3f}"
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=30)
        try:
            kind = self.handler.headers.get("Content-Type")
            upstream.request(self.handler.command, path, self.body or None, {"Content-Type": kind} if kind else {})
            answer = upstream.getresponse()
            return answer.status, answer.read()
        finally:
            upstream.close()

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """Header names are written with underscores."""
        self.handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def edited(self, **fields: Any) -> None:
        """Prometheus' own answer, with these fields besides."""
        status, body = self.forwarded()
        self.send(status, json.dumps({**json.loads(body), **fields}).encode())


Fault = Callable[[Exchange], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that end anyhow are what this is for."""


class Proxy:
    def __init__(self, upstream: str, at: Callable[[], float] | None = None) -> None:
        self.upstream = upstream
        self.at = at
        """By this clock (Unix seconds) the server evaluates; None: by its own."""
        self.fault: Fault | None = None
        self.asked = 0
        self.stopped = Event()
        self._connections: set[socket.socket] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                proxy._connections.add(self.connection)

            def finish(self) -> None:
                proxy._connections.discard(self.connection)
                with suppress(OSError):  # what is left to be sent to nobody
                    super().finish()

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.asked += 1
                exchange = Exchange(self, proxy, body)
                try:
                    if proxy.fault:
                        proxy.fault(exchange)
                    else:
                        exchange.send(*exchange.forwarded())
                except OSError:
                    self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """End the connections there are, and refuse others from now on."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._server.shutdown()
            self._server.server_close()
            for connection in list(self._connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(upstream: str, at: Callable[[], float] | None = None) -> Iterator[Proxy]:
    proxy = Proxy(upstream, at)
    try:
        yield proxy
    finally:
        proxy.close()
