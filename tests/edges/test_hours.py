"""Hours of history in a real Prometheus, counted for the error budget and compared with what happened."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import requests

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import budget, codec, hours
from perfslo.core.measure import Wanted, observe
from perfslo.core.memory import HOUR_SECONDS, BudgetSlice, Counted, Ledger, Memory
from perfslo.core.model import Histogram, Replicas, Target
from perfslo.core.status import report
from perfslo.core.steps import TargetRef
from perfslo.core.turn import Turn
from perfslo.cycle import Cycle
from perfslo.edges import presets
from perfslo.edges.clock import SystemClock
from perfslo.edges.history import History
from perfslo.edges.prometheus.client import Client
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.scribe import read_status
from perfslo.edges.watch import SLO
from perfslo.settings import Settings, Source
from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import prometheus
from tests.edges.slos import slo

pytestmark = pytest.mark.cluster

NAME = "http_server_request_duration_seconds"
SCRAPE_SECONDS = 60
PODS = ("web-5d4f8c7b9c-x2k4j", "web-5d4f8c7b9c-zzzzz")
FAST = (0, 600, 0, 60, 1200, 6)
SLOW = (0, 0, 0, 60, 120, 6)
"""Requests a minute of each pod by the hour. In the first there were no pods yet, in the third nobody called."""
FAILING = 3
"""The hour in which one in three fails, fast or slow."""
HOURS = len(FAST)


def exposition(first: int, now: float) -> str:
    """All samples of a pod at once, with their times, since the hour `first`."""
    begin = (first + 1) * HOUR_SECONDS - SCRAPE_SECONDS // 2
    fast, slow, lines = {"200": 0, "503": 0}, {"200": 0, "503": 0}, [f"# TYPE {NAME} histogram"]
    for moment in range(begin, int(now), SCRAPE_SECONDS):
        hour = min((moment - SCRAPE_SECONDS // 2) // HOUR_SECONDS - first, HOURS - 1)
        for status in ("200", "503"):
            share = (1 / 3 if status == "503" else 2 / 3) if hour == FAILING else float(status == "200")
            fast[status] += round(FAST[hour] * share)
            slow[status] += round(SLOW[hour] * share)
            whole, at = fast[status] + slow[status], moment * 1000
            for le, count in (("0.1", fast[status]), ("0.2", fast[status]), ("0.5", whole), ("+Inf", whole)):
                lines.append(f'{NAME}_bucket{{http_response_status_code="{status}",le="{le}"}} {count} {at}')
            lines.append(f'{NAME}_count{{http_response_status_code="{status}"}} {whole} {at}')
    return "\n".join(lines) + "\n"


def happened(hour: int) -> Counted:
    """Of all pods together, in one of HOURS."""
    fast, slow = (60 * len(PODS) * per_minute[hour] for per_minute in (FAST, SLOW))
    return Counted(fast + slow, slow + (fast / 3 if hour == FAILING else 0))


def spec(**changes: Any) -> PerformanceSLOSpec:
    return PerformanceSLOSpec.model_validate(
        {
            **changes,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
            "window": "1d",
        }
    )


def wanted(name: str = "web", **changes: Any) -> Wanted:
    return Wanted(f"shop/{name}", "shop", frozenset({name}), "default", "http-server", spec(**changes))


class World:
    def __init__(self, address: str, now: float) -> None:
        self.address, self.now = address, now
        self.first = int(now // HOUR_SECONDS) - HOURS

    @property
    def ended(self) -> list[int]:
        """Those of HOURS in which the pods existed and that may be asked about."""
        return [hour for hour in range(1, HOURS) if (self.first + hour + 1) * HOUR_SECONDS + 120 <= self.now]


def recorded(address: str, first_hour: int, last_hour: int) -> str:
    """What the rules of the chart would have recorded in these hours, as one exposition."""
    lines = []
    for metric, query in hours.recordings("http-server", presets.load()["http-server"]).items():
        start, end = first_hour * HOUR_SECONDS + 300, (last_hour + 1) * HOUR_SECONDS
        asked = {"query": query.text(()), "start": str(start), "end": str(end), "step": "300"}
        answer = requests.get(f"{address}/api/v1/query_range", asked, timeout=30).json()
        for series in answer["data"]["result"]:
            labels = ",".join(f'{name}="{value}"' for name, value in series["metric"].items())
            lines += [f"{metric}{{{labels}}} {value} {moment * 1000}" for moment, value in series["values"]]
    assert len(lines) > 12
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    now = time.time()
    first = int(now // HOUR_SECONDS) - HOURS
    with Exporter({"/": lambda: exposition(first, time.time())}) as exporter:
        by_rules = {"targets": [exporter.address], "labels": {"__metrics_path__": "/rules"}}
        targets = [
            {
                "targets": [exporter.address],
                "labels": {"__metrics_path__": "/", "namespace": "shop", "pod": pod, "instance": pod},
            }
            for pod in PODS
        ]
        jobs: list[dict[str, Any]] = [
            {"job_name": "pods", "static_configs": targets},
            {"job_name": "rules", "static_configs": [by_rules], "honor_labels": True},
        ]
        old_samples = {"tsdb": {"out_of_order_time_window": "2d"}}
        directory = tmp_path_factory.mktemp("prometheus")
        with prometheus(directory, jobs, interval="5s", storage=old_samples) as address:
            here = World(address, now)
            failed = f'{NAME}_count{{http_response_status_code="503"}}'
            _wait_for(2, f"max by (pod) (count_over_time({failed}[1d]))", address)
            by_rule = recorded(address, here.first + 2, here.first + HOURS - 1)
            exporter.pages["/rules"] = lambda: by_rule
            _wait_for(4, "count_over_time(perfslo:http_server_buckets:increase5m[1d])", address)
            yield here


def _wait_for(rows: int, query: str, address: str) -> None:
    client, deadline = Client(Source(address=address)), time.monotonic() + 60
    while len(client.query(query).rows) < rows:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    client.close()


@pytest_asyncio.fixture
async def sources(world: World) -> AsyncIterator[Sources]:
    sources = Sources({"default": Source(address=world.address)}, presets.load())
    yield sources
    await sources.close()


async def fill_in(sources: Sources, world: World, remembered: Memory) -> tuple[Memory, int]:
    """Asks about hour after hour until none is left, forgetting what a restart forgets in between."""
    history, asked = History(sources), 0
    while (hour := budget.next_hour(spec(), remembered.ledgers, world.now)) is not None:
        for batch, answers in await history.ask([(wanted(), hour), (wanted("other"), hour)]):
            observation = observe(spec(), Replicas(0, 0), answers["shop/web"], 15.0, world.now)
            ledgers = budget.settled(spec(), remembered.ledgers, batch.hour, observation)
            remembered = codec.decode(codec.encode(Memory(ledgers=ledgers)))
        asked += 1
    return remembered, asked


def ledger_of(remembered: Memory) -> Ledger:
    (ledger,) = remembered.ledgers.values()
    return ledger


async def test_every_hour_is_counted_as_it_was(sources: Sources, world: World) -> None:
    remembered, asked = await fill_in(sources, world, Memory())
    assert asked >= 23, "a day, as far as it has ended"
    counted = {piece.hour - world.first: piece for piece in ledger_of(remembered).slices}
    assert set(counted) == set(world.ended), (
        "the hour before the pods existed is not covered, the one without traffic is"
    )
    for hour in world.ended:
        expected, piece = happened(hour), counted[hour]
        assert (piece.total, piece.bad) == pytest.approx((expected.total, expected.bad), rel=0.001), hour
        assert piece.covered_seconds == HOUR_SECONDS


async def test_hours_that_nobody_saw_are_filled_in_and_the_seen_ones_stand(sources: Sources, world: World) -> None:
    (promise, _), *_ = (await fill_in(sources, world, Memory()))[0].ledgers.items()
    known = BudgetSlice(world.first + 1, 1, 7.0, 7.0, 60.0)
    asked = ((world.first - 30, world.first + 1),)
    remembered, count = await fill_in(sources, world, Memory(ledgers={promise: Ledger((known,), asked)}))
    assert count in (HOURS - 3, HOURS - 2)
    assert ledger_of(remembered).slices[0] == known
    assert [piece.hour for piece in ledger_of(remembered).slices[:4]] == [world.first + hour for hour in (1, 2, 3, 4)]


async def test_an_hour_of_somebody_else_is_nobodys(sources: Sources, world: World) -> None:
    answers = await sources.count([wanted(), wanted("other")], world.first + 4)
    other = observe(spec(), Replicas(0, 0), answers["shop/other"], 15.0, world.now)
    assert budget.settled(spec(), {}, world.first + 4, other) == {
        budget.key(spec(), spec().primary_latency): Ledger((), ((world.first + 4, world.first + 4),))
    }


async def test_rules_and_series_say_the_same(sources: Sources, world: World) -> None:
    settings = Source(address=world.address, recorded_requests=True)
    by_rules = Sources({"default": settings}, presets.load())
    raw, _ = await fill_in(sources, world, Memory())
    read, _ = await fill_in(by_rules, world, Memory())
    assert [piece.hour for piece in ledger_of(read).slices] == [piece.hour for piece in ledger_of(raw).slices]
    for one, other in zip(ledger_of(read).slices, ledger_of(raw).slices, strict=True):
        assert (one.total, one.bad) == pytest.approx((other.total, other.bad), rel=0.01, abs=0.01)
    sent = by_rules.stats["default"]
    before = sent.queries
    await by_rules.count([wanted()], world.first + 4)
    assert sent.queries == before + 2
    await by_rules.count([wanted()], world.first + 1)
    assert sent.queries == before + 2 + 4, "nothing was recorded then: the series themselves are asked"
    await by_rules.close()


async def test_requests_that_were_chosen_are_not_read_from_rules(world: World) -> None:
    sources = Sources({"default": Source(address=world.address, recorded_requests=True)}, presets.load())
    failing = {"label": "http_response_status_code", "op": "=", "value": "503"}
    one = wanted(metrics={"matchers": [failing]})
    answers = await sources.count([one], world.first + FAILING)
    reading = observe(one.spec, Replicas(0, 0), answers[one.key], 15.0, world.now).latency["p95"]
    assert isinstance(reading, Histogram)
    assert reading.total == pytest.approx(happened(FAILING).total / 3, rel=0.01)
    await sources.close()


class Around:
    """What surrounds a cycle, with one SLO and its two pods, of which nothing is written."""

    def __init__(self) -> None:
        self.slo = slo(spec=spec())

    def snapshot(self) -> Mapping[str, SLO]:
        return {self.slo.key: self.slo}

    def by_uid(self, uid: str) -> SLO:
        return self.slo

    def target(self, namespace: str, ref: object, now: float) -> Target:
        return Target(TargetRef("apps", "Deployment", "web"), "uid", Replicas(2, 2, version="v1"), frozenset({"web"}))

    async def act(self, *_: object) -> None:
        return None

    async def look_round(self, *_: object) -> None:
        return None

    async def publish(self, slos: object, turns: Mapping[str, Turn], now: float) -> int:
        status = report(turns[self.slo.key], None)
        self.slo = slo(spec=spec(), status=status.model_dump(mode="json", exclude_none=True))
        return 1


async def test_cycles_fill_in_what_a_leader_before_them_did_not_see(sources: Sources, world: World) -> None:
    around: Any = Around()

    def leader() -> Cycle:
        return Cycle(Settings(), around, around, sources, around, around, around, around, SystemClock())

    async def covered(cycles: int, cycle: Cycle) -> float:
        for _ in range(cycles):
            await cycle.once()
        status = read_status(around.slo.status)
        return float(status.budget.covered_percent or 0) if status.budget else 0.0

    an_hour = 100 / 24
    cycle = leader()
    assert await covered(4, cycle) == pytest.approx(2 * an_hour, abs=an_hour + 0.5)
    assert await covered(30, leader()) == pytest.approx(len(world.ended) * an_hour, abs=1.5)
    status = read_status(around.slo.status)
    assert status.budget
    happened_in_all = [happened(hour) for hour in world.ended]
    spent = sum(each.bad for each in happened_in_all) / (0.05 * sum(each.total for each in happened_in_all))
    assert float(status.budget.remaining_percent or 0) == pytest.approx(100 * (1 - spent), abs=2)
    assert status.summary.budget == f"{status.budget.remaining_percent}%"
