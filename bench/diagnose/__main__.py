"""Injects faults into simulated services and counts what the operator takes them for.

    python -m bench.diagnose --seeds 20 --traces DIR --save

What is done is kept in .out/bench-diagnose, and counts until the code changes: stop it, and it goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.decide import store
from bench.decide.plan import trace_loads
from bench.diagnose import figures
from bench.diagnose.faults import FAULTS, of_trace, steady
from bench.diagnose.watched import Done, read, run
from perfslo.simulate.model import Load

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
STORE = store.ROOT / ".out" / "bench-diagnose" / "runs.jsonl"


class Cell(NamedTuple):
    """One run to do."""

    faults: tuple[str, ...]
    load: str
    seed: int


def plan(seeds: range, loads: Sequence[str], chosen: Sequence[str]) -> Iterator[Cell]:
    """Seed by seed, each fault alone, and then so with another; the loads in turn."""
    real = [fault for fault in FAULTS if FAULTS[fault].expected and FAULTS[fault].is_paired]
    for seed in seeds:
        yield from (Cell((fault,), loads[seed % len(loads)], seed) for fault in chosen)
    for seed in seeds:
        for fault in (fault for fault in chosen if fault in real):
            other = random.Random(f"{fault} {seed}").choice([other for other in real if other != fault])
            yield Cell((fault, other), loads[seed % len(loads)], seed)


def measure(wanted: Sequence[Cell], loads: Mapping[str, Load], minutes: float) -> list[Done]:
    """What of these is done, once all is or time is up."""
    code, done = _code(), dict(_kept())
    left = [cell for cell in wanted if cell not in done]
    until = time.monotonic() + minutes * 60
    STORE.parent.mkdir(parents=True, exist_ok=True)
    # Started anew instead of copied: a copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool, STORE.open("a") as file:
        futures = {pool.submit(run, cell.faults, cell.load, loads[cell.load], cell.seed): cell for cell in left}
        for future in as_completed(futures):
            one = future.result()
            done[futures[future]] = one
            file.write(json.dumps([code, one]) + "\n")
            file.flush()
            if time.monotonic() > until:
                pool.shutdown(cancel_futures=True)
                break
    return [done[cell] for cell in wanted if cell in done]


def _kept() -> Iterator[tuple[Cell, Done]]:
    for line in STORE.read_text().splitlines() if STORE.exists() else ():
        code, row = json.loads(line)
        if code == _code():
            (one,) = read([row])
            yield Cell(one.faults, one.load, one.seed), one


@cache
def _code() -> str:
    """Of all that has a say in what a run comes to."""
    digest = hashlib.sha256(store.fingerprint().encode())
    for name in ("diagnose/faults", "diagnose/watched", "traffic/fleet"):
        digest.update((HERE.parent / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.diagnose", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="100 and more, to tune by: the others are to report")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="traces as loads, in turn with a steady one")
    parser.add_argument("--fault", action="append", choices=[*FAULTS], help="these only, repeatable")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the next time goes on")
    parser.add_argument("--save", action="store_true", help="write the committed results")
    arguments = parser.parse_args()
    traces = trace_loads(arguments.traces) if arguments.traces else {}
    loads = {"steady": steady()} | {name: of_trace(trace) for name, trace in traces.items()}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    wanted = list(plan(seeds, [*loads], arguments.fault or [*FAULTS]))
    runs = measure(wanted, loads, arguments.minutes)
    print(figures.table(runs) + "\n")
    print("\n".join(f"{name}: {share}" for name, share in figures.summary(runs).items()))
    print(figures.missed_of_two(runs))
    if len(runs) < len(wanted):
        print(f"\n{len(wanted) - len(runs)} of {len(wanted)} runs are left: run it again to go on")
    if arguments.save:
        RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, runs)) + "\n]\n")


if __name__ == "__main__":
    main()
