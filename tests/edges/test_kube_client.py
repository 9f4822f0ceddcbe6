"""Against a server that gives the API server's odd answers on order; its usual ones are tested on a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from perfslo.edges.kube import client
from perfslo.edges.kube.client import JSON_PATCH, Api, connect
from perfslo.errors import (
    ApiError,
    ApiUnavailable,
    ConfigurationError,
    Denied,
    Expired,
    LostRace,
    NotFound,
    Silent,
    WriteRefused,
)


async def _answer(request: web.Request) -> web.StreamResponse:
    match request.path.strip("/").split("/"):
        case ["echo"]:
            return web.json_response({**request.headers, "query": dict(request.query), "body": await request.text()})
        case ["status", code]:
            body = {"kind": "Status", "message": f"because of {code}" + "." * 1000}
            return web.json_response(body, status=int(code), headers={"Retry-After": "7"})
        case ["proxy", code]:
            return web.Response(text="<html>secret</html>", status=int(code))
        case ["text"]:
            return web.Response(text="<html>")
        case ["silent"]:
            await asyncio.sleep(60)
        case ["watch", *end]:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(_line({"type": "ADDED", "object": {"data": "x" * 3_000_000}}))
            if end == ["error"]:
                await response.write(_line({"type": "ERROR", "object": {"code": 410, "message": "too old"}}))
            if end == ["cut"] and request.transport:
                request.transport.close()
            if end == ["silent"]:
                await asyncio.sleep(60)
            return response
    return web.Response(status=501)


def _line(event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = await connect(_kubeconfig(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}"))
    yield api
    await api.close()
    await runner.cleanup()


def _kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": server}}],
                "users": [{"name": "it", "user": {"token": "a-token"}}],
            }
        )
    )
    return path


async def test_a_request_carries_what_it_should(api: Api) -> None:
    sent = await api.request(
        "PATCH", "/echo", query={"fieldManager": "a b"}, body=[{"op": "test"}], content_type=JSON_PATCH
    )
    assert sent["Authorization"] == "Bearer a-token"
    assert sent["Content-Type"] == JSON_PATCH
    assert sent["Accept-Encoding"] == "identity"
    assert sent["query"] == {"fieldManager": "a b"}
    assert json.loads(sent["body"]) == [{"op": "test"}]


async def test_a_proxy_of_the_environment_is_not_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert await api.request("GET", "/echo")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, WriteRefused),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, LostRace),
        (410, Expired),
        (422, WriteRefused),
        (429, ApiUnavailable),
        (500, ApiUnavailable),
        (503, ApiUnavailable),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind(api: Api, code: int, error: type[ApiError]) -> None:
    with pytest.raises(ApiError) as caught:
        await api.request("GET", f"/status/{code}")
    assert type(caught.value) is error
    assert f"GET /status/{code}: because of {code}" in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_a_json_patch_whose_test_failed_lost_a_race(api: Api) -> None:
    with pytest.raises(LostRace):
        await api.request("PATCH", "/status/422", body=[], content_type=JSON_PATCH)


async def test_the_server_may_say_when_to_come_back(api: Api) -> None:
    with pytest.raises(ApiUnavailable) as caught:
        await api.request("GET", "/status/429")
    assert caught.value.retry_after_seconds == 7


async def test_what_something_in_between_answers_is_not_quoted(api: Api) -> None:
    with pytest.raises(ApiUnavailable, match="HTTP 502"):
        await api.request("GET", "/proxy/502")
    with pytest.raises(ApiUnavailable, match="not JSON"):
        await api.request("GET", "/text")


async def test_no_answer_in_time_is_unavailable(api: Api) -> None:
    with pytest.raises(ApiUnavailable, match="no answer in time"):
        await api.request("GET", "/silent", timeout_seconds=0.2)


async def test_no_server_is_unavailable(tmp_path: Path) -> None:
    api = await connect(_kubeconfig(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(ApiUnavailable):
        await api.request("GET", "/echo")
    await api.close()


async def _events(api: Api, path: str, seen: list[str]) -> None:
    async for event in api.watch(path, {"resourceVersion": "1"}):
        seen.append(event["type"])  # noqa: PERF401 - what came before an error counts


async def test_a_watch_gives_events_of_any_size_until_it_ends(api: Api) -> None:
    seen: list[str] = []
    await _events(api, "/watch", seen)
    assert seen == ["ADDED"]


async def test_a_watch_that_is_told_an_error_raises_it(api: Api) -> None:
    seen: list[str] = []
    with pytest.raises(Expired, match="too old"):
        await _events(api, "/watch/error", seen)
    assert seen == ["ADDED"]


@pytest.mark.parametrize(("path", "error"), [("/watch/cut", ApiUnavailable), ("/watch/silent", Silent)])
async def test_a_watch_that_breaks_or_falls_silent_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, error: type[ApiUnavailable]
) -> None:
    monkeypatch.setattr(client, "WATCH_SILENCE_SECONDS", 0.3)
    seen: list[str] = []
    with pytest.raises(ApiUnavailable) as raised:
        await _events(api, path, seen)
    assert raised.type is error
    assert seen == ["ADDED"]


async def test_without_a_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Set KUBECONFIG"):
        await connect(tmp_path / "none")


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"API server: there is no file {tmp_path}/none. Set KUBECONFIG"):
        await connect(tmp_path / "none")
