"""Levers that all backends behind one route share: a cache before the database that each of them asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.decide import Decision
from perfslo.core.memory import Memory
from perfslo.core.model import Outcome, Standing, Value
from perfslo.core.steps import Scale, Switch, Weigh
from perfslo.core.timescale import TimeScale
from tests.core.split import Split, drive, spec
from tests.core.world import Service, World

POD = Service(4, 0.03)
SLOW = replace(POD, mean_seconds=6 * POD.mean_seconds)
SCALE = TimeScale(2.0, 2.0)
NAMES = ("a", "b", "c")
FLAG = {"configMap": "flags", "key": "CACHE", "onValue": "on", "offValue": "off"}
LEVERS = {"cache": {"tiers": [{"name": "redis", "flag": FLAG, "warmupSeconds": 4}]}}
SIGNALS = {"signals": [{"name": "db", "kind": "DependencyLatency", "ref": "db"}]}
SPEC = spec(*NAMES, levers=LEVERS, metrics=SIGNALS)
REDIS = ("cache", "redis")


class Shared(Split):
    """Three backends that ask one database, which a cache relieves."""

    def __init__(self, seed: int) -> None:
        worlds = {
            name: World(POD, lambda _: 0.0, replicas=2, scale=SCALE, seed=10 * seed + number)
            for number, name in enumerate(NAMES)
        }
        super().__init__(lambda _: 90.0, dict(zip(NAMES, (334, 333, 333), strict=True)), **worlds)
        self.standing = Standing(values={REDIS: "off"})
        self.query_seconds(0.02)

    def query_seconds(self, seconds: float) -> None:
        self.signals = {"db": Value(seconds)}
        self._serve()

    def carry_out(self, step: object) -> None:
        super().carry_out(step)
        self._serve()

    def _serve(self) -> None:
        slow = self.signals["db"] != Value(0.02) and self.standing.values[REDIS] == "off"
        for world in self.worlds.values():
            world.set_service(SLOW if slow else POD)


def driven(
    shared: Shared, until: float, promise: PerformanceSLOSpec = SPEC, mind: Memory | None = None
) -> list[Decision]:
    return list(drive(shared, promise, until, mind, ("replicas", "traffic", "cache")))


def steps(decisions: list[Decision]) -> list[object]:
    return [step for made in decisions if made.plan for step in made.plan.steps[:1]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_slow_database_behind_all_backends_is_relieved_by_the_cache_and_not_by_pods(seed: int) -> None:
    shared = Shared(seed)
    calm = driven(shared, 80.0)
    assert steps(calm) == []
    shared.query_seconds(0.2)
    after = driven(shared, 300.0, mind=calm[-1].memory)
    assert [step.wanted for step in steps(after) if isinstance(step, Switch)] == ["on"]
    assert not any(isinstance(step, Scale | Weigh) for step in steps(after)), "no backend is to blame"
    verdicts = [decision.verdict for decision in after[-1].memory.history if decision.why.startswith("pull cache")]
    assert verdicts == [Outcome.IMPROVED]
    assert shared.bad_share(200.0, 300.0, 0.2) < 0.05
