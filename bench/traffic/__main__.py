"""Plays every load with weights that move, with equal ones, and behind a proxy that knows; writes what came of it.

python -m bench.traffic --traces DIR --save
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from bench.decide.plan import trace_loads
from bench.traffic.play import UNDER, Came, Play, plays
from perfslo.cli._progress import Progress

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
HEAD = (
    "play",
    "seeds",
    "",
    "bad requests",
    "violation minutes",
    "at most",
    "replica-minutes",
    "turns an hour, at most",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.traffic", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20, help="of the steady loads")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="traces to play as well")
    parser.add_argument("--trace-seeds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    loads = trace_loads(options.traces) if options.traces else {}
    wanted = [
        (play, seed)
        for play in plays(loads)
        for seed in range(options.trace_seeds if play.name in loads else options.seeds)
    ]
    came = list(_all(wanted))
    print(table(came))
    if options.save:
        lines = ",\n".join(json.dumps([_rounded(value) for value in asdict(one).values()]) for one in came)
        RESULTS.write_text(f'{{"columns": {json.dumps([*Came.__dataclass_fields__])},\n"runs": [\n{lines}]}}\n')


def _all(wanted: Sequence[tuple[Play, int]]) -> Iterator[Came]:
    with Progress(len(wanted), "plays") as progress:
        for number, (play, seed) in enumerate(wanted, start=1):
            yield from (under(play, seed) for under in UNDER)
            progress(number)


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def table(came: Sequence[Came]) -> str:
    """Markdown: a line for each play and each way to share the load."""
    lines: list[Sequence[str]] = [HEAD, ["---", "---:", "---", *("---:" for _ in HEAD[3:])]]
    for play, under in dict.fromkeys((one.play, one.under) for one in came):
        runs = [one for one in came if (one.play, one.under) == (play, under)]
        lines.append((
            play,
            str(len(runs)),
            under,
            f"{mean(one.bad_ratio for one in runs):.1%}",
            f"{mean(one.violation_minutes for one in runs):.1f}",
            str(max(one.violation_minutes for one in runs)),
            f"{mean(one.replica_minutes for one in runs):.0f}",
            f"{max(one.turns_an_hour for one in runs):.1f}",
        ))  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
