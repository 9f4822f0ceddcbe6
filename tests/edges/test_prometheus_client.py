"""What becomes of every way in which a source can fail: a class of error, soon, and never its words."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from perfslo.core.measure import Row, Wanted, observe
from perfslo.core.model import Missing, Replicas
from perfslo.edges import presets
from perfslo.edges.prometheus.client import Client
from perfslo.edges.prometheus.source import MAX_IN_FLIGHT, Sources
from perfslo.edges.prometheus.state import FAILED_CYCLES_TO_OPEN
from perfslo.errors import QueryRejected, SourceError, SourceRejected, SourceUnreachable, SourceUnwell
from perfslo.settings import Source
from tests.edges.test_prometheus_source import spec

SECRET = "s3cr3t-in-the-body"
TIMEOUT_SECONDS = 1.0
MAX_BYTES = 100_000


def vector(*samples: tuple[dict[str, str], Any], **more: Any) -> bytes:
    result = [{"metric": labels, "value": [1.5, value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


def native(histogram: Any) -> bytes:
    result = [{"metric": {"perfslo_workload": "web"}, "histogram": [1.5, histogram]}]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing: a client that is turned away is no fault."""


class FaultServer:
    """Answers as `answer` tells it, and remembers what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = respond(200, vector())
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.stop = Event()
        fault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                fault.requests.append((self.command, self.path, dict(self.headers), body))
                try:
                    fault.answer(self)
                except ConnectionError:
                    self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

            def setup(self) -> None:
                if tls:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.request.close()

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


def respond(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    client = Client(a_source(server))
    yield client
    client.close()


def a_source(server: FaultServer, **more: Any) -> Source:
    return Source(address=server.address, timeout_seconds=TIMEOUT_SECONDS, max_response_bytes=MAX_BYTES, **more)


def refusal(kind: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": SECRET}).encode()


UNWELL = {
    "503": respond(503, SECRET.encode()),
    "500": respond(500, refusal("internal")),
    "query timed out": respond(503, refusal("timeout")),
    "429": respond(429, b""),
    "html": respond(200, b"<html>" + SECRET.encode()),
    "empty": respond(200, b""),
    "no json object": respond(200, b"[1]"),
    "an error with status 200": respond(200, refusal("internal")),
    "a matrix": respond(200, vector().replace(b'"vector"', b'"matrix"')),
    "a scalar": respond(200, b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}'),
    "no number": respond(200, vector(({}, SECRET))),
    "a missing value": respond(200, vector(({}, None))),
    "neither a number nor a histogram": respond(200, vector(({}, "1")).replace(b'"value"', b'"worth"')),
    "no histogram": respond(200, native({"count": "5", "buckets": [[0, "0.1", "0.2"]]})),
    "a histogram without a count": respond(200, native({"sum": "5"})),
    "too large": respond(200, b" " * (MAX_BYTES + 1) + vector()),
    "a small body that unpacks to a large one": respond(
        200, packed := gzip.compress(b" " * 50_000_000), Content_Encoding="gzip", Content_Length=str(len(packed))
    ),
    "not gzip": respond(200, b"abc", Content_Encoding="gzip"),
    "truncated": respond(200, vector(({"a": "b"}, "1"))[:-20]),
    "shorter than it says": respond(200, vector()[:-9], Content_Length=str(len(vector())), Connection="close"),
    "partial": respond(200, vector(isPartial=True)),
    "with warnings": respond(200, vector(warnings=["remote read: " + SECRET])),
}
REJECTED = {
    "401": respond(401, SECRET.encode()),
    "403": respond(403, b""),
    "404": respond(404, b"404 page not found"),
    "400 by a proxy": respond(400, b"<html>"),
    "a redirect": respond(302, b"", Location="http://127.0.0.2:9/elsewhere"),
}


@pytest.mark.parametrize("fault", UNWELL)
def test_an_answer_that_cannot_be_trusted_is_unwell(server: FaultServer, client: Client, fault: str) -> None:
    server.answer = UNWELL[fault]
    failure = failing(client)
    assert isinstance(failure, SourceUnwell)
    assert len(server.requests) == 1, "nothing is asked again"


@pytest.mark.parametrize("fault", REJECTED)
def test_a_no_is_rejected(server: FaultServer, client: Client, fault: str) -> None:
    server.answer = REJECTED[fault]
    failure = failing(client)
    assert isinstance(failure, SourceRejected)
    assert not isinstance(failure, QueryRejected)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution")])
def test_a_no_to_the_query_alone(server: FaultServer, client: Client, status: int, kind: str) -> None:
    server.answer = respond(status, refusal(kind))
    assert isinstance(failing(client), QueryRejected)


def hang(server: FaultServer) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(_: BaseHTTPRequestHandler) -> None:
        server.stop.wait()
        raise ConnectionError

    return answer


def drip(server: FaultServer) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not server.stop.wait(TIMEOUT_SECONDS / 10):
            handler.wfile.write(b" ")

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()
    raise ConnectionError


@pytest.mark.parametrize("slow", [hang, drip])
def test_a_source_that_does_not_end_is_left(
    server: FaultServer, client: Client, slow: Callable[[FaultServer], Callable[[BaseHTTPRequestHandler], None]]
) -> None:
    server.answer = slow(server)
    with ThreadPoolExecutor(1) as pool:
        failure = pool.submit(failing, client).result(timeout=20 * TIMEOUT_SECONDS)
    assert isinstance(failure, SourceUnreachable)
    assert "in time" in str(failure)


def test_a_connection_that_ends_at_once(server: FaultServer, client: Client) -> None:
    server.answer = hang_up
    assert isinstance(failing(client), SourceUnreachable)


def test_nobody_listens(server: FaultServer) -> None:
    server.close()
    assert isinstance(failing(Client(a_source(server))), SourceUnreachable)


def failing(client: Client) -> SourceError:
    with pytest.raises(SourceError) as failure:
        client.query('up{password="hunter2"}')
    said = f"{failure.value!s} {failure.value!r} {failure.value.__cause__!r}"
    for word in (SECRET, "hunter2", "127.0.0", "query="):
        assert word not in said
    return failure.value


def test_rows_come_with_numbers_as_they_are(server: FaultServer, client: Client) -> None:
    server.answer = respond(200, vector(({"a": "b"}, "2.5"), ({}, "NaN"), ({}, "+Inf"), ({}, "-1e3")))
    first, nan, inf, negative = client.query("up").rows
    assert first == Row({"a": "b"}, 2.5)
    assert nan.value != nan.value
    assert (inf.value, negative.value) == (float("inf"), -1000.0)


def test_native_histograms_come_with_their_buckets(server: FaultServer, client: Client) -> None:
    buckets = [[3, "-0.001", "0.001", "2"], [0, "0.25", "0.5", "3.5"], [0, "5", "+Inf", "1"]]
    server.answer = respond(200, native({"count": "6.5", "sum": "9.25", "buckets": buckets}))
    (row,) = client.query("up").rows
    assert row == Row(
        {"perfslo_workload": "web"}, 6.5, ((-0.001, 0.001, 2.0), (0.25, 0.5, 3.5), (5.0, float("inf"), 1.0))
    )
    server.answer = respond(200, native({"count": "0", "sum": "0"}))
    assert client.query("up").rows == (Row({"perfslo_workload": "web"}, 0.0, ()),)


def test_remarks_about_the_query_are_kept(server: FaultServer, client: Client) -> None:
    server.answer = respond(200, vector(warnings=["PromQL warning: x"], infos=["PromQL info: y"]))
    assert client.query("up").remarks == ("PromQL warning: x", "PromQL info: y")


def test_the_query_arrives_as_written_short_or_long(server: FaultServer, client: Client) -> None:
    for query in ('up{a="é + & %"}', "up" * 5000):
        client.query(query)
        method, path, _, body = server.requests.pop()
        sent = parse_qs(body if method == "POST" else urlsplit(path).query)
        assert sent["query"] == [query]
        assert "time" not in sent, "the server's clock counts"
        assert len(path) < 8000
        assert urlsplit(path).path == "/api/v1/query"


def test_the_environments_proxies_are_not_used(
    server: FaultServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client.query("up")
    assert len(server.requests) == 1


def test_a_rotated_token_is_used_at_once(server: FaultServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    client = Client(a_source(server, bearer_token_file=file))
    assert isinstance(failing(client), SourceUnreachable)
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        client.query("up")
        assert server.requests[-1][2]["Authorization"] == f"Bearer {token}"
    file.write_text("two\nlines")
    assert isinstance(failing(client), SourceUnreachable)
    client.close()


def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    source = Source(address="https://127.0.0.1:9", ca_file=tmp_path / "nothing.pem", timeout_seconds=TIMEOUT_SECONDS)
    assert isinstance(failing(Client(source)), SourceUnreachable)


WANTED = [
    Wanted(f"shop/{name}", "shop", frozenset({name}), "default", "http-server", spec()) for name in ("web", "db", "c")
]


async def test_a_source_that_is_unwell_holds_all_its_slos(server: FaultServer) -> None:
    server.answer = respond(503, b"")
    other = FaultServer()
    sources = Sources({"default": a_source(server), "other": a_source(other)}, presets.load())
    its = spec({"source": "other"})
    well = Wanted("shop/other", "shop", frozenset({"web"}), "other", "http-server", its)
    series = await sources.measure([*WANTED, well])
    for wanted in WANTED:
        observation = observe(wanted.spec, Replicas(1, 1), series[wanted.key], 15.0, time.time())
        assert observation.source_problem == Missing("PrometheusUnwell", "it answered with status 503")
        assert observation.latency["p95"] == observation.cpu_cores == observation.source_problem
    assert series[well.key].source_problem is None
    assert sources.stats["default"].errors == {"PrometheusUnwell": sources.stats["default"].queries}
    await sources.close()
    other.close()


async def test_a_broken_source_is_probed_by_one_query_a_cycle_and_recovers(server: FaultServer) -> None:
    sources = Sources({"default": a_source(server)}, presets.load())
    server.answer = respond(503, b"")
    for _ in range(FAILED_CYCLES_TO_OPEN):
        await sources.measure(WANTED)
    assert sources.open_breakers == {"default"}
    for _ in range(3):
        asked = len(server.requests)
        await sources.measure(WANTED)
        assert len(server.requests) == asked + 1
    server.answer = respond(200, vector())
    series = await sources.measure(WANTED)
    assert series["shop/web"].source_problem is None
    assert not sources.open_breakers
    await sources.close()


async def test_a_source_that_fails_in_the_second_round_is_unwell_too(server: FaultServer) -> None:
    age = ({"namespace": "shop", "perfslo_workload": "web", "part": "age"}, "-1")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        first = any(word in handler.path for word in ("%22age%22", "__name__"))
        respond(200, vector(age))(handler) if first else respond(502, b"")(handler)

    server.answer = answer
    sources = Sources({"default": a_source(server)}, presets.load())
    series = await sources.measure(WANTED)
    assert series["shop/web"].source_problem
    assert sources.stats["default"].errors.keys() == {"PrometheusUnwell"}
    await sources.close()


async def test_native_histograms_that_turn_up_are_asked_for_at_once_and_from_then_on(server: FaultServer) -> None:
    labels = {"namespace": "shop", "perfslo_workload": "web"}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if '"native"' in (asked := parse_qs(urlsplit(handler.path).query)["query"][0]):
            respond(200, vector(({**labels, "part": "native"}, "-1")))(handler)
        elif "timestamp(http_server_request_duration_seconds{" in asked:
            respond(200, vector(({**labels, "part": "age"}, "-1"), ({**labels, "part": "60s"}, "4")))(handler)
        elif "histogram_count(increase" in asked:
            respond(200, vector((labels, "600")))(handler)
        else:
            respond(200, vector())(handler)

    server.answer = answer
    sources = Sources({"default": a_source(server)}, presets.load())
    series = await sources.measure(WANTED)
    assert series["shop/web"].completions == (Row({}, 600.0),)
    first = len(server.requests)
    await sources.measure(WANTED)
    assert len(server.requests) - first < first, "they are remembered"
    assert not [path for _, path, *_ in server.requests[first:] if "%22native%22" in path]
    await sources.close()


def many_different() -> list[Wanted]:
    """SLOs that share no query."""
    its = [spec({"matchers": [{"label": "a", "value": str(number)}]}) for number in range(20)]
    return [Wanted(f"shop/{n}", "shop", frozenset({"w"}), "default", "http-server", one) for n, one in enumerate(its)]


async def test_no_more_than_four_queries_are_in_flight(server: FaultServer) -> None:
    server.answer = hang(server)
    sources = Sources({"default": a_source(server)}, presets.load())
    await sources.measure(many_different())
    assert len(server.requests) == MAX_IN_FLIGHT, "those that waited are not sent once the source has failed"
    await sources.close()


async def test_a_source_that_needs_longer_than_a_cycle_for_all_its_answers_is_left(server: FaultServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        server.stop.wait(TIMEOUT_SECONDS / 5)
        respond(200, vector())(handler)

    server.answer = answer
    slow = Source(address=server.address, timeout_seconds=60)
    sources = Sources({"default": slow}, presets.load(), patience_seconds=TIMEOUT_SECONDS / 4)
    wanted = many_different()
    series = await sources.measure(wanted)
    assert {one.source_problem.reason for one in series.values() if one.source_problem} == {"PrometheusSlow"}
    assert len(series) == len(wanted)
    assert len(server.requests) < len(wanted), "the rest is not asked"
    assert sources.stats["default"].errors.keys() == {"PrometheusSlow"}
    await sources.measure(wanted)
    assert sources.open_breakers == {"default"}
    await sources.close()


OWN = {"queries": {"buckets": "increase(own_bucket[$window])", "requests": "increase(own_count[$window])"}}


def with_own_queries(number: int) -> Wanted:
    its = spec({"preset": "custom", "custom": OWN, "matchers": [{"label": "a", "value": str(number)}]})
    return Wanted(f"shop/own-{number}", "shop", frozenset({"w"}), "default", "custom", its)


async def test_queries_that_slos_wrote_are_asked_last_and_harm_nobody_else(server: FaultServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        respond(502, b"")(handler) if "own_" in handler.path else respond(200, vector())(handler)

    server.answer = answer
    sources = Sources({"default": a_source(server)}, presets.load())
    await sources.measure(WANTED)
    server.requests.clear()
    await sources.measure(WANTED)
    shared = len(server.requests)
    for _ in range(FAILED_CYCLES_TO_OPEN + 1):
        server.requests.clear()
        series = await sources.measure([with_own_queries(1), *WANTED])
        assert ["own_" in path for _, path, *_ in server.requests].index(True) >= shared
        sampling = series["shop/own-1"].sampling
        assert isinstance(sampling, Missing)
        assert sampling.reason == "PrometheusUnwell"
        assert not any(one.source_problem for one in series.values())
    assert not sources.open_breakers
    await sources.close()


async def test_queries_that_slos_wrote_get_what_time_is_left(server: FaultServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        server.stop.wait(TIMEOUT_SECONDS / 5 if "own_" in handler.path else 0)
        respond(200, vector())(handler)

    server.answer = answer
    sources = Sources({"default": a_source(server)}, presets.load(), patience_seconds=TIMEOUT_SECONDS / 4)
    wanted = [*WANTED, *map(with_own_queries, range(20))]
    left_out = set()
    for _ in range(2):
        series = await sources.measure(wanted)
        assert not any(one.source_problem for one in series.values())
        slow = {
            key
            for key, one in series.items()
            if isinstance(one.sampling, Missing) and one.sampling.reason == "QueryTooSlow"
        }
        assert slow
        assert all(key.startswith("shop/own-") for key in slow)
        left_out.add(frozenset(slow))
    assert len(left_out) == 2, "not always the same"
    await sources.close()


async def test_no_source_waits_for_one_that_hangs(server: FaultServer) -> None:
    server.answer = hang(server)
    other = FaultServer()
    slow = Source(address=server.address, timeout_seconds=60)
    sources = Sources({"default": slow, "other": a_source(other)}, presets.load())
    hanging = asyncio.create_task(sources.measure(many_different()))
    well = Wanted("shop/other", "shop", frozenset({"web"}), "other", "http-server", spec({"source": "other"}))
    await asyncio.sleep(0)  # it has asked all that it may
    series = await sources.measure([well])
    assert series[well.key].source_problem is None
    assert not hanging.done()
    server.close()
    assert all(one.source_problem for one in (await hanging).values())
    await sources.close()
    other.close()


async def test_a_source_whose_clock_goes_back_is_not_believed_until_it_has_caught_up(server: FaultServer) -> None:
    sources = Sources({"default": a_source(server)}, presets.load())
    for time_there, problem in ((1000, None), (980, None), (900, "ClockSkewed"), (960, "ClockSkewed"), (1001, None)):
        server.answer = respond(200, vector(({}, "1")).replace(b"1.5", str(time_there).encode()))
        found = (await sources.measure(WANTED))["shop/web"].source_problem
        assert (found and found.reason) == problem
    await sources.close()


async def test_a_namespace_that_no_query_can_be_answered_for_harms_no_other(server: FaultServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        respond(422, refusal("execution"))(handler) if "ns-13" in handler.path else respond(200, vector())(handler)

    server.answer = answer
    sources = Sources({"default": a_source(server)}, presets.load())
    wanted = [
        Wanted(f"ns-{n}/web", f"ns-{n}", frozenset({"web"}), "default", "http-server", spec()) for n in range(10, 20)
    ]
    asked: list[int] = []
    for _ in range(3):
        series = await sources.measure(wanted)
        problems = {key: one.sampling.reason for key, one in series.items() if isinstance(one.sampling, Missing)}
        assert problems.pop("ns-13/web") == "QueryRejected"
        assert set(problems.values()) == {"SeriesMissing"}
        assert not any(one.source_problem for one in series.values())
        asked.append(len(server.requests) - sum(asked))
    assert asked[0] > asked[2] == 4, "two queries, each apart for the one that was refused before"
    await sources.close()
