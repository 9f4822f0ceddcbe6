"""Buckets that do not all speak of the same requests are not taken for slow requests."""

from __future__ import annotations

import pytest

from perfslo.core import buckets
from perfslo.core.measure import Row
from perfslo.core.model import Missing

EDGES = ("0.1", "0.2", "0.5", "+Inf")


def rows(*counts: float, edges: tuple[str, ...] = EDGES) -> tuple[Row, ...]:
    return tuple(Row({"le": le}, count) for le, count in zip(edges, counts, strict=True))


@pytest.mark.parametrize(
    ("counts", "broken"),
    [
        ((100, 100, 100, 100), False),
        ((0, 95, 100, 100), False),
        ((0, 90, 100, 100), True),
        ((0, 0, 0, 100), True),
        ((0, 0, 0, 0), False),
    ],
)
def test_what_breaks_the_promise_looks_broken(counts: tuple[float, ...], broken: bool) -> None:
    assert buckets.look_broken(rows(*counts), 1.0, 0.2, 0.05) is broken


def test_a_threshold_between_edges_is_interpolated_as_elsewhere() -> None:
    between = rows(80, 99, 100, edges=("0.1", "0.25", "+Inf"))
    assert not buckets.look_broken(between, 1.0, 0.2, 0.05)
    assert buckets.look_broken(between, 1.0, 0.12, 0.05)


def test_the_unit_of_the_edges_counts() -> None:
    in_milliseconds = rows(50, 100, 100, edges=("100", "250", "+Inf"))
    assert buckets.look_broken(in_milliseconds, 0.001, 0.1, 0.05)
    assert not buckets.look_broken(in_milliseconds, 0.001, 0.25, 0.05)


@pytest.mark.parametrize("edge", ["", "abc", "NaN"])
def test_what_is_no_histogram_is_left_to_others(edge: str) -> None:
    assert not buckets.look_broken((Row({"le": edge}, 5.0),), 1.0, 0.2, 0.05)
    assert not buckets.look_broken((), 1.0, 0.2, 0.05)


def test_only_buckets_of_every_pod_and_the_whole_window_are_kept() -> None:
    seen = rows(100, 40, 100, 200)
    assert buckets.complete(seen, rows(16, 8, 16, 16)) == rows(100, 100, 200, edges=("0.1", "0.5", "+Inf"))
    assert buckets.complete(seen, rows(16, 16, 16, 16)) == seen


def test_an_edge_that_is_written_in_two_ways_is_one() -> None:
    edges = ("1", "1.0", "+Inf")
    assert buckets.complete(rows(5, 5, 10, edges=edges), rows(4, 4, 8, edges=edges)) == rows(5, 5, 10, edges=edges)


def test_no_common_bucket_is_no_histogram() -> None:
    problem = buckets.complete(rows(100, 100, 100, 200), rows(8, 8, 8, 16))
    assert isinstance(problem, Missing)
    assert problem.reason == "BucketsChanged"


def test_native_histograms_beside_buckets_are_whole() -> None:
    native = Row({}, 9.0, ((0.3, 0.33, 9.0),))
    assert not buckets.look_broken((native,), 1.0, 0.2, 0.05), "there are no buckets to check"
    slow = rows(10.0, 10.0, 50.0, 100.0)
    assert buckets.look_broken((*slow, native), 1.0, 0.2, 0.05)
    of_native = Row({}, 4.0)
    assert buckets.complete((*slow, native), (*rows(4.0, 4.0, 4.0, 4.0), of_native)) == (*slow, native)
    assert isinstance(buckets.complete((*slow, native), (*rows(3.0, 3.0, 3.0, 4.0), of_native)), Missing)
