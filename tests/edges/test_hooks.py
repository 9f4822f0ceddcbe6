"""HTTP hooks, against a real server that behaves as it is told to. Claims are a double."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp import web

from perfslo.api.v1alpha1 import ClaimHolder, ClaimTarget, LeverClaim, LeverClaimSpec
from perfslo.api.v1alpha1.common import ObjectMeta
from perfslo.core.model import Change, ChangeResult, Missing
from perfslo.core.steps import Call
from perfslo.edges.actuators.hook import HookActuator
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.claims import Claims, Pull
from perfslo.edges.hooks import ATTEMPTS, Hooks
from perfslo.edges.kube.writes import Writer
from perfslo.errors import ConfigurationError, HookFailed, HookUnwell, NotLeading
from perfslo.settings import Hook
from tests.edges.slos import slo

SECRET = b"s3cret"
ON = Call("cdn", "off", "on", "cdn")
Behaviour = Callable[[web.Request], Any]


@dataclass
class Provider:
    """What it holds, and what it was asked; `answers` come first, one a request."""

    value: str = "off"
    answers: list[Behaviour] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    unwanted: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, dict(request.headers), body))
        if self.answers and (answer := await self.answers.pop(0)(request)):
            return cast(web.StreamResponse, answer)
        if request.method == "POST":
            self.value = json.loads(body)["value"]
        return web.json_response({"value": self.value})

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.unwanted += 1
        return web.json_response({"value": "on"})

    @property
    def posts(self) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for method, headers, body in self.requests if method == "POST"]


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    made, app = Provider(), web.Application()
    app.router.add_route("*", "/cdn", made.handle)
    app.router.add_route("*", "/elsewhere", made.elsewhere)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/cdn"
    yield made
    await runner.cleanup()


class File:
    """A mounted Secret's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holds(SECRET + b"\n")

    def holds(self, secret: bytes) -> None:
        self.path.write_bytes(secret)

    def is_gone(self) -> None:
        self.path.unlink()


@pytest.fixture
def secret(tmp_path: Path) -> File:
    return File(tmp_path / "secret")


@pytest.fixture
def hooks(provider: Provider, secret: File) -> Hooks:
    return Hooks({"cdn": Hook(url=provider.url, namespace="shop", secret_file=secret.path, timeout_seconds=0.3)})


def status(code: int, **headers: str) -> Behaviour:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers)

    return answer


def body(text: str) -> Behaviour:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text)

    return answer


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(1)
    return web.Response()


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


async def set_on(hooks: Hooks, fence: Callable[[], None] = lambda: None) -> None:
    await hooks.write("shop", "cdn", "off", "on", "d1", fence)


