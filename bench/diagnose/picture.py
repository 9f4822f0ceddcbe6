"""Draws the confusion matrix of the committed results: python -m bench.diagnose.picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.diagnose.faults import FAULTS
from bench.diagnose.figures import verdicts
from bench.diagnose.watched import Done, read

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results.json", HERE / "confusion.png"


def draw(runs: Sequence[Done], path: Path) -> None:
    """Rows are what was injected alone, columns what it was taken for; shares of each row."""
    faults, found = [*FAULTS], verdicts(runs)
    counts = Counter((one.faults, one.found) for one in runs)
    rows = [[counts[(fault,), verdict] for verdict in found] for fault in faults]
    shares = [[number / max(1, sum(row)) for number in row] for row in rows]
    figure = Figure(figsize=(10, 6), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(found)), found, rotation=30, ha="right")
    axes.set_yticks(range(len(faults)), faults)
    for y, row in enumerate(rows):
        for x, number in enumerate(row):
            if number:
                axes.text(x, y, str(number), ha="center", va="center", color="white" if shares[y][x] > 0.5 else "black")
    axes.set_title("what was injected (rows), and what it was taken for", loc="left")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    draw(read(json.loads(RESULTS.read_text())), PICTURE)
