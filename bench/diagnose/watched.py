"""What the operator takes a service for while something is done to it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from bench.diagnose.faults import BEGIN_SECONDS, END_SECONDS, FAULTS, SEVERITIES, Case, calm
from bench.traffic.fleet import CYCLE_SECONDS, NAMES, Fleet
from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.measure import Series
from perfslo.core.model import Bottleneck, Value
from perfslo.simulate.model import Load, View
from perfslo.simulate.policies.perfslo import Perfslo, Sight, promised
from perfslo.simulate.run import simulate
from perfslo.simulate.world import World

NOTHING = "nothing"
WELL = frozenset({
    Bottleneck.HEALTHY, Bottleneck.OVERPROVISIONED, Bottleneck.WARMING_UP, Bottleneck.UNKNOWN,
    Bottleneck.INSUFFICIENT_DATA, Bottleneck.NO_TRAFFIC,
})  # fmt: skip
"""No cause is named."""
NOISE = 0.05
"""Standard deviation of what signals say, over the mean."""
QUEUE_SECONDS = 2.0
"""Age of the oldest work while the workers keep up."""
NEEDED_SHARE = 0.5
"""Of the workers."""


class Done(NamedTuple):
    """One run: what was injected, and what it was taken for."""

    faults: tuple[str, ...]
    """One, or two at once."""
    severity: str
    """Of two the lesser."""
    load: str
    seed: int
    found: str


class Watched(Perfslo):
    """Perfslo with signals of what is behind the service, and what it says while the fault lasts."""

    def __init__(self, case: Case, seed: int) -> None:
        spec = _with_signals(promised(case.scenario))
        super().__init__(case.scenario, spec=spec, sight=Signals(spec, case, seed))
        self.said: list[Bottleneck] = []

    def decide(self, view: View) -> int:
        wanted = super().decide(view)
        if self.decision and BEGIN_SECONDS <= view.now_seconds < END_SECONDS:
            self.said.append(self.decision.diagnosis.bottleneck)
        return wanted


class Signals(Sight):
    """With signals that tell of the dependency, of the cache and of the background work."""

    def __init__(self, spec: PerformanceSLOSpec, case: Case, seed: int) -> None:
        super().__init__(spec)
        self._case = case
        self._chance = random.Random(seed)

    def series(self, world: World) -> Series:
        series, service = super().series(world), world.service
        if service.dependency is None:
            return series
        told = {
            "db": service.dependency.mean_seconds,
            "hits": service.hit_ratio,
            "wait": world.engine.dependency_wait_seconds,
            "work": queue_age_seconds(self._case.workers_share, world.now_seconds),
        }
        seen = {name: Value(value * self._chance.gauss(1.0, NOISE), 5.0) for name, value in told.items()}
        return replace(series, signals=seen)


def queue_age_seconds(workers_share: float, now_seconds: float) -> float:
    """Of the oldest work: what is left undone grows evenly while too few workers are there, and goes at once after."""
    short = max(0.0, 1.0 - workers_share / NEEDED_SHARE)
    lasted = now_seconds - BEGIN_SECONDS if BEGIN_SECONDS <= now_seconds < END_SECONDS else 0.0
    return QUEUE_SECONDS + short * lasted


def _with_signals(spec: PerformanceSLOSpec) -> PerformanceSLOSpec:
    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["objectives"].append({"name": "errors", "errorRate": {"maxPercent": "5"}})
    written["metrics"] = {
        "signals": [
            {"name": "db", "kind": "DependencyLatency", "ref": "db"},
            {"name": "hits", "kind": "CacheHitRatio", "ref": "hits"},
            {"name": "wait", "kind": "PoolWait", "ref": "wait"},
            {"name": "work", "kind": "QueueAge", "ref": "work"},
        ]
    }
    return PerformanceSLOSpec.model_validate(written)


def verdict(said: Sequence[Bottleneck]) -> str:
    """The cause that was named most often."""
    named = Counter(one for one in said if one not in WELL)
    return named.most_common(1)[0][0].value if named else NOTHING


def run(faults: Sequence[str], name: str, load: Load, seed: int) -> Done:
    """Inject them under a load, each with a severity that is drawn, and hear what they are taken for."""
    chance = random.Random(" ".join((*faults, str(seed))))
    case, least = calm(load), len(SEVERITIES)
    for fault in faults:
        severity = chance.randrange(len(SEVERITIES))
        case, least = FAULTS[fault].inject(case, chance, severity), min(least, severity)
    heard = heard_of_backends if case.has_backends else heard_of_one
    return Done(tuple(faults), SEVERITIES[least], name, seed, verdict(heard(case, seed)))


def heard_of_one(case: Case, seed: int) -> Sequence[Bottleneck]:
    """What is said of a service while the fault lasts."""
    watched = Watched(case, seed)
    simulate(case.scenario, watched, seed)
    return watched.said


def heard_of_backends(case: Case, seed: int) -> Sequence[Bottleneck]:
    """The same of three behind one route, whose weights the operator moves; nothing tells of what is behind them."""
    found = Fleet(case.scenario, {NAMES[0]: case.scenario.shifts}, "Auto", seed).play().found
    first, last = (round(edge / CYCLE_SECONDS) - 1 for edge in (BEGIN_SECONDS, END_SECONDS))
    return found[first:last]


def read(rows: Sequence[Sequence[object]]) -> list[Done]:
    """Runs as they were written down."""
    return [Done(tuple(faults), *rest) for faults, *rest in rows]  # type: ignore[arg-type]
