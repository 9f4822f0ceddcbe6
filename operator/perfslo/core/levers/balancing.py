"""Least-request balancing in the proxy: it costs nothing, and pods carry more at the same tail.

With random or round-robin balancing some pod always has too many requests while others have none, which costs them
part of what they could carry. Only these two are replaced: whoever hashes wants stickiness.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from perfslo.core import capacity, text
from perfslo.core.levers import knobs
from perfslo.core.levers.option import Case, Option, expected, promised
from perfslo.core.model import Missing, Prediction

LEAST_REQUEST = {"BackendTrafficPolicy": "LeastRequest", "DestinationRule": "LEAST_REQUEST"}
"""By kind, in its own words."""
WASTEFUL = frozenset({"Random", "RoundRobin", "RANDOM", "ROUND_ROBIN"})
GAINED = 0.25
"""Of what pods carry under random balancing, what they carry more, by simulation (two workers, a target of six times
the mean). It is less where the target is further from what requests take: the trial shows it."""
GUESS = 1.0 - math.exp(-capacity.TYPICAL_STEEPNESS * GAINED / (1.0 + GAINED))
"""Part of the slow requests that it takes away at the limit of what pods carry."""


def options(case: Case) -> Iterator[Option]:
    """Setting it. It stays: nothing is saved by giving it back."""
    policy = knobs.policy(case.spec)
    if policy is None:
        return
    now = knobs.stands(case.observation.standing, knobs.POLICY)
    wanted = LEAST_REQUEST.get(policy.kind)
    if isinstance(now, Missing):
        yield Option(knobs.POLICY, f"{policy} is left as it is ({now.message or now.reason})")
    elif now == wanted:
        yield Option(knobs.POLICY, f"{policy} says {now} already")
    elif wanted is None or now not in WASTEFUL:
        yield Option(knobs.POLICY, f"{policy} says {now or 'nothing'}, which is left as it is")
    else:
        part, sure = expected(case, knobs.POLICY, GUESS)
        why = f"with {wanted} in {policy} pods may carry {text.percent(GAINED)} more; it {promised(part, None)}"
        step = knobs.step(case.spec, case.observation.standing, knobs.POLICY, wanted)
        yield Option(knobs.POLICY, why, step, Prediction(part, 0.0), sure, hourly_cost=0.0)
