"""The core's exact pipeline on backends behind one route: what a user would see happen."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from perfslo.core import codec
from perfslo.core.decide import Decision
from perfslo.core.steps import Scale, Weigh
from perfslo.core.timescale import TimeScale
from tests.core.split import Split, drive, spec
from tests.core.world import Service, World

POD = Service(4, 0.03)
SCALE = TimeScale(2.0, 2.0)
NAMES = ("a", "b", "c")
SPEC = spec(*NAMES)


def split(load: float = 90.0, seed: int = 1) -> Split:
    worlds = {
        name: World(POD, lambda _: 0.0, replicas=2, scale=SCALE, seed=10 * seed + number)
        for number, name in enumerate(NAMES)
    }
    return Split(lambda _: load, dict(zip(NAMES, (334, 333, 333), strict=True)), **worlds)


def moves(decisions: list[Decision], name: str) -> list[int]:
    """Changes of a backend's weight."""
    steps = [step for made in decisions if made.plan for step in made.plan.steps[:1] if isinstance(step, Weigh)]
    return [move for step in steps if (move := step.wanted[name] - step.current[name])]


def turns(changes: list[int]) -> int:
    return sum(before * after < 0 for before, after in itertools.pairwise(changes))


def test_a_backend_that_becomes_slow_is_relieved_by_weight_alone_and_gets_it_back() -> None:
    behind = split()
    mind = None
    for made in drive(behind, SPEC, 60.0):
        mind = made.memory
    behind.worlds["b"].set_service(replace(POD, mean_seconds=5 * POD.mean_seconds))
    slow = []
    for made in drive(behind, SPEC, 260.0, mind):
        slow.append(made)
        mind = made.memory
    assert behind.weights["b"] < 100
    assert behind.bad_share(200.0, 260.0, 0.2) < 0.05
    assert behind.replicas == {"a": 2, "b": 2, "c": 2}
    behind.worlds["b"].set_service(POD)
    back = list(drive(behind, SPEC, 660.0, mind))
    assert behind.weights["b"] > 200
    assert behind.bad_share(400.0, 660.0, 0.2) < 0.03
    assert turns(moves(slow, "b")) + turns(moves(back, "b")) <= 2


def test_a_backend_that_fails_fast_attracts_nothing() -> None:
    behind = split()
    mind = None
    for made in drive(behind, SPEC, 60.0):
        mind = made.memory
    behind.fail("b", 1.0, POD)
    seen = list(drive(behind, SPEC, 160.0, mind))
    assert behind.weights["b"] <= 40
    assert all(move < 0 for move in moves(seen, "b"))


def scalings(decisions: list[Decision], name: str) -> list[int]:
    """Changes of a backend's replicas."""
    steps = [step for made in decisions if made.plan for step in made.plan.steps[:1] if isinstance(step, Scale)]
    return [step.wanted - step.current for step in steps if step.subject == name]


def ordered_again(changes: list[int]) -> int:
    """How often pods were ordered after some had been taken away."""
    return sum(before < 0 < after for before, after in itertools.pairwise(changes))


@pytest.mark.parametrize("seed", range(1, 21))
def test_after_a_restart_it_is_known_what_was_taken_and_each_action_still_gets_its_verdict(seed: int) -> None:
    behind = split(seed=seed)
    mind = None
    for made in drive(behind, SPEC, 60.0):
        mind = made.memory
    behind.worlds["b"].set_service(replace(POD, mean_seconds=5 * POD.mean_seconds))
    for made in drive(behind, SPEC, 160.0, mind):
        mind = made.memory
    assert behind.weights["b"] < 100
    behind.worlds["b"].set_service(POD)
    assert mind
    back = list(drive(behind, SPEC, 560.0, codec.decode(codec.encode(mind))))
    assert behind.weights["b"] > 200
    history = back[-1].memory.history
    assert len(history) > 2
    assert all(decision.verdict for decision in history[1:] if "scale in" not in decision.why)
    assert sum(ordered_again(scalings(back, name)) for name in NAMES) <= 1, "one that was drained may have lost a pod"
    assert behind.replicas["b"] <= 3, "2 carried as much before it was slow"


def test_equal_backends_keep_their_weights() -> None:
    seen = list(drive(split(), SPEC, 120.0))
    assert [m for name in NAMES for m in moves(seen, name)] == []
