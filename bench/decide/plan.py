"""What is compared with what: every scenario and trace, under every policy at every setting, with every seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfslo.simulate import scenarios, traces
from perfslo.simulate.batch import Task
from perfslo.simulate.model import Balancing, Load, Scenario
from perfslo.simulate.policies import registry
from perfslo.simulate.report import ORACLE, PERFSLO

LONGEST_SECONDS = 90 * 60.0
COARSEST_STEP_SECONDS = 60.0
"""What was recorded in longer bins is hurried until its bins are of a minute."""
OURS = (PERFSLO, ORACLE)


@dataclass(frozen=True, slots=True)
class Group:
    """What is reported together."""

    balancing: Balancing
    replicas: float
    """That the mean load of each scenario needs, about."""

    def __str__(self) -> str:
        return f"{self.balancing.value}, about {self.replicas:g} replicas"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run to do, and the name that its setting goes by in all scenarios."""

    group: Group
    label: str
    task: Task

    @property
    def key(self) -> str:
        return f"{self.group}|{self.task.scenario.name}|{self.label}|{self.task.seed}"


def labels() -> tuple[str, ...]:
    """Of the rivals' settings, in the order of `registry.grid`.

    Shares of a scenario's own target, and of what its service can do, make one setting for all scenarios: more than an
    author knows who must write down one number.
    """
    return (
        *(f"hpa-cpu={percent}" for percent in registry.CPU_PERCENTS),
        *(f"keda-latency={share:g}" for share in registry.LATENCY_SHARES),
        *(f"keda-rps={share:g}" for share in registry.LOAD_SHARES),
        *(f"kpa={value:g}" for value in registry.CONCURRENCIES),
        *(f"llmd={up:g},{down:g}" for up, down in registry.BANDS),
    )


def policies(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Label and policy: ours first, then the rivals' whole grids."""
    yield from ((name, name) for name in OURS)
    yield from zip(labels(), registry.grid(scenario), strict=True)


def cells(group: Group, names: Sequence[str], loads: dict[str, Load], seeds: int) -> Iterator[Cell]:
    """All runs of a group; seed by seed, so that what is done early is a whole comparison."""
    for seed in range(seeds):
        built = [scenarios.build(name, seed=seed, replicas=group.replicas, balancing=group.balancing) for name in names]
        built += [
            scenarios.of_trace(name, load, replicas=group.replicas, balancing=group.balancing)
            for name, load in loads.items()
        ]
        for scenario in built:
            for label, policy in policies(scenario):
                yield Cell(group, label, Task(scenario, policy, seed))


def trace_loads(folder: Path) -> dict[str, Load]:
    """The traces in a folder: hurried when they are coarse, and the part around the peak when they are long."""
    loads = {}
    for path in sorted(folder.glob("*.csv")):
        load = traces.read(path)
        step = load.times_seconds[1] - load.times_seconds[0]
        hurried = traces.hurried(load, max(1.0, step / COARSEST_STEP_SECONDS))
        loads[path.stem] = traces.around_the_peak(hurried, LONGEST_SECONDS)
    return loads
