"""Writes the tables and pictures of the committed results: python -m bench.decide.picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bench.decide.figures import by_family, by_scenario, complete, figures
from perfslo.simulate import plots, scenarios
from perfslo.simulate.report import Result

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
BEGIN, END = "<!-- tables: written by picture.py -->", "<!-- end of tables -->"
COLUMNS = [field.name for field in fields(Result)]


def save(groups: Mapping[str, Sequence[Result]], about: Mapping[str, Any]) -> None:
    """As JSON with a line for each run: names once, values rounded."""
    written = ['{"about": ' + json.dumps(about) + ',\n"columns": ' + json.dumps(COLUMNS) + ',\n"groups": {']
    parts = []
    for name, rows in groups.items():
        lines = ",\n".join(json.dumps([_rounded(value) for value in asdict(row).values()]) for row in rows)
        parts.append(f"{json.dumps(name)}: [\n{lines}]")
    RESULTS.write_text("\n".join([*written, ",\n".join(parts), "}}\n"]))


def load() -> tuple[dict[str, list[Result]], dict[str, Any]]:
    saved = json.loads(RESULTS.read_text())
    groups = {
        name: [Result(**dict(zip(saved["columns"], row, strict=True))) for row in rows]
        for name, rows in saved["groups"].items()
    }
    return groups, saved["about"]


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def tables(groups: Mapping[str, Sequence[Result]], about: Mapping[str, Any]) -> str:
    """Markdown."""
    parts = [f"Made on code {about['code']}."]
    for name, rows in groups.items():
        comparison, missing = complete(rows)
        if not comparison.cells:
            continue
        left_out = sorted(set(comparison.scenarios) - set(comparison.fair().scenarios))
        seeds = len({seed for _, seed in comparison.cells})
        counted = f"{seeds} {'seed' if seeds == 1 else 'seeds'}, {len(comparison.policies)} settings"
        lines = [(one.name, one.asked, one.found) for one in figures(comparison, set(scenarios.names()))]
        parts += [
            f"### {name[:1].upper()}{name[1:]}",
            f"{len(comparison.scenarios)} scenarios and traces, {counted}.",
            _markdown([("figure", "asked for", "found"), *lines]),
        ]
        if left_out:
            parts.append(f"Not compared in sum, for the oracle fails there too: {', '.join(left_out)}.")
        if missing:
            parts.append(f"Not run in every cell, and left out: {', '.join(missing)}.")
        parts += [_markdown(list(by_family(comparison))), _markdown(list(by_scenario(comparison)))]
        parts.append(f"![violation minutes against replica-minutes]({picture_name(name)})")
    return "\n\n".join(parts)


def picture_name(group: str) -> str:
    return f"{''.join(c if c.isalnum() else '-' for c in group).replace('--', '-')}.png"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rest))


def draw(groups: Mapping[str, Iterable[Result]]) -> None:
    for name, rows in groups.items():
        comparison, _ = complete(list(rows))
        if comparison.cells:
            plots.pareto(comparison.fair(), name, HERE / picture_name(name))


def main() -> None:
    groups, about = load()
    text = README.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n\n{tables(groups, about)}\n\n{END}{after}")
    draw(groups)


if __name__ == "__main__":
    main()
