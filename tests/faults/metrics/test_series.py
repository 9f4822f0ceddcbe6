"""Series that are not what they should be, and clocks that are not: each on a workload of its own, in one play.

Every workload is like `well`, whose reduction comes at DUE, and fails shortly before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from perfslo.core import identify
from perfslo.core.model import Histogram, Value
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Source
from tests.faults.metrics import table
from tests.faults.metrics.histories import (
    BEGIN,
    DUE,
    EVERY_SECONDS,
    PODS,
    Past,
    Sample,
    changed,
    remembered,
    steady,
)
from tests.faults.metrics.play import Play, Seen, StageClock, held, promise
from tests.faults.metrics.proxy import proxied
from tests.faults.metrics.table import Expected, named

pytestmark = pytest.mark.cluster

JUST_BEFORE = DUE - 20
"""So that every pod was scraped once with the fault."""
WINDOW_BEFORE = DUE - 70
"""So that the whole window is faulty."""
STALE_BEFORE = DUE - 45
WATCHED_UNTIL = DUE + 120.0
ROLLOUT = DUE - 40, DUE + 150
NEW_PODS = ("kkkkk", "lllll", "mmmmm", "nnnnn")
NEW_EDGES = ("0.01", "0.25", "1", "+Inf")


def counting(count: float) -> Past:
    return changed(JUST_BEFORE, lambda sample: replace(sample, count=count))


def negative(sample: Sample) -> Sample:
    return replace(sample, count=-sample.count)


def one_pod(sample: Sample) -> Sample:
    return replace(sample, count=math.nan) if sample.pod == PODS[1] else sample


def with_edges(*edges: str) -> Past:
    return changed(WINDOW_BEFORE, lambda sample: replace(sample, edges=edges))


def skewed(seconds: float) -> Past:
    return changed(STALE_BEFORE, lambda sample: replace(sample, skew=seconds), steady(end=WATCHED_UNTIL))


def one_pod_ends(sample: Sample) -> Sample | None:
    return None if sample.pod == PODS[0] else sample


def gap(sample: Sample) -> Sample | None:
    return None if sample.at < DUE + 60 else sample


def once_a_minute(sample: Sample) -> Sample | None:
    return sample if round(sample.at - STALE_BEFORE) % 60 < EVERY_SECONDS else None


def deployed(**its: Any) -> Past:
    """Old pods end one by one while new ones begin."""
    start, end = ROLLOUT
    for number, (old, new) in enumerate(zip(PODS, NEW_PODS, strict=True)):
        at = start + number * (end - start) / len(PODS)
        yield from steady(end=at, pods=[old])
        yield from steady(start=at, pods=[new], **its)


WORKLOADS: Mapping[str, tuple[str, Past]] = {
    # The fault, as the table has it: a workload, and its past.
    "NaN": ("nan", counting(math.nan)),
    "NaN from one pod of four": ("nan-one", changed(JUST_BEFORE, one_pod)),
    "+Inf": ("inf", counting(math.inf)),
    "negative": ("negative", changed(JUST_BEFORE, negative)),
    'no le="+Inf" bucket': ("no-inf", with_edges("0.005", "0.1", "0.2", "0.5")),
    'no bucket but le="+Inf"': ("only-inf", with_edges("+Inf")),
    "scrape gap": ("gap", changed(STALE_BEFORE, gap)),
    "samples nearly 5 minutes old": ("old", steady(end=DUE)),
    "samples more than 5 minutes old": ("older", steady(end=DUE)),
    "clock of what is scraped 10 minutes ahead": ("fast", skewed(590)),
    "clock of what is scraped 10 minutes behind": ("slow", skewed(-600)),
    "Prometheus' clock jumps 10 minutes ahead": ("ahead", steady(end=DUE)),
    "Prometheus' clock jumps 10 minutes back": ("behind", steady(start=-1005)),
    "scrape interval changed from 15 to 60 s": ("slower", changed(STALE_BEFORE, once_a_minute)),
    "counter reset at deploy": ("deployed", deployed()),
    "buckets changed at deploy": ("rebucketed", deployed(edges=NEW_EDGES)),
}
JUMPS = {"old": 290.0, "older": 310.0, "ahead": 600.0, "behind": -600.0}
"""By how much the clock of a source goes wrong just before DUE."""


async def played(address: str, origin: float) -> Sequence[Mapping[str, Seen]]:
    """One cycle after another for all workloads together, each with a clock of its source."""
    clock = StageClock(origin + BEGIN)

    def shifted(seconds: float) -> float:
        return clock.now + (seconds if clock.now > origin + JUST_BEFORE else 0.0)

    with ExitStack() as stack:
        settings = {"default": stack.enter_context(proxied(address, clock.time))}
        for name, seconds in JUMPS.items():
            settings[name] = stack.enter_context(proxied(address, partial(shifted, seconds)))
        sources = Sources({name: Source(address=proxy.address) for name, proxy in settings.items()}, presets.load())
        play = Play(sources, clock)
        for name in ("well", "hidden", "idle", *(name for name, _ in WORKLOADS.values())):
            play.add(name, promise(name if name in JUMPS else "default"), 4)
        cycles = []
        while clock.now < origin + WATCHED_UNTIL:
            rolling_out = ROLLOUT[0] < clock.now + EVERY_SECONDS - origin < ROLLOUT[1]
            for name in ("deployed", "rebucketed"):
                version = "v2" if clock.now + EVERY_SECONDS - origin > ROLLOUT[0] else "v1"
                play.replicas[name] = replace(play.replicas[name], version=version, rolling_out=rolling_out)
            cycles += await play.until(clock.now + EVERY_SECONDS)
        await sources.close()
    return cycles


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Mapping[str, Seen]]]:
    hidden = changed(STALE_BEFORE, one_pod_ends)
    idle = changed(BEGIN - 120, lambda sample: replace(sample, count=1e4))
    pasts = {"well": steady(), "hidden": hidden, "idle": idle, **dict(WORKLOADS.values())}
    with remembered(tmp_path_factory.mktemp("prometheus"), pasts) as (address, origin):
        yield asyncio.run(played(address, origin))


AT_DUE = round((DUE - BEGIN) / EVERY_SECONDS) - 1


def test_without_a_fault_the_reduction_comes(cycles: Sequence[Mapping[str, Seen]]) -> None:
    moved = [cycle["well"].moved for cycle in cycles]
    assert moved[:AT_DUE] == [0] * AT_DUE
    assert moved[AT_DUE] == -1
    assert "scale in 4 -> 3" in cycles[AT_DUE]["well"].sentence


@pytest.mark.parametrize("expected", table.SERIES, ids=lambda expected: expected.fault)
def test_a_fault_of_the_series_holds_what_was_due(cycles: Sequence[Mapping[str, Seen]], expected: Expected) -> None:
    name, _ = WORKLOADS[expected.fault]
    seen = held(cycles, name)
    before, due = seen[AT_DUE - 7], seen[AT_DUE]
    assert isinstance(before.latency, Histogram)
    assert isinstance(before.load, Value)
    assert before.condition("MetricsAvailable")[:2] == ("True", "MetricsFound")
    assert named(due.latency) == expected.signal
    status, reason, message = due.condition("MetricsAvailable")
    assert (status, reason) == ("True" if expected.condition == "MetricsFound" else "False", expected.condition)
    assert "nothing is reduced" in message or status == "True"
    assert expected.sentence in due.sentence
    assert due.sentence.startswith("hold: ")
    assert all(one.condition("SLOMet")[0] != "False" for one in seen), "no fault is taken for a breach"


def test_no_traffic_is_a_known_zero_and_no_fault(cycles: Sequence[Mapping[str, Seen]]) -> None:
    for cycle in cycles[: AT_DUE + 1]:
        assert named(cycle["idle"].latency) == named(cycle["idle"].load) == "NoTraffic"
        assert cycle["idle"].condition("MetricsAvailable")[:2] == ("True", "MetricsFound")
    assert cycles[AT_DUE]["idle"].status.summary.state == "NoTraffic"
    assert [cycle["idle"].moved for cycle in cycles[: AT_DUE + 1]] == [0] * AT_DUE + [-1]


def test_a_pod_that_is_not_scraped_any_more_is_missed(cycles: Sequence[Mapping[str, Seen]]) -> None:
    before, due = (cycles[number]["hidden"].turn for number in (AT_DUE - 4, AT_DUE))
    assert before.observation
    assert isinstance(before.observation.pods_seen, Value)
    assert before.observation.pods_seen.value == 4
    assert due.observation
    assert isinstance(due.observation.pods_seen, Value)
    assert due.observation.pods_seen.value == 3
    evidence = identify.evidence(due.spec, due.memory, due.observation)
    assert any("1 without series" in each.text for each in evidence)
