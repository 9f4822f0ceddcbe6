"""What a restart changes: decisions of an operator that was restarted beside those of one that was not.

    python -m bench.restart --seeds 20 --replicas 6 20

One that never restarts acts, and others that did decide on what it sees. While they decide the same, worlds of their
own would be the same; once they do not, worlds part by chance, and comparing these says little of decisions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from perfslo.core import codec
from perfslo.core.decide import conclude, decide
from perfslo.core.memory import Memory
from perfslo.core.model import Change, ChangeResult
from perfslo.simulate import scenarios
from perfslo.simulate.model import Scenario, View
from perfslo.simulate.policies.perfslo import Perfslo
from perfslo.simulate.run import simulate

HOUR_SECONDS = 3600.0
SCENARIOS = ("diurnal", "step", "noisy", "bursty")


@dataclass(frozen=True)
class Restart:
    at_seconds: float
    """Until when there was one that knew all."""
    age_seconds: float = 0.0
    """Of the memory that is found; younger where replicas were changed since, as that is written at once."""
    away_seconds: float = 0.0
    """Without anybody to decide."""
    watched_seconds: float = HOUR_SECONDS


RESTARTS = {
    "at once": Restart(2400.0),
    "a cycle later": Restart(2400.0, away_seconds=15.0),
    "after a crash": Restart(2400.0, age_seconds=15.0, away_seconds=30.0),
    "after two minutes": Restart(2400.0, away_seconds=120.0),
}


@dataclass(frozen=True)
class Difference:
    """A cycle in which the restarted one wanted another number."""

    after_seconds: float
    current: int
    unbroken: int
    restarted: int
    limits: tuple[str, ...]
    """Of the restarted one."""
    fields: tuple[str, ...]
    """Of its memory, that were not as in the unbroken one's, slowest first."""

    @property
    def is_early(self) -> bool:
        """Whether more was taken away than the unbroken one would."""
        return self.restarted < min(self.current, self.unbroken)


class Beside:
    """One that was restarted: it sees what the other sees, and what the other did is done."""

    def __init__(self, restart: Restart) -> None:
        self.restart = restart
        self.differences: list[Difference] = []
        self.cycles = 0
        self.kept = Memory()
        """That is found in the status."""
        self._memory: Memory | None = None

    def look(self, other: Perfslo, before: Memory, after_seconds: float, change: Change | None) -> None:
        """`before`: what the other remembered when it began to decide."""
        if after_seconds <= -self.restart.age_seconds or (change and after_seconds <= 0):
            self.kept = other.memory
        if other.decision is None or other.decision.plan is None or after_seconds <= self.restart.away_seconds:
            return
        if self._memory is None:
            self._memory = codec.decode(codec.encode(self.kept))
        own = decide(other.spec, self._memory, other.decision.observation)
        found, unbroken = own.plan.final_replicas if own.plan else None, other.decision.plan.final_replicas
        if own.plan and found is not None and unbroken is not None and found != unbroken:
            apart = tuple(f.name for f in fields(Memory) if getattr(before, f.name) != getattr(self._memory, f.name))
            current = other.decision.observation.replicas.desired
            difference = Difference(after_seconds, current, unbroken, found, own.plan.limited_by, apart)
            self.differences.append(difference)
        self._memory, _ = conclude(other.spec, own, change)
        self.cycles += 1


class Twins(Perfslo):
    """Acts as if there had been no restart."""

    def __init__(self, scenario: Scenario, restarts: Sequence[Restart]) -> None:
        super().__init__(scenario)
        self.beside = [Beside(restart) for restart in restarts]

    def decide(self, view: View) -> int:
        before, found = self.memory, view.desired
        wanted = super().decide(view)
        change = None
        if wanted != found and self.decision and self.decision.plan:
            plan, now = self.decision.plan, self.decision.observation.time
            change = Change(self.memory.history[0].id, now, plan.steps[0], ChangeResult.APPLIED, plan.why)
        for each in self.beside:
            after = view.now_seconds - each.restart.at_seconds
            if after <= each.restart.away_seconds + each.restart.watched_seconds:
                each.look(self, before, after, change)
        return wanted


def run(scenario: Scenario, seed: int, restarts: Mapping[str, Restart]) -> Mapping[str, Beside]:
    twins = Twins(scenario, [*restarts.values()])
    simulate(scenario, twins, seed)
    return dict(zip(restarts, twins.beside, strict=True))


def told(seen: Sequence[Beside]) -> str:
    """One row."""
    apart = [difference for each in seen for difference in each.differences]
    near = sum(all(abs(d.restarted - d.unbroken) <= 1 for d in each.differences) for each in seen)
    early = sum(d.is_early for d in apart)
    row = [f"{near} of {len(seen)}", f"{len(apart)} of {sum(each.cycles for each in seen)}", str(early)]
    whys = Counter(", ".join(d.limits) or "load" for d in apart).most_common(3)
    return " | ".join([*row, "; ".join(f"{why} ({count})" for why, count in whys)])


def main() -> None:
    parser = argparse.ArgumentParser(description="What a restart changes.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--replicas", type=float, nargs="+", default=[6.0])
    parser.add_argument("--scenario", nargs="+", default=SCENARIOS)
    arguments = parser.parse_args()
    scenarios.DURATION_SECONDS = 2400.0 + HOUR_SECONDS  # forty minutes to learn in, and the hour after
    print("| | | within one replica | cycles that differ | of them reduced more | and what limited them |")
    print("| --- | --- | --- | --- | --- | --- |")
    for replicas in arguments.replicas:
        for name in arguments.scenario:
            worlds = [scenarios.build(name, seed=seed, replicas=replicas) for seed in range(arguments.seeds)]
            seen = [run(world, seed, RESTARTS) for seed, world in enumerate(worlds)]
            for kind in RESTARTS:
                print(f"| {name}, {replicas:g} | {kind} | {told([each[kind] for each in seen])} |", flush=True)


if __name__ == "__main__":
    main()
