"""What the balancing policy of a proxy is worth, as far as it is promised."""

from __future__ import annotations

from perfslo.core.levers import balancing
from perfslo.simulate.model import Balancing, Service
from perfslo.simulate.run import steady_bad_ratio


def test_simulated_pods_carry_as_much_more_as_is_promised() -> None:
    bad = {
        way: steady_bad_ratio(Service(), 0.25, way, 6, load, requests=60_000)
        for way, load in ((Balancing.RANDOM, 37.0), (Balancing.LEAST_REQUEST, 37.0 * (1 + balancing.GAINED)))
    }
    assert 0.03 < bad[Balancing.RANDOM] < 0.1, "about as many as are allowed"
    assert bad[Balancing.LEAST_REQUEST] < bad[Balancing.RANDOM]
