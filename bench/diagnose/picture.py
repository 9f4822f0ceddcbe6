"""Draws the confusion matrix of the committed results: python -m bench.diagnose.picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.diagnose.faults import FAULTS

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results.json", HERE / "confusion.png"


def draw(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Rows are what was injected, columns what it was taken for; shares of each row."""
    faults, verdicts = [*FAULTS], sorted({row[2] for row in rows})
    counts = Counter((row[0], row[2]) for row in rows)
    shares = [
        [counts[fault, verdict] / max(1, sum(counts[fault, other] for other in verdicts)) for verdict in verdicts]
        for fault in faults
    ]
    figure = Figure(figsize=(9, 5), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(verdicts)), verdicts, rotation=30, ha="right")
    axes.set_yticks(range(len(faults)), faults)
    for y, fault in enumerate(faults):
        for x, verdict in enumerate(verdicts):
            if number := counts[fault, verdict]:
                axes.text(x, y, str(number), ha="center", va="center", color="white" if shares[y][x] > 0.5 else "black")
    axes.set_title("what was injected (rows), and what it was taken for", loc="left")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()), PICTURE)
