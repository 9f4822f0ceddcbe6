"""One connection to the API server, speaking plain JSON, and the only place that turns its refusals into our errors.

Configuration, TLS and tokens are the kubernetes package's; the generated models are not used, for an object that is
projected to five fields should not first become a tree of five hundred. Answers come uncompressed: the server is near,
and for thousands of objects it would spend longer on packing a list than on sending it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from pydantic_core import from_json

from perfslo import __version__
from perfslo.core.model import JSON
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

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

WHOLE = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Ways to show objects: most of what the larger ones hold is not in their metadata."""

CONNECT_TIMEOUT_SECONDS = 5.0
REQUEST_TIMEOUT_SECONDS = 15.0
"""Ours to retry or to give up: longer than any sane answer, and no longer than a cycle."""
WATCH_SILENCE_SECONDS = 70.0
"""The API server sends a bookmark about every minute, of kinds of which anything changed since it began: a stream that
is silent for longer is dead, or of a kind at rest."""
MESSAGE_LENGTH = 300
"""Messages reach conditions and Events."""


class Api:
    """A connection of its own: whoever must not wait behind others (the lease) makes another one.

    Nothing is retried here: each caller knows whether asking again is right.
    """

    def __init__(self, configuration: Configuration) -> None:
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.retries = None
        configuration.connection_pool_maxsize = 0  # each watch keeps one; callers bound their own requests
        self.configuration = configuration
        self._rest = RESTClientObject(configuration)

    async def close(self) -> None:
        await self._rest.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JSON | list[JSON] | None = None,
        content_type: str = "application/json",
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        accept: str = WHOLE,
    ) -> JSON:
        """One request, one JSON answer, in the way that `accept` names.

        Raises:
            NotFound: 404. LostRace: 409, and 422 on a JSON Patch (its `test` failed). Denied: 401 and 403.
            Expired: 410. WriteRefused: other 4xx. ApiUnavailable: 429, 5xx, no connection, no answer in time.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
        async with self._response(method, path, query, body, content_type, timeout, accept) as response:
            answer: JSON = from_json(await response.read())
        return answer

    async def watch(self, path: str, query: Mapping[str, str], accept: str = WHOLE) -> AsyncIterator[JSON]:
        """The events of a watch (`{"type": ..., "object": ...}`, bookmarks included) until the server ends it.

        Raises:
            Expired: the resourceVersion is too old, list again.
            Silent: nothing came for WATCH_SILENCE_SECONDS. Others as `request`.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        query = {**query, "watch": "1", "allowWatchBookmarks": "true"}
        async with self._response("GET", path, query, None, "application/json", timeout, accept) as response:
            try:
                async for line in response.content:
                    event: JSON = from_json(line)
                    if event["type"] == "ERROR":
                        raise _error(event["object"].get("code", 500), f"watch {path}", event["object"])
                    yield event
            except TimeoutError as error:
                raise Silent(f"watch {path}: told nothing for {WATCH_SILENCE_SECONDS:g} s") from error

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: JSON | list[JSON] | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
        accept: str,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.configuration.host + path + ("?" + urlencode(query) if query else "")
        what = f"{method} {path}"
        try:
            answer = await self._rest.request(  # type: ignore[no-untyped-call]
                method, url, await self._headers(content_type, accept), body, None, timeout
            )
            async with answer.response as response:
                if response.status >= 400:
                    retry_after = response.headers.get("Retry-After", "")
                    raise _error(response.status, what, await _status(response), content_type, retry_after)
                yield response
        except TimeoutError as error:
            raise ApiUnavailable(f"{what}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiUnavailable(f"{what}: {type(error).__name__}") from error
        except ValueError as error:
            raise ApiUnavailable(f"{what}: the answer is not JSON") from error

    async def _headers(self, content_type: str, accept: str) -> dict[str, str]:
        headers = {
            "Content-Type": content_type,
            "Accept": accept,
            "Accept-Encoding": "identity",
            "User-Agent": f"perfslo/{__version__}",
        }
        auth = (await self.configuration.auth_settings()).get("BearerToken")  # re-reads a rotated token
        if auth and auth["value"]:
            headers["Authorization"] = auth["value"]
        return headers


async def connect(kubeconfig: Path | None = None, context: str | None = None) -> Api:
    """Connect as kubectl would: the given file, else $KUBECONFIG, else the pod's own account, else ~/.kube/config.

    Raises:
        ConfigurationError: there is no usable configuration. The API server itself is not asked yet.
    """
    configuration = Configuration()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    try:
        if kubeconfig is None and context is None and in_cluster:
            kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            file = _kubeconfig(kubeconfig)
            if not any(map(os.path.exists, file.split(os.pathsep))):
                raise FileNotFoundError(f"there is no file {file}")
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=file, context=context, client_configuration=configuration
            )
    except (kubernetes_config.ConfigException, OSError, ValueError) as error:
        raise ConfigurationError(
            f"no way to reach a Kubernetes API server: {error}. Set KUBECONFIG, or run inside a cluster"
        ) from error
    return Api(configuration)


def _kubeconfig(given: Path | None) -> str:
    return os.path.expanduser(given or os.environ.get("KUBECONFIG") or "~/.kube/config")


async def _status(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """The Status object of a refusal; empty when something other than the API server answered."""
    try:
        status = from_json(await response.read())
    except ValueError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _error(code: int, what: str, status: Mapping[str, Any], content_type: str = "", retry_after: str = "") -> ApiError:
    said = str(status.get("message", ""))[:MESSAGE_LENGTH] or f"HTTP {code}"
    message = f"{what}: {said}"
    if code == 429 or code >= 500:
        return ApiUnavailable(message, retry_after_seconds=float(retry_after) if retry_after.isdigit() else 0.0)
    if code == 422 and content_type == JSON_PATCH:
        return LostRace(message)
    return {401: Denied, 403: Denied, 404: NotFound, 409: LostRace, 410: Expired}.get(code, WriteRefused)(message)
