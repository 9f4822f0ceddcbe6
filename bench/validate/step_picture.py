"""Draws the committed step response: python -m bench.validate.step_picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

RESULTS = Path(__file__).with_name("step.json")
PICTURE = Path(__file__).with_name("step.png")


def draw(found: dict[str, Any], path: Path) -> None:
    """What the real HPA ordered, and the bad requests of each minute, beside all simulated runs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained", facecolor="white")
    replicas, bad = figure.subplots(1, 2)
    for run in found["simulated"]["runs"]:
        replicas.step(run["at_seconds"], run["desired"], where="post", color="tab:blue", alpha=0.15)
        bad.plot(run["minutes"], run["bad_ratio"], color="tab:blue", alpha=0.15)
    looks = found["looks"]
    at = [look["at_seconds"] for look in looks]
    replicas.step(at, [look["desired"] for look in looks], where="post", color="tab:orange", label="ordered")
    replicas.step(at, [look["ready"] for look in looks], where="post", color="tab:orange", ls=":", label="ready")
    replicas.set_title("replicas", loc="left")
    replicas.legend(frameon=False)
    minutes = found["minutes"]
    bad.plot(
        [minute["at_seconds"] + 30 for minute in minutes],
        [minute["bad"] / minute["requests"] for minute in minutes],
        "o-",
        color="tab:orange",
        label="real HPA",
    )
    bad.plot([], [], color="tab:blue", label="simulated")
    bad.yaxis.set_major_formatter(PercentFormatter(1.0))
    bad.set_title("bad requests, each minute", loc="left")
    bad.legend(frameon=False)
    for axes in (replicas, bad):
        axes.set_xlabel("seconds")
        axes.set_ylim(0)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()), PICTURE)
