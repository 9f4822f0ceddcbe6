"""What is turned on under stress and off when calm: cache tiers, a CDN, work moved out of the request."""

from __future__ import annotations

from perfslo.core import objectives, text
from perfslo.core.levers import knobs
from perfslo.core.levers.option import Case, Option, expected, promised
from perfslo.core.model import Knob, Missing, Prediction
from perfslo.core.trials import Held

DWELL_UNITS = 120.0
"""Half an hour at 15 s that something stays on, or three times as long as it takes to warm up."""
DWELL_WARMUPS = 3.0
CALM_UNITS = 120.0
"""For so long few requests must have been slow before anything is given back."""
IDLE_SHARE = 0.6
"""Of what a pod carries without it: the load per pod at which it is given back."""


def turned_on(case: Case, knob: Knob, guess: float, settle_seconds: float, hourly_cost: float | None = None) -> Option:
    """What turning it on would bring."""
    standing, wanted = case.observation.standing, knobs.on_value(case.spec, knob)
    now = knobs.stands(standing, knob)
    if isinstance(now, Missing):
        return Option(knob, f"how it is set is not known ({now.message or now.reason})")
    if wanted is None or now == wanted:
        return Option(knob, "it is on already")
    if now != knobs.off_value(case.spec, knob):
        return Option(knob, f"it is set to {now}, which is neither on nor off: set it to one of the two")
    part, sure = expected(case, knob, guess)
    return Option(
        knob,
        promised(part, hourly_cost),
        knobs.step(case.spec, standing, knob, wanted),
        Prediction(part, settle_seconds),
        sure,
        hourly_cost,
    )


def given_back(
    case: Case, held: Held, wanted: str, warmup_seconds: float = 0.0, hourly_cost: float | None = None
) -> Option:
    """What giving it back would save; only what this operator pulled is given back."""
    if why := _needed(case, held, warmup_seconds):
        return Option(held.knob, f"kept: {why}")
    return Option(
        held.knob,
        "would not be missed",
        knobs.step(case.spec, case.observation.standing, held.knob, wanted),
        Prediction(0.0, 0.0, releases=True),
        hourly_cost=-hourly_cost if hourly_cost is not None else None,
    )


def _needed(case: Case, held: Held, warmup_seconds: float) -> str:
    """Why it stays; empty when the service would surely stay calm without it."""
    memory, observation, now = case.memory, case.observation, case.observation.time
    unit = observation.scale.unit_seconds
    if memory.known_since is None or not memory.arrivals:
        return "metrics are not known"
    dwell = max(DWELL_UNITS * unit, DWELL_WARMUPS * warmup_seconds) * 2.0**held.missed
    if now < held.since + dwell:
        return f"it stays on for at least {text.seconds(dwell)}"
    if memory.calm_since is None or now - memory.calm_since < CALM_UNITS * unit:
        return f"few requests must have been slow for {text.seconds(CALM_UNITS * unit)}"
    if memory.troubled_since is not None:
        return "something behind the service is not as usual"
    carried = _carried_without(case, held)
    if carried is None:
        return "what the pods carry without it is not known"
    per_pod = memory.arrivals[-1].value / max(1, observation.replicas.ready)
    if per_pod > IDLE_SHARE * carried:
        return f"{text.rate(per_pod)}/s per pod are too much for {text.rate(carried)}/s that a pod carries without it"
    return ""


def _carried_without(case: Case, held: Held) -> float | None:
    """Requests a second that a pod carries without it, by what was seen before, or by what it keeps from the rest."""
    switch = knobs.switches(case.spec).get(held.knob)
    if switch and switch.hit_ratio:
        seen = case.observation.standing.signals.get(switch.hit_ratio, Missing("NotMeasured"))
        if objectives.number(seen) is None:
            return None  # what it keeps from the rest now is not known
    return held.cold
