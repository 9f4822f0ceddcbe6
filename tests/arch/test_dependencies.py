"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.arch.repository import PACKAGE, ROOT, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def imported_packages(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def third_party(folder: Path, but: str = "") -> set[str]:
    """The distributions whose packages the modules under `folder` import, those in the folder named `but` left out."""
    ours = {"perfslo", "demo", "dev", "tests"}
    paths = [path for path in modules(folder) if but not in path.parts]
    packages = {name for path in paths for name in imported_packages(path)} - sys.stdlib_module_names - ours
    providers = packages_distributions()
    return {canonicalize_name(providers[name][0]) for name in packages}


def declared(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_the_operator_imports_what_it_declares_and_nothing_else() -> None:
    assert third_party(PACKAGE, but="simulate") == declared(PROJECT["dependencies"])


def test_a_simulation_imports_more_only_of_what_it_declares() -> None:
    extra = declared(PROJECT["optional-dependencies"]["simulate"])
    assert third_party(PACKAGE / "simulate") <= extra | declared(PROJECT["dependencies"])


def test_the_demo_imports_what_it_declares() -> None:
    lines = (ROOT / "demo" / "requirements.in").read_text().splitlines()
    asked_for = declared([line.partition("#")[0] for line in lines])
    for_an_old_python = {"async-timeout"}  # redis asks for it, and the lock is made with a newer one
    assert third_party(ROOT / "demo" / "app") | for_an_old_python == asked_for
