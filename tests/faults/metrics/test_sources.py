"""A source that fails, in every way there is: nothing is reduced, nothing is raised, and the sentence says why."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfslo.core.model import Histogram
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Source
from tests.faults.metrics import table
from tests.faults.metrics.histories import BEGIN, DUE, EVERY_SECONDS, remembered, steady
from tests.faults.metrics.play import Play, Seen, StageClock, held, promise
from tests.faults.metrics.proxy import Exchange, Fault, Proxy, proxied
from tests.faults.metrics.table import Expected, named

pytestmark = pytest.mark.cluster

TIMEOUT_SECONDS = 2.0
"""Long enough for an answer on a busy machine; what does not answer is waited for so long in each cycle."""
AFTER = 4
"""Cycles that are watched from the one in which the reduction is due."""
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    with remembered(tmp_path_factory.mktemp("prometheus"), {"web": steady(), "well": steady()}) as (address, origin):
        yield address, origin


@dataclass
class Stage:
    """`web` is measured through a proxy that fails on demand; `well`, its like, beside it."""

    play: Play
    sources: Sources
    proxy: Proxy
    origin: float

    async def until(self, seconds: float) -> list[Mapping[str, Seen]]:
        return await self.play.until(self.origin + seconds)

    def fail(self, fault: Fault | None) -> None:
        """Fail in this way from now on; None: nobody listens any more."""
        self.proxy.fault = fault
        if fault is None:
            self.proxy.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("issued")
    return file


@asynccontextmanager
async def staged(past: tuple[str, float], token: Path, timeout_seconds: float) -> AsyncIterator[Stage]:
    address, origin = past
    clock = StageClock(origin + BEGIN)
    with proxied(address, clock.time) as faulty, proxied(address, clock.time) as other:
        sources = Sources(
            {
                "default": Source(address=faulty.address, timeout_seconds=timeout_seconds, bearer_token_file=token),
                "other": Source(address=other.address),
            },
            presets.load(),
        )
        play = Play(sources, clock)
        play.add("web", promise(), 4)
        play.add("well", promise("other"), 4)
        yield Stage(play, sources, faulty, origin)
        await sources.close()


def hang(exchange: Exchange) -> None:
    exchange.proxy.stopped.wait()


def slow(exchange: Exchange) -> None:
    if not exchange.proxy.stopped.wait(30):
        exchange.send(*exchange.forwarded())


def drip(exchange: Exchange) -> None:
    exchange.handler.send_response(200)
    exchange.handler.send_header("Content-Length", "1000000")
    exchange.handler.end_headers()
    while not exchange.proxy.stopped.wait(TIMEOUT_SECONDS / 10):
        exchange.handler.wfile.write(b" ")


def unavailable(exchange: Exchange) -> None:
    exchange.send(503, b"Service Unavailable")


def web_page(exchange: Exchange) -> None:
    exchange.send(200, b"<html>Please log in</html>", Content_Type="text/html")


def truncated(exchange: Exchange) -> None:
    status, body = exchange.forwarded()
    exchange.send(status, body[: len(body) // 2], Content_Length=str(len(body)), Connection="close")
    exchange.handler.close_connection = True


def large(exchange: Exchange) -> None:
    """Spaces are JSON, and Prometheus' own answer follows."""
    status, body = exchange.forwarded()
    exchange.handler.send_response(status)
    exchange.handler.send_header("Content-Length", str(100 * MEGABYTE + len(body)))
    exchange.handler.end_headers()
    for _ in range(100):
        exchange.handler.wfile.write(b" " * MEGABYTE)
    exchange.handler.wfile.write(body)


PACKED = gzip.compress(b" " * 100 * MEGABYTE, 1)


def bomb(exchange: Exchange) -> None:
    exchange.send(200, PACKED, Content_Encoding="gzip")


def redirect(exchange: Exchange) -> None:
    exchange.send(302, b"", Location=exchange.proxy.upstream + exchange.handler.path)


def only_with(token: str) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        if exchange.handler.headers.get("Authorization") == f"Bearer {token}":
            exchange.send(*exchange.forwarded())
        else:
            exchange.send(401, b"")

    return answer


def partial(exchange: Exchange) -> None:
    exchange.edited(isPartial=True)


def warned(exchange: Exchange) -> None:
    exchange.edited(warnings=["could not reach store 10.0.0.1:10901"])


FAULTS: Mapping[str, Fault | None] = {
    "Prometheus is down, or refuses": None,
    "hanging: it accepts and says nothing": hang,
    "30 s slow": slow,
    "a body that drips and does not end": drip,
    "503": unavailable,
    "wrong content": web_page,
    "truncated body": truncated,
    "100 MB body": large,
    "a small body that unpacks to 100 MB": bomb,
    "redirect": redirect,
    "expired token": only_with("renewed"),
    "partial response": partial,
    "partial response with warnings": warned,
}


@pytest.mark.parametrize("expected", table.SOURCE, ids=lambda expected: expected.fault)
async def test_a_source_that_fails_holds_what_was_due(past: tuple[str, float], token: Path, expected: Expected) -> None:
    fault = FAULTS[expected.fault]
    async with staged(past, token, TIMEOUT_SECONDS if fault in (hang, slow, drip) else 60.0) as stage:
        before = await stage.until(DUE - EVERY_SECONDS)
        assert isinstance(before[-1]["web"].latency, Histogram)
        stage.fail(fault)
        cycles = await stage.until(DUE + (AFTER - 1) * EVERY_SECONDS)
        assert cycles[0]["well"].moved == -1, "the same workload, measured by a source that is well"
        for seen in held(cycles, "web"):
            assert named(seen.latency) == named(seen.load) == expected.signal
            assert seen.turn.observation
            assert seen.turn.observation.source_problem == seen.latency
            status, reason, message = seen.condition("MetricsAvailable")
            assert (status, reason) == ("False", expected.condition)
            assert "nothing is reduced meanwhile" in message
            assert expected.sentence in seen.sentence
            assert seen.sentence.startswith("hold: ")
            assert seen.status.summary.state == "Unknown"
            assert seen.condition("Ready")[0] == "True"
        assert stage.sources.open_breakers == {"default"}
