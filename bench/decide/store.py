"""Runs that are done, so that a benchmark which was stopped goes on where it was. Those of other code do not count.

A rival's run is made by the simulator alone: it still counts when perfslo's own decisions have changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from bench.decide.plan import Cell
from perfslo.simulate.model import Run
from perfslo.simulate.report import PERFSLO

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "perfslo"
WORLD = "cfs engine heap loop model prometheus run scenarios services shapes state traces world"
RIVALS = "hpa keda kpa llmd oracle promql registry static"
SIMULATOR = (
    *(f"core/{name}.py" for name in ("behavior", "scrape", "timescale")),
    *(f"simulate/{name}.py" for name in WORLD.split()),
    *(f"simulate/policies/{name}.py" for name in RIVALS.split()),
)
"""All that has a say in what the runs of rivals and of the oracle come to."""
DECIDING = ("api", "core", "edges/kube", "simulate/policies")
"""What has one besides in those of perfslo."""
_Run = TypeAdapter(Run)


class Store:
    """A line for each run, in a file that only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._code = {ours: fingerprint(ours) for ours in (False, True)}
        self.runs: dict[str, Run] = dict(self._read()) if path.exists() else {}
        """By the key of their cell."""

    def add(self, cell: Cell, run: Run) -> None:
        """Under the label of its setting. Only perfslo's decisions are kept with their times."""
        kept = replace(run, policy=cell.label, instants=(), decision_seconds=())
        if cell.label == PERFSLO:
            kept = replace(kept, decision_seconds=run.decision_seconds)
        self.runs[cell.key] = kept
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            line = [self._code[cell.label == PERFSLO], cell.key, _Run.dump_python(kept, mode="json")]
            file.write(json.dumps(line) + "\n")

    def _read(self) -> Iterator[tuple[str, Run]]:
        for line in self._path.read_text().splitlines():
            try:
                code, key, run = json.loads(line)
            except ValueError:
                continue  # it was being written when the machine stopped
            if code == self._code[run["policy"] == PERFSLO]:
                yield key, _Run.validate_python(run)


def fingerprint(ours: bool = True) -> str:
    """Of all code that has a say in what a run comes to: one of perfslo, or of a rival and the oracle."""
    paths = [PACKAGE / name for name in SIMULATOR]
    if ours:
        paths += [path for folder in DECIDING for path in sorted((PACKAGE / folder).rglob("*.py"))]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
