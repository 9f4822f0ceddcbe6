"""Everything one cycle came to for one SLO: what status, conditions, Events and metrics are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core.backends import Decided
from perfslo.core.budget import Books
from perfslo.core.frozen import dataclass
from perfslo.core.levers import traffic
from perfslo.core.levers.traffic import Shift
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Missing,
    ObjectiveReading,
    Observation,
    OtherWriter,
    Plan,
    Stale,
    Target,
    TargetProblem,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else writes the same field: who, and what the user can do."""

    message: str

    @classmethod
    def of(cls, writers: Iterable[OtherWriter], does: str) -> Conflict | None:
        """With the first of them, who also `does` something; None when there is nobody."""
        return next((cls(f"{writer.kind} {writer.name} also {does}: {writer.fix}") for writer in writers), None)


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything one cycle came to for one SLO. None means that the turn did not get that far."""

    namespace: str
    name: str
    generation: int
    time: float
    spec: PerformanceSLOSpec
    target: Target | TargetProblem
    enabled_levers: tuple[str, ...]
    """Those the administrator enabled."""
    memory: Memory
    observation: Observation | None = None
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    change: Change | None = None
    verdict: Verdict | None = None
    conflict: Conflict | None = None
    """About replicas: the target's, or those of the first backend that has one."""
    route_conflict: Conflict | None = None
    """About the weights."""
    parts: Mapping[str, Decided] = field(default_factory=dict)
    """What each backend with a workload of its own came to."""
    shift: Shift | None = None
    """How weights between these should move."""
    books: Books = field(default_factory=Books)
    """How its error budgets stand."""

    @property
    def why(self) -> str:
        """The cycle's one sentence for this SLO."""
        if isinstance(self.target, TargetProblem):
            return f"hold: {self.target.message}"
        if self.spec.suspend:
            return "suspended: measured only, the levers stay where they are (set suspend: false to go on)"
        if self.change and self.change.result is not ChangeResult.APPLIED:
            return f"{self.plan.why if self.plan else ''} ({self.change.why})"
        return self.plan.why if self.plan else "hold: not measured yet"

    @property
    def readings(self) -> list[tuple[Objective, ObjectiveReading | None]]:
        """Each objective of the specification with what was read for it."""
        readings = {reading.name: reading for reading in self.diagnosis.objectives} if self.diagnosis else {}
        return [(objective, readings.get(objective.name)) for objective in self.spec.objectives]

    @property
    def acting(self) -> bool:
        """An action was just taken, is being tried, or pods it ordered are still on their way."""
        if self.memory.trials.pending or (self.change and self.change.result is ChangeResult.APPLIED):
            return True
        return self.starting or self.shifting

    @property
    def starting(self) -> bool:
        """Pods are on their way."""
        return isinstance(self.target, Target) and self.target.replicas.ready < self.target.replicas.desired

    @property
    def shifting(self) -> bool:
        """Weights moved not long ago, and show their effect only later."""
        if not self.observation:
            return False
        return not traffic.is_due(self.memory.traffic.moved_at, self.time, self.observation.scale)

    @property
    def metrics_problem(self) -> Missing | Stale | None:
        """Why the promise cannot be judged by the primary objective's series; None when it can."""
        if not self.observation:
            return None
        if self.observation.source_problem:
            return self.observation.source_problem
        reading = self.observation.latency.get(self.spec.primary_objective.name)
        return reading if isinstance(reading, Missing | Stale) else None

    @property
    def in_fallback(self) -> bool:
        """The SLO's own series have been missing for so long that the fallback's floor holds."""
        return bool(
            self.spec.fallback
            and self.observation
            and not self.observation.source_problem
            and self.metrics_problem
            and self.memory.missing_cycles >= self.spec.fallback.failure_threshold
        )
