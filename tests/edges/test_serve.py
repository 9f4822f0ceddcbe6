"""The probes and the metrics, asked over HTTP as the kubelet and Prometheus do."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from perfslo.core import budget
from perfslo.core.memory import BudgetSlice, Counted, Ledger, Memory
from perfslo.core.model import (
    ChangeResult,
    Missing,
    NoTraffic,
    Outcome,
    Replicas,
    Stale,
    TargetProblem,
    Value,
    Verdict,
)
from perfslo.core.turn import Turn
from perfslo.edges.metrics import Metrics
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.serve import Health, serve, stuck
from perfslo.settings import Source
from tests.arch.repository import ROOT
from tests.core.test_status import of_backends
from tests.core.turns import NOW, SLOW, change, memory, observation, plan, spec, turn

WELL = Health(alive=lambda: None, ready=lambda: None)


class Answer:
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


@asynccontextmanager
async def serving(health: Health, registry: CollectorRegistry) -> AsyncIterator[str]:
    runner = await serve(0, health, registry)
    try:
        # Port 0 is another one for IPv6.
        yield next(f"http://127.0.0.1:{port}" for host, port, *_ in runner.addresses if ":" not in host)
    finally:
        await runner.cleanup()


async def get(health: Health, path: str, registry: CollectorRegistry | None = None) -> Answer:
    async with (
        serving(health, registry or CollectorRegistry()) as address,
        aiohttp.request("GET", address + path) as response,
    ):
        return Answer(response.status, await response.text())


@pytest.mark.parametrize(
    ("path", "health", "status", "body"),
    [
        ("/livez", WELL, 200, "ok\n"),
        ("/readyz", WELL, 200, "ok\n"),
        ("/livez", replace(WELL, alive=lambda: "stuck"), 503, "stuck\n"),
        ("/readyz", replace(WELL, alive=lambda: "stuck"), 200, "ok\n"),
        ("/readyz", replace(WELL, ready=lambda: "not listed"), 503, "not listed\n"),
        ("/livez", replace(WELL, ready=lambda: "not listed"), 200, "ok\n"),
    ],
)
async def test_a_probe_says_what_is_wrong(path: str, health: Health, status: int, body: str) -> None:
    answer = await get(health, path)
    assert (answer.status, answer.text) == (status, body)


@pytest.mark.parametrize(
    ("heartbeat", "said"),
    [(990.0, None), (None, None), (939.0, "no cycle has ended for 60 s")],
    ids=["leader", "standby", "stuck leader"],
)
def test_what_a_restart_would_help(heartbeat: float | None, said: str | None) -> None:
    assert stuck(1000.0, heartbeat, 60.0) == said


class Slow(Collector):
    """Takes until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        self.begun.set()
        assert self.may_end.wait(30.0), "nobody was answered meanwhile"
        return []


async def test_metrics_that_take_long_hold_up_nobody() -> None:
    registry, slow = CollectorRegistry(), Slow()
    registry.register(slow)
    async with serving(WELL, registry) as address, aiohttp.ClientSession() as session:
        scrape = asyncio.create_task(session.get(address + "/metrics"))
        await asyncio.to_thread(slow.begun.wait, 30.0)
        async with session.get(address + "/livez") as probe:
            assert probe.status == 200
        slow.may_end.set()
        assert (await scrape).status == 200


# --- metrics ---------------------------------------------------------------------------------------------------------


