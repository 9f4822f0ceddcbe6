"""Prometheus' arithmetic, beside a transcription of `extrapolatedRate` for one series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core.model import Missing
from perfslo.core.scrape import Rhythm, follow
from perfslo.simulate import loop
from perfslo.simulate.model import Service
from perfslo.simulate.prometheus import Prometheus, add_increases
from tests.simulate.worlds import engine

Series = list[tuple[float, float]]
"""Samples of a counter."""


def extrapolated(series: Series, begin: float, end: float) -> float:
    samples = [(at, value) for at, value in series if begin < at <= end]
    if len(samples) < 2:
        return 0.0
    (first_at, first), (last_at, last) = samples[0], samples[-1]
    result = last - first
    duration_to_start, duration_to_end = first_at - begin, end - last_at
    sampled_interval = last_at - first_at
    average = sampled_interval / (len(samples) - 1)
    if duration_to_start >= average * 1.1:
        duration_to_start = average / 2
    duration_to_zero = duration_to_start
    if result > 0 and first >= 0:
        duration_to_zero = sampled_interval * (first / result)
    duration_to_start = min(duration_to_start, duration_to_zero)
    if duration_to_end >= average * 1.1:
        duration_to_end = average / 2
    return result * (sampled_interval + duration_to_start + duration_to_end) / sampled_interval


def counters() -> st.SearchStrategy[Series]:
    """Scraped at some interval, with gaps, from some time on."""
    return st.builds(
        lambda offset, interval, rises, lost: [
            (offset + number * interval, float(value))
            for number, value in enumerate(np.cumsum(rises).tolist())
            if number not in lost
        ],
        st.floats(-50.0, 50.0),
        st.floats(1.0, 30.0),
        st.lists(st.integers(0, 50), min_size=1, max_size=12),
        st.sets(st.integers(0, 11), max_size=4),
    )


@settings(deadline=None)  # compiling takes a while
@given(st.lists(counters(), min_size=1, max_size=4), st.floats(0.0, 100.0), st.floats(5.0, 150.0), st.randoms())
def test_an_increase_is_what_prometheus_says(series: list[Series], end: float, window: float, chance) -> None:  # type: ignore[no-untyped-def]
    kept = max(map(len, series))
    at, what = np.full((len(series), kept), -math.inf), np.zeros((len(series), kept, 1))
    for row, samples in enumerate(series):
        # A ring's order is not that of time.
        for place, (time, value) in zip(chance.sample(range(kept), len(samples)), samples, strict=True):
            at[row, place], what[row, place, 0] = time, value
    expected = sum(extrapolated(samples, end - window, end) for samples in series)
    total = np.zeros(1)
    add_increases(at, what, end - window, end, total)
    assert total[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_windows_show_the_load() -> None:
    made = engine(Service(), 60.0, 600.0, pods=0, scrape_seconds=15.0, kept_scrapes=45)
    prometheus = Prometheus(made)
    for number in range(3):
        made.open(made.add(), first_scrape_seconds=5.0 * number)
    made.advance(300.0)
    assert prometheus.requests(60.0) == pytest.approx(60.0 * 60.0, rel=0.1)
    assert prometheus.buckets(60.0)[-1] == prometheus.requests(60.0)
    assert prometheus.increase(120.0)[loop.CPU_SECONDS] == pytest.approx(60.0 * 120.0 * 0.04, rel=0.1)
    assert prometheus.pods(37.5) == 3
    assert prometheus.in_flight() == pytest.approx(2.4, abs=6.0)


@pytest.mark.parametrize("seconds", [5.0, 15.0, 30.0, 60.0])
def test_the_scrape_interval_is_found(seconds: float) -> None:
    made = engine(Service(), 60.0, 600.0, pods=0, scrape_seconds=seconds, kept_scrapes=130)
    prometheus = Prometheus(made)
    made.open(made.add(), first_scrape_seconds=0.4 * seconds)
    rhythm: Rhythm | None = None
    for now in range(0, 400, 15):
        made.advance(float(now))
        sampling = prometheus.sampling()
        if not isinstance(sampling, Missing):
            rhythm = follow(rhythm, sampling, float(now))
    assert rhythm is not None
    assert rhythm.seconds == seconds


def test_what_was_never_used_has_no_series() -> None:
    made = engine(Service(), 60.0, 60.0, pods=0, scrape_seconds=15.0, kept_scrapes=45)
    prometheus = Prometheus(made)
    made.advance(300.0)
    made.open(made.add(), first_scrape_seconds=1.0)
    made.advance(400.0)
    assert isinstance(prometheus.sampling(), Missing)
    assert prometheus.in_flight() is None
    assert prometheus.requests(60.0) == 0.0


def test_nothing_is_scraped_while_it_is_away() -> None:
    made = engine(Service(), 60.0, 600.0, pods=0, scrape_seconds=15.0, kept_scrapes=45)
    prometheus = Prometheus(made)
    made.open(made.add(), first_scrape_seconds=1.0)
    made.advance(100.0)
    made.state.scraping = False
    assert not prometheus.up
    made.advance(200.0)
    made.state.scraping = True
    sampling = prometheus.sampling()
    assert not isinstance(sampling, Missing)
    assert sampling.age_seconds == pytest.approx(200.0 - 91.0)
    made.advance(230.0)
    # One sample before the gap of this window, two after it; the counter went on counting.
    assert prometheus.requests(150.0) == pytest.approx(150.0 * 50.0, rel=0.3)


def test_a_pod_that_is_gone_stays_in_the_windows_only() -> None:
    made = engine(Service(), 30.0, 600.0, pods=0, scrape_seconds=15.0, kept_scrapes=45)
    prometheus = Prometheus(made)
    rows = [made.add(), made.add()]
    for row in rows:
        made.open(row, first_scrape_seconds=1.0)
    made.advance(95.0)
    made.end(rows[0])
    made.advance(100.0)
    assert prometheus.pods(37.5) == 1
    assert prometheus.requests(60.0) > 0.8 * 30.0 * 60.0
    made.advance(200.0)
    assert prometheus.requests(60.0) == pytest.approx(1800.0, rel=0.2)
