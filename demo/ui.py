"""What the story looks like in a terminal: headings, steps with their time, and a table that grows by a line."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from demo.judge import Finding

COLUMNS = (
    ("time", 6),
    ("load/s", 8),
    ("p95 users", 11),
    ("over", 7),
    ("p95 perfslo", 13),
    ("ready", 7),
    ("wanted", 8),
    ("state", 16),
    ("bottleneck", 20),
)
INDENT = " " * 8


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is going on, and how long it took once it is done."""
    print(f"  {what} ... ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - started:.0f} s", flush=True)


def table_head() -> None:
    print("".join(f"{name:>{width}}" for name, width in COLUMNS), flush=True)


def row(cells: Sequence[str]) -> None:
    print("".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)), flush=True)


def aside(who: str, text: str) -> None:
    """Something said between the lines of the table."""
    width = max(60, shutil.get_terminal_size((120, 24)).columns)
    print(textwrap.fill(f"{who}: {text}", width, initial_indent=INDENT, subsequent_indent=INDENT + "  "), flush=True)


def findings(found: Sequence[Finding]) -> None:
    for finding in found:
        print(f"  {'yes' if finding.held else 'NO ':3}  {finding.rule}\n       {finding.numbers}", flush=True)
