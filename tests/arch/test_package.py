"""What is published is the package alone, and the same sources always give the same bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.arch.repository import PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel, built twice."""
    built: list[Path] = []
    for attempt in ("first", "second"):
        folder = tmp_path_factory.mktemp(attempt)
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        built += folder.glob("*.whl")
    return built


def test_two_builds_are_equal(wheels: list[Path]) -> None:
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels)
    assert first == second


def test_the_wheel_holds_the_package_at_its_root_and_nothing_else(wheels: list[Path]) -> None:
    names = zipfile.ZipFile(wheels[0]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"perfslo", "perfslo_operator"}
    assert "perfslo/py.typed" in names
    assert {f"perfslo/presets/{path.name}" for path in (PACKAGE / "presets").glob("*.yaml")} <= set(names)
    assert any(name.startswith("perfslo/presets/") and name.endswith(".yaml") for name in names)


def test_the_command_is_installed_with_it(wheels: list[Path]) -> None:
    archive = zipfile.ZipFile(wheels[0])
    entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "perfslo = perfslo.__main__:main" in archive.read(entry_points).decode()
