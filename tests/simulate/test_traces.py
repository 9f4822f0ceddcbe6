"""Traces: what is read, and what is said about a file that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfslo.errors import ConfigurationError
from perfslo.simulate import traces
from perfslo.simulate.model import Load

ZIGZAG = Load((0.0, 10.0, 20.0, 30.0), (0.0, 10.0, 0.0, 4.0))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


def test_bins_become_points_and_the_last_bin_has_its_length(tmp_path: Path) -> None:
    load = traces.read(written(tmp_path, "t_seconds,rps\n100,5\n160,7.5\n220,6\n"))
    assert load == Load((0.0, 60.0, 120.0, 180.0), (5.0, 7.5, 6.0, 6.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seconds,rate\n0,1\n", ":1: write t_seconds,rps"),
        ("", ":1: write t_seconds,rps"),
        ("t_seconds,rps\n0,1\n60,many\n", ":3: rps: write two numbers"),
        ("t_seconds,rps\n0,1\n\n60,-2\n", ":4: rps: write two numbers"),
        ("t_seconds,rps\n0,1\n60,nan\n", ":3: rps: write two numbers"),
        ("t_seconds,rps\n0,1\n60\n", ":3: rps: write two numbers"),
        ("t_seconds,rps\n0,1\n60,1,1\n", ":3: the line: write two numbers"),
        ("t_seconds,rps\n0,1\n60,1\n60,2\n", ":4: t_seconds 60 is not after 60"),
        ("t_seconds,rps\n0,1\n", "at least two make a trace"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        traces.read(written(tmp_path, text))
    assert said in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.csv: cannot be read: No such file"):
        traces.read(tmp_path / "none.csv")


def test_a_cut_begins_anew_between_points() -> None:
    assert traces.cut(ZIGZAG, 5, 20) == Load((0.0, 5.0, 15.0, 20.0), (5.0, 10.0, 0.0, 2.0))
    assert traces.cut(ZIGZAG) == ZIGZAG
    with pytest.raises(ConfigurationError, match="start earlier"):
        traces.cut(ZIGZAG, 30)


def test_scaling_meets_what_was_asked_for() -> None:
    assert max(traces.peaking(ZIGZAG, 300).rps) == 300
    assert traces.averaging(ZIGZAG, 12).mean_rps == pytest.approx(12)
    assert ZIGZAG.mean_rps == pytest.approx(4)
    with pytest.raises(ConfigurationError, match="no request in it"):
        traces.peaking(Load((0.0, 1.0), (0.0, 0.0)), 5)


def test_hurrying_keeps_rates() -> None:
    assert traces.hurried(ZIGZAG, 10) == Load((0.0, 1.0, 2.0, 3.0), ZIGZAG.rps)


def test_the_busiest_part_has_its_peak_in_it() -> None:
    long = Load(tuple(float(60 * i) for i in range(100)), tuple(5.0 if i == 70 else 1.0 for i in range(100)))
    part = traces.around_the_peak(long, 1800)
    assert part.duration_seconds == 1800
    assert part.times_seconds[part.rps.index(5.0)] == pytest.approx(1200)
    assert traces.around_the_peak(long, 1e6) is long
    early = Load(long.times_seconds, tuple(5.0 if i == 1 else 1.0 for i in range(100)))
    assert traces.around_the_peak(early, 1800).at(60) == 5.0
