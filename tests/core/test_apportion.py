"""Shares become whole weights without losing or making any."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core.apportion import apportion

NAMES = st.sampled_from("abcdefgh")
SHARES = st.dictionaries(NAMES, st.floats(0.0, 1e9), min_size=1, max_size=8).filter(lambda s: sum(s.values()) > 1e-3)


@given(SHARES, st.integers(1, 1_000_000))
def test_each_is_within_one_of_its_part_and_they_add_up(shares: dict[str, float], total: int) -> None:
    weights = apportion(shares, total)
    assert sum(weights.values()) == total
    assert list(weights) == list(shares)
    for name, weight in weights.items():
        assert abs(weight - total * shares[name] / sum(shares.values())) < 1 + 1e-6


@given(SHARES, st.integers(1, 1000))
def test_a_larger_share_never_gets_less(shares: dict[str, float], total: int) -> None:
    weights = apportion(shares, total)
    ordered = sorted(shares, key=lambda name: shares[name])
    for smaller, larger in pairwise(ordered):
        assert weights[smaller] <= weights[larger] or shares[smaller] == shares[larger]


def test_largest_remainders_first_and_earlier_names_first() -> None:
    assert apportion({"a": 1, "b": 1, "c": 1}, 100) == {"a": 34, "b": 33, "c": 33}
    assert apportion({"a": 0.555, "b": 0.445}, 100) == {"a": 56, "b": 44}
    assert apportion({"a": 0.0, "b": 2.0}, 100) == {"a": 0, "b": 100}


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_shares_that_say_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must be"):
        apportion(shares, 100)
