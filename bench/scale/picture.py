"""Writes the table and the picture of the committed results: python -m bench.scale.picture (needs matplotlib).

`pip install -e .[simulate]` brings it; nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
BEGIN, END = "<!-- table: written by picture.py -->", "<!-- end of table -->"

Row = dict[str, Any]
GOALS = {"first_cycle_seconds": 30.0, "cpu_seconds_a_cycle": 3.75, "peak_mebibytes": 400.0}
"""At 10,000 SLOs."""
PANELS = (
    ("cpu_seconds_a_cycle", "CPU, s a cycle"),
    ("peak_mebibytes", "memory at most, MiB"),
    ("first_cycle_seconds", "first full cycle, s"),
    ("cycle_seconds", "cycle, s"),
)
LINES: tuple[tuple[str, Callable[[Row, Row], str]], ...] = (
    ("first full cycle, s", lambda _, run: f"{run['first_cycle_seconds']:.0f}"),
    ("cycle, s", lambda _, run: f"{run['cycle_seconds']:.1f}"),
    ("CPU, % of a core", lambda _, run: f"{run['cpu_percent']:.0f}"),
    ("memory at most, MiB", lambda _, run: f"{run['peak_mebibytes']}"),
    ("CPU, s a cycle", lambda _, run: f"{run['cpu_seconds_a_cycle']:.1f}"),
    ("queries that failed", lambda _, run: f"{run['queries_failed']:.0f}"),
    ("queries a cycle", lambda _, run: f"{run['queries_a_cycle']:g}"),
    ("in flight at most", lambda _, run: f"{run['in_flight']}"),
    ("rows a cycle", lambda _, run: f"{run['rows_a_cycle']:,}"),
    ("MiB a cycle", lambda _, run: f"{run['mebibytes_a_cycle']:.1f}"),
    ("writes a second but the Lease", lambda _, run: f"{run['writes_a_second']:.1f}"),
    ("/livez P99, ms", lambda _, run: f"{run['loop_wait_ms']['p99']}"),
    ("Prometheus' CPU, % of a core, scraping included", lambda _, run: f"{run['prometheus_cpu_percent']:.0f}"),
    ("load of the machine when it began", lambda row, _: f"{row['load_average']:.0f}"),
)


def table(rows: list[Row]) -> str:
    """Markdown: a column for each number of SLOs and kind of series."""
    columns = [(row, kind) for row in rows for kind in ("noisy", "constant") if kind in row]
    head = " | ".join(f"{row['slos']:,} {kind}" for row, kind in columns)
    lines = [f"| | {head} |", f"| --- |{' ---: |' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(say(row, row[kind]) for row, kind in columns)} |" for name, say in LINES]
    compared = [row for row in rows if "per_slo" in row and "noisy" in row]
    asked = [
        f"| {row['slos']:,} | {row['per_slo']['queries_a_cycle']:,} | {row['per_slo']['round_seconds']:.1f} "
        f"| {row['per_slo']['prometheus_cpu_seconds_a_cycle']:.1f} | {row['per_slo']['cpu_seconds_a_cycle']:.1f} |"
        for row in compared
    ]
    return "\n".join(
        [
            *lines,
            "",
            "One query for each SLO, of its P95 alone, four at a time:",
            "",
            "| SLOs | queries a round | round, s | Prometheus' CPU, s | asker's CPU, s |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *asked,
        ]
    )


def draw(rows: list[Row], path: Path) -> None:
    """A panel for each measure, over the number of SLOs; the goals are crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    compared_rows = [row for row in rows if "per_slo" in row and "noisy" in row]
    slos = [row["slos"] for row in compared_rows]
    for panel, (name, title) in zip(panels, PANELS, strict=False):
        for kind, style in (("noisy", "o-"), ("constant", "s--")):
            points = [(row["slos"], row[kind][name]) for row in rows if kind in row]
            if points:
                panel.plot(*zip(*points, strict=True), style, label=f"{kind} series")
        if name in GOALS:
            panel.plot([10_000], [GOALS[name]], "x", color="black", markersize=9, label="goal at 10,000")
        panel.set_title(title, fontsize=10)
        panel.set_ylim(bottom=0)
    compared = (
        ("queries_a_cycle", "queries a cycle", "log"),
        ("prometheus_evaluation_seconds_a_cycle", "evaluation in Prometheus, s a cycle", "linear"),
    )
    for panel, (name, title, scale) in zip(panels[4:], compared, strict=True):
        panel.plot(slos, [row["noisy"][name] for row in compared_rows], "o-", label="perfslo, all that it asks")
        panel.plot(slos, [row["per_slo"][name] for row in compared_rows], "^:", label="one for each SLO, P95 alone")
        panel.set_yscale(scale)
        panel.set_title(title, fontsize=10)
    for panel in panels:
        panel.set_xlabel("SLOs", fontsize=9)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    rows = sorted(json.loads(RESULTS.read_text()), key=lambda row: row["slos"])
    text = README.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")
    draw(rows, HERE / "scale.png")


if __name__ == "__main__":
    main()
