"""Same inputs, same decision: the core reads no clock, draws no lots, keeps no globals and does no I/O.

The import contracts (pyproject.toml, [tool.importlinter]) forbid modules; this forbids what needs no forbidden import.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arch.repository import CORE, ROOT, modules, relative

IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "__import__", "id"}
IMPURE_METHODS = {"now", "utcnow", "today"}


def impurities(source: str) -> list[str]:
    """What in a module's source makes its results depend on something other than its arguments, with line numbers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Global():
                found.append(f"{node.lineno}: global {', '.join(node.names)}")
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
                found.append(f"{node.lineno}: {name}()")
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                found.append(f"{node.lineno}: .{name}()")
    return found


@pytest.mark.parametrize("path", modules(CORE), ids=relative)
def test_the_core_depends_on_its_arguments_only(path: Path) -> None:
    assert not impurities(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "date.today()",
        "print('x')",
        "open('x')",
        "def f():\n    global count\n    count = 1",
    ],
)
def test_the_check_sees_what_it_is_for(source: str) -> None:
    assert impurities(source)


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the package under `root`, with its sources found there and not in the installed package."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=root,
        env={"PYTHONPATH": str(root / "operator"), "PATH": ""},
        capture_output=True,
        text=True,
    )


def test_import_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("core/broken.py", "import os"),
        ("core/broken.py", "from perfslo import edges"),
        ("api/broken.py", "import perfslo.core"),
    ],
)
def test_import_contracts_can_break(tmp_path: Path, module: str, statement: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "operator", tmp_path / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "operator" / "perfslo" / module).write_text(statement)
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout
