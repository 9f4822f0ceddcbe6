"""Everything one cycle came to for one SLO: what status, conditions, Events and metrics are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfslo.api.v1alpha1 import Objective, PerformanceSLOSpec
from perfslo.core.budget import Books
from perfslo.core.memory import Memory
from perfslo.core.model import (
    Change,
    ChangeResult,
    Diagnosis,
    Missing,
    ObjectiveReading,
    Observation,
    Plan,
    Stale,
    Target,
    TargetProblem,
    Verdict,
)

AVAILABLE_LEVERS = ("replicas",)
"""Levers this version can pull; the others are accepted, validated and reported as LeverDisabled."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else writes the same field: who, and what the user can do."""

    message: str


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
        """An action was just taken, or pods it ordered are still on their way."""
        if self.change and self.change.result is ChangeResult.APPLIED:
            return True
        return isinstance(self.target, Target) and self.target.replicas.ready < self.target.replicas.desired

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
