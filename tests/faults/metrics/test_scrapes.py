"""What is scraped fails: each time on a workload of its own, in one play at the pace of real scrapes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from perfslo.core.measure import Wanted
from perfslo.core.memory import Memory, Recommendation
from perfslo.core.memory import Sample as Load
from perfslo.core.model import Histogram, Missing, Value
from perfslo.core.scrape import Sampling
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.settings import Source
from tests.edges.exporter import Exporter, Page
from tests.edges.prometheus_process import prometheus
from tests.faults.metrics import table
from tests.faults.metrics.histories import EDGES, METRIC
from tests.faults.metrics.play import Play, Seen, StageClock, held, promise
from tests.faults.metrics.table import Expected, named

pytestmark = pytest.mark.cluster

CYCLE_SECONDS = 1.0
CYCLES = 4
WARM_UP_SECONDS = 30.0
PODS = 2
PER_SECOND = 10.0


class Pod:
    """Counts up from its making; every request takes less than the lowest edge."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.metric = METRIC
        self.labels = 'http_response_status_code="200"'

    def __call__(self) -> str:
        count = int((time.monotonic() - self._began) * PER_SECOND)
        lines = [f'{self.metric}_bucket{{{self.labels},le="{edge}"}} {count}' for edge in EDGES]
        return "\n".join([*lines, f"{self.metric}_count{{{self.labels}}} {count}", ""])


def goes(_: Pod) -> Page:
    return str


def hangs(_: Pod) -> Page:
    def page() -> str:
        time.sleep(2)
        return "# too late\n"

    return page


def talks_html(_: Pod) -> Page:
    return lambda: "<html>Please log in</html>\n"


def is_renamed(pod: Pod) -> Page:
    pod.metric = "shop_request_duration_seconds"
    return pod


def restarts(_: Pod) -> Page:
    return Pod()


WORKLOADS: Mapping[str, tuple[str, Callable[[Pod], Page]]] = {
    "target gone": ("gone", goes),
    "what is scraped hangs": ("hanging", hangs),
    "what is scraped gives wrong content": ("html", talks_html),
    "renamed metric": ("renamed", is_renamed),
}


def due(now: float) -> Memory:
    """What is remembered where a reduction was asked for, and only the stabilization window stood against it."""
    since, before = now - 600, now - CYCLE_SECONDS
    return Memory(
        time=before,
        known_since=since,
        arrivals=(Load(before, PODS * PER_SECOND),),
        ready=PODS,
        ready_since=since,
        clean_since=since,
        recommendations=(Recommendation(since, before, 1),),
    )


def jobs(exporter: Exporter, names: Sequence[str]) -> list[dict[str, object]]:
    targets = [
        {
            "targets": [exporter.address],
            "labels": {
                "__metrics_path__": f"/{name}-{number}",
                "namespace": "shop",
                "pod": f"{name}-5d4f8c7b9c-x2k4{number + 4}",
                "instance": f"{name}-{number}",
            },
        }
        for name in names
        for number in range(PODS)
    ]
    return [{"job_name": "pods", "static_configs": targets}]


async def played(address: str, exporter: Exporter, pods: Mapping[str, Pod]) -> Sequence[Mapping[str, Seen]]:
    """One healthy cycle, and those with the faults."""
    sources = Sources({"default": Source(address=address)}, presets.load())
    clock = StageClock(time.time())
    play = Play(sources, clock, CYCLE_SECONDS)
    names = ["well", *(name for name, _ in WORKLOADS.values())]
    for name in names:
        play.add(name, promise(), PODS)
    deadline = time.monotonic() + WARM_UP_SECONDS
    while not all(map(warm, (before := await play.once()).values())):
        assert time.monotonic() < deadline, before
        await asyncio.sleep(CYCLE_SECONDS)
        clock.now = time.time()
    for name, fault in WORKLOADS.values():
        for number in range(PODS):
            path = f"/{name}-{number}"
            exporter.pages[path] = fault(pods[path])
    await asyncio.sleep(2 * CYCLE_SECONDS)
    clock.now = time.time()
    for name in names:
        play.add(name, promise(), PODS, due(clock.now))
    cycles = [before]
    for _ in range(CYCLES):
        cycles.append(await play.once())
        await asyncio.sleep(CYCLE_SECONDS)
        clock.now = time.time()
    await sources.close()
    return cycles


def warm(seen: Seen) -> bool:
    """Whether the rhythm of its scrapes is known, and the window covered."""
    assert seen.turn.observation
    return seen.turn.observation.scale.scrape_seconds == 1.0 and isinstance(seen.latency, Histogram)


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Mapping[str, Seen]]]:
    names = ["well", *(name for name, _ in WORKLOADS.values())]
    pods = {f"/{name}-{number}": Pod() for name in names for number in range(PODS)}
    with (
        Exporter({**pods}) as exporter,
        prometheus(tmp_path_factory.mktemp("prometheus"), jobs(exporter, names), "500ms") as address,
    ):
        yield asyncio.run(played(address, exporter, pods))


def test_without_a_fault_the_reduction_comes(cycles: Sequence[Mapping[str, Seen]]) -> None:
    assert cycles[1]["well"].moved == -1


@pytest.mark.parametrize("expected", table.SCRAPES, ids=lambda expected: expected.fault)
def test_a_fault_of_what_is_scraped_holds_what_was_due(
    cycles: Sequence[Mapping[str, Seen]], expected: Expected
) -> None:
    name, _ = WORKLOADS[expected.fault]
    before, *during = held(cycles, name)
    assert isinstance(before.load, Value)
    for seen in during:
        assert named(seen.latency) == named(seen.load) == expected.signal
        assert seen.condition("MetricsAvailable")[:2] == ("False", expected.condition)
        assert "nothing is reduced" in seen.condition("MetricsAvailable")[2]
        assert expected.sentence in seen.sentence
        assert seen.sentence.startswith("hold: ")
        assert seen.status.summary.state == "Unknown"


async def test_series_that_no_query_can_group_harm_their_own_namespace_only(tmp_path: Path) -> None:
    def clashing() -> str:
        return "".join(f'{METRIC}_count{{perfslo_workload="{name}"}} 5\n' for name in ("one", "two"))

    with Exporter({"/well": Pod(), "/odd": clashing}) as exporter:
        targets = [
            {
                "targets": [exporter.address],
                "labels": {"__metrics_path__": f"/{name}", "namespace": name, "pod": "web-5d4f8c7b9c-x2k4j"},
            }
            for name in ("well", "odd")
        ]
        job = {"job_name": "pods", "static_configs": targets}
        with prometheus(tmp_path, [job], "500ms") as address:
            sources = Sources({"default": Source(address=address)}, presets.load())
            wanted = [
                Wanted(f"{name}/web", name, frozenset({"web"}), "default", "http-server", promise())
                for name in ("well", "odd")
            ]
            deadline = time.monotonic() + WARM_UP_SECONDS
            while True:
                series = await sources.measure(wanted)
                odd, well = series["odd/web"].sampling, series["well/web"].sampling
                if isinstance(odd, Missing) and odd.reason == "QueryRejected" and isinstance(well, Sampling):
                    break
                assert time.monotonic() < deadline, (odd, well)
                await asyncio.sleep(0.2)
            assert not any(one.source_problem for one in series.values())
            await sources.close()
