"""What many runs say together: means, ratios between policies with their confidence, and the cheapest clean setting.

A cell is a scenario with a seed. Policies are compared within cells only, so that all have met the same requests.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfslo.simulate.model import Run

ORACLE = "oracle"
PERFSLO = "perfslo"
FEWEST_REQUESTS = 20
"""A minute with fewer is neither good nor bad."""
GOOD_MINUTES = 3
"""As many in a row, and a breach is over."""
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Result:
    """One run, in numbers; what results.json holds."""

    policy: str
    scenario: str
    seed: int
    bad_ratio: float
    violation_minutes: int
    replica_minutes: float
    actions: int
    failed: bool
    """More than the allowed share of all requests was bad."""
    oracle_replica_minutes: float | None
    oracle_failed: bool | None
    """Where the oracle fails, nobody can be asked to do better."""
    reversals: int
    requests: int
    worst_bad_ratio: float
    """Of the worst minute."""
    recovery_minutes: int
    """The longest time from a bad minute to three good ones in a row."""
    mean_replicas: float
    peak_replicas: float
    decision_p99_seconds: float | None


def results(runs: Iterable[Run]) -> list[Result]:
    """A result for each run, beside that of the oracle in its cell."""
    runs = list(runs)
    oracles = {(run.scenario, run.seed): run for run in runs if run.policy == ORACLE}
    return [_result(run, oracles.get((run.scenario, run.seed))) for run in runs]


def _result(run: Run, oracle: Run | None) -> Result:
    judged = [minute for minute in run.minutes if minute.requests >= FEWEST_REQUESTS]
    return Result(
        policy=run.policy,
        scenario=run.scenario,
        seed=run.seed,
        bad_ratio=run.bad_ratio,
        violation_minutes=run.violation_minutes,
        replica_minutes=run.replica_minutes,
        actions=run.actions,
        failed=run.failed,
        oracle_replica_minutes=oracle.replica_minutes if oracle else None,
        oracle_failed=oracle.failed if oracle else None,
        reversals=run.reversals,
        requests=run.requests,
        worst_bad_ratio=max((minute.bad / minute.requests for minute in judged), default=0.0),
        recovery_minutes=_recovery(run),
        mean_replicas=run.replica_minutes / max(1, len(run.minutes)),
        peak_replicas=max((minute.replicas for minute in run.minutes), default=0.0),
        decision_p99_seconds=_p99(run.decision_seconds),
    )


def _recovery(run: Run) -> int:
    longest, since, good = 0, None, 0
    for number, minute in enumerate(run.minutes):
        bad = minute.requests >= FEWEST_REQUESTS and minute.bad > run.allowed_bad_ratio * minute.requests
        good = 0 if bad else good + 1
        if bad and since is None:
            since = number
        if since is not None:
            longest = max(longest, number + 1 - min(good, GOOD_MINUTES) - since)
            since = None if good >= GOOD_MINUTES else since
    return longest


def _p99(seconds: Sequence[float]) -> float | None:
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1] if seconds else None


# --- comparing ---------------------------------------------------------------------------------------------------

Cell = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Replica-minutes over those of another, with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """One seed alone has no interval."""
        interval = f" ({self.low:.2f} to {self.high:.2f})" if self.low < self.high else ""
        return f"{self.value:.2f}{interval}"


@dataclass(frozen=True, slots=True)
class Total:
    """A policy over several cells, in means of the seeds' sums over scenarios."""

    policy: str
    runs: int
    failed: int
    bad_ratio: float
    """The mean over runs."""
    violation_minutes: float
    replica_minutes: float
    actions: float


