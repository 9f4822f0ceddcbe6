"""Series of the forms that proxies and client libraries expose, made by the Prometheus client.

20 requests a second, one in ten of them slow and failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

PER_SECOND = 20
FAST_SECONDS, SLOW_SECONDS = 0.02, 2.0
IN_FLIGHT = 3
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MILLISECONDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Traffic:
    """One exposition. `outcome` is the label of the histogram that tells failed requests, with both its values."""

    def __init__(
        self,
        histogram: str,
        outcome: tuple[str, str, str] | None,
        labels: Mapping[str, str] | None = None,
        *,
        buckets: Sequence[float] = SECONDS,
        counter: tuple[str, str, str, str] | None = None,
        gauge: str = "",
    ) -> None:
        self._lock, self._started, self._done = threading.Lock(), time.monotonic(), 0
        self._registry, self._labels = CollectorRegistry(), dict(labels or {})
        self._scale = 1000 if buckets is MILLISECONDS else 1
        self._outcome, self._counter_outcome = outcome, counter
        names = [*self._labels, *((outcome[0],) if outcome else ())]
        self._histogram = Histogram(histogram, "Durations.", names, buckets=buckets, registry=self._registry)
        if counter:
            self._counter = Counter(counter[0], "Requests.", [*self._labels, counter[1]], registry=self._registry)
        if gauge:
            Gauge(gauge, "In flight.", registry=self._registry).set(IN_FLIGHT)

    def __call__(self) -> str:
        with self._lock:
            while self._done < 20 + (time.monotonic() - self._started) * PER_SECOND:
                self._request()
                self._done += 1
        return generate_latest(self._registry).decode()

    def _request(self) -> None:
        slow = self._done % 10 == 9
        its = {self._outcome[0]: self._outcome[1 + slow]} if self._outcome else {}
        labels = self._labels | its
        child = self._histogram.labels(**labels) if labels else self._histogram
        child.observe((SLOW_SECONDS if slow else FAST_SECONDS) * self._scale)
        if self._counter_outcome:
            _, label, good, bad = self._counter_outcome
            self._counter.labels(**self._labels, **{label: bad if slow else good}).inc()
