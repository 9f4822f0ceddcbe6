"""Nothing is taken away because requests are not seen."""

from __future__ import annotations

import pytest

from perfslo.core import capacity, proof
from perfslo.core.forecast import Forecast
from perfslo.core.memory import Bin, Capacity, Curve
from perfslo.core.model import Missing, Replicas, Signal, Value
from tests.core import turns

PER_POD = 25.0
SPEC = turns.spec()


def remembered() -> Capacity:
    latency = SPEC.primary_objective.latency
    assert latency
    curve = Curve(bins=(Bin(PER_POD, 4000.0, 4.0),), low=PER_POD, median=1.2 * PER_POD)
    return Capacity("v1", curves={capacity.promise_key(latency): curve})


@pytest.mark.parametrize(
    ("seen", "fewest"),
    [
        (Value(4.0), 3),
        (Value(5.0), 3),  # one that is on its way out
        (Value(3.0), 4),
        (Value(1.0), 4),
        (Value(0.0), 3),  # then nothing is known of the load, either
        (Missing("SeriesMissing"), 3),  # a proxy's series
    ],
)
def test_pods_without_series_count_as_busy_as_the_others(seen: Signal, fewest: int) -> None:
    observation = turns.observation(turns.SLOW, Replicas(4, 4, version="v1"), pods_seen=seen)
    memory = turns.memory(capacities=(remembered(),))
    load = Forecast(64.0, 64.0, ((64.0, 1.0),))
    assert proof.fewest(SPEC, memory, observation, load) == fewest
    assert (proof.sufficient(SPEC, memory, observation, load, 3) is None) == (fewest == 4)
