"""Pods that stop and start being ready: one in a hundred a minute."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
import time

from paths import PKI

from bench.scale import objects
from bench.scale.objects import Service

SHARE_A_MINUTE = 0.01


class Churn:
    """Changes the status of pods of n services until it is stopped; each is ready again a minute later."""

    def __init__(self, port: int, services: int) -> None:
        self._port = port
        self._services = objects.services(services)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.changes = 0
        self._thread.start()

    def stop(self) -> None:
        """Change nothing more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
        context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=context, timeout=30)
        pause = 60 / (SHARE_A_MINUTE * objects.PODS * len(self._services))
        down: list[tuple[float, Service, int]] = []
        while not self._stop.wait(pause):
            now = time.monotonic()
            if down and down[0][0] < now:
                _, service, number = down.pop(0)
                self._set(connection, service, number, ready=True)
            else:
                service, number = random.choice(self._services), random.randrange(objects.PODS)
                self._set(connection, service, number, ready=False)
                down.append((now + 60, service, number))

    def _set(self, connection: http.client.HTTPSConnection, service: Service, number: int, ready: bool) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        connection.request(
            "PATCH",
            f"/api/v1/namespaces/{service.namespace}/pods/{service.pods[number]}/status",
            json.dumps({"status": {"conditions": objects.pod_conditions(ready, now)}}),
            {"Content-Type": "application/strategic-merge-patch+json"},
        )
        answer = connection.getresponse()
        answer.read()
        self.changes += answer.status == 200
