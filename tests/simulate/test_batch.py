"""Many runs: the same whether they come one after the other or from several processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.errors import ConfigurationError
from perfslo.simulate.batch import Task, run_all
from perfslo.simulate.model import Load, Scenario

SCENARIO = Scenario("small", Load((0.0, 120.0), (20.0, 20.0)), initial_replicas=1)
TASKS = [Task(SCENARIO, policy, seed) for policy in ("static=1", "static=2") for seed in (0, 1)]


def test_processes_change_nothing() -> None:
    told: list[float] = []
    alone, spread = (
        {number: replace(run, decision_seconds=()) for number, run in run_all(TASKS, jobs, told.append)}
        for jobs in (1, 2)
    )
    assert alone == spread
    assert [(run.policy, run.seed) for _, run in sorted(alone.items())] == [(t.policy, t.seed) for t in TASKS]
    assert told[-1] == len(TASKS)


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(run_all([], 2, lambda _: None)) == []


def test_a_policy_that_does_not_exist_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigurationError, match="no policy 'best'"):
        next(run_all([TASKS[0], Task(SCENARIO, "best", 0)], 1, lambda _: None))