class Board:
    """The operator's metrics over turns that a test sets."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = turns
        self.sources = Sources({"default": Source(address="http://127.0.0.1:9")}, {})
        self.metrics = Metrics(lambda: self.turns, self.sources)

    async def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        answer = await get(WELL, "/metrics", self.metrics.registry)
        assert answer.status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }


def of(metric: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return metric, frozenset(labels.items())


WEB = {"namespace": "shop", "name": "web"}


@pytest.fixture
async def board() -> AsyncIterator[Board]:
    board = Board()
    yield board
    await board.sources.close()


async def test_an_slo_has_its_numbers(board: Board) -> None:
    board.turns = (turn(SLOW, plan=plan(2, 10, "MaxReplicas", proposed=12)),)
    seen = await board.scrape()
    assert seen[of("perfslo_objective_met", objective="p95", **WEB)] == 0
    assert seen[of("perfslo_objective_value", objective="p95", **WEB)] == pytest.approx(0.5)
    assert seen[of("perfslo_objective_threshold", objective="p95", **WEB)] == pytest.approx(0.2)
    assert seen[of("perfslo_objective_bad_ratio", objective="p95", **WEB)] == pytest.approx(0.3)
    assert seen[of("perfslo_replicas_current", **WEB)] == 2
    assert seen[of("perfslo_replicas_proposed", **WEB)] == 12
    assert seen[of("perfslo_replicas_effective", **WEB)] == 10
    assert seen[of("perfslo_bottleneck", type="Saturated", **WEB)] == 1
    assert seen[of("perfslo_paused", **WEB)] == 0


async def test_an_slo_has_the_signals_that_are_known(board: Board) -> None:
    known = {"db": Value(0.012), "hits": NoTraffic(), "jobs": Stale(300.0), "age": Missing("SeveralRows")}
    board.turns = (turn(seen=observation(SLOW, signals=known)),)
    shown = await board.scrape()
    assert {series: value for series, value in shown.items() if series[0] == "perfslo_signal_value"} == {
        of("perfslo_signal_value", signal="db", **WEB): 0.012
    }


async def test_an_slo_has_what_its_pods_use(board: Board) -> None:
    pods = Replicas(2, 2, cpu_request_cores=0.5, memory_limit_bytes=1e8)
    seen = observation(
        SLOW,
        pods,
        cpu_cores=Value(0.6),
        cpu_throttled_ratio=Value(0.1),
        memory_bytes=Value(1.5e8),
        disk_read_bytes_per_second=NoTraffic(),
        network_transmit_bytes_per_second=Value(3e6),
    )
    board.turns = (turn(seen=seen),)
    shown = await board.scrape()
    used = {series: value for series, value in shown.items() if "per_second" in series[0] or "utilization" in series[0]}
    assert used == {
        of("perfslo_utilization_ratio", resource="cpu", of="request", **WEB): 0.6,
        of("perfslo_utilization_ratio", resource="memory", of="limit", **WEB): 0.75,
        of("perfslo_disk_bytes_per_second", direction="read", **WEB): 0,
        of("perfslo_network_bytes_per_second", direction="transmit", **WEB): 3e6,
    } | {series: value for series, value in used.items() if ("name", "web") not in series[1]}
    assert shown[of("perfslo_cpu_throttled_ratio", **WEB)] == 0.1
    board.turns = ()
    assert not [name for name, labels in await board.scrape() if ("name", "web") in labels]


async def test_the_charts_rules_use_metrics_that_exist(board: Board) -> None:
    used = set(re.findall(r"\bperfslo_\w+", (ROOT / "helm/perfslo/files/rules/slo.yaml").read_text()))
    ours = {family.name for family in board.metrics.registry.collect()}
    assert len(used) == 5
    assert {name.removesuffix("_total") for name in used} <= ours


async def test_what_is_unknown_has_no_series(board: Board) -> None:
    gone = TargetProblem("TargetNotFound", "create it")
    board.turns = (turn(promise=spec(suspend=True), target=gone, observation=None, diagnosis=None),)
    seen = await board.scrape()
    assert {name for name, labels in seen if ("name", "web") in labels} == {
        "perfslo_paused",
        "perfslo_objective_allowed_bad_ratio",
        "perfslo_window_seconds",
        "perfslo_condition",
        "perfslo_lever_state",
    }
    assert seen[of("perfslo_condition", type="SLOMet", status="Unknown", **WEB)] == 1


def counted() -> Memory:
    """An hour with twice as many bad requests as may be, the second half of which this process counted."""
    promise = budget.key(spec(), spec().primary_latency)
    ledger = Ledger((BudgetSlice(int(NOW // 3600) - 1, 1, 1000.0, 100.0, 3600.0),))
    return memory(ledgers={promise: ledger}, counts={promise: Counted(500.0, 50.0)})


async def test_an_slo_has_its_budget(board: Board) -> None:
    board.turns = (turn(remembered=counted()),)
    seen = await board.scrape()
    of_p95 = {"objective": "p95", **WEB}
    assert seen[of("perfslo_requests_total", **of_p95)] == 500
    assert seen[of("perfslo_bad_requests_total", **of_p95)] == 50
    assert seen[of("perfslo_objective_allowed_bad_ratio", **of_p95)] == pytest.approx(0.05)
    assert seen[of("perfslo_window_seconds", **WEB)] == 28 * 86400
    assert seen[of("perfslo_error_budget_remaining_ratio", **of_p95)] == pytest.approx(-1.0)
    assert seen[of("perfslo_error_budget_covered_ratio", **of_p95)] == pytest.approx(1 / (28 * 24))
    assert seen[of("perfslo_burn_rate", window="1h", **of_p95)] == pytest.approx(2.0)
    assert seen[of("perfslo_burn_rate", window="6h", **of_p95)] == pytest.approx(2.0)


def eventful(name: str = "web") -> Turn:
    """One of which every family has something to say."""
    made = turn(
        promise=spec(cost={"replicaHourly": "0.04"}),
        remembered=counted(),
        seen=observation(
            SLOW,
            Replicas(2, 2, cpu_request_cores=0.25),
            completions_per_second=Value(20.0, 4.0),
            cpu_cores=Value(0.3),
            cpu_throttled_ratio=Value(0.1),
            disk_read_bytes_per_second=NoTraffic(),
            network_transmit_bytes_per_second=Value(3e6),
            signals={"db": Value(0.012)},
        ),
        plan=plan(2, 10, "MaxReplicas", proposed=12),
        change=replace(change(2, 10, ChangeResult.REFUSED), why="LostRace: somebody else changed it meanwhile"),
        verdict=Verdict("d0", Outcome.IMPROVED, "latency objectives hold"),
    )
    return replace(made, name=name)


async def test_shares_of_backends_are_shown(board: Board) -> None:
    board.turns = (of_backends(),)
    seen = await board.scrape()
    b = {**WEB, "route": "web", "backend": "b"}
    assert seen[of("perfslo_backend_weight_ratio", **b)] == pytest.approx(0.333)
    assert seen[of("perfslo_backend_observed_share_ratio", **b)] == pytest.approx(1 / 3)
    board.turns = (eventful(),)
    assert not any("perfslo_backend" in str(name) for name in await board.scrape())


async def test_what_was_decided_is_shown(board: Board) -> None:
    board.turns = (eventful(),)
    board.metrics.count(eventful())
    seen = await board.scrape()
    assert seen[of("perfslo_objective_ratio", objective="p95", **WEB)] == pytest.approx(2.5)
    assert seen[of("perfslo_condition", type="SLOMet", status="False", **WEB)] == 1
    assert of("perfslo_condition", type="SLOMet", status="True", **WEB) not in seen
    assert seen[of("perfslo_lever_state", lever="replicas", state="Limited", **WEB)] == 1
    assert seen[of("perfslo_query_age_seconds", **WEB)] == 4
    assert seen[of("perfslo_desired_replicas", **WEB)] == 10
    assert seen[of("perfslo_desired_ratio", **WEB)] == 5
    assert seen[of("perfslo_hourly_cost", **WEB)] == pytest.approx(0.08)
    assert seen[of("perfslo_actions_total", lever="replicas", direction="up", result="Refused", **WEB)] == 1
    assert seen[of("perfslo_actions_limited_total", reason="MaxReplicas", **WEB)] == 1
    assert seen[of("perfslo_action_verdicts_total", lever="replicas", verdict="Improved", **WEB)] == 1
    assert seen[of("perfslo_write_conflicts_total", **WEB)] == 1


async def test_all_series_of_an_slo_go_with_it(board: Board) -> None:
    def families(seen: Iterable[tuple[str, frozenset[tuple[str, str]]]], name: str) -> set[str]:
        return {series for series, labels in seen if ("name", name) in labels and not series.endswith("_created")}

    board.turns = (eventful(), eventful("other"))
    for one in board.turns:
        board.metrics.count(one)
    before = await board.scrape()
    page = (ROOT / "docs" / "metrics.md").read_text()
    table = page.partition("## Of each SLO")[2].partition("\n## ")[0]
    names = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    of_routes = {"perfslo_backend_weight_ratio", "perfslo_backend_observed_share_ratio"}
    documented = set(re.findall(r"`(perfslo_\w+)`", names)) - of_routes
    assert families(before, "web") == documented, "or this test does not know of one"
    board.turns = board.turns[1:]
    board.metrics.forget_others({("shop", "other")})
    after = await board.scrape()
    assert not [series for series, labels in after if ("name", "web") in labels]
    assert families(after, "other") == documented
    assert {labels for labels in after if ("name", "other") in labels[1]} == {
        labels for labels in before if ("name", "other") in labels[1]
    }


async def test_a_source_has_its_totals(board: Board) -> None:
    stats = board.sources.stats["default"]
    stats.queries, stats.empty, stats.rows, stats.duration_seconds = 7, 1, 30, 0.5
    stats.errors["PrometheusUnreachable"] = 2
    seen = await board.scrape()
    assert seen[of("perfslo_query_total", source="default")] == 7
    assert seen[of("perfslo_query_empty_total", source="default")] == 1
    assert seen[of("perfslo_query_rows_total", source="default")] == 30
    assert seen[of("perfslo_query_duration_seconds_total", source="default")] == 0.5
    assert seen[of("perfslo_query_errors_total", source="default", reason="PrometheusUnreachable")] == 2
    assert seen[of("perfslo_source_open", source="default")] == 0


async def test_each_metric_is_documented(board: Board) -> None:
    board.turns = (turn(SLOW, plan=plan(2, 10)),)
    board.metrics.count(eventful())
    board.sources.stats["default"].errors["PrometheusUnreachable"] = 1
    page = (ROOT / "docs" / "metrics.md").read_text()
    ours = {family.name for family in board.metrics.registry.collect() if family.name.startswith("perfslo_")}
    assert len(ours) > 15
    assert not {name for name in ours if f"`{name}" not in page}


async def test_metrics_can_be_asked_for_by_name(board: Board) -> None:
    board.turns = (turn(SLOW),)
    names = ("perfslo_leader", "perfslo_build_info", "perfslo_query_total")
    answer = await get(WELL, "/metrics?" + "&".join(f"name[]={name}" for name in names), board.metrics.registry)
    assert {family.name for family in text_string_to_metric_families(answer.text)} == {
        "perfslo_leader",
        "perfslo_build_info",
        "perfslo_query",
    }
