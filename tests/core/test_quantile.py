"""Buckets against the exact answers of the durations they were made from."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core.model import Histogram, Missing
from perfslo.core.quantile import bracket, bucket_to_add, histogram, quantile, share_over, wilson

STOCK = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)

durations = st.one_of(
    st.lists(st.floats(0.0005, 60.0), min_size=1, max_size=100),
    # Of one kind, of two kinds, on edges, in no time, and with a heavy tail.
    st.lists(st.sampled_from([0.0, 0.003, *STOCK[:-1], 40.0]), min_size=1, max_size=100),
    st.lists(st.floats(-4, 4).map(lambda power: 10.0**power), min_size=1, max_size=100),
)
edges = st.one_of(
    st.just(STOCK),
    st.lists(st.floats(0.001, 30.0), min_size=1, max_size=20, unique=True).map(lambda e: (*sorted(e), math.inf)),
    st.sampled_from([(1e-6, math.inf), (0.5, math.inf), (1e6, math.inf)]),  # one bucket: below all, among, above all
)
thresholds = st.one_of(st.sampled_from(STOCK[:-1]), st.floats(0.0001, 100.0))


def counted(seconds: list[float], bounds: tuple[float, ...]) -> Histogram:
    ordered = sorted(seconds)
    return Histogram(bounds, tuple(float(bisect_right(ordered, bound)) for bound in bounds))


def exposed(pods: Sequence[tuple[list[float], str]], bounds: tuple[float, ...]) -> Histogram:
    """Of pods that each count durations in their own way of writing the same edges, in milliseconds."""
    rows = [
        ("+Inf" if math.isinf(bound) else form.format(bound * 1000), count)
        for seconds, form in pods
        for bound, count in zip(bounds, counted(seconds, bounds).counts, strict=True)
    ]
    of = histogram(rows, scale_to_seconds=0.001)
    assert isinstance(of, Histogram)
    return of


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(durations, st.sampled_from(["{!r}", "{:.17g}", "{:.20e}"])), min_size=1, max_size=3),
    edges,
    thresholds,
    st.floats(0.01, 0.99),
)
def test_the_truth_of_all_pods_is_in_the_intervals_of_their_rows(
    pods: list[tuple[list[float], str]], bounds: tuple[float, ...], threshold: float, ratio: float
) -> None:
    of = exposed(pods, bounds)
    everything = sorted(second for seconds, _ in pods for second in seconds)
    share, estimate = share_over(of, threshold), quantile(of, ratio)
    assert share
    assert estimate
    slow = sum(second > threshold for second in everything) / len(everything)
    assert share.edge_low - 1e-9 <= slow <= share.edge_high + 1e-9
    truth = everything[math.ceil(ratio * len(everything)) - 1]
    assert estimate.low * (1 - 1e-9) <= truth <= estimate.high * (1 + 1e-9)


@settings(max_examples=150, deadline=None)
@given(durations, edges, st.floats(0.01, 0.99))
def test_the_interval_of_a_quantile_holds_the_truth(
    seconds: list[float], bounds: tuple[float, ...], ratio: float
) -> None:
    estimate = quantile(counted(seconds, bounds), ratio)
    assert estimate
    truth = sorted(seconds)[math.ceil(ratio * len(seconds)) - 1]
    assert estimate.low <= truth <= estimate.high
    assert estimate.low <= estimate.value <= estimate.high


@settings(max_examples=150, deadline=None)
@given(durations, edges, thresholds)
def test_the_interval_of_a_share_holds_the_truth(
    seconds: list[float], bounds: tuple[float, ...], threshold: float
) -> None:
    share = share_over(counted(seconds, bounds), threshold)
    assert share
    truth = sum(second > threshold for second in seconds) / len(seconds)
    assert share.edge_low - 1e-9 <= truth <= share.edge_high + 1e-9
    assert 0 <= share.edge_low <= share.value <= share.edge_high <= 1
    assert share.samples == len(seconds)


@settings(max_examples=100, deadline=None)
@given(durations, st.sampled_from(STOCK[:-1]))
def test_a_threshold_on_an_edge_is_exact(seconds: list[float], threshold: float) -> None:
    of = counted(seconds, STOCK)
    share = share_over(of, threshold)
    assert share
    assert share.edge_low == share.edge_high == share.value
    assert share.value == pytest.approx(sum(second > threshold for second in seconds) / len(seconds))
    assert bucket_to_add(of, threshold) is None


@settings(max_examples=100, deadline=None)
@given(durations, edges)
def test_quantile_and_share_agree(seconds: list[float], bounds: tuple[float, ...]) -> None:
    of = counted(seconds, bounds)
    for ratio in (0.5, 0.95):
        estimate = quantile(of, ratio)
        assert estimate
        if estimate.low < estimate.value < estimate.high < math.inf:
            share = share_over(of, estimate.value)
            assert share
            assert share.value == pytest.approx(1 - ratio)


@settings(max_examples=100, deadline=None)
@given(durations, edges, thresholds, thresholds)
def test_a_higher_threshold_is_exceeded_less(
    seconds: list[float], bounds: tuple[float, ...], one: float, other: float
) -> None:
    of = counted(seconds, bounds)
    low, high = share_over(of, min(one, other)), share_over(of, max(one, other))
    assert low
    assert high
    assert low.value >= high.value - 1e-9


def test_interpolation_is_logarithmic_and_linear_from_zero() -> None:
    of = Histogram((0.1, 0.4, math.inf), (0.0, 100.0, 100.0))
    half = quantile(of, 0.5)
    assert half
    assert half.value == pytest.approx(0.2)  # the geometric middle of 0.1 and 0.4
    share = share_over(of, 0.2)
    assert share
    assert (share.edge_low, share.edge_high) == (0.0, 1.0)
    assert share.value == pytest.approx(0.5)
    first = quantile(Histogram((0.1, math.inf), (100.0, 100.0)), 0.5)
    assert first
    assert first.value == pytest.approx(0.05)


def test_beyond_the_last_edge_nothing_is_invented() -> None:
    of = Histogram((0.1, 1.0, math.inf), (50.0, 90.0, 100.0))
    estimate = quantile(of, 0.95)
    assert estimate
    assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, math.inf)
    share = share_over(of, 3.0)
    assert share
    assert share.edge_low == 0.0
    assert share.value == share.edge_high == pytest.approx(0.1)


def test_the_bucket_to_add() -> None:
    of = Histogram(STOCK, tuple(float(i) for i in range(len(STOCK))))
    assert bucket_to_add(of, 0.2) == 0.2
    assert bracket(of, 0.2) == (0.1, 0.25)
    assert bracket(of, 0.25) == (0.25, 0.25)
    assert bracket(of, 0.1 + 0.15) == (0.25, 0.25)
    assert bracket(of, 20.0) == (10.0, math.inf)
    assert bracket(of, 0.001) == (0.0, 0.005)


def test_no_requests_no_answer() -> None:
    empty = Histogram((0.1, math.inf), (0.0, 0.0))
    assert quantile(empty, 0.95) is None
    assert share_over(empty, 0.2) is None


@pytest.mark.parametrize(("samples", "half_width"), [(50, 0.0545), (200, 0.026), (1000, 0.011)])
def test_the_interval_narrows_with_requests(samples: float, half_width: float) -> None:
    low, high = wilson(0.05, samples)
    assert (high - low) / 2 == pytest.approx(half_width, abs=6e-4)


def binomial(successes: int, trials: int, share: float) -> float:
    """Probability of so many successes."""
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return math.exp(ways + successes * math.log(share) + (trials - successes) * math.log(1 - share))


@pytest.mark.parametrize("samples", [30, 100, 1000])
def test_the_interval_covers_the_true_share_nine_times_in_ten(samples: int) -> None:
    """Reckoned, not drawn: the probability of each count times whether its interval holds the share."""
    intervals = [wilson(count / samples, samples) for count in range(samples + 1)]

    def covered(share: float) -> float:
        return sum(
            binomial(count, samples, share) for count, (low, high) in enumerate(intervals) if low <= share <= high
        )

    shares = [number / 100 for number in range(3, 98)]
    coverages = [covered(share) for share in shares]
    assert sum(coverages) / len(coverages) == pytest.approx(0.9, abs=0.015)
    assert min(coverages) > 0.8, "counts are whole, so single shares are above and below"


@pytest.mark.parametrize("threshold", [0.25, 0.2], ids=["an edge", "between edges"])
def test_the_interval_covers_the_rate_behind_drawn_requests(threshold: float) -> None:
    """Log-normal response times in stock buckets; seeded."""
    draw = random.Random(4)
    middle, spread = math.log(0.08), 0.7
    truth = 1 - NormalDist(middle, spread).cdf(math.log(threshold))
    draws, hits = 1000, 0
    for _ in range(draws):
        share = share_over(counted([draw.lognormvariate(middle, spread) for _ in range(150)], STOCK), threshold)
        assert share
        hits += wilson(share.edge_low, 150)[0] <= truth <= wilson(share.edge_high, 150)[1]
    if threshold in STOCK:
        assert hits / draws == pytest.approx(0.9, abs=0.04)
    else:
        assert hits / draws > 0.9, "what the edges leave open comes on top"


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.floats(1, 1e6))
def test_the_ends_of_the_interval_are_where_the_share_is_z_deviations_away(share: float, samples: float) -> None:
    for end in wilson(share, samples, z=2.0):
        assert abs(share - end) == pytest.approx(2.0 * math.sqrt(end * (1 - end) / samples), abs=1e-6)


def test_rows_become_a_histogram_in_seconds() -> None:
    rows = [("+Inf", 9.0), ("100", 5.0), ("250", 7.0)]
    assert histogram(rows, 0.001, 3.0) == Histogram((0.1, 0.25, math.inf), (5.0, 7.0, 9.0), 3.0)


def test_pods_that_write_an_edge_in_two_ways_add_up() -> None:
    rows = [("1", 2.0), ("1.0", 3.0), ("+Inf", 7.0)]
    assert histogram(rows) == Histogram((1.0, math.inf), (5.0, 7.0))


def test_counts_that_fall_are_lifted() -> None:
    rows = [("0.1", 5.0), ("0.2", 3.0), ("0.5", 8.0), ("+Inf", 8.0)]
    assert histogram(rows) == Histogram((0.1, 0.2, 0.5, math.inf), (5.0, 5.0, 8.0, 8.0))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "SeriesMissing"),
        ([("0.1", 1.0)], "InfBucketMissing"),
        ([("+Inf", 1.0)], "BucketsMissing"),
        ([("0.1", math.nan), ("+Inf", 1.0)], "NotANumber"),
        ([("0.1", 1.0), ("+Inf", math.inf)], "NotANumber"),
        ([("0.1", -1.0), ("+Inf", 1.0)], "NotANumber"),
        ([("", 1.0), ("+Inf", 1.0)], "BucketInvalid"),
        ([("NaN", 1.0), ("+Inf", 1.0)], "BucketInvalid"),
    ],
)
def test_buckets_that_say_nothing(rows: list[tuple[str, float]], reason: str) -> None:
    found = histogram(rows)
    assert isinstance(found, Missing)
    assert found.reason == reason
    assert found.message
