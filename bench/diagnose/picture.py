"""Draws the confusion matrices of the committed results, simulated and real: python -m bench.diagnose.picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.diagnose import cluster, figures
from bench.diagnose.watched import read

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results.json", HERE / "confusion.png"

Rows = Mapping[str, Counter[str]]
"""By what was injected, how often it was taken for what."""


def draw(matrices: Mapping[str, Rows], path: Path) -> None:
    """Side by side, each under its title."""
    figure = Figure(figsize=(9 * len(matrices), 7), layout="constrained", facecolor="white")
    for axes, (title, rows) in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items(), strict=True):
        _matrix(axes, rows)
        axes.set_title(title, loc="left")
    figure.suptitle("what was injected alone (rows), and what it was taken for: runs, and shares of each row")
    figure.savefig(path, dpi=120)


def _matrix(axes: Axes, rows: Rows) -> None:
    found = figures.verdicts(rows)
    shares = [[counts[verdict] / max(1, counts.total()) for verdict in found] for counts in rows.values()]
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(found)), found, rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [*rows])
    for y, counts in enumerate(rows.values()):
        for x, verdict in enumerate(found):
            if counts[verdict]:
                color = "white" if shares[y][x] > 0.5 else "black"
                axes.text(x, y, str(counts[verdict]), ha="center", va="center", color=color)


if __name__ == "__main__":
    simulated = figures.by_class(read(json.loads(RESULTS.read_text())))
    real = {name: Counter(found) for name, found in json.loads(cluster.RESULTS.read_text()).items()}
    draw({"simulated": simulated, "on a real cluster": real}, PICTURE)
