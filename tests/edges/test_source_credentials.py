"""Who asks a source, to real servers that demand it: rotated files are used at once, and nothing secret is shown."""

from __future__ import annotations

import logging
import os
import ssl
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from prometheus_client import generate_latest

from perfslo import settings as settings_file
from perfslo.core import identify, measure
from perfslo.core.measure import Wanted
from perfslo.core.model import Missing, Replicas
from perfslo.core.status import report
from perfslo.edges import presets
from perfslo.edges.metrics import Metrics
from perfslo.edges.prometheus.client import Client
from perfslo.edges.prometheus.source import Sources
from perfslo.errors import ConfigurationError, SourceError, SourceRejected, SourceUnreachable
from perfslo.settings import Source
from tests.core.turns import memory, turn
from tests.edges.certificates import Authority, encrypted
from tests.edges.test_prometheus_client import FaultServer, respond, vector
from tests.edges.test_prometheus_source import spec

CANARY = "c4n4ry"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


def demanding(header: str, value: Callable[[], str], or_else: int = 401) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        welcome = handler.headers.get(header) == value()
        respond(200 if welcome else or_else, vector() if welcome else handler.headers.as_bytes())(handler)

    return answer


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


# --- bearer, basic and headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "header", "value"),
    [
        ({"bearer_token_file": "credential"}, "Authorization", "Bearer {}"),
        ({"header_files": {"X-Api-Key": "credential"}}, "X-Api-Key", "{}"),
        ({"header_files": {"Authorization": "credential"}}, "Authorization", "{}"),
    ],
)
def test_an_expired_credential_is_a_no_until_its_file_is_rotated(
    server: FaultServer, tmp_path: Path, source: dict[str, Any], header: str, value: str
) -> None:
    file = tmp_path / "credential"
    client = Client(Source(address=server.address, **_in(tmp_path, source)))
    valid = "first"
    server.answer = demanding(header, lambda: value.format(valid))
    file.write_text("first\n")
    client.query("up")
    valid = "second"
    with pytest.raises(SourceRejected, match="401"):
        client.query("up")
    file.write_text("second\n")
    client.query("up")
    file.unlink()
    with pytest.raises(SourceUnreachable, match="cannot be read"):
        client.query("up")
    client.close()


def _in(directory: Path, values: dict[str, Any]) -> dict[str, Any]:
    """With absolute paths."""
    return {
        key: _in(directory, value) if isinstance(value, dict) else directory / value for key, value in values.items()
    }


@pytest.mark.parametrize("user", [{"username": "perfslo"}, {"username_file": "user"}])
def test_a_user_with_a_password(server: FaultServer, tmp_path: Path, user: dict[str, str]) -> None:
    (tmp_path / "user").write_text("perfslo")
    (tmp_path / "password").write_text("pä ss:wörd \n")
    settings = {"passwordFile": tmp_path / "password"} | {
        k: v if k == "username" else tmp_path / v for k, v in user.items()
    }
    client = Client(Source.model_validate({"address": server.address, "basicAuth": settings}))
    server.answer = demanding("Authorization", lambda: basic("perfslo", "pä ss:wörd "))
    client.query("up")
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(SourceRejected, match="401"):
        client.query("up")
    client.close()


def test_plain_headers_are_sent_with_short_and_long_queries(server: FaultServer) -> None:
    client = Client(Source(address=server.address, headers={"X-Scope-OrgID": "shop"}))
    for query in ("up", "up" * 5000):
        client.query(query)
        assert server.requests[-1][2]["X-Scope-OrgID"] == "shop"
    client.close()


