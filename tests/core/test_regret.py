"""Reductions that had to be taken back."""

from __future__ import annotations

from dataclasses import replace

from perfslo.core import capacity, guardrails, identify, optimize, regret
from perfslo.core.memory import Capacity, Counted, Curve, Memory, Recommendation, Regret, Sample, ScaleEvent
from perfslo.core.model import Replicas
from perfslo.core.timescale import TimeScale
from tests.core import turns
from tests.core.turns import NOW

SCALE = TimeScale()


def missed(**changes: object) -> Memory:
    """A flood of 300/s has just begun on 3 pods; ten minutes ago there were 10, then the load was 100/s."""
    latency = turns.spec().primary_objective.latency
    assert latency
    known = Capacity("v1", curves={capacity.promise_key(latency): Curve(low=30.0, median=35.0)})
    memory = turns.memory(
        capacities=(known,),
        arrivals=(Sample(NOW, 300.0),),
        slow_ratios=(Sample(NOW - 15.0, 0.5), Sample(NOW, 9.0)),
        scale_events=(ScaleEvent(NOW - 600.0, -7, 100.0),),
        lately=Counted(1000.0, 900.0),
    )
    return replace(memory, **changes)  # type: ignore[arg-type]


def test_a_load_that_came_back_is_remembered_with_how_long_it_was_gone() -> None:
    memory = regret.noted(missed(), 3, SCALE)
    assert memory.regrets == (Regret(NOW, 600.0 + SCALE.down_window_seconds, 10),)
    asked = replace(memory, recommendations=(Recommendation(NOW - 1100.0, NOW - 1000.0, 9),))
    assert regret.held(asked, NOW, SCALE, 4) == (9, regret.LONGER * (600.0 + SCALE.down_window_seconds))
    assert regret.held(asked, NOW + 300.0, SCALE, 4)[0] == 4, "that load has not come back for longer than it was gone"
    assert regret.held(asked, NOW + 2 * 3600.0, SCALE, 4)[0] == 4, "it may have changed its ways"


def test_no_higher_peak_is_held_than_the_one_that_was_missed() -> None:
    memory = regret.noted(missed(), 3, SCALE)
    asked = replace(memory, recommendations=(Recommendation(NOW, NOW + 60.0, 90),))
    assert regret.held(asked, NOW + 120.0, SCALE, 4)[0] == 10
    assert regret.held(asked, NOW + 120.0, SCALE, 12)[0] == 12


def test_other_floods_are_no_regrets() -> None:
    for memory in (
        missed(lately=Counted(1000.0, 100.0)),  # there is plenty of the allowance left
        missed(slow_ratios=(Sample(NOW - 15.0, 8.0), Sample(NOW, 9.0))),  # it goes on
        missed(arrivals=(Sample(NOW, 900.0),)),  # ten pods would not have been enough
        missed(scale_events=(ScaleEvent(NOW - 600.0, -7, 290.0),)),  # the load is what it was
        missed(scale_events=(ScaleEvent(NOW - 4000.0, -7, 100.0),)),  # long ago
        missed(scale_events=()),
    ):
        assert regret.noted(memory, 3, SCALE).regrets == ()


def test_peaks_are_held_for_as_long() -> None:
    spec = turns.spec()
    remembered = missed(
        slow_ratios=(Sample(NOW, 0.1),),
        arrivals=tuple(Sample(NOW - 15.0 * i, 35.0) for i in range(20, -1, -1)),
        scale_events=(),
        recommendations=(Recommendation(NOW - 700.0, NOW - 600.0, 8), Recommendation(NOW - 585.0, NOW, 2)),
    )
    seen = turns.observation(turns.FAST, Replicas(8, 8, version="v1"))
    for regrets, kept in (((), False), ((Regret(NOW - 60.0, 800.0, 8),), True)):
        memory = replace(remembered, regrets=regrets)
        diagnosis = identify.diagnose(spec, memory, seen)
        plan = guardrails.guard(spec, memory, seen, diagnosis, optimize.plan(spec, memory, seen, diagnosis))
        assert (plan.final_replicas == 8) == kept
        assert ("LoadReturns" in plan.limited_by) == kept
