"""What is published is the package alone, and the same sources always give the same bytes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.arch.repository import PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel, built from two copies of the sources, which differ in nothing but their path and times."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, first / name)
    shutil.copytree(PACKAGE, first / "operator" / "perfslo", copy_function=shutil.copyfile)
    shutil.copytree(first, second, copy_function=shutil.copyfile, dirs_exist_ok=True)
    return [build(first), build(second)]


def build(sources: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(sources)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = (sources / "dist").glob("*.whl")
    return wheel


def test_two_builds_are_equal(wheels: list[Path]) -> None:
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels)
    assert first == second


def test_the_wheel_holds_the_package_at_its_root_and_nothing_else(wheels: list[Path]) -> None:
    names = zipfile.ZipFile(wheels[0]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"perfslo", "perfslo_operator"}
    assert "perfslo/py.typed" in names
    assert {f"perfslo/presets/{path.name}" for path in (PACKAGE / "presets").glob("*.yaml")} <= set(names)
    assert any(name.startswith("perfslo/presets/") and name.endswith(".yaml") for name in names)


def test_the_commands_are_installed_with_it(wheels: list[Path]) -> None:
    archive = zipfile.ZipFile(wheels[0])
    entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert {"perfslo = perfslo.__main__:main", "kubectl-perfslo = perfslo.__main__:main"} <= set(
        archive.read(entry_points).decode().splitlines()
    )
