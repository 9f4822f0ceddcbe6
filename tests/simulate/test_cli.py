"""The command: what it writes, and what it says to those who ask wrongly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from perfslo.cli import _extra, simulate
from perfslo.cli._progress import Progress
from perfslo.simulate import run as simulated

KEYS = {
    "policy",
    "scenario",
    "seed",
    "bad_ratio",
    "violation_minutes",
    "replica_minutes",
    "actions",
    "failed",
    "oracle_replica_minutes",
}


@pytest.fixture(autouse=True)
def quick_oracle(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The true capacity from fewer requests: nothing here depends on how well it is known."""
    monkeypatch.setattr(simulated, "STEADY_REQUESTS", 10_000)
    simulated.true_capacity.cache_clear()
    yield
    simulated.true_capacity.cache_clear()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text("t_seconds,rps\n" + "".join(f"{60 * i},{20 + 10 * (i % 3)}\n" for i in range(6)))
    return path


def test_a_trace_is_simulated_and_its_results_are_written(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    policies = ["--policy", "static=3", "--policy", "hpa-cpu=60"]
    assert simulate.run(["--trace", str(trace), *policies, "--seeds", "2", "--jobs", "1", "--out", str(out)]) == 0
    rows = json.loads((out / "results.json").read_text())
    assert {(row["policy"], row["seed"]) for row in rows} == {
        (policy, seed) for policy in ("static=3", "hpa-cpu=60", "oracle") for seed in (0, 1)
    }
    assert all(row.keys() >= KEYS for row in rows)
    still = next(row for row in rows if row["policy"] == "static=3")
    assert still["replica_minutes"] == pytest.approx(3 * 5)  # the first minute is not judged
    assert still["actions"] <= 1
    assert all(row["oracle_replica_minutes"] > 0 for row in rows)
    assert {path.name for path in out.glob("*.png")} == {"small.png", "comparison.png"}
    printed, errors = capsys.readouterr()
    assert printed.startswith("small, mean of 2 seeds\npolicy ")
    assert "oracle" in printed
    assert errors == ""


def test_options_change_what_is_simulated(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--trace", str(trace), "--policy", "static=1", "--jobs", "1", "--max", "1"]
    assert simulate.run([*common, "--peak-rps", "15"]) == 0
    at_ease = capsys.readouterr().out
    assert simulate.run([*common, "--peak-rps", "90"]) == 0
    overloaded = capsys.readouterr().out
    assert [line.split()[-1] for text in (at_ease, overloaded) for line in text.splitlines()[2:3]] == ["no", "yes"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--scenario", "tsunami"], "there is no scenario 'tsunami': write all, or one of diurnal"),
        (["--scenario", "step", "--policy", "hpa"], "'hpa"),
        (["--scenario", "step", "--service", "none.yaml"], "there is no service 'none.yaml'"),
        (["--trace", "none.csv"], "none.csv: cannot be read"),
        (["--scenario", "step", "--min", "5", "--max", "4"], "--min 5 is more than --max 4"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate.run(argv) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "write --scenario NAME or --trace FILE"),
        (["--scenario", "step", "--target", "250"], "write a duration with its unit"),
        (["--scenario", "step", "--seeds", "0"], "write a whole number from 1"),
        (["--scenario", "step", "--peak-rps", "-1"], "write a number above 0"),
        (["--scenario", "step", "--percentile", "30"], "write a percentile from 50 to 99.99"),
    ],
)
def test_a_wrong_command_line_is_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        simulate.run(argv)
    assert refusal.value.code == 2
    assert said in capsys.readouterr().err


def test_two_loads_of_one_name_are_refused(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = trace.parent / "other" / trace.name
    other.parent.mkdir()
    other.write_text(trace.read_text())
    assert simulate.run(["--trace", str(trace), "--trace", str(other)]) == 1
    assert "small is there twice" in capsys.readouterr().err


def test_help_names_every_policy_and_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        simulate.run(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(
        word in printed for word in ("perfslo", "hpa-cpu=60", "oracle", "flash-crowd", "t_seconds,rps", "examples:")
    )


def test_without_the_extra_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_numba(name: str) -> ModuleSpec | None:
        return None if name == "numba" else find_spec(name)

    monkeypatch.setattr(_extra, "find_spec", without_numba)
    assert simulate.run(["--scenario", "step"]) == 1
    assert "this needs numba" in (errors := capsys.readouterr().err)
    assert "pip install 'perfslo-operator[simulate]'" in errors


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_wiped_off() -> None:
    stream = Terminal()
    with Progress(4, "runs", stream) as progress:
        progress(4)
    assert "4 of 4 runs" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_elsewhere() -> None:
    stream = io.StringIO()
    with Progress(4, "runs", stream) as progress:
        progress(2)
    assert stream.getvalue() == ""
