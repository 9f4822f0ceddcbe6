"""What a cycle adds to memory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perfslo.core import iterate
from perfslo.core.memory import Sample
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
