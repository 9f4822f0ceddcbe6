"""The simulated Prometheus beside a real one that has scraped the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from perfslo.simulate import loop
from perfslo.simulate.engine import Engine
from perfslo.simulate.model import STOCK_BUCKETS_SECONDS, Service
from perfslo.simulate.prometheus import Prometheus
from tests.faults.metrics.histories import METRIC, scraped
from tests.simulate.worlds import engine

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("simulated-prometheus")]

END = 600.0
WINDOWS_SECONDS = (20, 37, 60, 150, 300)
BOUNDS = [f"{bound:g}".replace("inf", "+Inf") for bound in STOCK_BUCKETS_SECONDS]


def played() -> Engine:
    """One pod from the beginning, one that comes, one that goes, and a gap in all of them."""
    made = engine(Service(), 60.0, END, pods=0, scrape_seconds=15.0, kept_scrapes=45)
    rows = [made.add() for _ in range(3)]
    made.open(rows[0], first_scrape_seconds=1.3)
    made.open(rows[1], first_scrape_seconds=9.9)
    made.advance(300.0)
    made.state.scraping = False
    made.advance(360.0)
    made.state.scraping = True
    made.advance(500.0)
    made.open(rows[2], first_scrape_seconds=4.2)
    made.advance(540.0)
    made.end(rows[1])
    made.advance(END)
    return made


def exposition(made: Engine, origin: float) -> Iterator[str]:
    at, what = made.scrapes
    for row, place in sorted(zip(*np.nonzero(np.isfinite(at)), strict=True), key=lambda one: float(at[one])):
        stamp = round((origin + float(at[row, place])) * 1000)
        labels = f'namespace="shop",pod="web-{row}"'
        counts = what[row, place, loop.BUCKETS :].tolist()
        for bound, count in zip(BOUNDS, counts, strict=True):
            yield f'{METRIC}_bucket{{{labels},le="{bound}"}} {count} {stamp}'
        yield f"{METRIC}_count{{{labels}}} {counts[-1]} {stamp}"


def test_increases_are_those_of_a_real_one(tmp_path: Path) -> None:
    made = played()
    # A moment that lies between scrapes, so that rounding to milliseconds moves none over an edge.
    origin = float(round(time.time()) - END - 60)
    with scraped(tmp_path, "".join(f"{line}\n" for line in exposition(made, origin))) as address:
        for window in WINDOWS_SECONDS:
            query = f"sum by (le) (increase({METRIC}_bucket[{window}s]))"
            answer = requests.get(f"{address}/api/v1/query", {"query": query, "time": str(origin + END)}, timeout=5)
            said = {row["metric"]["le"]: float(row["value"][1]) for row in answer.json()["data"]["result"]}
            simulated = Prometheus(made).buckets(float(window))
            assert [said.get(bound, 0.0) for bound in BOUNDS] == pytest.approx(simulated.tolist(), rel=1e-3)