class Comparison:
    """All results of some policies over the same cells; a cell that one of them lacks counts for none."""

    def __init__(self, rows: Iterable[Result]) -> None:
        by_policy: dict[str, dict[Cell, Result]] = {}
        for row in rows:
            by_policy.setdefault(row.policy, {})[row.scenario, row.seed] = row
        common = set.intersection(*(set(cells) for cells in by_policy.values())) if by_policy else set()
        self._by_policy = {
            policy: {cell: cells[cell] for cell in sorted(common)} for policy, cells in by_policy.items()
        }
        self.cells = sorted(common)

    @property
    def policies(self) -> list[str]:
        return list(self._by_policy)

    @property
    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(scenario for scenario, _ in self.cells))

    def of(self, policy: str) -> Mapping[Cell, Result]:
        """Its results by cell. Raises KeyError for a policy that was not run."""
        return self._by_policy[policy]

    def within(self, keep: Callable[[Cell], bool]) -> Comparison:
        """The same policies over a part of the cells."""
        return Comparison(row for rows in self._by_policy.values() for cell, row in rows.items() if keep(cell))

    def fair(self) -> Comparison:
        """Only scenarios in which the oracle never fails; all of them without an oracle."""
        failed = {cell[0] for cell, row in self._by_policy.get(ORACLE, {}).items() if row.failed}
        return self.within(lambda cell: cell[0] not in failed)

    def total(self, policy: str) -> Total:
        rows = list(self.of(policy).values())
        seeds = max(1, len({row.seed for row in rows}))
        return Total(
            policy,
            runs=len(rows),
            failed=sum(row.failed for row in rows),
            bad_ratio=sum(row.bad_ratio for row in rows) / max(1, len(rows)),
            violation_minutes=sum(row.violation_minutes for row in rows) / seeds,
            replica_minutes=sum(row.replica_minutes for row in rows) / seeds,
            actions=sum(row.actions for row in rows) / seeds,
        )

    def ratio(self, policy: str, other: str) -> Ratio:
        """Replica-minutes of one over those of another, in sum; a stratified bootstrap over the seeds, paired.

        Raises ValueError when there is nothing to compare.
        """
        return bootstrap(
            {cell: (row.replica_minutes, self.of(other)[cell].replica_minutes) for cell, row in self.of(policy).items()}
        )

    def cheapest_clean(self, policies: Collection[str]) -> str | None:
        """The one setting that costs least of those with no failed run; None when each has one."""
        clean = [total for policy in policies if not (total := self.total(policy)).failed]
        return min(clean, key=lambda total: total.replica_minutes).policy if clean else None

    def families(self) -> dict[str, list[str]]:
        """The settings of each rival, by its name before the `=`."""
        found: dict[str, list[str]] = {}
        for policy in self.policies:
            if policy not in (PERFSLO, ORACLE):
                found.setdefault(policy.partition("=")[0], []).append(policy)
        return found

    def at_equal_violations(self, policies: Collection[str], violation_minutes: float) -> Equal | None:
        """What a family of settings would cost with as many violation minutes. None without settings."""
        points = [(t.violation_minutes, t.replica_minutes) for t in map(self.total, policies)]
        return interpolated(points, violation_minutes)


def bootstrap(pairs: Mapping[Cell, tuple[float, float]], seed: int = 1) -> Ratio:
    """The ratio of two sums. Seeds are drawn anew within each scenario. Raises ValueError when there are no pairs."""
    if not pairs or not sum(under for _, under in pairs.values()):
        raise ValueError("no run to compare")
    chance = random.Random(seed)
    strata: dict[str, list[tuple[float, float]]] = {}
    for (scenario, _), pair in sorted(pairs.items()):
        strata.setdefault(scenario, []).append(pair)
    drawn = []
    for _ in range(RESAMPLES):
        sample = [pair for stratum in strata.values() for pair in chance.choices(stratum, k=len(stratum))]
        drawn.append(_ratio(sample))
    drawn.sort()
    tail = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return Ratio(_ratio(pairs.values()), drawn[tail], drawn[-1 - tail])


def _ratio(pairs: Iterable[tuple[float, float]]) -> float:
    over, under = map(sum, zip(*pairs, strict=True))
    return over / under


@dataclass(frozen=True, slots=True)
class Equal:
    """Replica-minutes at some number of violation minutes."""

    replica_minutes: float
    how: str
    """`interpolated` between two settings, or the `nearest` one that has more violations: at its best still worse."""


def interpolated(points: Iterable[tuple[float, float]], violation_minutes: float) -> Equal | None:
    """Cost at so many violation minutes, between the best (violations, cost) points on either side.

    With more violations than the point that has most, a family cannot be cheaper than its cheapest point.
    """
    front: list[tuple[float, float]] = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    if not front:
        return None
    if violation_minutes < front[0][0]:
        return Equal(front[0][1], "nearest")
    for (few, dear), (many, cheap) in pairwise(front):
        if violation_minutes <= many:
            share = (violation_minutes - few) / (many - few)
            return Equal(dear + share * (cheap - dear), "interpolated")
    return Equal(front[-1][1], "interpolated")
