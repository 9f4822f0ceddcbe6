"""A pod with a native histogram: what Prometheus scrapes as protobuf, for its text format has none.

The few messages of `io.prometheus.client` that are needed, by their field numbers:
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

HISTOGRAM = 4
"""MetricType of a histogram."""
ZERO_THRESHOLD = 2.0**-128


class NativeService:
    """As exporter.Service, with an exponential histogram of resolution `schema`, and `classic` buckets beside it."""

    def __init__(
        self,
        per_second: float,
        fast_seconds: float = 0.02,
        slow_seconds: float = 0.3,
        *,
        schema: int = 3,
        classic: Sequence[float] = (),
    ) -> None:
        self._per_second = per_second
        self._durations = fast_seconds, slow_seconds
        self._schema = schema
        self._classic = classic
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._done = {"200": Counter[float](), "503": Counter[float]()}
        self._total = 0

    def __call__(self) -> bytes:
        with self._lock:
            due = 20 + int((time.monotonic() - self._started) * self._per_second)
            for number in range(self._total, due):
                slow = number % 10 == 9
                self._done["503" if slow else "200"][self._durations[slow]] += 1
            self._total = due
            return family(
                "http_server_request_duration_seconds",
                (
                    ({"http_route": "/", "http_response_status_code": status}, self._histogram(durations))
                    for status, durations in self._done.items()
                    if durations
                ),
            )

    def _histogram(self, durations: Mapping[float, int]) -> bytes:
        return histogram(durations, self._schema, self._classic)


def family(name: str, metrics: Iterable[tuple[Mapping[str, str], bytes]]) -> bytes:
    """One MetricFamily of histograms, preceded by its length."""
    body = text(1, name) + number(3, HISTOGRAM)
    for labels, value in metrics:
        pairs = b"".join(message(1, text(1, label) + text(2, of)) for label, of in labels.items())
        body += message(4, pairs + message(7, value))
    return varint(len(body)) + body


def histogram(durations: Mapping[float, int], schema: int, classic: Sequence[float] = ()) -> bytes:
    """A Histogram of so many requests of each duration in seconds; 0 falls into the zero bucket."""
    zeros = durations.get(0.0, 0)
    indexes = Counter[int]()
    for seconds, count in durations.items():
        if seconds > ZERO_THRESHOLD:
            indexes[math.ceil(math.log2(seconds) * 2**schema)] += count
    body = number(1, sum(durations.values())) + double(2, sum(s * count for s, count in durations.items()))
    for edge in classic:
        within = sum(count for seconds, count in durations.items() if seconds <= edge)
        body += message(3, number(1, within) + double(2, edge))
    body += number(5, zigzag(schema)) + double(6, ZERO_THRESHOLD) + number(7, zeros)
    previous_index, previous_count = -1, 0
    deltas = b""
    for position, (index, count) in enumerate(sorted(indexes.items())):
        offset = index if position == 0 else index - previous_index - 1
        body += message(12, number(1, zigzag(offset)) + number(2, 1))
        deltas += varint(zigzag(count - previous_count))
        previous_index, previous_count = index, count
    return body + message(13, deltas)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def message(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    return message(field, value.encode())
