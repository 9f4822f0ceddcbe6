"""Pasts of workloads, as expositions with a time of its own for each sample: Prometheus takes an hour in one scrape.

The play begins at BEGIN with workloads that have run for long. At DUE (200 s after the first cycle) a reduction is due.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import prometheus

METRIC = "http_server_request_duration_seconds"
EDGES = ("0.005", "0.1", "0.2", "0.5", "+Inf")
PER_SECOND = 5.0
PODS = ("bbbbb", "ccccc", "ddddd", "fffff")
EVERY_SECONDS = 15.0
LONG_BEFORE, BEGIN, DUE, END = -345.0, 0.0, 225.0, 900.0
"""Seconds of the play."""


@dataclass(frozen=True)
class Sample:
    """One scrape of one pod, in seconds of the play."""

    at: float
    pod: str
    count: float
    """Requests so far, all of them faster than the lowest edge."""
    edges: tuple[str, ...] = EDGES
    skew: float = 0.0
    """How far the exporter's clock is ahead."""

    def lines(self, workload: str, origin: float) -> Iterator[str]:
        """Of the exposition; `origin` is the play's second 0, in Unix seconds."""
        stamp = round((origin + self.at + self.skew) * 1000)
        labels = f'namespace="shop",pod="{workload}-5d4f8c7b9c-{self.pod}",http_response_status_code="200"'
        count = "NaN" if math.isnan(self.count) else "+Inf" if math.isinf(self.count) else f"{self.count:.0f}"
        for edge in self.edges:
            yield f'{METRIC}_bucket{{{labels},le="{edge}"}} {count} {stamp}'
        yield f"{METRIC}_count{{{labels}}} {count} {stamp}"


Past = Iterable[Sample]


def steady(start: float = LONG_BEFORE, end: float = END, pods: Sequence[str] = PODS, **its: Any) -> Past:
    """Four pods that get 5 requests a second each, scraped every 15 s: all idle most of the time.

    Counters begin at 0 with `start`.
    """
    for number, pod in enumerate(pods):
        at = start + 2.0 * number
        while at <= end:
            yield Sample(at, pod, PER_SECOND * (at - start), **its)
            at += EVERY_SECONDS


def changed(since: float, change: Callable[[Sample], Sample | None], past: Past | None = None) -> Past:
    """Samples after `since` changed, or left out where there is None."""
    past = steady() if past is None else past
    for sample in past:
        after = change(sample) if sample.at > since else sample
        if after is not None:
            yield after


def exposition(pasts: Mapping[str, Past], origin: float) -> str:
    """All of them, by workload, as they come in the course of time."""
    samples = [(sample, workload) for workload, past in pasts.items() for sample in past]
    samples.sort(key=lambda pair: pair[0].at)
    return "".join(f"{line}\n" for sample, workload in samples for line in sample.lines(workload, origin))


@contextmanager
def remembered(directory: Path, pasts: Mapping[str, Past]) -> Iterator[tuple[str, float]]:
    """The address of a Prometheus that has scraped all of it, and when the play begins."""
    origin = float(round(time.time()) - END - 60)
    with scraped(directory, exposition(pasts, origin)) as address:
        yield address, origin


@contextmanager
def scraped(directory: Path, past: str) -> Iterator[str]:
    """The address of a Prometheus that has scraped this exposition, which has counters in namespace shop."""
    text = [past]
    page = Exporter({"/past": lambda: text[0]})
    job = {
        "job_name": "past",
        "honor_labels": True,
        "metrics_path": "/past",
        "static_configs": [{"targets": [page.address]}],
    }
    with page, prometheus(directory, [job], interval="3s") as address:
        last = 'count(count_over_time({namespace="shop",__name__=~".+_count"}[1h])) by (pod)'
        deadline = time.monotonic() + 30
        while not requests.get(f"{address}/api/v1/query", {"query": last}, timeout=5).json()["data"]["result"]:
            assert time.monotonic() < deadline, "the past was not scraped"
            time.sleep(0.1)
        text[0] = "# nothing more\n"
        yield address
