"""Draws the committed results: python -m bench.traffic.picture."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results.json", HERE / "traffic.png"
PANELS = {"violation_minutes": "violation minutes", "replica_minutes": "replica-minutes"}
COLOURS = ("tab:blue", "tab:orange", "tab:gray")


def main() -> None:
    saved = json.loads(RESULTS.read_text())
    runs = [dict(zip(saved["columns"], run, strict=True)) for run in saved["runs"]]
    plays, ways = list(dict.fromkeys(run["play"] for run in runs)), list(dict.fromkeys(run["under"] for run in runs))
    figure = Figure(figsize=(9, 0.5 * len(plays) + 1), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for number, way in enumerate(ways):
            means = [mean(run[column] for run in runs if (run["play"], run["under"]) == (play, way)) for play in plays]
            places = [place + 0.27 * (number - 1) for place in range(len(plays))]
            axes.barh(places, means, 0.25, label=way, color=COLOURS[number])
        axes.set_yticks(range(len(plays)), plays)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=len(ways))
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
