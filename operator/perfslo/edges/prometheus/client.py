"""prometheus-api-client, made safe to use against a server that may be slow, broken or somebody else.

The library builds the request and unwraps the result. Its session is ours, and adds: a deadline for the whole answer,
no redirects, no proxies from the environment, no retries, a bounded body, a form body for long queries, credentials
read anew for each query, and a checked answer, which keeps the warnings that the library drops.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired
from urllib.parse import urlencode

import requests
from prometheus_api_client import PrometheusConnect
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from perfslo.core.measure import Row
from perfslo.edges.prometheus.credentials import Headers, Tls
from perfslo.errors import QueryRejected, SourceError, SourceRejected, SourceUnreachable, SourceUnwell
from perfslo.settings import Source

MAX_GET_CHARACTERS = 4000
"""Longer parameters go into a form body: proxies commonly refuse request lines of 8 KiB."""
_READ_BYTES = 64 * 1024
_QUERY_ERRORS = {"bad_data", "execution"}
_PROMQL_ANNOTATION = "PromQL "  # begins warnings about the query itself; any other says that data are missing
_BUSY = {408, 429}


class _Native(BaseModel):
    count: float
    buckets: tuple[tuple[int, float, float, float], ...] = ()
    """Of those that are not empty: which ends belong to it, its edges, and its own requests."""


class _Sample(TypedDict):
    """A dictionary, for there are hundreds of thousands of them."""

    metric: dict[str, str]
    value: NotRequired[tuple[float, float]]
    """Unix seconds, and the number, which Prometheus writes as text: "NaN" and "+Inf" are among them."""
    histogram: NotRequired[tuple[float, _Native]]
    """In place of a number, a native histogram."""


class _Vector(BaseModel):
    resultType: Literal["vector"]
    result: list[_Sample]


class _Envelope(BaseModel):
    """The whole answer to a query that succeeded."""

    status: Literal["success"]
    data: _Vector
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    isPartial: bool = False


class _Points(BaseModel):
    metric: dict[str, str]
    values: tuple[tuple[float, float], ...] = ()
    """Unix seconds, and the number then. Of native histograms there are none."""


class _Matrix(BaseModel):
    resultType: Literal["matrix"]
    result: list[_Points]


class _RangeEnvelope(BaseModel):
    """The same of a query over a range."""

    status: Literal["success"]
    data: _Matrix
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    isPartial: bool = False


class _Refusal(BaseModel):
    status: Literal["error"]
    errorType: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows of one query, and what the server remarked about the query itself."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    body_bytes: int = 0
    """Of the answer, decompressed."""
    evaluated_at: float | None = None
    """Unix seconds by the source's own clock; None without a row."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One row over a range."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Unix seconds, and the number then; nothing where there was none."""


_COMPLETE = {"partial_response": "false", "deny_partial_response": "1"}
"""Thanos, Mimir and VictoriaMetrics then fail instead of leaving parts out; Prometheus ignores it."""


class Client:
    """Asks one source. Safe to use from several threads."""

    def __init__(self, source: Source) -> None:
        self._session = _Session(source)
        self._connect = PrometheusConnect(
            url=source.address.rstrip("/"),
            session=self._session,
            retry=Retry(0),
            auth=Headers(source),
            timeout=source.timeout_seconds,
        )
        self._session.mount(self._connect.url, Tls(source))  # in place of the library's

    def query(self, text: str) -> Answered:
        """The rows of an instant query, evaluated at the server's own time.

        Raises:
            SourceUnreachable: refused, timed out, TLS, DNS, no credential.
            SourceRejected: the source said no to us; QueryRejected: to this query.
            SourceUnwell: 5xx, wrong content, truncated, too large, or an answer it says is incomplete.
        """
        return _answered(*_asked(lambda: self._connect.custom_query(text, dict(_COMPLETE))))

    def query_range(self, text: str, start: float, end: float, step_seconds: float) -> tuple[Curve, ...]:
        """The rows of the same query at `start` (Unix seconds, whole), each step after it, and up to `end`.

        Numbers only: what a row has in native histograms is left out. Raises the same.
        """
        since, until = (datetime.fromtimestamp(time, UTC) for time in (start, end))
        envelope, _ = _asked(
            lambda: self._connect.custom_query_range(text, since, until, f"{step_seconds:g}", dict(_COMPLETE))
        )
        _refuse_incomplete(envelope)
        return tuple(Curve(points.metric, points.values) for points in envelope.data.result)

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


class _Session(requests.Session):
    """Does what the library asks for, within limits, and returns a checked answer."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.trust_env = False
        self._timeout_seconds = source.timeout_seconds
        self._max_bytes = source.max_response_bytes

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Any:
        deadline = time.monotonic() + self._timeout_seconds
        params: Mapping[str, str] = kwargs.pop("params")
        if len(urlencode(params)) > MAX_GET_CHARACTERS:
            method, kwargs["data"] = "POST", params
        else:
            kwargs["params"] = params
        kwargs |= {"allow_redirects": False, "stream": True}
        with super().request(method, url, *args, **kwargs) as response:
            body = self._body(response, deadline)
        if response.status_code != 200:
            raise _refused(response.status_code, body)
        return _Checked(body, _RangeEnvelope if str(url).endswith("/query_range") else _Envelope)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, for any answer: even a redirect that is not followed would be prepared, and its body read whole."""

    def _body(self, response: requests.Response, deadline: float) -> bytearray:
        body = bytearray()
        while part := response.raw.read1(_READ_BYTES, decode_content=True):
            body += part
            if len(body) > self._max_bytes:
                raise SourceUnwell(f"the answer is larger than {self._max_bytes} bytes")
            if time.monotonic() > deadline:
                raise SourceUnreachable("the answer did not end in time")
        return body


class _Checked:
    """What the library needs of a response."""

    status_code = 200

    def __init__(self, body: bytearray, model: type[_Envelope | _RangeEnvelope]) -> None:
        self._body, self._model = body, model

    def json(self) -> Any:
        try:
            envelope = self._model.model_validate_json(self._body)
        except ValidationError:
            kind = "an instant vector" if self._model is _Envelope else "a range"
            raise SourceUnwell(f"the answer is not Prometheus' JSON for {kind}") from None
        return {"data": {"result": (envelope, len(self._body))}}


def _asked(ask: Callable[[], Any]) -> Any:
    """What the library gets, with its errors told apart."""
    try:
        return ask()
    except SourceError:
        raise
    except (requests.Timeout, ReadTimeoutError, TimeoutError):
        raise SourceUnreachable("no answer in time") from None
    except (requests.ConnectionError, ssl.SSLError) as error:
        raise SourceUnreachable(_connection_problem(error)) from None
    except (requests.RequestException, HTTPError) as error:
        raise SourceUnwell(f"the answer could not be read ({type(error).__name__})") from None
    except OSError as error:
        raise SourceUnreachable(f"the connection failed ({type(error).__name__})") from None


def _refuse_incomplete(envelope: _Envelope | _RangeEnvelope) -> None:
    if envelope.isPartial:
        raise SourceUnwell("the answer is partial")
    if any(not warning.startswith(_PROMQL_ANNOTATION) for warning in envelope.warnings):
        raise SourceUnwell("the answer came with warnings: data may be missing from it")


def _answered(envelope: _Envelope, body_bytes: int) -> Answered:
    _refuse_incomplete(envelope)
    rows = tuple(map(_row, envelope.data.result))
    return Answered(rows, (*envelope.warnings, *envelope.infos), body_bytes, _evaluated_at(envelope))


def _evaluated_at(envelope: _Envelope) -> float | None:
    first = next(iter(envelope.data.result), None)
    timed = first and (first.get("value") or first.get("histogram"))
    return timed[0] if timed else None


def _row(sample: _Sample) -> Row:
    if "value" in sample:
        return Row(sample["metric"], sample["value"][1])
    if "histogram" not in sample:
        raise SourceUnwell("the answer has an element without a value")
    native = sample["histogram"][1]
    return Row(sample["metric"], native.count, tuple((low, high, count) for _, low, high, count in native.buckets))


def _refused(status: int, body: bytearray) -> SourceError:
    if 300 <= status < 400:
        return SourceRejected(f"it answered with a redirect ({status}), which is never followed: set its final address")
    if status >= 500 or status in _BUSY:
        return SourceUnwell(f"it answered with status {status}")
    try:
        kind = _Refusal.model_validate(json.loads(body)).errorType
    except (ValueError, RecursionError):
        kind = ""
    if kind in _QUERY_ERRORS:
        return QueryRejected(f"it refused the query ({kind}, status {status}): check the SLO's matchers")
    return SourceRejected(f"it answered with status {status}")


def _connection_problem(error: Exception) -> str:
    if isinstance(error, (requests.exceptions.SSLError, ssl.SSLError)):
        return "the TLS connection failed: check its certificate and the CA file, and ours if it wants one"
    return "it cannot be reached: connection refused, reset, or its name is unknown"
