"""28 days of an error budget: what was counted, what it leaves, and what restarts and gaps do to it (nothing)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import budget, codec, iterate
from perfslo.core.budget import Account, Books
from perfslo.core.memory import Ledger, Memory
from perfslo.core.model import Histogram, LatencyReading, Missing, NoTraffic, Observation, Replicas, Value
from perfslo.core.timescale import TimeScale
from tests.core.turns import spec

HOUR, DAY = 3600, 86400
START = 500_000 * HOUR
WINDOW = 28 * DAY
CYCLE = 600.0
"""Seconds; the scrape interval goes with it, so that windows and cycles are as long."""


def requests(total: float, bad: float) -> LatencyReading:
    """All slow ones between 200 ms, which is an edge, and 500 ms."""
    return Histogram((0.2, 0.5, math.inf), (total - bad, total, total)) if total else NoTraffic()


def seen(time: float, reading: LatencyReading, promise: PerformanceSLOSpec, errors: float = 0.0) -> Observation:
    return Observation(
        time=time,
        scale=TimeScale(CYCLE / 4, CYCLE),
        replicas=Replicas(2, 2),
        latency={objective.name: reading for objective in promise.latency_objectives},
        completions_per_second=Missing("NotMeasured"),
        in_flight=Missing("NotMeasured"),
        error_ratio=Value(errors),
    )


Traffic = Callable[[float], tuple[float, float]]
"""Requests a second and the bad ones among them, by Unix time; the same all through an hour."""


def steady(per_second: float = 10.0, bad: float = 0.2) -> Traffic:
    return lambda time: (per_second, bad)


@dataclass
class Life:
    """An operator and its source, cycle by cycle."""

    traffic: Traffic
    promise: PerformanceSLOSpec = field(default_factory=spec)
    memory: Memory = field(default_factory=Memory)
    now: float = START
    keeps_from: float = START
    """Older samples are not in the source."""
    asked: list[int] = field(default_factory=list)
    seen_at: float | None = None

    def run(self, seconds: float, asking: bool = True) -> Life:
        until = self.now + seconds
        while self.now < until:
            self.now += CYCLE
            total, bad = self.traffic(self.now - 1)
            observation = seen(self.now, requests(total * CYCLE, bad * CYCLE), self.promise)
            elapsed = 0.0 if self.seen_at is None or self.now < self.seen_at else CYCLE
            self.memory, self.seen_at = budget.counted(self.promise, self.memory, observation, elapsed), self.now
            if asking:
                self.ask()
        return self

    def ask(self) -> bool:
        hour = budget.next_hour(self.promise, self.memory.ledgers, self.now)
        if hour is None:
            return False
        total, bad = self.traffic(hour * HOUR + 1)
        known = hour * HOUR >= self.keeps_from
        answer = requests(total * HOUR, bad * HOUR) if known else Missing("SeriesMissing")
        ledgers = budget.settled(self.promise, self.memory.ledgers, hour, seen(self.now, answer, self.promise))
        self.memory = replace(self.memory, ledgers=ledgers)
        self.asked.append(hour)
        return True

    def restart(self, away_seconds: float = 0.0) -> Life:
        self.memory, self.seen_at = codec.decode(codec.encode(self.memory)), None
        self.now += away_seconds
        return self

    def account(self, name: str = "p95") -> Account:
        return self.books.accounts[name]

    @property
    def books(self) -> Books:
        return budget.books(self.promise, self.memory, self.now)

    @property
    def ledger(self) -> Ledger:
        (ledger,) = self.memory.ledgers.values()
        return ledger

    def truth(self, seconds: float = WINDOW) -> float:
        """What is left of the budget, from the traffic itself, minute by minute."""
        times = range(int(max(self.keeps_from, self.now - seconds)), int(self.now), 60)
        total, bad = (math.fsum(self.traffic(t)[i] for t in times) for i in (0, 1))
        return 1 - bad / (0.05 * total)


def busy_by_day(time: float) -> tuple[float, float]:
    """More in daylight, nothing from 2 to 5, and every third day has a bad hour."""
    hour = int(time // HOUR) % 24
    total = 0.0 if 2 <= hour < 5 else 5.0 + hour
    return total, total * (0.4 if hour == 14 and int(time // DAY) % 3 == 0 else 0.01)


def test_nothing_is_shown_before_anything_was_counted() -> None:
    promise = spec()
    assert budget.books(promise, Memory(), START).accounts == {}
    unknown = iterate.absorb(promise, Memory(), seen(START, Missing("SeriesMissing"), promise))
    unknown = iterate.absorb(promise, unknown, seen(START + CYCLE, Missing("SeriesMissing"), promise))
    assert budget.books(promise, unknown, START + CYCLE).accounts == {}


def test_a_first_hour_is_told_as_what_it_is() -> None:
    account = Life(steady(bad=0.2)).run(HOUR + CYCLE, asking=False).account()
    assert account.remaining_ratio == pytest.approx(0.6)
    assert account.covered_ratio == pytest.approx(1 / (28 * 24), rel=0.1)
    assert account.burn_rate_1h == pytest.approx(0.4)
    assert account.burn_rate_6h == pytest.approx(0.4)
    assert account.exhausts_at is None


def test_failed_requests_are_bad_too() -> None:
    promise = spec()
    remembered = iterate.absorb(promise, Memory(), seen(START, requests(100, 10), promise))
    remembered = iterate.absorb(promise, remembered, seen(START + CYCLE, requests(100, 10), promise, errors=0.5))
    (counts,) = remembered.counts.values()
    assert (counts.total, counts.bad) == pytest.approx((100.0, 10 + 0.5 * 90))


@pytest.mark.parametrize("asking", [True, False])
def test_a_whole_window_agrees_with_the_traffic(asking: bool) -> None:
    life = Life(busy_by_day).run(WINDOW + 3 * HOUR, asking)
    account = life.account()
    assert account.remaining_ratio == pytest.approx(life.truth(), abs=0.005)
    assert account.covered_ratio == pytest.approx(1.0, abs=0.01)
    assert len(life.ledger.slices) <= 28 + 1 + 48
    if asking:
        assert len(life.asked) == len(set(life.asked)), "no hour is asked about twice"
        assert set(life.asked) >= {*range(START // HOUR, int(life.now // HOUR) - 1)}


def test_an_hour_without_traffic_is_covered_and_spends_nothing() -> None:
    life = Life(steady(0.0, 0.0)).run(6 * HOUR, asking=False)
    account = life.account()
    assert (account.remaining_ratio, account.burn_rate_1h, account.burn_rate_6h) == (1.0, 0.0, 0.0)
    assert account.covered_ratio == pytest.approx(6 * HOUR / WINDOW, abs=2.1 * CYCLE / WINDOW)


def test_an_hour_that_ended_is_counted_anew_by_the_source() -> None:
    life = Life(steady(bad=0.1)).run(HOUR, asking=False)
    life.traffic = steady(bad=0.3)  # what the cycles did not see
    life.run(2 * CYCLE, asking=False)
    assert budget.next_hour(life.promise, life.memory.ledgers, START + HOUR + 60) == START // HOUR - 1, "not settled"
    assert life.ask()
    assert life.asked == [START // HOUR]
    piece = next(s for s in life.ledger.slices if s.hour == START // HOUR)
    assert (piece.total, piece.bad, piece.covered_seconds) == pytest.approx((10.0 * HOUR, 0.3 * HOUR, HOUR))


def test_history_from_before_the_slo_is_filled_in_newest_first() -> None:
    life = Life(busy_by_day, keeps_from=START - 10 * DAY).run(CYCLE)
    while life.ask():
        pass
    assert life.asked == sorted(life.asked, reverse=True)
    assert len(life.asked) == 28 * 24
    account = life.account()
    assert account.covered_ratio == pytest.approx(10 / 28, rel=0.01)
    assert account.remaining_ratio == pytest.approx(life.truth(), abs=0.005)


@pytest.mark.parametrize("away", [0.0, CYCLE, 30 * 60.0, 5 * HOUR, 3 * DAY + 1234])
def test_hours_missed_while_away_are_filled_in_afterwards(away: float) -> None:
    life = Life(busy_by_day).run(5 * DAY + 7 * CYCLE)
    life.restart(away).run(2 * HOUR + CYCLE)
    while life.ask():
        pass
    account = life.account()
    assert account.remaining_ratio == pytest.approx(life.truth(), abs=0.005)
    assert account.covered_ratio == pytest.approx((life.now - START) / WINDOW, rel=0.01)


def test_a_source_that_does_not_answer_is_asked_again_and_what_the_cycles_saw_stands() -> None:
    life = Life(steady(bad=0.2)).run(3 * DAY, asking=False)
    assert life.account().remaining_ratio == pytest.approx(0.6)
    assert life.account().covered_ratio == pytest.approx(3 / 28, rel=0.01)
    assert budget.next_hour(life.promise, life.memory.ledgers, life.now) == START // HOUR + 3 * 24 - 2
    while life.ask():
        pass
    (whole,) = budget.over(life.ledger, life.now, [WINDOW])
    assert whole.covered_seconds == pytest.approx(3 * DAY, rel=0.01)
    assert whole.total == pytest.approx(10 * 3 * DAY, rel=0.01), "what was kept by the day is not counted again"


def test_an_hour_that_the_source_does_not_know_keeps_what_was_seen() -> None:
    life = Life(steady(bad=0.2), keeps_from=math.inf).run(4 * HOUR)
    assert life.account().covered_ratio == pytest.approx(4 * HOUR / WINDOW, abs=2.1 * CYCLE / WINDOW)
    assert life.account().remaining_ratio == pytest.approx(0.6)


def test_overspent_is_negative_and_has_no_time_to_come() -> None:
    account = Life(steady(bad=5.0)).run(2 * HOUR).account()
    assert account.remaining_ratio == pytest.approx(-9.0)
    assert account.exhausts_at is None


def test_when_the_budget_will_be_spent() -> None:
    def bad_lately(time: float) -> tuple[float, float]:
        return 10.0, 1.5 if time >= START + 28 * DAY else 0.0

    life = Life(bad_lately).run(WINDOW + 6 * HOUR)
    account = life.account()
    assert account.burn_rate_6h == pytest.approx(3.0)
    assert account.exhausts_at
    # Three times too fast: a third of what is left of 28 days.
    assert account.exhausts_at - life.now == pytest.approx(account.remaining_ratio * WINDOW / 3, rel=0.01)


def test_a_shorter_window_counts_at_once_and_a_longer_one_is_filled_in() -> None:
    life = Life(busy_by_day, keeps_from=START - 40 * DAY).run(10 * DAY)
    life.promise = spec(window="7d")
    assert life.account().remaining_ratio == pytest.approx(life.truth(7 * DAY), abs=0.01)
    life.run(2 * HOUR)
    assert life.account().covered_ratio == pytest.approx(1.0, abs=0.01)
    assert life.ledger.slices[0].hour >= (life.now - 8 * DAY) // HOUR
    life.promise = spec(window="14d")
    while life.ask():
        pass
    assert life.account().covered_ratio == pytest.approx(1.0, abs=0.02)
    assert life.account().remaining_ratio == pytest.approx(life.truth(14 * DAY), abs=0.01)


def test_objectives_by_what_they_promise_not_by_their_name() -> None:
    def latency(name: str, percentile: int, threshold: str = "200ms") -> dict[str, Any]:
        return {"name": name, "latency": {"percentile": percentile, "threshold": threshold}}

    life = Life(steady(bad=0.2)).run(2 * DAY)
    before = life.account()
    life.promise = spec(objectives=[latency("users", 95), latency("strict", 99)])
    assert life.account("users") == before, "renamed"
    assert life.account("strict").remaining_ratio == pytest.approx(1 - 0.02 / 0.01), "of the same requests"
    life.promise = spec(objectives=[latency("users", 95), latency("slower", 95, "500ms")])
    assert "slower" not in life.books.accounts, "another promise is counted anew"
    life.run(CYCLE, asking=False)
    assert life.account("slower").remaining_ratio == 1.0
    while life.ask():
        pass
    assert life.account("users").remaining_ratio == pytest.approx(before.remaining_ratio)
    assert life.account("slower").covered_ratio == pytest.approx(life.account("users").covered_ratio, rel=0.01)


@pytest.mark.parametrize("step", [-30.0, -2 * HOUR, -3 * DAY, 2 * HOUR, 400 * DAY])
def test_a_clock_that_steps_and_is_put_right(step: float) -> None:
    life = Life(steady(bad=0.2)).run(5 * DAY + 2 * CYCLE)
    true_time = life.now
    life.now += step
    life.keeps_from = min(START, life.now)
    life.run(3 * CYCLE, asking=False)
    life.now = true_time + 3 * CYCLE
    life.keeps_from = START
    life.run(HOUR)
    while life.ask():
        pass
    account = life.account()
    assert account.remaining_ratio == pytest.approx(0.6)
    assert account.covered_ratio == pytest.approx((life.now - START) / WINDOW, rel=0.02)
    assert [s.hour for s in life.ledger.slices] == sorted({s.hour for s in life.ledger.slices})


def test_what_is_remembered_fits_the_status() -> None:
    objectives = [{"name": f"p{p}", "latency": {"percentile": p, "threshold": f"{p}ms"}} for p in (50, 90, 95, 99)]
    life = Life(busy_by_day, promise=spec(objectives=objectives, window="90d")).run(30 * HOUR)
    while life.ask():
        pass
    life.restart()
    assert len(codec.encode(life.memory)) <= codec.MAX_ENCODED_BYTES
    assert {len(ledger.asked) for ledger in life.memory.ledgers.values()} == {1}
    while life.ask():
        pass
    assert life.account("p95").covered_ratio == pytest.approx(30 / (90 * 24), rel=0.05)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=40))
def test_no_hour_is_ever_counted_twice(steps: Iterable[tuple[int, bool]]) -> None:
    """Away for some hours, then back for a cycle or two, with or without a restart, and asking for a while."""
    life = Life(steady(1.0, 0.0), keeps_from=0.0)
    for hours, restarted in steps:
        life.now += hours * HOUR
        life.run(2 * CYCLE)
        for _ in range(hours // 2):
            life.ask()
        if restarted:
            life.restart()
        (whole,) = budget.over(life.ledger, life.now, [WINDOW])
        assert whole.total <= WINDOW * 1.001
        assert whole.total == pytest.approx(whole.covered_seconds, rel=0.001)
    assert len(life.memory.ledgers) <= 1


# --- burning -----------------------------------------------------------------------------------------------------


def test_a_burst_long_ago_is_no_risk_and_a_lasting_one_is() -> None:
    def burst(time: float) -> tuple[float, float]:
        return 10.0, 0.8 if START + 2 * DAY <= time < START + 2 * DAY + 7 * HOUR else 0.1

    life = Life(burst)
    assert life.run(2 * DAY).books.burning is None
    # 1.6 times the allowed 5 %, for 6 hours: a tenth of the budget takes three days at that rate.
    assert life.run(6 * HOUR).books.burning is None
    life.traffic = steady(bad=5.0)
    risk = life.run(3 * HOUR).books.burning
    assert risk
    assert (risk.objective, risk.hours) == ("p95", 6)
    assert risk.burn_rate == pytest.approx((2 * 0.8 + 4 * 5.0) / 60 / 0.05, rel=0.2)
    life.traffic = steady(bad=0.1)
    assert life.run(3 * HOUR).books.burning is None, "it has stopped"


def test_few_requests_burn_nothing() -> None:
    life = Life(steady(0.005, 0.005)).run(2 * HOUR)
    assert life.account().burn_rate_1h == pytest.approx(20.0)
    assert life.books.burning is None


@pytest.mark.parametrize("allowed", [0.0001, 0.001, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("burn", budget.BURNS)
@pytest.mark.parametrize("days", [0.25, 1, 28, 90])
def test_a_burn_that_is_too_fast_is_possible(allowed: float, burn: budget.Burn, days: float) -> None:
    assert 1.0 <= burn.threshold(days * DAY, allowed) < 1 / allowed


def test_strict_promises_have_the_usual_factors() -> None:
    assert budget.Burn(0.05, 6, 1).threshold(30 * DAY, 0.0) == pytest.approx(6.0)
    assert budget.Burn(0.10, 72, 6).threshold(30 * DAY, 0.0) == pytest.approx(1.0)
