"""What an outage does to many SLOs, to the SLOs of other sources, and to the operator that comes out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from perfslo.core.model import Histogram, Missing
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.prometheus.state import FAILED_CYCLES_TO_OPEN
from perfslo.settings import Source
from tests.edges.prometheus_process import prometheus
from tests.faults.metrics.histories import BEGIN, DUE, EVERY_SECONDS, changed, remembered, steady
from tests.faults.metrics.play import Play, Seen, StageClock, held, promise
from tests.faults.metrics.proxy import Exchange, Proxy, proxied

pytestmark = pytest.mark.cluster

MANY = tuple(f"web-{letter}" for letter in "bcdfghjklm")
DOWN = DUE - 60, DUE + 90
"""When nothing is scraped either, as while Prometheus is away."""
FALLBACK = {"failureThreshold": 2, "minReplicas": 6}


@dataclass(frozen=True)
class Past:
    address: str
    origin: float


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """`well` is scraped all the time, `gone` until shortly before DUE, and the many not while Prometheus is down."""
    pasts = {
        "well": steady(),
        "gone": steady(end=DUE - 45),
        **{name: changed(DOWN[0], lambda one: None if one.at < DOWN[1] else one) for name in MANY},
    }
    with remembered(tmp_path_factory.mktemp("prometheus"), pasts) as (address, origin):
        yield Past(address, origin)


@dataclass
class Stage:
    play: Play
    sources: Sources
    proxies: Mapping[str, Proxy]
    origin: float
    ahead_seconds: list[float] = field(default_factory=lambda: [0.0])
    """How far the operator's clock is ahead of everybody else's."""

    async def until(self, seconds: float) -> list[Mapping[str, Seen]]:
        return await self.play.until(self.origin + seconds + self.ahead_seconds[0])

    def shift(self, seconds: float) -> None:
        """The operator's clock jumps."""
        self.ahead_seconds[0] += seconds
        self.play.clock.now += seconds


@asynccontextmanager
async def staged(past: Past, timeout_seconds: float = 5.0) -> AsyncIterator[Stage]:
    clock, ahead = StageClock(past.origin + BEGIN), [0.0]

    def at() -> float:
        return clock.now - ahead[0]

    with proxied(past.address, at) as one, proxied(past.address, at) as other:
        proxies = {"default": one, "other": other}
        settings = {
            name: Source(address=proxy.address, timeout_seconds=timeout_seconds) for name, proxy in proxies.items()
        }
        sources = Sources(settings, presets.load())
        yield Stage(Play(sources, clock), sources, proxies, past.origin, ahead)
        await sources.close()


def unavailable(exchange: Exchange) -> None:
    exchange.send(503, b"")


def hang(exchange: Exchange) -> None:
    exchange.proxy.stopped.wait()


def problem(seen: Seen) -> Missing | None:
    assert seen.turn.observation
    return seen.turn.observation.source_problem


async def test_a_source_that_fails_opens_a_breaker_and_holds_its_slos_and_nothing_is_raised_for_all(past: Past) -> None:
    async with staged(past) as stage:
        proxy = stage.proxies["default"]
        for name in MANY:
            stage.play.add(name, promise(fallback=FALLBACK), 4)
        await stage.until(DOWN[0])
        proxy.fault = unavailable
        asked, down = [], []
        while stage.play.clock.now < stage.origin + DOWN[1]:
            before = proxy.asked
            down += await stage.until(stage.play.clock.now - stage.origin + EVERY_SECONDS)
            asked.append(proxy.asked - before)
        assert asked[FAILED_CYCLES_TO_OPEN:] == [1] * (len(asked) - FAILED_CYCLES_TO_OPEN), "one query a cycle"
        assert stage.sources.open_breakers == {"default"}
        for name in MANY:
            for seen in held(down, name):
                assert problem(seen) == Missing("PrometheusUnwell", "it answered with status 503")
                assert seen.condition("Fallback")[:2] == ("False", "NotNeeded")
                assert seen.status.summary.state == "Unknown"
        proxy.fault = None
        back = await stage.until(DOWN[1] + 8 * EVERY_SECONDS)
        assert not stage.sources.open_breakers
        for name in MANY:
            after = held(back, name)
            assert not any(map(problem, after))
            assert isinstance(after[-1].latency, Histogram)
            assert all((one.turn.plan.proposed_replicas or 0) <= 4 for one in after if one.turn.plan)
            assert all(one.condition("SLOMet")[0] != "False" for one in after)


