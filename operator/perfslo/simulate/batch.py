"""Many runs, over the cores of the machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from perfslo.simulate.model import Run, Scenario
from perfslo.simulate.policies import registry
from perfslo.simulate.run import simulate

Progress = Callable[[float], None]
"""Is told how many of the runs are done; the one at work counts in part where that is known."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do. The policy goes by its name, for it is made anew for each run."""

    scenario: Scenario
    policy: str
    seed: int


def run_all(tasks: Sequence[Task], jobs: int, progress: Progress) -> Iterator[tuple[int, Run]]:
    """The number of each task and its run as soon as it is done, in any order; in this process when `jobs` is 1.

    Raises ConfigurationError for a policy that does not exist.
    """
    for task in tasks:
        registry.parse(task.policy)
    if jobs == 1 or len(tasks) <= 1:
        for number, task in enumerate(tasks):
            yield number, _run(task, lambda share, number=number: progress(number + share))  # type: ignore[misc]
            progress(number + 1)
        return
    # Started anew instead of copied: a copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context) as pool:
        futures = {pool.submit(_run, task): number for number, task in enumerate(tasks)}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                yield futures[future], future.result()
                progress(done)
        finally:
            pool.shutdown(cancel_futures=True)


def _run(task: Task, progress: Progress | None = None) -> Run:
    return simulate(task.scenario, registry.parse(task.policy)(task.scenario), task.seed, progress)