def is_signed(headers: dict[str, str], sent: bytes, secret: bytes = SECRET) -> bool:
    """As a receiver would check it."""
    parts = dict(part.split("=", 1) for part in headers["Perfslo-Signature"].split(","))
    signed = hmac.new(secret, f"{parts['t']}.{sent.decode()}".encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(parts["v1"], signed) and abs(time.time() - int(parts["t"])) < 300


# --- asked and told --------------------------------------------------------------------------------------------------


async def test_it_is_asked_and_told_and_each_request_is_signed(provider: Provider, hooks: Hooks) -> None:
    assert await hooks.read("shop", "cdn") == "off"
    await set_on(hooks)
    assert await hooks.read("shop", "cdn") == "on"
    assert [method for method, _, _ in provider.requests] == ["GET", "POST", "GET"]
    assert all(is_signed(headers, sent) for _, headers, sent in provider.requests)
    ((headers, sent),) = provider.posts
    assert json.loads(sent) == {"hook": "cdn", "current": "off", "value": "on"}
    assert headers["Idempotency-Key"] == "d1"
    assert not is_signed(headers, sent.replace(b'"on"', b'"no"')), "another body has another signature"


async def test_a_rotated_secret_is_used_at_once(provider: Provider, hooks: Hooks, secret: File) -> None:
    await hooks.read("shop", "cdn")
    secret.holds(b"another")
    await hooks.read("shop", "cdn")
    (_, before, _), (_, after, _) = provider.requests
    assert is_signed(before, b"")
    assert is_signed(after, b"", b"another")


@pytest.mark.parametrize("fault", [status(500), status(503), status(429), slow, hang_up])
async def test_what_may_pass_is_tried_again_as_the_same_decision(
    provider: Provider, hooks: Hooks, fault: Behaviour
) -> None:
    provider.answers = [fault, fault]
    await set_on(hooks)
    assert provider.value == "on"
    assert len(provider.posts) == ATTEMPTS
    assert {headers["Idempotency-Key"] for headers, _ in provider.posts} == {"d1"}


@pytest.mark.parametrize("fault", [status(500), slow, hang_up])
async def test_and_given_up_in_the_end(provider: Provider, hooks: Hooks, fault: Behaviour) -> None:
    provider.answers = [fault] * ATTEMPTS
    with pytest.raises(HookUnwell):
        await set_on(hooks)
    assert (len(provider.posts), provider.value) == (ATTEMPTS, "off")


async def test_nobody_listens(secret: File) -> None:
    hooks = Hooks({"cdn": Hook(url="http://127.0.0.1:1/cdn", namespace="shop", secret_file=secret.path)})
    with pytest.raises(HookUnwell, match="cannot be reached"):
        await set_on(hooks)


@pytest.mark.parametrize("code", [400, 401, 403, 404])
async def test_a_refusal_is_not_tried_again(provider: Provider, hooks: Hooks, code: int) -> None:
    provider.answers = [status(code)]
    with pytest.raises(HookFailed, match=f"answered {code}") as refusal:
        await set_on(hooks)
    assert not isinstance(refusal.value, HookUnwell)
    assert len(provider.posts) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(provider: Provider, hooks: Hooks, code: int) -> None:
    for call in (set_on(hooks), hooks.read("shop", "cdn")):
        provider.answers = [status(code, Location="/elsewhere")]
        with pytest.raises(HookFailed, match="redirect, which is not followed"):
            await call
    assert provider.unwanted == 0, "only the administrator says where requests go"


@pytest.mark.parametrize(
    "answer", ["", "on", "[]", "{}", '{"value": true}', '{"value": "ON"}', '{"value": "on", "x": "' + "y" * 5000 + '"}']
)
async def test_an_answer_that_is_not_understood_is_unknown(provider: Provider, hooks: Hooks, answer: str) -> None:
    provider.answers = [body(answer)]
    with pytest.raises(HookFailed):
        await hooks.read("shop", "cdn")


async def test_nothing_is_sent_once_another_leads(provider: Provider, hooks: Hooks) -> None:
    provider.answers = [status(500)]
    led = iter([True, False])

    def fence() -> None:
        if not next(led):
            raise NotLeading("another leads")

    with pytest.raises(NotLeading):
        await set_on(hooks, fence)
    assert len(provider.posts) == 1


async def test_without_a_secret_nothing_is_sent(provider: Provider, hooks: Hooks, secret: File) -> None:
    secret.holds(b"\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        await set_on(hooks)
    secret.is_gone()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await set_on(hooks)
    assert provider.requests == []


async def test_only_its_own_namespace_may_use_it(provider: Provider, hooks: Hooks) -> None:
    await hooks.refresh({("other", "cdn"), ("shop", "nowhere")})
    refused = hooks.stands("other", "cdn")
    assert isinstance(refused, Missing)
    assert refused.reason == "HookNotDefined"
    assert "(defined: none)" in refused.message
    with pytest.raises(ConfigurationError, match="no hook 'cdn' is defined for namespace other"):
        await hooks.read("other", "cdn")
    assert provider.requests == []


async def test_how_it_stands_is_known_from_the_last_cycle(provider: Provider, hooks: Hooks) -> None:
    assert hooks.stands("shop", "cdn") == Missing("NotMeasured", "it was not read yet")
    await hooks.refresh({("shop", "cdn")})
    assert hooks.stands("shop", "cdn") == "off"
    provider.answers = [slow]
    await hooks.refresh({("shop", "cdn")})
    unknown = hooks.stands("shop", "cdn")
    assert isinstance(unknown, Missing)
    assert unknown.reason == "HookUnwell"


# --- as a lever ------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, hooks: Hooks) -> None:
        self.pulls: list[Pull] = []
        self._hooks = hooks
        self.actuator = HookActuator(hooks, cast(Writer, self), cast(Claims, self))

    def fence(self) -> None:
        pass

    async def take(self, pull: Pull) -> None:
        assert await self._hooks.read("shop", "cdn") == pull.found, "it is claimed before it is written"
        self.pulls.append(pull)

    async def apply(self, *, recommend_only: bool = False) -> Change:
        order = Order(slo(), ON, "d1", 1.8e9, "Restore", recommend_only=recommend_only)
        return await Levers(cast(Claims, self), self.actuator).apply(order)

    def claim(self, **changes: Any) -> LeverClaim:
        its = {"original_value": "off", "last_value": "on", "previous_value": None, "decision_id": "d1"} | changes
        uid = its.pop("uid", None) or self._hooks.identity("shop", "cdn")
        spec = LeverClaimSpec(
            target_ref=ClaimTarget(group="", kind="Hook", name="cdn", uid=uid),
            field="value",
            holder=ClaimHolder(name="web", uid="u1"),
            on_delete="Restore",
            **its,
        )
        return LeverClaim(metadata=ObjectMeta(name="claim-1", namespace="shop"), spec=spec)


async def test_it_is_claimed_then_told(provider: Provider, hooks: Hooks) -> None:
    bench = Bench(hooks)
    change = await bench.apply()
    assert (change.result, provider.value) == (ChangeResult.APPLIED, "on")
    ((pull),) = bench.pulls
    assert (pull.target.kind, pull.target.name, pull.found, pull.wanted) == ("Hook", "cdn", "off", "on")


async def test_a_recommendation_sends_nothing(provider: Provider, hooks: Hooks) -> None:
    assert (await Bench(hooks).apply(recommend_only=True)).result == ChangeResult.RECOMMENDED
    assert provider.requests == []


async def test_what_somebody_else_set_meanwhile_is_left(provider: Provider, hooks: Hooks) -> None:
    provider.value = "on"
    bench = Bench(hooks)
    change = await bench.apply()
    assert (change.result, bench.pulls, provider.posts) == (ChangeResult.REFUSED, [], [])
    assert change.why.startswith("LostRace: ")


async def test_a_failure_is_a_result(provider: Provider, hooks: Hooks) -> None:
    provider.answers = [status(404)]
    change = await Bench(hooks).apply()
    assert (change.result, change.why.split(":")[0]) == (ChangeResult.REFUSED, "HookFailed")


async def test_it_is_put_back_as_another_request_than_the_decision(provider: Provider, hooks: Hooks) -> None:
    provider.value = "on"
    bench = Bench(hooks)
    assert await bench.actuator.restore(bench.claim()) == "Hook/cdn put back from on to off"
    assert provider.value == "off"
    ((headers, _),) = provider.posts
    assert headers["Idempotency-Key"] not in ("", "d1"), "a receiver would take it for a replay, and for done"


@pytest.mark.parametrize(
    ("value", "changes", "words"),
    [
        ("off", {}, "changed since"),
        ("on", {"uid": "another"}, "another URL"),
        ("on", {"original_value": "on"}, "put back from on to on"),
    ],
)
async def test_what_is_not_ours_any_more_is_left(
    provider: Provider, hooks: Hooks, value: str, changes: dict[str, Any], words: str
) -> None:
    provider.value = value
    bench = Bench(hooks)
    assert words in await bench.actuator.restore(bench.claim(**changes))
    assert (provider.value, provider.posts) == (value, [])
