"""One of three backends becomes slower and recovers, and the law that the operator runs decides; see README.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.decide import Decision
from perfslo.core.memory import Memory
from tests.core.split import Split, drive
from tests.core.test_split import NAMES, POD, SCALE, SPEC, moves, split, turns

SEEDS = range(1, 21)
SLOW_AT, WELL_AT, END = 60.0, 200.0, 360.0
SLOWER = 5.0
WINDOW_SECONDS, ALLOWED, THRESHOLD = 10.0, 0.05, 0.2


@dataclass(frozen=True)
class Came:
    """What came of one run, in seconds; direction changes of the weight that changed direction most often."""

    violated: float
    replicas: float
    turned: int


def play(seed: int, mode: str) -> Came:
    """One of three backends is slower for a while. Replicas may follow in both modes of the weights."""
    behind, promise, made, mind, pods = split(seed=seed), promised(mode), list[Decision](), Memory(), 0.0
    for until, factor in ((SLOW_AT, 1.0), (WELL_AT, SLOWER), (END, 1.0)):
        behind.worlds["b"].set_service(replace(POD, mean_seconds=factor * POD.mean_seconds))
        for decision in drive(behind, promise, until, mind):
            made.append(decision)
            mind = decision.memory
            pods += sum(behind.replicas.values()) * SCALE.cycle_seconds
    return Came(violated(behind), pods, max(turns(moves(made, name)) for name in NAMES))


def promised(weights: str) -> PerformanceSLOSpec:
    levers = SPEC.levers
    if levers is None or levers.traffic is None:
        raise ValueError("it is about weights")
    traffic = levers.traffic.model_copy(update={"mode": weights})
    return SPEC.model_copy(update={"levers": levers.model_copy(update={"traffic": traffic})})


def violated(behind: Split) -> float:
    """Seconds in windows with more bad requests than are allowed."""
    windows = range(math.floor(END / WINDOW_SECONDS))
    shares = [behind.bad_share(n * WINDOW_SECONDS, (n + 1) * WINDOW_SECONDS, THRESHOLD) for n in windows]
    return sum(WINDOW_SECONDS for share in shares if share > ALLOWED)
