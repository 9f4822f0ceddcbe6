"""Plays every seed with weights that move and with weights that stay, and writes what came of it.

python -m bench.traffic
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from bench.traffic.play import END, SEEDS, Came, play

RESULTS = Path(__file__).with_name("results.json")


def row(name: str, came: list[Came]) -> str:
    minutes = [one.violated / 60 for one in came]
    pods = [one.replicas / 60 for one in came]
    turned = max(one.turned for one in came) * 3600 / END
    return f"| {name} | {mean(minutes):.2f} | {max(minutes):.2f} | {mean(pods):.1f} | {max(pods):.1f} | {turned:.0f} |"


def main() -> None:
    ours, equal = ([play(seed, mode) for seed in SEEDS] for mode in ("Auto", "Recommend"))
    print(
        "| weights | violation minutes, mean | most | replica-minutes, mean | most | direction changes an hour, most |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(row("by the lever", ours))
    print(row("equal", equal))
    rows = [
        {"seed": seed, "lever": figures(moved), "equal": figures(stayed)}
        for seed, moved, stayed in zip(SEEDS, ours, equal, strict=True)
    ]
    RESULTS.write_text("[\n" + ",\n".join(f"  {json.dumps(one)}" for one in rows) + "\n]\n")


def figures(came: Came) -> dict[str, float]:
    return {
        "violation_seconds": came.violated,
        "replica_seconds": came.replicas,
        "direction_changes": came.turned,
    }


if __name__ == "__main__":
    main()
