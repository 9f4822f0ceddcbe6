"""The operator itself in a simulated world: few pods, of a service that changes while it is busy."""

from __future__ import annotations

import pytest

from perfslo.simulate.model import Load, Scenario, Service, Shift
from perfslo.simulate.policies.perfslo import Perfslo
from perfslo.simulate.run import simulate

CALM_RPS, BUSY_RPS = 30.0, 90.0
RISE, SLOWER, FALL, END = 10, 30, 60, 105
"""In units of the interval."""


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("seconds", [3.0, 15.0])
def test_pods_follow_a_load_that_falls_soon_after_the_service_became_slower(seconds: float, seed: int) -> None:
    rise, slower, fall, end = (unit * seconds for unit in (RISE, SLOWER, FALL, END))
    scenario = Scenario(
        "slower",
        Load((0.0, rise, rise, fall, fall, end), (CALM_RPS, CALM_RPS, BUSY_RPS, BUSY_RPS, CALM_RPS, CALM_RPS)),
        Service(mean_seconds=0.055, variation=0.5, cpu_share=0.0, startup_seconds=4.0),
        shifts=(Shift(slower, service_factor=80 / 55),),
        initial_replicas=2,
        min_replicas=2,
        max_replicas=16,
        scrape_seconds=seconds,
    )
    run = simulate(scenario, Perfslo(scenario, seconds), seed)
    busy = [instant.desired for instant in run.instants if instant.at_seconds < fall]
    # 5.7 are needed: 16 requests a second are what a pod carries.
    assert 6 <= busy[-1] <= 9
    assert run.instants[-1].desired < busy[-1]