def test_credentials_do_not_follow_a_redirect(server: FaultServer, tmp_path: Path) -> None:
    elsewhere = FaultServer()
    (tmp_path / "key").write_text(CANARY)
    client = Client(Source(address=server.address, header_files={"X-Api-Key": tmp_path / "key"}))
    server.answer = respond(307, b"", Location=f"{elsewhere.address}/api/v1/query")
    with pytest.raises(SourceRejected, match="redirect"):
        client.query("up")
    assert not elsewhere.requests
    client.close()
    elsewhere.close()


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", "tök".encode(), b"a\0b"])
def test_a_file_without_one_line_of_plain_text(server: FaultServer, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    client = Client(Source(address=server.address, bearer_token_file=tmp_path / "token"))
    with pytest.raises(SourceUnreachable, match="the bearer token"):
        client.query("up")
    assert not server.requests
    client.close()


# --- certificates -------------------------------------------------------------------------------------------------


class TlsServer(FaultServer):
    """Demands a client certificate of `clients`, and remembers who came on which connection."""

    def __init__(self, certificate: tuple[Path, Path], clients: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(context)
        self.visits: list[tuple[str, int]] = []
        self.answer = self._welcome

    def _welcome(self, handler: BaseHTTPRequestHandler) -> None:
        connection = handler.connection
        assert isinstance(connection, ssl.SSLSocket)
        subject: Any = (connection.getpeercert() or {})["subject"]
        self.visits.append((subject[0][0][1], connection.getpeername()[1]))
        respond(200, vector())(handler)


class Mounted:
    """The files of a source, as Kubernetes mounts them, and exchanged as it does."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.certificate, self.key = (directory / name for name in ("ca.crt", "tls.crt", "tls.key"))

    def hold(self, ca: Path, leaf: tuple[Path, Path]) -> None:
        for file, source in ((self.ca, ca), (self.certificate, leaf[0]), (self.key, leaf[1])):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(source.read_bytes())
            fresh.replace(file)

    def source(self, address: str) -> Source:
        return Source(
            address=address, ca_file=self.ca, client_cert_file=self.certificate, client_key_file=self.key,
        )  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


@pytest.fixture
def tls(authority: Authority) -> Iterator[TlsServer]:
    server = TlsServer(authority.leaf("server"), authority.file)
    yield server
    server.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


def test_a_rotated_client_certificate_is_used_at_once(tls: TlsServer, mounted: Mounted, authority: Authority) -> None:
    mounted.hold(authority.file, authority.leaf("first"))
    client = Client(mounted.source(tls.address))
    for _ in range(2):
        client.query("up")
    mounted.hold(authority.file, authority.leaf("second"))
    for _ in range(2):
        client.query("up")
    assert [name for name, _ in tls.visits] == ["first", "first", "second", "second"]
    ports = [port for _, port in tls.visits]
    assert (ports[0], ports[2]) == (ports[1], ports[3]), "connections are kept while the files are the same"
    client.close()


def test_a_rotated_ca_is_what_counts_even_for_connections_that_are_open(
    tls: TlsServer, mounted: Mounted, authority: Authority, stranger: Authority
) -> None:
    leaf = authority.leaf("client")
    mounted.hold(stranger.file, leaf)
    client = Client(mounted.source(tls.address))
    for ca, trusted in ((stranger.file, False), (authority.file, True), (stranger.file, False), (authority.file, True)):
        mounted.hold(ca, leaf)
        if trusted:
            client.query("up")
            continue
        with pytest.raises(SourceUnreachable, match="TLS"):
            client.query("up")
    client.close()


def test_a_ca_file_stands_in_place_of_the_usual_authorities(
    tls: TlsServer, mounted: Mounted, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.file))
    monkeypatch.setattr("perfslo.edges.prometheus.credentials.DEFAULT_CA_BUNDLE_PATH", str(authority.file))
    mounted.hold(stranger.file, authority.leaf("client"))
    source = mounted.source(tls.address)
    with pytest.raises(SourceUnreachable, match="TLS"):
        Client(source).query("up")
    Client(source.model_copy(update={"ca_file": None})).query("up")


def test_a_server_is_not_trusted_for_another_name(tls: TlsServer, mounted: Mounted, authority: Authority) -> None:
    mounted.hold(authority.file, authority.leaf("client"))
    client = Client(mounted.source(tls.address.replace("127.0.0.1", "localhost")))
    with pytest.raises(SourceUnreachable, match="TLS"):
        client.query("up")
    client.close()


def test_without_a_certificate_that_it_trusts_the_server_says_no(
    tls: TlsServer, mounted: Mounted, authority: Authority, stranger: Authority
) -> None:
    mounted.hold(authority.file, stranger.leaf("stranger"))
    for source in (mounted.source(tls.address), Source(address=tls.address, ca_file=mounted.ca)):
        client = Client(source)
        with pytest.raises(SourceUnreachable):
            client.query("up")
        client.close()
    assert not tls.visits


def test_files_that_are_no_pair_of_certificate_and_key(
    tls: TlsServer, mounted: Mounted, authority: Authority, stranger: Authority
) -> None:
    certificate, key = authority.leaf("client")
    client = Client(mounted.source(tls.address))
    with pytest.raises(SourceUnreachable, match="CA file cannot be read"):
        client.query("up")
    for leaf, problem in (
        ((certificate, stranger.leaf("other")[1]), "a pair"),
        ((certificate, encrypted(key)), "not encrypted"),
        ((key, key), "in PEM"),
    ):
        mounted.hold(authority.file, leaf)
        with pytest.raises(SourceUnreachable, match=problem):
            client.query("up")
    mounted.hold(key, (certificate, key))
    with pytest.raises(SourceUnreachable, match="CA file does not hold"):
        client.query("up")
    mounted.hold(authority.file, (certificate, key))
    client.query("up")
    mounted.key.unlink()
    with pytest.raises(SourceUnreachable, match="client key cannot be read"):
        client.query("up")
    client.close()


# --- never shown --------------------------------------------------------------------------------------------------


async def test_nothing_secret_is_shown_anywhere(
    tls: TlsServer, mounted: Mounted, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    mounted.hold(authority.file, authority.leaf("client"))
    secrets = {name: f"{CANARY}-{name}" for name in ("user", "password", "header")}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"""sources:
  default:
    address: {tls.address}
    caFile: {mounted.ca}
    clientCertFile: {mounted.certificate}
    clientKeyFile: {mounted.key}
    basicAuth: {{usernameFile: {tmp_path / "user"}, passwordFile: {tmp_path / "password"}}}
    headerFiles: {{X-Api-Key: {tmp_path / "header"}}}
"""
    )
    settings = settings_file.load(file)
    one = Wanted("shop/web", "shop", frozenset({"web"}), "default", "http-server", spec())
    sources = Sources(settings.sources, presets.load())
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(sources), repr(vars(sources))]
    turns = []
    faults = [respond(401, CANARY.encode()), respond(200, CANARY.encode()), respond(500, b""), respond(302, b"")]
    for answer in faults:
        tls.answer = answer
        series = await sources.measure([one])
        observation = measure.observe(one.spec, Replicas(1, 1), series[one.key], 15.0, 0.0)
        assert isinstance(observation.source_problem, Missing)
        seen = turn(seen=observation, promise=one.spec)
        turns.append(seen)
        shown += [
            repr(observation),
            report(seen, None).model_dump_json(),
            identify.diagnose(one.spec, memory(), observation).why,
        ]
        with pytest.raises(SourceError) as failure:
            Client(settings.sources["default"]).query("up")
        shown += ["".join(traceback.format_exception(failure.value)), repr(failure.value)]
    assert tls.requests, "the credentials were sent"
    assert b64decode(tls.requests[0][2]["Authorization"].removeprefix("Basic ")).decode() == (
        f"{secrets['user']}:{secrets['password']}"
    )
    assert tls.requests[0][2]["X-Api-Key"] == secrets["header"]
    shown.append(generate_latest(Metrics(lambda: turns, sources).registry).decode())
    shown += [caplog.text, repr(os.environ)]
    key = mounted.key.read_text().splitlines()[1]
    sent = tls.requests[0][2]["Authorization"].removeprefix("Basic ")
    for secret in (CANARY, key, sent):
        assert not [text for text in shown if secret in text]
    await sources.close()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"bearerTokenFile": "/t", "basicAuth": {"username": "u", "passwordFile": "/p"}}, "write one of"),
        ({"bearerTokenFile": "/t", "headerFiles": {"authorization": "/a"}}, "write one of"),
        ({"basicAuth": {"username": "u", "usernameFile": "/u", "passwordFile": "/p"}}, "username or usernameFile"),
        ({"basicAuth": {"passwordFile": "/p"}}, "username or usernameFile"),
        ({"basicAuth": {"username": "u"}}, "basicAuth.passwordFile"),
        ({"basicAuth": {"username": "a:b", "passwordFile": "/p"}}, "basicAuth.username"),
        ({"basicAuth": {"username": "u", "password": CANARY}}, "basicAuth.password"),
        ({"bearerToken": CANARY}, "bearerToken"),
        ({"address": f"http://user:{CANARY}@prometheus:9090"}, "write basicAuth"),
        ({"address": f"http://prometheus:9090/?token={CANARY}"}, "write headers"),
        ({"address": f"prometheus:{CANARY}"}, "write a URL"),
        ({"clientCertFile": "/c"}, "both clientCertFile and clientKeyFile"),
        ({"clientCertFile": "/c", "clientKeyFile": "/k", "address": "http://x"}, "https://"),
        ({"headers": {"Authorization": CANARY}}, "write headerFiles"),
        ({"headers": {"Cookie": CANARY}}, "write headerFiles"),
        ({"headers": {"X-A": f"a\nX-B: {CANARY}"}}, "headers.X-A"),
        ({"headers": {"X-A: b\nX-B": "a"}}, "headers"),
        ({"headers": {"Content-Length": "1"}}, "leave it out"),
        ({"headerFiles": {"Accept-Encoding": "/a"}}, "leave it out"),
        ({"headers": {"X-A": "1"}, "headerFiles": {"x-a": "/a"}}, "once"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_meant_is_refused_at_start(
    tmp_path: Path, source: dict[str, Any], problem: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"sources": {"default": {"address": "https://x", **source}}}))
    with pytest.raises(ConfigurationError) as refusal:
        settings_file.load(file)
    assert problem in str(refusal.value)
    assert "sources.default" in str(refusal.value)
    assert CANARY not in "".join(traceback.format_exception(refusal.value))
