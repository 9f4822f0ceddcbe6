"""Pictures are drawn: that they are worth looking at, eyes must judge."""

from __future__ import annotations

from pathlib import Path

from perfslo.simulate import plots, scenarios
from perfslo.simulate.report import Comparison, results
from tests.simulate.fakes import run

PNG = b"\x89PNG"


def test_a_timeline_is_a_picture(tmp_path: Path) -> None:
    runs = [run("perfslo", bad=[0, 400, 0]), run("oracle", bad=[0] * 3), run("kpa=0.9", bad=[0] * 3, requests=0)]
    plots.timeline(scenarios.build("regression"), runs, tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(PNG)


def test_a_comparison_is_a_picture_with_and_without_an_oracle_or_rivals(tmp_path: Path) -> None:
    rivals = [run("hpa-cpu=50", replicas=20.0), run("hpa-cpu=60", bad=[100] * 10), run("llmd", bad=[60] * 10)]
    ours = [run("perfslo"), run("oracle")]
    for name, runs in (("with", [*rivals, *ours]), ("without", rivals), ("alone", ours)):
        path = tmp_path / f"{name}.png"
        plots.pareto(Comparison(results(runs)), name, path)
        assert path.read_bytes().startswith(PNG)