async def test_fallback_is_for_one_whose_own_series_are_missing_and_only_raises(past: Past) -> None:
    async with staged(past) as stage:
        stage.play.add("well", promise(fallback=FALLBACK), 4)
        stage.play.add("gone", promise(fallback=FALLBACK), 4)
        await stage.until(DUE - 15)
        first, *later = await stage.until(DUE + 30)
        assert [cycle["gone"].moved for cycle in (first, *later)] == [2, 0, 0]
        assert first["well"].moved == -1
        seen = later[-1]["gone"]
        assert seen.condition("Fallback")[:2] == ("True", "MetricsMissing")
        assert seen.condition("MetricsAvailable")[:2] == ("False", "MetricsStale")
        assert seen.status.summary.state == "Fallback"
        assert later[-1]["well"].condition("Fallback")[0] == "False"
        stage.play.scale("gone", 9)
        for seen in held(await stage.until(DUE + 75), "gone"):
            assert seen.condition("Fallback")[0] == "True"


async def test_slos_of_other_sources_do_not_wait_for_one_that_hangs(past: Past) -> None:
    async with staged(past, timeout_seconds=60) as stage:
        proxy = stage.proxies["default"]
        stage.play.add("gone", promise(), 4)
        stage.play.add("well", promise("other"), 4)
        await stage.until(DUE - EVERY_SECONDS)
        proxy.fault = hang
        cycle = asyncio.create_task(stage.until(DUE))
        async with asyncio.timeout(30):
            await stage.play.ordered.wait()
        assert not cycle.done()
        proxy.close()
        (seen,) = await cycle
        assert seen["well"].moved == -1
        assert held([seen], "gone")


async def test_prometheus_is_killed_and_comes_back_with_what_it_knew(tmp_path: Path) -> None:
    with ExitStack() as first:
        address, origin = first.enter_context(remembered(tmp_path, {name: steady() for name in MANY}))
        async with staged(Past(address, origin)) as stage:
            for name in MANY:
                stage.play.add(name, promise(fallback=FALLBACK), 4)
            await stage.until(DUE - EVERY_SECONDS)
            first.close()  # kills it
            down = await stage.until(DUE + 3 * EVERY_SECONDS)
            with prometheus(tmp_path, []) as stage.proxies["default"].upstream:
                back = await stage.until(DUE + 8 * EVERY_SECONDS)
        for name in MANY:
            assert all(map(problem, held(down, name)))
            after = held(back, name)
            assert isinstance(after[-1].latency, Histogram)
            assert "metrics have been complete for" in after[-1].sentence


@pytest.mark.parametrize("seconds", [600.0, -600.0])
async def test_the_operators_clock_jumps(past: Past, seconds: float) -> None:
    async with staged(past) as stage:
        stage.play.add("well", promise(), 4)
        await stage.until(DUE - EVERY_SECONDS)
        stage.shift(seconds)
        for cycle in await stage.until(DUE + 8 * EVERY_SECONDS):
            seen = cycle["well"]
            assert seen.moved == 0
            assert isinstance(seen.latency, Histogram)
            assert seen.condition("MetricsAvailable")[:2] == ("True", "MetricsFound")
            assert seen.condition("ScalingLimited")[:2] == ("True", "ColdStart")
            assert "of 200s before a reduction" in seen.sentence


@pytest.mark.parametrize("seconds", [600.0, -600.0])
async def test_an_operators_clock_that_is_off_does_not_matter(past: Past, seconds: float) -> None:
    async with staged(past) as stage:
        stage.shift(seconds)
        stage.play.add("well", promise(), 4)
        cycles = await stage.until(DUE)
        assert [cycle["well"].moved for cycle in cycles] == [0] * (len(cycles) - 1) + [-1]
