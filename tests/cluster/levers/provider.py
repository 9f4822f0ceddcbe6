"""A CDN's hook, as docs/levers.md asks for one; runs in a pod and prints each request as a line of JSON.

Its first change succeeds and is answered with 503, as when an answer is lost.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SECRET = Path("/etc/hook/secret")
PORT = 8080
OLD_SECONDS = 300


class Provider(BaseHTTPRequestHandler):
    """Holds one value for all requests; one Idempotency-Key changes it once."""

    value = "off"
    done: dict[str, str] = {}  # noqa: RUF012  # for all requests

    def do_GET(self) -> None:
        self._answer(200 if self._is_signed(b"") else 401)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_signed(body):
            self._answer(401)
            return
        key, lost = self.headers["Idempotency-Key"], not self.done
        if key not in self.done:
            self.done[key] = Provider.value = json.loads(body)["value"]
        self._answer(503 if lost else 200, key)

    def _is_signed(self, body: bytes) -> bool:
        parts = dict(part.split("=", 1) for part in self.headers.get("Perfslo-Signature", "t=0,v1=").split(","))
        signed = hmac.new(SECRET.read_bytes(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(parts["v1"], signed) and abs(time.time() - int(parts["t"])) < OLD_SECONDS

    def _answer(self, status: int, key: str = "") -> None:
        print(json.dumps({"method": self.command, "status": status, "key": key, "value": self.value}), flush=True)
        content = json.dumps({"value": self.value}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Not twice."""


if __name__ == "__main__":
    HTTPServer(("", PORT), Provider).serve_forever()
