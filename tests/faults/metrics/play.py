"""The real loop over real sources. Only Kubernetes is played: replicas are values, and orders are obeyed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from perfslo.api.v1alpha1 import PerformanceSLOSpec, PerformanceSLOStatus
from perfslo.core.memory import Memory
from perfslo.core.model import Change, ChangeResult, LatencyReading, Plan, Replicas, Signal, Target
from perfslo.core.status import report
from perfslo.core.steps import Scale, TargetRef
from perfslo.core.turn import Conflict, Turn
from perfslo.cycle import Cycle
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.watch import SLO
from perfslo.settings import Settings
from tests.edges.slos import slo

OBJECTIVE = "p95"


@dataclass
class StageClock:
    """A clock that the play turns; both faces show it."""

    now: float

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class Seen:
    """What one cycle came to for one SLO."""

    turn: Turn
    status: PerformanceSLOStatus

    @property
    def latency(self) -> LatencyReading:
        assert self.turn.observation
        return self.turn.observation.latency[OBJECTIVE]

    @property
    def load(self) -> Signal:
        assert self.turn.observation
        return self.turn.observation.completions_per_second

    @property
    def moved(self) -> int:
        """Replicas ordered more than there were; 0 when none."""
        step = self.turn.change.step if self.turn.change else None
        return step.wanted - step.current if isinstance(step, Scale) else 0

    @property
    def sentence(self) -> str:
        return self.turn.why

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        (found,) = (condition for condition in self.status.conditions if condition.type == kind)
        return found.status, found.reason, found.message


def promise(source: str = "default", **changes: Any) -> PerformanceSLOSpec:
    """P95 below 200 ms with 1 to 20 replicas."""
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 20,
            "objectives": [{"name": OBJECTIVE, "latency": {"percentile": 95, "threshold": "200ms"}}],
            "metrics": {"source": source, "minRequests": 20},
            **changes,
        }
    )


@dataclass
class Play:
    """SLOs by name, each for a workload of its own name, that are cycled over together."""

    sources: Sources
    clock: StageClock
    cycle_seconds: float = 15.0
    slos: dict[str, SLO] = field(default_factory=dict)
    replicas: dict[str, Replicas] = field(default_factory=dict)
    ordered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first order to scale."""
    _statuses: dict[str, PerformanceSLOStatus] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stands_in: Any = _Kubernetes(self)
        settings = Settings(cycle_seconds=self.cycle_seconds)
        self.cycle = Cycle(
            settings, stands_in, stands_in, self.sources, stands_in, stands_in, stands_in, stands_in, self.clock
        )

    def add(self, name: str, spec: PerformanceSLOSpec, replicas: int, memory: Memory | None = None) -> None:
        """An SLO for the workload `name`; `memory` is what is remembered of it, or nothing."""
        ref = spec.scale_target_ref
        assert ref
        spec = spec.model_copy(update={"scale_target_ref": ref.model_copy(update={"name": name})})
        one = self.slos[f"shop/{name}"] = slo(name, spec=spec)
        self.scale(name, replicas)
        if memory:
            self.cycle._memories[(one.uid, "shop", "apps", "Deployment", name)] = memory

    def scale(self, name: str, replicas: int) -> None:
        """So many, all of them ready."""
        self.replicas[name] = Replicas(replicas, replicas, version="v1", startup_seconds=20.0)

    async def once(self) -> Mapping[str, Seen]:
        """One cycle, by workload. Each status is checked to fit the API's models."""
        await self.cycle.once()
        assert self.cycle.turns.keys() == self.slos.keys()
        seen = {}
        for key, turn in self.cycle.turns.items():
            status = report(turn, self._statuses.get(key))
            self._statuses[key] = PerformanceSLOStatus.model_validate(status.model_dump(mode="json", exclude_none=True))
            seen[turn.name] = Seen(turn, status)
        return seen

    async def until(self, time: float) -> list[Mapping[str, Seen]]:
        """A cycle whenever the clock comes to it, the last one at `time`."""
        cycles = []
        while self.clock.now < time:
            self.clock.now += self.cycle_seconds
            cycles.append(await self.once())
        return cycles


class _Kubernetes:
    """Registry, world, hands, scribe and caretaker in one, as far as the loop needs them."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._numbers = count()

    def snapshot(self) -> Mapping[str, SLO]:
        return dict(self._play.slos)

    def by_uid(self, uid: str) -> SLO | None:
        return next((one for one in self._play.slos.values() if one.uid == uid), None)

    def target(self, _: str, reference: TargetRef, __: float) -> Target:
        name = reference.name
        return Target(
            TargetRef("apps", "Deployment", name), f"uid-{name}", self._play.replicas[name], frozenset({name})
        )

    async def act(self, slo: SLO, _: Target, plan: Plan, __: Conflict | None, now: float) -> Change | None:
        if not plan.steps:
            return None
        (step,) = plan.steps
        assert isinstance(step, Scale)
        self._play.scale(slo.name, step.wanted)
        self._play.ordered.set()
        return Change(f"d{next(self._numbers)}", now, step, ChangeResult.APPLIED, "written")

    async def publish(self, *_: object) -> int:
        return 0

    async def look_round(self, *_: object) -> None:
        return None


def held(cycles: Iterable[Mapping[str, Seen]], name: str) -> list[Seen]:
    """What these cycles came to for a workload, none of them having moved it."""
    seen = [cycle[name] for cycle in cycles]
    assert [one.moved for one in seen] == [0] * len(seen), [one.sentence for one in seen]
    return seen
