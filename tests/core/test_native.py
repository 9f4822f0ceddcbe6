"""Native histograms, as the API writes them, against the exact answers of the durations they were made from."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core.model import Histogram, Missing
from perfslo.core.native import Bucket, histogram, merged
from perfslo.core.quantile import bracket, bucket_to_add, quantile, share_over

durations = st.lists(st.floats(0.0001, 60.0), min_size=1, max_size=100)
thresholds = st.floats(0.0001, 100.0)
ZERO_THRESHOLD = 2.0**-128


def exponential(seconds: list[float], schema: int) -> list[Bucket]:
    """What a client library would count: bucket i holds (base^(i-1), base^i]."""
    base = 2.0**2.0**-schema
    indexes = Counter(math.ceil(round(math.log2(second) * 2**schema, 9)) for second in seconds)
    return [(base ** (index - 1), base**index, float(count)) for index, count in sorted(indexes.items())]


def read(seconds: list[float], schema: int) -> Histogram:
    of = histogram(len(seconds), exponential(seconds, schema))
    assert isinstance(of, Histogram)
    return of


@settings(max_examples=150, deadline=None)
@given(durations, st.integers(-2, 8), thresholds, st.floats(0.01, 0.99))
def test_intervals_hold_the_truth(seconds: list[float], schema: int, threshold: float, ratio: float) -> None:
    of = read(seconds, schema)
    share, estimate = share_over(of, threshold), quantile(of, ratio)
    assert share
    assert estimate
    slow = sum(second > threshold for second in seconds) / len(seconds)
    assert share.edge_low - 1e-9 <= slow <= share.edge_high + 1e-9
    truth = sorted(seconds)[math.ceil(ratio * len(seconds)) - 1]
    assert estimate.low * (1 - 1e-9) <= truth <= estimate.high * (1 + 1e-9)
    assert estimate.high / estimate.low == pytest.approx(2.0**2.0**-schema), "one bucket wide"


def test_edges_are_those_of_buckets_that_are_not_empty() -> None:
    of = histogram(10, [(0.1, 0.2, 3.0), (0.2, 0.3, 2.0), (0.8, 1.6, 5.0)], age_seconds=7.0)
    assert of == Histogram((0.1, 0.2, 0.3, 0.8, 1.6, math.inf), (0.0, 3.0, 5.0, 5.0, 10.0, 10.0), 7.0, native=True)
    assert bracket(of, 0.5) == (0.5, 0.5), "nothing is between the buckets, so the share is exact"
    assert bracket(of, 9.0) == (9.0, 9.0)
    assert bracket(of, 1.0) == (0.8, 1.6)
    assert bucket_to_add(of, 1.0) is None, "nobody adds one edge to an exponential histogram"


def test_custom_buckets_are_read_the_same_way() -> None:
    of = histogram(8, [(-math.inf, 5.0, 2.0), (25.0, 100.0, 5.0), (100.0, math.inf, 1.0)], 0.001)
    assert isinstance(of, Histogram)
    assert of.upper_bounds_seconds == pytest.approx((0.005, 0.025, 0.1, math.inf))
    assert of.counts == (2.0, 2.0, 7.0, 8.0)


def test_the_zero_bucket_begins_at_zero() -> None:
    of = histogram(5, [(-0.001, 0.001, 2.0), (0.25, 0.5, 3.0)])
    assert of == Histogram((0.001, 0.25, 0.5, math.inf), (2.0, 2.0, 5.0, 5.0), native=True)


def test_a_negative_duration_counts_among_the_fastest() -> None:
    of = histogram(6, [(-2.0, -1.0, 1.0), (0.25, 0.5, 5.0)])
    assert of == Histogram((0.25, 0.5, math.inf), (1.0, 6.0, 6.0), native=True)


def test_a_duration_that_is_no_number_counts_as_slow() -> None:
    of = histogram(10, [(0.25, 0.5, 8.0)])
    assert isinstance(of, Histogram)
    assert of.total == 10
    for threshold in (0.5, 9.0):
        share = share_over(of, threshold)
        assert share
        assert share.value == share.edge_high == pytest.approx(0.2)


def test_rounding_is_no_request() -> None:
    of = histogram(50.22, [(0.02, 0.021, 45.198), (0.3, 0.32, 5.0219999999)])
    assert isinstance(of, Histogram)
    assert of.counts[-1] == of.counts[-2]
    assert bracket(of, 9.0) == (9.0, 9.0)


def test_nothing_happened() -> None:
    of = histogram(0, [])
    assert isinstance(of, Histogram)
    assert of.total == 0


@pytest.mark.parametrize(
    ("count", "buckets", "reason"),
    [
        (math.nan, [], "NotANumber"),
        (-1.0, [], "NotANumber"),
        (5.0, [(0.1, 0.2, math.nan)], "NotANumber"),
        (5.0, [(0.1, 0.2, -5.0)], "NotANumber"),
        (5.0, [(0.1, math.nan, 5.0)], "BucketInvalid"),
        (5.0, [(math.nan, 0.1, 5.0)], "BucketInvalid"),
        (5.0, [(-math.inf, math.inf, 5.0)], "BucketsMissing"),
        (5.0, [(-0.2, -0.1, 5.0)], "BucketsMissing"),
        (5.0, [], "BucketsMissing"),
    ],
)
def test_histograms_that_say_nothing(count: float, buckets: list[Bucket], reason: str) -> None:
    found = histogram(count, buckets)
    assert isinstance(found, Missing)
    assert found.reason == reason
    assert found.message


CLASSIC = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)


@settings(max_examples=100, deadline=None)
@given(durations, durations, st.sampled_from(CLASSIC[:-1]))
def test_pods_of_both_kinds_are_off_by_a_native_bucket_at_most(
    old: list[float], new: list[float], threshold: float
) -> None:
    ordered = sorted(old)
    classic = Histogram(CLASSIC, tuple(float(bisect_right(ordered, bound)) for bound in CLASSIC))
    of = merged([read(new, 3), classic])
    assert of.upper_bounds_seconds == CLASSIC
    assert of.total == pytest.approx(len(old) + len(new))
    share = share_over(of, threshold)
    assert share
    slow = sum(second > threshold for second in old)
    open_edges = [second for second in new if threshold / 1.1 < second <= threshold * 1.1]
    surely = slow + sum(second > threshold * 1.1 for second in new)
    assert surely - 1e-6 <= share.value * of.total <= surely + len(open_edges) + 1e-6


def test_native_histograms_of_two_resolutions_add_up() -> None:
    coarse, fine = read([0.3, 0.7], 0), read([0.3, 0.6, 0.9], 3)
    of = merged([coarse, fine])
    assert of.native
    assert of.total == 5
    share = share_over(of, 0.5)
    assert share
    assert share.value == pytest.approx(3 / 5)
