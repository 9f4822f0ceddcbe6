"""Files that are generated from the models: written, or compared with what is there."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
"""Root of the repository: generated files are part of it, not of the installed package."""


def write_or_check(files: dict[Path, str], argv: list[str]) -> int:
    """`--write` them or `--check` that they are up to date; the exit code."""
    if argv not in (["--write"], ["--check"]):
        print("say --write or --check", file=sys.stderr)
        return 2
    differing = [path for path, text in files.items() if _read(ROOT / path) != text]
    for path in differing:
        if argv == ["--write"]:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path])
            print(f"{path}: written")
        else:
            print(f"{path}: differs from the models; run `make generate`", file=sys.stderr)
    return 1 if differing and argv == ["--check"] else 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
