"""A past that is known to the request: simulated pods, as their own counters and as what Prometheus tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfslo.core import quantile
from perfslo.core.model import Histogram
from perfslo.simulate.engine import Engine
from perfslo.simulate.model import Load, Service
from perfslo.simulate.past import Moment, Past

SLO = """\
apiVersion: perfslo.io/v1alpha1
kind: PerformanceSLO
metadata: {name: checkout, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: checkout}
  minReplicas: 2
  maxReplicas: 12
  objectives:
  - name: p95
    latency: {percentile: 95, threshold: 250ms}
"""
METRIC = "http_server_request_duration_seconds"
POD_SUFFIXES = "bcdfghjklm"
EVERY_SECONDS = 15.0
TARGET_SECONDS = 0.25


@dataclass(frozen=True)
class Scrape:
    """Cumulative counts of each pod that is ready, by bucket."""

    at: float
    pods: tuple[tuple[float, ...], ...]


def scrapes(service: Service, load: Load, pods: Sequence[tuple[float, int]]) -> Iterator[Scrape]:
    """All pods, each 15 s, with as many pods from each time on; none is ever removed."""
    engine = Engine(service, load, seed=7, target_seconds=TARGET_SECONDS)
    rows: list[int] = []
    at = 0.0
    while at <= load.duration_seconds:
        engine.advance(at)
        for _ in range(next(count for since, count in reversed(pods) if since <= at) - len(rows)):
            rows.append(engine.add())
            engine.open(rows[-1])
        yield Scrape(at, tuple(tuple(map(float, engine.counts[row].cumsum())) for row in rows))
        at += EVERY_SECONDS


def past(service: Service, load: Load, pods: Sequence[tuple[float, int]]) -> Past:
    """The same as a range that was read, whole."""
    minutes = [scrape for scrape in scrapes(service, load, pods) if scrape.at % 60 == 0]
    moments = []
    for before, after in pairwise(minutes):
        old, new = (map(sum, zip(*scrape.pods, strict=True)) for scrape in (before, after))
        counts = tuple(now - then for then, now in zip(old, new, strict=True))
        histogram = Histogram(service.buckets_seconds, counts)
        share, high = quantile.share_over(histogram, TARGET_SECONDS), quantile.quantile(histogram, 0.95)
        assert share
        assert high
        moments.append(Moment(before.at, histogram.total / 60, share.value, high.value, len(before.pods), histogram))
    return Past(1_800_000_000.0, TARGET_SECONDS, 95.0, tuple(moments), 0)


def exposition(service: Service, taken: Sequence[Scrape], origin: float) -> str:
    """What Prometheus takes in at once; the first scrape was at `origin` (Unix seconds)."""
    return "".join(line + "\n" for scrape in taken for line in _lines(service, scrape, origin))


def _lines(service: Service, scrape: Scrape, origin: float) -> Iterator[str]:
    stamp = round((origin + scrape.at) * 1000)
    for number, counts in enumerate(scrape.pods):
        name = f"checkout-5d4f8c7b9c-{POD_SUFFIXES[number] * 5}"
        labels = f'namespace="shop",pod="{name}",http_response_status_code="200"'
        for bound, count in zip(service.buckets_seconds, counts, strict=True):
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{METRIC}_bucket{{{labels},le="{le}"}} {count:.0f} {stamp}'
        yield f"{METRIC}_count{{{labels}}} {counts[-1]:.0f} {stamp}"
