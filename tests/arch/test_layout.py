"""The folders mean what they say, and the source root does not shadow the standard library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.arch.repository import PACKAGE, ROOT, modules, relative, tracked_files

LONGEST_MODULE_LINES = 400


def test_the_source_root_is_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would replace the standard library's `operator`"


@pytest.mark.parametrize("how", [["-c"], ["-I", "-c"], ["-P", "-c"]], ids=["plain", "isolated", "safe path"])
def test_the_standard_operator_module_wins_from_the_root_of_the_repository(how: list[str]) -> None:
    program = "import operator, collections, perfslo; print(operator.eq(1, 1), perfslo.__file__)"
    result = subprocess.run([sys.executable, *how, program], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.startswith("True "), result.stderr
    assert "operator/perfslo/__init__.py" in result.stdout


def test_modules_are_short() -> None:
    programs = [path for path in tracked_files() if path.suffix == ".py" and ROOT / "tests" not in path.parents]
    lengths = {relative(path): len(path.read_text().splitlines()) for path in programs}
    too_long = {name: lines for name, lines in lengths.items() if lines >= LONGEST_MODULE_LINES}
    assert not too_long, f"split these: {too_long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [relative(path) for path in modules(PACKAGE) if not path.read_text().lstrip().startswith(('"""', 'r"""'))]
    assert not [name for name in silent if (ROOT / name).stat().st_size], "a module starts with its docstring"
