"""The benchmark of decisions: what is planned, what is kept of it, and what the tables say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.decide import figures, picture, plan, store
from perfslo.simulate import scenarios
from perfslo.simulate.batch import Task
from perfslo.simulate.model import Balancing, Load
from perfslo.simulate.report import Comparison, Result, results
from tests.simulate.fakes import run

GROUP = plan.Group(Balancing.RANDOM, 20.0)


def test_every_setting_goes_by_one_name_in_all_scenarios() -> None:
    found = [dict(plan.policies(scenarios.build(name))) for name in ("step", "bad-regression", "low-traffic")]
    assert all(each.keys() == found[0].keys() for each in found)
    assert [each["keda-latency=0.8"] for each in found] == ["keda-p95=200ms", "keda-p95=320ms", "keda-p99=200ms"]
    assert found[0]["perfslo"] == "perfslo"


def test_all_runs_are_planned_seed_by_seed() -> None:
    load = Load((0.0, 3600.0), (1.0, 1.0))
    cells = list(plan.cells(GROUP, ["step", "noisy"], {"mine": load}, 2))
    assert len(cells) == len({cell.key for cell in cells}) == 2 * 3 * (2 + len(plan.labels()))
    assert [cell.task.seed for cell in cells] == sorted(cell.task.seed for cell in cells)


def test_traces_are_brought_to_an_hour_and_a_half(tmp_path: Path) -> None:
    def write(name: str, step: int, bins: int) -> None:
        lines = "".join(f"{step * i},{5 if i == bins // 2 else 1}\n" for i in range(bins))
        (tmp_path / f"{name}.csv").write_text(f"t_seconds,rps\n{lines}")

    write("day", 60, 1440)
    write("fortnight", 300, 4032)
    loads = plan.trace_loads(tmp_path)
    assert [load.duration_seconds for load in loads.values()] == [5400.0, 5400.0]
    assert all(max(load.rps) == 5.0 for load in loads.values())
    assert loads["fortnight"].times_seconds[2] - loads["fortnight"].times_seconds[1] == pytest.approx(60.0)


def test_what_is_done_is_kept_until_the_code_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = plan.Cell(GROUP, "keda-latency=0.8", Task(scenarios.build("step"), "keda-p95=200ms", 0))
    ours = plan.Cell(GROUP, "perfslo", Task(scenarios.build("step"), "perfslo", 0))
    path = tmp_path / "runs.jsonl"
    store.Store(path).add(cell, run("keda-p95=200ms", scenario="step"))
    store.Store(path).add(ours, run("perfslo", scenario="step"))
    with path.open("a") as file:
        file.write('["half a li')
    kept = store.Store(path).runs
    assert (kept[cell.key].policy, kept[cell.key].replica_minutes) == ("keda-latency=0.8", 100.0)
    assert set(kept) == {cell.key, ours.key}
    # Our own law has changed: what the rivals do has not.
    monkeypatch.setattr(store, "DECIDING", ("api",))
    assert set(store.Store(path).runs) == {cell.key}
    monkeypatch.setattr(store, "SIMULATOR", store.SIMULATOR[1:])
    assert store.Store(path).runs == {}


def test_all_that_rivals_run_on_is_in_their_fingerprint() -> None:
    """But for what only holds values, and what hands out the runs."""
    listed = "import sys; from perfslo.simulate import batch, scenarios; from perfslo.simulate.policies import oracle"
    modules = subprocess.run(
        [sys.executable, "-c", f"{listed}; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    files = {f"{name.removeprefix('perfslo.').replace('.', '/')}.py" for name in modules if name.startswith("perfslo.")}
    used = {name for name in files if (store.PACKAGE / name).exists() and not name.startswith(("api/", "errors"))}
    holds_values = {
        "core/databases.py",
        "core/frozen.py",
        "core/model.py",
        "core/memory.py",
        "core/steps.py",
        "core/trials.py",
        "core/weights.py",
        "simulate/batch.py",
    }
    assert used - holds_values == set(store.SIMULATOR)


def made() -> list[Result]:
    return results(
        run(policy, scenario=scenario, seed=seed, bad=bad, replicas=replicas + seed)
        for scenario in ("step", "regression")
        for seed in (0, 1)
        for policy, bad, replicas in (
            ("perfslo", [60, 0] * 5, 11.0),
            ("oracle", [0] * 10, 10.0),
            ("hpa-cpu=50", [0] * 10, 20.0),
            ("hpa-cpu=70", [90] * 10, 8.0),
        )
    )


def test_figures_are_told_as_they_are() -> None:
    comparison, missing = figures.complete(made())
    told = {each.name: each.found for each in figures.figures(comparison, set(scenarios.names()))}
    assert missing == []
    assert told["runs of perfslo that failed where the oracle did not"] == "0 of 4"
    assert told["replica-minutes, in those of the oracle"].startswith("1.10 (1.0")
    assert told["in those of the cheapest setting of a rival without a failed run"].endswith("of hpa-cpu=50")
    # Of HPA, half way between no violation minute and ten: 14.5 pods where perfslo has 11.5, on the step alone.
    ratio = figures.hindsight(comparison.within(lambda cell: cell[0] == "step"))
    assert ratio
    assert ratio.value == pytest.approx(11.5 / 14.5)


def test_a_setting_that_is_not_through_is_left_out() -> None:
    rows = [row for row in made() if (row.policy, row.seed) != ("hpa-cpu=70", 1)]
    comparison, missing = figures.complete(rows)
    assert missing == ["hpa-cpu=70"]
    assert len(comparison.cells) == 4
    text = picture.tables({"random": rows}, {"seeds": 2, "code": "abc"})
    assert "Not run in every cell, and left out: hpa-cpu=70." in text
    assert "| hpa-cpu | 1 | hpa-cpu=50 | 0 of 4 |" in text


def test_results_are_read_back_as_they_were_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "RESULTS", tmp_path / "results.json")
    picture.save({"random": made()}, {"seeds": 2})
    assert picture.load() == ({"random": made()}, {"seeds": 2})
    assert Comparison(picture.load()[0]["random"]).policies == ["perfslo", "oracle", "hpa-cpu=50", "hpa-cpu=70"]
