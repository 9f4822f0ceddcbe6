"""kopf, embedded as a watcher of one kind and nothing else: no finalizer, no annotation, no Event, no timer.

It has a thread and an event loop of its own. In the main thread it would take SIGTERM for itself, and when it ends it
cancels every task of its loop, whoever started that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import kopf
import structlog
from kubernetes.aio.client import Configuration

from perfslo.api.v1alpha1 import GROUP, VERSION
from perfslo.core.model import JSON

WORKER_SECONDS = 0.5
"""How long kopf keeps a task and a queue for an object after its last event: its first list starts thousands."""
RESTART_SECONDS = 5.0
"""kopf gives up on an ERROR event or a refused login; it is started again, and the process lives on."""
STOP_SECONDS = 10.0
TLS_CLOSE_SECONDS = 0.25
"""aiohttp closes TLS connections in the background (its documentation, "Graceful Shutdown")."""
IDENTITY: Any = "perfslo"
"""Means nothing without peering; kopf's default is the user's name, which the user of a pod does not have."""

log = structlog.get_logger(__name__)

Saw = Callable[[str | None, JSON], None]
Knows = Callable[[JSON], bool]


class _NoHistory(kopf.DiffBaseStorage):
    """Without it kopf copies each object, to find out what changed in it for handlers that we do not have."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass


class KopfWatch:
    """Calls `saw(event type, object)` in the loop that runs it; the type is None for what was listed.

    What was listed and is known already is left out: `knows` is asked in kopf's thread.
    """

    def __init__(
        self, configuration: Configuration, plural: str, namespaces: tuple[str, ...], saw: Saw, knows: Knows
    ) -> None:
        self._configuration = configuration
        self._plural = plural
        self._namespaces = namespaces
        self._saw = saw
        self._knows = knows
        self._stopping = threading.Event()
        self._wake: Callable[[], object] = lambda: None
        self.restarts = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else there is a line for each event
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it misses the signals: as it should
        while True:
            try:
                await self._once()
            except Exception as error:
                log.warning("the watch ended, starting it again", problem=f"{type(error).__name__}: {error}")
            self.restarts += 1
            await asyncio.sleep(RESTART_SECONDS)

    async def _once(self) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def thread() -> None:
            problem: BaseException | None = None
            try:
                asyncio.run(self._operate(loop))
            except BaseException as error:
                problem = error
            with suppress(RuntimeError):  # our loop may be closed by now
                loop.call_soon_threadsafe(ended.set_result, problem)

        threading.Thread(target=thread, name="kopf", daemon=True).start()
        try:
            problem = await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._stopping.set()
            self._wake()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended, STOP_SECONDS)
            raise
        if problem:
            raise problem

    async def _operate(self, ours: asyncio.AbstractEventLoop) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(stop.set)
        if self._stopping.is_set():
            return
        await kopf.operator(
            registry=self._registry(ours),
            settings=_settings(),
            standalone=True,
            identity=IDENTITY,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stop,
        )
        await asyncio.sleep(TLS_CLOSE_SECONDS)

    def _registry(self, ours: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(id="login", registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return await _connection(self._configuration)

        @kopf.on.event(GROUP, VERSION, self._plural, id="seen", registry=registry)
        async def event(event: Any, **_: Any) -> None:
            if event["type"] is not None or not self._knows(event["object"]):
                ours.call_soon_threadsafe(self._saw, event["type"], event["object"])

        return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.persistence.finalizer = "perfslo.io/unused"
    settings.persistence.diffbase_storage = _NoHistory()
    settings.queueing.idle_timeout = WORKER_SECONDS
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = [1, 1, 2, 3] + [5] * 100_000  # outlive any outage, be back within 5 s
    settings.watching.inactivity_timeout = 70
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = 500
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    return settings


async def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The same cluster and account that everything else here uses."""
    auth = (await configuration.auth_settings()).get("BearerToken")
    scheme, _, token = str(auth["value"]).partition(" ") if auth else ("", "", "")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token.strip() or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
    )
