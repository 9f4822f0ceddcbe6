"""What a cycle adds to memory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perfslo.core import codec, iterate
from perfslo.core.memory import Memory, Recommendation, Sample, Season
from perfslo.core.model import Histogram, Replicas, Value
from tests.core.turns import NOW, memory, observation, spec


@pytest.mark.parametrize(
    ("ready", "learnt"),
    [((13, 13, 14), True), ((7, 7, 14), False), ((14,), False)],
    ids=["one is new", "half are new", "the version is new"],
)
def test_the_throughput_of_saturated_pods_is_learnt_while_few_of_them_are_new(
    ready: tuple[int, ...], learnt: bool
) -> None:
    readies = tuple(Sample(NOW - 15.0 * (len(ready) - 1 - i), float(n)) for i, n in enumerate(ready[:-1]))
    before = memory(time=NOW - 15.0, clean_since=NOW - 15.0, in_flight=(Sample(NOW - 15.0, 300.0),), readies=readies)
    before = replace(before, ready=ready[0], ready_since=NOW - 15.0)
    half = Histogram((0.2, 1.0, math.inf), (500.0, 1000.0, 1000.0))
    seen = observation(
        half, Replicas(14, 14, version="v1"), completions_per_second=Value(280.0), in_flight=Value(600.0)
    )
    known = iterate.absorb(spec(), before, seen).capacities[0]
    assert (known.ceiling == 20.0) == learnt
    assert not known.ceiling_settled


def left(ago: float, desired: int = 2) -> Memory:
    """What the status keeps of a leader who looked so many seconds ago last."""
    known = memory(
        time=NOW - ago,
        desired=desired,
        arrivals=(Sample(NOW - ago, 20.0),),
        recommendations=(Recommendation(NOW - ago, NOW - ago, 1),),
        season=Season("5e" * 2304, int(NOW // 300)),
    )
    return codec.decode(codec.encode(known))


def seen_after(ago: float, desired: int = 2) -> Memory:
    return iterate.absorb(spec(), left(ago, desired), observation(replicas=Replicas(2, 2, version="v1")))


def test_a_new_leader_goes_on_where_the_one_before_was_a_moment_ago() -> None:
    known = seen_after(15.0)
    assert known.known_since == NOW - 600
    assert [sample.time for sample in known.arrivals] == [NOW - 15.0, NOW]
    assert [asked.replicas for asked in known.recommendations] == [1]


def test_after_a_while_that_nobody_saw_all_replicas_count_as_asked_for() -> None:
    known = seen_after(45.0)
    assert known.known_since == NOW - 600
    assert [(asked.time, asked.replicas) for asked in known.recommendations] == [(NOW - 45.0, 1), (NOW, 2)]


@pytest.mark.parametrize("ago", [90.0, -3600.0], ids=["long ago", "a clock that went back"])
def test_after_a_longer_while_all_that_is_fast_is_found_out_anew(ago: float) -> None:
    known = seen_after(ago)
    assert known.known_since == NOW
    assert len(known.arrivals) == 1


def test_replicas_that_somebody_else_added_count_as_asked_for() -> None:
    known = seen_after(15.0, desired=1)
    assert [asked.replicas for asked in known.recommendations] == [1, 2]
    assert [asked.replicas for asked in seen_after(15.0, desired=3).recommendations] == [1]


@pytest.mark.parametrize("ago", [15.0, 90.0])
def test_what_days_have_in_common_outlives_any_pause(ago: float) -> None:
    assert seen_after(ago).season.days == "5e" * 2304
