"""Draws the committed results: python -m bench.validate.picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.validate.__main__ import ALLOWED, RESULTS, together

PICTURE = Path(__file__).parent / "shares.png"


def draw(plays: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The share of bad requests over the load, as seen in each play, and as seen and simulated in all of them."""
    figure = Figure(figsize=(9, 4), layout="constrained", facecolor="white")
    found = together(plays)
    counts = sorted({row.replicas for row in found})
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, replicas in zip(panels, counts, strict=True):
        rows = [row for row in found if row.replicas == replicas]
        loads = [row.rps_per_pod for row in rows]
        axes.plot(loads, [row.simulated for row in rows], color="tab:blue", label="simulated")
        axes.plot(loads, [row.seen for row in rows], "o", color="tab:orange", label="seen")
        alone = [
            (row["rps_per_pod"], row["seen"]) for play in plays for row in play["rows"] if row["replicas"] == replicas
        ]
        axes.plot(*zip(*alone, strict=True), "_", color="tab:orange", alpha=0.7, label="in one play")
        axes.axhline(ALLOWED, color="gray", linewidth=0.8, linestyle="--")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_title(f"{replicas} pod{'s' * (replicas > 1)}", loc="left")
        axes.set_xlabel("requests a second and pod")
    panels[0].set_ylabel("bad requests")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()), PICTURE)
