"""The clairvoyant: the fewest pods that carry what is coming. What they cost is what a policy is measured by.

At any time it has the smallest number of pods whose true capacity covers all load until a pod ordered now has been
ready for a minute; pods go as soon as fewer do. It is a practical lower bound, not the least possible: whoever spends
the allowance for bad requests where it saves most can do with less.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from perfslo.simulate.model import Balancing, Load, Scenario, Service, View
from perfslo.simulate.run import most_rps, true_capacity
from perfslo.simulate.world import shifted

PERIOD_SECONDS = 5.0
READY_SECONDS = 60.0
"""How long a pod is to have been ready before its load comes: not all start equally fast."""
PODS = 10
"""Among which a pod's capacity is measured where their number makes no difference."""

Capacity = Callable[[int], float]
"""Requests a second that each of so many pods carries within the promise; 0 where it cannot be kept."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which the service stays as it is."""

    since_seconds: float
    until_seconds: float
    service: Service
    slow_share: float = 0.0
    """Of the pods."""
    slow_factor: float = 1.0


class Oracle:
    """Of one run."""

    period_seconds = PERIOD_SECONDS

    def __init__(self, name: str, scenario: Scenario, capacity_of: Callable[[Scenario, Spell], Capacity]) -> None:
        self.name = name
        self._scenario = scenario
        self._spells = [(spell, capacity_of(scenario, spell)) for spell in spells(scenario)]

    def decide(self, view: View) -> int:
        now = view.now_seconds
        startup = next(s.service.startup_seconds for s, _ in self._spells if now < s.until_seconds)
        needed = self.needed(now, now + startup + READY_SECONDS)
        return view.desired if needed is None else needed

    def explain(self) -> Mapping[str, float | str]:
        return {}

    def needed(self, start: float, end: float) -> int | None:
        """The fewest pods for all load in [start, end], within the bounds; None where no number keeps the promise.

        A spell in which none does asks for nothing: more would help nobody.
        """
        scenario, found = self._scenario, []
        for spell, capacity in self._spells:
            since, until = max(spell.since_seconds, start), min(spell.until_seconds, end)
            if since <= until:
                peak = peak_rps(scenario.load, since, until)
                hardly = max(1, math.floor(peak / most_rps(spell.service)))
                found.append(pods_for(capacity, peak, scenario.max_replicas, hardly))
        kept = [pods for pods in found if pods is not None]
        return max([scenario.min_replicas, *kept]) if kept else None

    def needed_always(self) -> int:
        """The fewest pods for the whole run."""
        return self.needed(0.0, self._scenario.load.duration_seconds) or self._scenario.min_replicas

    def needed_on_average(self) -> int:
        """The fewest pods for the mean load, for the service as it is at the start."""
        scenario = self._scenario
        found = pods_for(self._spells[0][1], scenario.load.mean_rps, scenario.max_replicas)
        return max(scenario.min_replicas, found or 0)


def spells(scenario: Scenario) -> list[Spell]:
    """What the shifts make of the service."""
    found = [Spell(0.0, math.inf, scenario.service)]
    for shift in scenario.shifts:
        last = found.pop()
        after = replace(last, since_seconds=shift.at_seconds, service=shifted(scenario.service, last.service, shift))
        if shift.slow_pods_share is not None:
            after = replace(after, slow_share=shift.slow_pods_share, slow_factor=shift.slow_pods_factor)
        found += [replace(last, until_seconds=shift.at_seconds), after]
    return found


def pods_for(capacity: Capacity, rps: float, most: int, hardly: int = 1) -> int | None:
    """The fewest pods, `most` at most, that carry the load; None where more of them hardly carry more.

    What pods carry together is measured for powers of two, and taken for a straight line in between. Measuring takes
    seconds: `hardly` so many are known not to be enough, or just.
    """
    fewer, carried_by_fewer, pods = 0, 0.0, min(1 << int(math.log2(hardly)), most)
    while (carried := pods * capacity(pods)) < rps:
        if carried <= 0 or carried - carried_by_fewer < (pods - fewer) * carried / pods / 2:
            return None
        if pods >= most:
            return most
        fewer, carried_by_fewer, pods = pods, carried, min(2 * pods, most)
    part = (rps - carried_by_fewer) / (carried - carried_by_fewer) if rps > carried_by_fewer else 0.0
    return max(1, math.ceil(fewer + part * (pods - fewer) - 1e-9))


def peak_rps(load: Load, start: float, end: float) -> float:
    """The highest load in [start, end], both sides of a step included."""
    inside = load.rps[bisect_right(load.times_seconds, start) : bisect_right(load.times_seconds, end)]
    return max(load.at(start), load.at(end), *inside)


def simulated(scenario: Scenario, spell: Spell) -> Capacity:
    """The true capacity, found by simulation."""
    alone = scenario.balancing is Balancing.RANDOM and spell.service.dependency is None

    def capacity(pods: int) -> float:
        return true_capacity(
            spell.service,
            scenario.target_seconds,
            scenario.percentile,
            scenario.balancing,
            PODS if alone else pods,
            spell.slow_share,
            spell.slow_factor,
        )

    return capacity
