"""The hour after a restart, beside the same hour without one."""

from __future__ import annotations

import pytest

from bench.restart import SCENARIOS, Beside, Restart, run
from perfslo.simulate import scenarios

AT, WINDOW = 600.0, 200.0
AT_ONCE, A_CYCLE_LATER = Restart(AT), Restart(AT, away_seconds=15.0, watched_seconds=WINDOW)
CRASHED = Restart(AT, age_seconds=15.0, away_seconds=30.0, watched_seconds=WINDOW)
SILENT = Restart(AT, age_seconds=60.0, away_seconds=60.0, watched_seconds=WINDOW)


@pytest.mark.parametrize("seed", range(20))
def test_the_hour_after_a_restart_stays_within_one_replica_and_nothing_is_reduced_too_early(seed: int) -> None:
    world = scenarios.build(SCENARIOS[seed % len(SCENARIOS)], seed=seed, replicas=2.0)
    restarts = {"at once": AT_ONCE, "a cycle later": A_CYCLE_LATER, "crashed": CRASHED, "silent": SILENT}
    beside = run(world, seed, restarts)
    assert {kind: seen.cycles for kind, seen in beside.items()} == {
        "at once": 239, "a cycle later": 13, "crashed": 13, "silent": 13
    }  # fmt: skip
    early = [each for seen in beside.values() for each in seen.differences if each.is_early]
    assert early == []
    assert max(map(most_apart, (beside["at once"], beside["a cycle later"]))) <= 1


def most_apart(seen: Beside) -> int:
    return max((abs(each.restarted - each.unbroken) for each in seen.differences), default=0)
