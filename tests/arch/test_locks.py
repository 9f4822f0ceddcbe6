"""Everything installed is pinned and checked against a hash, from wherever the reader's pip looks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.arch.repository import ROOT, relative

LOCKS = [*ROOT.glob("requirements*.lock"), ROOT / "demo" / "requirements.txt"]
_PIN = re.compile(
    r"^(?P<name>[a-zA-Z0-9._-]+)(\[[a-z,]+\])?==(?P<version>[^ \\]+)(?P<hashes>( \\\n +--hash=sha256:[0-9a-f]{64})+)$",
    re.M,
)


def pins(path: Path) -> dict[str, str]:
    return {canonicalize_name(match["name"]): match["version"] for match in _PIN.finditer(path.read_text())}


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_a_lock_holds_pins_with_hashes_only(path: Path) -> None:
    text = _PIN.sub("", path.read_text())
    rest = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert pins(path)
    assert not rest, "no options, addresses or requirements without a hash"
    assert "://" not in text


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", []), ("requirements-dev.lock", ["dev"])], ids=["runtime", "development"]
)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    have = pins(ROOT / lock)
    unmet = []
    for requirement in map(Requirement, wanted):
        version = have.get(canonicalize_name(requirement.name))
        if version is None or version not in requirement.specifier:
            unmet.append(str(requirement))
    assert not unmet, "run `make lock`"


def test_the_locks_agree() -> None:
    everything = pins(ROOT / "requirements-dev.lock")
    for path in LOCKS:
        assert pins(path).items() <= everything.items(), (
            f"{relative(path)} differs from requirements-dev.lock: `make lock`"
        )
