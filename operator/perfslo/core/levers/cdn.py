"""A content delivery network that answers a share of the requests before the service is reached."""

from __future__ import annotations

from collections.abc import Iterator

from perfslo.core.levers import knobs, switching
from perfslo.core.levers.option import Case, Option

GUESS = 0.3
"""Part of the slow requests that it takes away, before it was tried: pages have more static parts than slow ones."""


def options(case: Case) -> Iterator[Option]:
    """Turning it on, or giving it back."""
    lever = case.spec.levers.cdn if case.spec.levers else None
    if lever is None:
        return
    cost = float(lever.hourly_cost) if lever.hourly_cost is not None else None
    held = case.memory.trials.holding(knobs.CDN)
    is_on = knobs.stands(case.observation.standing, knobs.CDN) == knobs.on_value(case.spec, knobs.CDN)
    if held and is_on:
        yield switching.given_back(case, held, held.found, lever.warmup_seconds, cost)
    else:
        yield switching.turned_on(case, knobs.CDN, GUESS, lever.warmup_seconds, cost)
