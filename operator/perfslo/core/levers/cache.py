"""Cache tiers: one after another in their order, kept while they help, and pods kept for the day that one is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perfslo.core.levers import knobs, switching
from perfslo.core.levers.knobs import stands, tier
from perfslo.core.levers.option import Case, Option
from perfslo.core.memory import Memory
from perfslo.core.model import Observation

GUESS = 0.5
"""Part of the slow requests that a tier takes away, before it was tried: half of the reads hit a small cache."""
COLD_SHARE = 0.6
"""Of what the load would take without a tier: with fewer pods, losing the tier is an outage that feeds itself."""


def options(case: Case) -> Iterator[Option]:
    """Turning on the next tier, once those before it are on; and giving back the last."""
    lever = case.spec.levers.cache if case.spec.levers else None
    waits_for = ""
    for one in lever.tiers if lever else ():
        knob, cost = tier(one.name), float(one.hourly_cost) if one.hourly_cost is not None else None
        held = case.memory.trials.holding(knob)
        is_on = stands(case.observation.standing, knob) == knobs.on_value(case.spec, knob)
        if is_on and held:
            yield switching.given_back(case, held, held.found, one.warmup_seconds, cost)
        elif waits_for:
            yield Option(knob, f"{waits_for} comes before it")
        else:
            yield switching.turned_on(case, knob, GUESS, one.warmup_seconds, cost)
        if not is_on and not case.memory.trials.barred(knob, case.diagnosis.bottleneck, case.observation.time):
            waits_for = waits_for or one.name


def fewest_pods(memory: Memory, observation: Observation, load: float) -> int:
    """Pods below which losing a tier that this operator turned on would be an outage; 0 when none is on."""
    cold = [
        held.cold
        for held in memory.trials.held
        if held.lever == "cache" and held.cold and stands(observation.standing, held.knob) != held.found
    ]
    return math.ceil(COLD_SHARE * load / min(cold)) if cold else 0
