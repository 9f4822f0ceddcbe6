"""Compares perfslo with its rivals, and prints and writes the figures.

    python -m bench.decide --seeds 5 --traces DIR

What is done is kept in .out/bench-decide, and counts until the code changes: stop it, and it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.decide import picture
from bench.decide.plan import OURS, Cell, Group, cells, labels, trace_loads
from bench.decide.store import ROOT, Store, fingerprint
from perfslo.cli._progress import Progress
from perfslo.errors import PerfsloError
from perfslo.simulate import batch, report, scenarios
from perfslo.simulate.model import Balancing

STORE = ROOT / ".out" / "bench-decide" / "runs.jsonl"


def measure(wanted: Sequence[Cell], store: Store, jobs: int, minutes: float) -> None:
    """Run what is not done yet, until it is or time is up."""
    left = [cell for cell in wanted if cell.key not in store.runs]
    until = time.monotonic() + minutes * 60
    with Progress(len(left), "runs") as progress:
        for number, run in batch.run_all([cell.task for cell in left], jobs, progress):
            store.add(left[number], run)
            if time.monotonic() > until:
                break


def main() -> int:
    arguments = _parser().parse_args()
    try:
        names = [] if arguments.scenario == ["none"] else arguments.scenario or list(scenarios.names())
        loads = trace_loads(arguments.traces) if arguments.traces else {}
        groups = [Group(Balancing(b), r) for b in arguments.balancing or ["random"] for r in arguments.replicas or [20]]
        wanted = [cell for group in groups for cell in cells(group, names, loads, arguments.seeds)]
        if arguments.policy:
            wanted = [cell for cell in wanted if cell.label in (*OURS, *arguments.policy)]
        store = Store(STORE)
        measure(wanted, store, arguments.jobs, arguments.minutes)
    except PerfsloError as error:
        print(f"bench.decide: {error}", file=sys.stderr)
        return 1
    found = {
        str(group): report.results(
            store.runs[cell.key] for cell in wanted if cell.group == group and cell.key in store.runs
        )
        for group in groups
    }
    about = {"seeds": arguments.seeds, "code": fingerprint(), "traces": sorted(loads)}
    print(picture.tables(found, about))
    left = sum(cell.key not in store.runs for cell in wanted)
    if left:
        print(f"\n{left} of {len(wanted)} runs are left: run it again to go on", file=sys.stderr)
    if arguments.save:
        picture.save(found, about)
        picture.main()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.decide", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--traces", type=Path, metavar="DIR", help="traces to run beside the scenarios")
    parser.add_argument("--scenario", action="append", metavar="NAME", help="these only, repeatable; none: traces only")
    parser.add_argument("--policy", action="append", metavar="LABEL", help=f"these rivals only: {', '.join(labels())}")
    parser.add_argument("--balancing", action="append", choices=[*Balancing], help="repeatable (default random)")
    parser.add_argument("--replicas", action="append", type=float, help="about so many; repeatable (default 20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next time goes on")
    parser.add_argument("--save", action="store_true", help="write the committed results, tables and pictures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
