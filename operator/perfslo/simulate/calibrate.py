"""A service like the one that was there, from what was seen of it; and what of it is seen, and what is assumed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perfslo.core import quantile, text
from perfslo.core.model import Histogram
from perfslo.errors import ConfigurationError
from perfslo.simulate.model import Balancing, Service
from perfslo.simulate.past import Moment, Past
from perfslo.simulate.run import most_rps, steady_bad_ratio

GROUPS = 4
"""Of minutes with about equally many requests each, by load per pod."""
WORKERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
FLOOR = 1e-3
"""Shares below it are told apart by chance only."""
COUNTED = 5000.0
"""Requests of a group that count as independent: those of a minute share its luck."""
SCALES = (1.0, 0.9, 0.8)
"""Of the work: even in the calmest minutes some requests wait, and buckets are coarse."""
REQUESTS = 100_000
"""Of each trial."""
TAIL_OFF = 0.005
"""Share of requests by which the tail may differ from a log-normal one at any load: only the rise speaks of workers."""
AS_GOOD = 3.84
"""Deviance that chance alone exceeds once in 20 times (chi-squared, one degree of freedom). Of several services that
explain latency so nearly equally well, the one that carries least is taken."""
MOST_PODS = 30
"""Among which a load is simulated; of more, each one's share is the same."""


@dataclass(frozen=True, slots=True)
class Group:
    """Minutes of similar load."""

    rps_per_pod: float
    bad_ratio: float
    """Seen."""
    requests: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A service, and why."""

    service: Service
    notes: tuple[str, ...]
    """Sentences about what was found and what is assumed."""


def calibrate(past: Past, balancing: Balancing = Balancing.RANDOM) -> Calibrated:
    """Log-normal work as in the calmest minutes, and as many workers as explain how latency rises with load.

    Raises ConfigurationError when no request was seen.
    """
    busy = sorted((m for m in past.moments if m.histogram), key=lambda moment: moment.rps / moment.pods)
    if not busy:
        raise ConfigurationError("there is no request in this range: take another one")
    groups = _groups(busy, past.target_seconds)
    calm = _merged([m.histogram for m in busy[: max(1, len(busy) // GROUPS)] if m.histogram])
    mean, variation = _work(calm)
    base = Service(mean_seconds=mean, variation=variation, buckets_seconds=calm.upper_bounds_seconds)
    pods = min(MOST_PODS, max(1, round(sum(moment.pods for moment in busy) / len(busy))))
    tried = {
        candidate: simulated
        for scale in SCALES
        for candidate, simulated in _tried(replace(base, mean_seconds=scale * mean), groups, past, balancing, pods)
    }
    if not tried:
        raise ConfigurationError(f"more load per pod than {WORKERS[-1]} workers carry: are all pods scraped?")
    distances = {candidate: _distance(groups, simulated) for candidate, simulated in tried.items()}
    alike = [candidate for candidate, distance in distances.items() if distance <= min(distances.values()) + AS_GOOD]
    service = min(alike, key=most_rps)
    return Calibrated(service, tuple(_notes(service, groups, tried[service], alike, calm, balancing)))


def _groups(busy: Sequence[Moment], target_seconds: float) -> list[Group]:
    whole = sum(moment.histogram.total for moment in busy if moment.histogram)
    groups: list[Group] = []
    current: list[Moment] = []
    counted = 0.0
    for moment in busy:
        current.append(moment)
        counted += moment.histogram.total if moment.histogram else 0.0
        if counted >= whole * (len(groups) + 1) / GROUPS - 1e-9:
            groups.append(_group(current, target_seconds))
            current = []
    return groups


def _group(moments: Sequence[Moment], target_seconds: float) -> Group:
    merged = _merged([moment.histogram for moment in moments if moment.histogram])
    share = quantile.share_over(merged, target_seconds)
    pod_minutes = sum(moment.pods for moment in moments)
    return Group(sum(moment.rps for moment in moments) / pod_minutes, share.value if share else 0.0, merged.total)


def _merged(histograms: Sequence[Histogram]) -> Histogram:
    """Those that have the buckets of the first one, together."""
    bounds = histograms[0].upper_bounds_seconds
    alike = [histogram.counts for histogram in histograms if histogram.upper_bounds_seconds == bounds]
    return Histogram(bounds, tuple(map(sum, zip(*alike, strict=True))))


def _work(calm: Histogram) -> tuple[float, float]:
    """Mean and variation of the log-normal distribution with the same median and 90th percentile."""
    median, high = quantile.quantile(calm, 0.5), quantile.quantile(calm, 0.9)
    if median is None or high is None or median.value <= 0:
        raise ConfigurationError("the buckets do not tell how long requests take: add finer ones")
    sigma = max(0.05, math.log(max(high.value, median.value) / median.value) / 1.2816)
    variance = sigma * sigma
    return median.value * math.exp(variance / 2), math.sqrt(math.expm1(variance))


def _tried(
    base: Service, groups: Sequence[Group], past: Past, balancing: Balancing, pods: int
) -> Iterator[tuple[Service, list[float]]]:
    """The share of bad requests at each group's load, with more and more workers until nothing waits for one."""
    before: list[float] = []
    for workers in WORKERS:
        service = replace(base, workers=workers, cpu_request_cores=float(workers))
        if groups[-1].rps_per_pod >= most_rps(service):
            continue
        simulated = [
            steady_bad_ratio(service, past.target_seconds, balancing, pods, group.rps_per_pod, requests=REQUESTS)
            for group in groups
        ]
        if _same(simulated, before):
            return
        yield service, simulated
        before = simulated


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= FLOOR / 10 for a, b in zip(one, other, strict=True))


def _distance(groups: Sequence[Group], simulated: Sequence[float]) -> float:
    """Poisson deviance of the slow requests that were seen from those that were to be expected."""
    off = min(max(groups[0].bad_ratio - simulated[0], -TAIL_OFF), TAIL_OFF)
    whole = 0.0
    for group, share in zip(groups, simulated, strict=True):
        requests = min(group.requests, COUNTED)
        seen, expected = group.bad_ratio * requests, max(share + off, FLOOR) * requests
        whole += 2 * ((seen * math.log(seen / expected) if seen > 0 else 0.0) - (seen - expected))
    return whole


def _notes(
    service: Service,
    groups: Sequence[Group],
    simulated: Sequence[float],
    alike: Sequence[Service],
    calm: Histogram,
    balancing: Balancing,
) -> list[str]:
    shown = ", ".join(
        f"{text.percent(group.bad_ratio)} seen and {text.percent(share)} simulated at {text.rate(group.rps_per_pod)}/s"
        for group, share in zip(groups, simulated, strict=True)
    )
    notes = [
        f"work: log-normal, {text.seconds(service.mean_seconds)} on average, from {calm.total:,.0f} requests in the "
        "calmest quarter of the minutes",
        f"{service.workers} workers per pod explain the slow requests: {shown} per pod",
        f"no pod was seen to carry more than {text.rate(groups[-1].rps_per_pod)}/s on average: what it does beyond is "
        "the model's",
        f"assumed: pods start within {text.seconds(service.startup_seconds)}, requests find them by {balancing.value} "
        "choice, clients do not retry, nothing else changed (no release, no slow dependency)",
    ]
    if (most := max(alike, key=most_rps)).workers > service.workers:
        notes.insert(
            2, f"up to {most.workers} workers explain them about as well: of such services the weakest was taken"
        )
    return notes
