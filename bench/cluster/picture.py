"""Draws the committed results: python -m bench.cluster.picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

RESULTS = Path(__file__).with_name("results.json")
PICTURE = Path(__file__).with_name("cluster.png")
SEEN, TOLD, LOAD = "tab:orange", "tab:blue", "lightgray"


def draw(found: dict[str, Any], path: Path) -> None:
    """Replicas over time under each policy, and cost and bad requests of all, as seen and as simulated."""
    names = list(found["real"])
    figure = Figure(figsize=(12, 6.5), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2 * len(names), height_ratios=(3, 2))
    first: Axes | None = None
    for column, name in enumerate(names):
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2], sharey=first)
        _over_time(axes, name, found)
        if first is None:
            first = axes
            axes.set_ylabel("replicas ordered")
            axes.legend(frameon=False, loc="upper left")
    half = len(names)
    _beside(figure.add_subplot(grid[1, :half]), "replica-minutes", "replica_minutes", names, found)
    bad = figure.add_subplot(grid[1, half:])
    _beside(bad, "bad requests", "bad_ratio", names, found)
    bad.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.savefig(path, dpi=110)


def _over_time(axes: Axes, name: str, found: dict[str, Any]) -> None:
    minutes = found["real"][name]["minutes"]
    at = [minute["at_seconds"] / 60 for minute in minutes]
    load = axes.twinx()
    load.fill_between(at, [minute["requests"] / 60 for minute in minutes], color=LOAD, step="post")
    load.set_ylim(0)
    load.set_yticks([])
    axes.set_zorder(load.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.step(at, [minute["desired"] for minute in minutes], where="post", color=SEEN, label="seen")
    axes.step(at, found["simulated"][name]["desired"], where="post", color=TOLD, label="simulated, mean")
    ordered = [minute["desired"] for seen in found["real"].values() for minute in seen["minutes"]]
    axes.set_ylim(0, 1.1 * max(ordered))
    axes.set_title(name, loc="left")
    axes.set_xlabel("minutes")


def _beside(axes: Axes, title: str, figure: str, names: list[str], found: dict[str, Any]) -> None:
    told = [found["simulated"][name][figure] for name in names]
    means = [values["mean"] for values in told]
    spread = [
        [values["mean"] - values["lowest"] for values in told],
        [values["highest"] - values["mean"] for values in told],
    ]
    places = range(len(names))
    axes.bar([place - 0.2 for place in places], [found["real"][name][figure] for name in names], 0.38, color=SEEN)
    axes.bar([place + 0.2 for place in places], means, 0.38, yerr=spread, color=TOLD, capsize=4)
    axes.set_xticks(list(places), names)
    axes.set_title(f"{title}; simulated with the range of all seeds", loc="left")


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()), PICTURE)
