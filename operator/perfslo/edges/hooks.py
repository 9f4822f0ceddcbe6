"""HTTP hooks: how the operator asks a provider, such as a CDN, what is on, and turns it on and off.

The administrator names each with its URL, its secret and the one namespace that may use it. GET answers
`{"value": "on"}` or `{"value": "off"}`; POST of `{"hook": ..., "current": ..., "value": ...}` sets it. Each request
carries `Perfslo-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY` with the secret, as
Stripe's webhooks have it: whoever receives it compares both, and refuses what is older than a few minutes. A POST has
an `Idempotency-Key`, the same for each time that one decision is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Collection, Mapping

import aiohttp

from perfslo.core.levers.knobs import OFF, ON
from perfslo.core.model import Missing
from perfslo.errors import ConfigurationError, HookFailed, HookUnwell
from perfslo.settings import Hook

ATTEMPTS = 3
PAUSE_SECONDS = 0.3
"""Before the second attempt, and twice as long before the third: a deploy of the receiver's takes as long."""
MAX_ANSWER_BYTES = 4096
NOT_READ = Missing("NotMeasured", "it was not read yet")


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """The value of Perfslo-Signature; `seconds` is Unix time."""
    signed = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={signed}"


class Hooks:
    """The administrator's hooks."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._hooks = hooks
        self._known: dict[str, str | Missing] = {}

    async def refresh(self, used: Collection[tuple[str, str]]) -> None:
        """Ask each of these hooks, given with the namespace that wants it, how it stands."""
        names = [name for namespace, name in sorted(used) if self._refused(namespace, name) is None]
        async with asyncio.TaskGroup() as group:
            asking = {name: group.create_task(self._ask(name)) for name in names}
        self._known = {name: task.result() for name, task in asking.items()}

    def stands(self, namespace: str, name: str) -> str | Missing:
        """What it answered last."""
        return self._refused(namespace, name) or self._known.get(name, NOT_READ)

    def identity(self, namespace: str, name: str) -> str:
        """Tells it from another of its name. Raises ConfigurationError when it may not be used."""
        return hashlib.sha256(self._hook(namespace, name).url.encode()).hexdigest()[:32]

    async def read(self, namespace: str, name: str) -> str:
        """On or off.

        Raises:
            ConfigurationError: it may not be used. HookFailed, HookUnwell.
        """
        answer = await self._send(self._hook(namespace, name), name, "GET", b"")
        try:
            value = json.loads(answer)["value"]
        except (ValueError, TypeError, KeyError):
            value = None
        if value not in (ON, OFF):
            raise HookFailed(f'the hook {name} does not answer {{"value": "on"}} or {{"value": "off"}}')
        return str(value)

    async def write(
        self, namespace: str, name: str, current: str, wanted: str, key: str, fence: Callable[[], None]
    ) -> None:
        """Set it, with up to three attempts; `key` makes them one. `fence` raises NotLeading.

        Raises:
            NotLeading: nothing more was sent. ConfigurationError: it may not be used.
            HookFailed: it said no. HookUnwell: it did not answer well, and nobody knows how it stands.
        """
        hook = self._hook(namespace, name)
        body = json.dumps({"hook": name, "current": current, "value": wanted}).encode()
        for attempt in range(ATTEMPTS):
            fence()
            try:
                await self._send(hook, name, "POST", body, key)
                return
            except HookUnwell:
                if attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)

    async def _ask(self, name: str) -> str | Missing:
        try:
            return await self.read(self._hooks[name].namespace, name)
        except (HookFailed, ConfigurationError) as error:
            return Missing(error.reason, str(error))

    def _hook(self, namespace: str, name: str) -> Hook:
        if refused := self._refused(namespace, name):
            raise ConfigurationError(refused.message)
        return self._hooks[name]

    def _refused(self, namespace: str, name: str) -> Missing | None:
        if name in self._hooks and self._hooks[name].namespace == namespace:
            return None
        usable = ", ".join(sorted(one for one, hook in self._hooks.items() if hook.namespace == namespace)) or "none"
        return Missing(
            "HookNotDefined",
            f"no hook {name!r} is defined for namespace {namespace} (defined: {usable}): name one of these in "
            "spec.levers.cdn.hook, or ask the administrator to add it to the chart's value hooks",
        )

    async def _send(self, hook: Hook, name: str, method: str, body: bytes, key: str = "") -> bytes:
        try:
            secret = hook.secret_file.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError(f"the secret of the hook {name} cannot be read: {error.strerror}") from error
        if not secret:
            raise ConfigurationError(f"the secret of the hook {name} is empty: whoever knows the URL could call it")
        headers = {"Perfslo-Signature": signature(secret, int(time.time()), body), "Accept": "application/json"}
        if body:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
        timeout = aiohttp.ClientTimeout(total=hook.timeout_seconds)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, hook.url, data=body or None, headers=headers, allow_redirects=False) as answer,
            ):
                return await _body(answer, name)
        except TimeoutError as error:
            raise HookUnwell(f"the hook {name} did not answer within {hook.timeout_seconds:g} s") from error
        except aiohttp.ClientError as error:
            raise HookUnwell(f"the hook {name} cannot be reached ({type(error).__name__})") from error


async def _body(answer: aiohttp.ClientResponse, name: str) -> bytes:
    if answer.status == 429 or answer.status >= 500:
        raise HookUnwell(f"the hook {name} answered {answer.status}")
    if answer.status >= 300:
        what = "a redirect, which is not followed" if answer.status < 400 else "a refusal"
        raise HookFailed(f"the hook {name} answered {answer.status}, {what}: see its URL and its secret")
    body = b""
    async for chunk in answer.content.iter_chunked(MAX_ANSWER_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise HookFailed(f"the hook {name} answers more than {MAX_ANSWER_BYTES} bytes")
    return body
