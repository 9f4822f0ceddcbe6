"""What a stranger's clone needs is in it: no path of somebody's machine, no broken link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.arch.repository import ROOT, relative, tracked_files

TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".txt", ".in", ".tpl", ".json", ".mod", ".go", ".sh", ""}
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)(#[^)]*)?\)")

# In pieces, so that this file does not find itself.
FOREIGN = {
    "a home directory": re.compile("/" + r"(root|home/\w+|Users/\w+)/"),
    "the address of a package index": re.compile(r"(pypi|pythonhosted|npmjs)" + r"\.org|proxy\." + r"golang\.org"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names(what: str) -> None:
    files = [path for path in tracked_files() if path.suffix in TEXT]
    found = [relative(path) for path in files if FOREIGN[what].search(path.read_text())]
    assert not found


@pytest.mark.parametrize("page", [path for path in tracked_files() if path.suffix == ".md"], ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [match["target"] for match in _LINK.finditer(page.read_text())]
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_ci_can_run() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "it must be executable"
    assert "make test" in script.read_text()
