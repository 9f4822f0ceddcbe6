"""A TCP proxy between a client and the API server that can fail as networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

CHUNK_BYTES = 65_536


class Proxy:
    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: set[asyncio.Task[None]] = set()
        self.refusing = False

    def cut(self) -> None:
        """Break every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Let nothing more through the connections there are, without closing them; new ones work."""
        self._frozen |= self._tasks

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if not self.refusing:
                await self._connect(reader, writer, task)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            await _close(writer)

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: asyncio.Task[None]
    ) -> None:
        from_server, to_server = await asyncio.open_connection(*self._upstream)
        self._writers.add(to_server)
        pumps = [
            asyncio.create_task(self._pump(source, sink, connection))
            for source, sink in ((reader, to_server), (from_server, writer))
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(to_server)
            await _close(to_server)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, connection: asyncio.Task[None]
    ) -> None:
        while data := await source.read(CHUNK_BYTES):
            if connection not in self._frozen:
                sink.write(data)
                await sink.drain()

    async def close(self) -> None:
        self.refusing = True
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _redirected(kubeconfig: Path, copy: Path, server: str) -> str:
    """Copy the kubeconfig with another server; returns the one that it had."""
    config = yaml.safe_load(kubeconfig.read_text())
    (cluster,) = config["clusters"]
    before: str = cluster["cluster"]["server"]
    cluster["cluster"]["server"] = server
    copy.write_text(yaml.safe_dump(config))
    return before


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def proxied(kubeconfig: Path, copy: Path) -> AsyncIterator[Proxy]:
    """A proxy to that kubeconfig's API server, and a copy of the kubeconfig that goes through it."""
    server = urlsplit(_redirected(kubeconfig, copy, ""))
    assert server.hostname
    proxy = Proxy(server.hostname, server.port or 443)
    listener = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    _redirected(kubeconfig, copy, f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
        await listener.wait_closed()
