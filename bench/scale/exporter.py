"""The services' metrics: 12 buckets, a count and a gauge for each pod, and the kubelet's series of its container.

    python -m bench.scale.exporter --port P --services N --interval S (--noisy | --constant)

Each path is the part of the pods that one scrape brings. Noisy: what each scrape finds is Poisson's, around rates that
differ between services. Constant: every rate stays exactly as it is, told with the time that it is true for, since
already a scrape that comes a millisecond late makes a rate change.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate

from bench.scale import objects

TARGETS = 24
"""Scrapes that bring everything together; Prometheus spreads them over the interval."""
EDGES = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.5", "1", "2.5", "5", "+Inf")
RATES_PER_SECOND = (3.7, 11.3, 41.9)
"""Of one pod."""
MEDIAN_SECONDS, SIGMA = 0.04, 0.6
"""Of a log-normal duration: the 95th percentile is at 107 ms."""
HISTORY = 10_000
"""Requests that a counter begins with, for it is long since the pods started."""
PATTERNS = 400
"""Scrapes' worth of noise that are made once; each pod then takes them in an order of its own."""

Pod = tuple[str, str]
"""Namespace and name."""
Page = Callable[[], str]


def pages(count: int, interval_seconds: float, noisy: bool) -> dict[str, Page]:
    """What each path serves."""
    pods = [(s.namespace, name) for s in objects.services(count) for name in s.pods]
    make = _noisy if noisy else _constant
    found: dict[str, Page] = {}
    for number in range(TARGETS):
        part = pods[number::TARGETS]
        rates = [RATES_PER_SECOND[(number + index) % len(RATES_PER_SECOND)] for index in range(len(part))]
        found[f"/pods/{number}"] = make(_pod_series, part, rates, interval_seconds, _requests)
        found[f"/kubelets/{number}"] = make(_container_series, part, rates, interval_seconds, _usage)
    return found


def _labels(pod: Pod, **more: str) -> str:
    labels = {"namespace": pod[0], "pod": pod[1], **more}
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _request_labels(pod: Pod, **more: str) -> str:
    return _labels(pod, http_request_method="GET", http_route="/api/items", http_response_status_code="200", **more)


def _pod_series(pod: Pod) -> list[str]:
    name = "http_server_request_duration_seconds"
    return [
        *(f"{name}_bucket{_request_labels(pod, le=edge)}" for edge in EDGES),
        f"{name}_count{_request_labels(pod)}",
        f"http_server_active_requests{_labels(pod)}",
    ]


def _container_series(pod: Pod) -> list[str]:
    labels = _labels(pod, container="app", image="registry.example.com/shop/service")
    return [
        f"container_{name}{labels}"
        for name in ("cpu_usage_seconds_total", "cpu_cfs_periods_total", "cpu_cfs_throttled_periods_total",
                     "memory_working_set_bytes")
    ]  # fmt: skip


def _share_below(seconds: float) -> float:
    return 0.5 * (1 + math.erf(math.log(seconds / MEDIAN_SECONDS) / (SIGMA * math.sqrt(2))))


SHARES = tuple(
    high - low
    for low, high in zip(
        (0.0, *(_share_below(float(edge)) for edge in EDGES[:-1])),
        (*(_share_below(float(edge)) for edge in EDGES[:-1]), 1.0),
        strict=True,
    )
)
"""Of all requests, by the bucket that they end in."""

Amounts = Callable[[float, Callable[[float], float]], tuple[list[float], list[float]]]
"""What counters grow by and what gauges show, for a mean number of requests and a way to draw from a mean."""


def _requests(mean: float, draw: Callable[[float], float]) -> tuple[list[float], list[float]]:
    cumulative = list(accumulate(draw(mean * share) for share in SHARES))
    return [*cumulative, cumulative[-1]], [draw(max(1.0, mean / 100))]


def _usage(mean: float, draw: Callable[[float], float]) -> tuple[list[float], list[float]]:
    return [draw(mean) * 0.005, draw(150.0), draw(2.0)], [180e6 + draw(1e6)]


def _poisson(mean: float) -> float:
    """Exactly for few, by the normal distribution for many."""
    if mean > 30:
        return float(max(0, round(random.gauss(mean, math.sqrt(mean)))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count, product = count + 1, product * random.random()
    return float(count)


def _noisy(
    series: Callable[[Pod], list[str]], pods: Sequence[Pod], rates: Sequence[float], seconds: float, amounts: Amounts
) -> Page:
    templates = ["".join(f"{line} %.10g\n" for line in series(pod)) for pod in pods]
    patterns = {rate: [amounts(rate * seconds, _poisson) for _ in range(PATTERNS)] for rate in set(rates)}
    counters = [[float(HISTORY)] * len(patterns[rate][0][0]) for rate in rates]

    def lines() -> Iterator[str]:
        for index, rate in enumerate(rates):
            grown, gauges = random.choice(patterns[rate])
            counters[index] = values = [a + b for a, b in zip(counters[index], grown, strict=True)]
            yield templates[index] % (*values, *gauges)

    return lambda: "".join(lines())


def _constant(
    series: Callable[[Pod], list[str]], pods: Sequence[Pod], rates: Sequence[float], seconds: float, amounts: Amounts
) -> Page:
    rendered = [[f"{line} " for line in series(pod)] for pod in pods]
    each = {rate: amounts(rate, lambda mean: mean) for rate in set(rates)}
    began = time.time()

    def lines() -> Iterator[str]:
        milliseconds = round(time.time() * 1000)
        passed = milliseconds / 1000 - began
        texts = {
            rate: [f"{value:.12g} {milliseconds}\n" for value in (*(HISTORY + a * passed for a in counters), *gauges)]
            for rate, (counters, gauges) in each.items()
        }
        for names, rate in zip(rendered, rates, strict=True):
            yield "".join(name + text for name, text in zip(names, texts[rate], strict=True))

    return lambda: "".join(lines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--services", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True, help="seconds between two scrapes")
    parser.add_argument("--noisy", action="store_true")
    arguments = parser.parse_args()
    found = pages(arguments.services, arguments.interval, arguments.noisy)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = found.get(self.path)
            body = page().encode() if page else b""
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
