"""The error budget: how many requests there were and how many were bad, by the hour, and by the day before that.

What a cycle's window brings is added to the running hour. An hour that has ended is counted anew from the source
itself (`next_hour`, `settled`), newest first, so that hours in which nobody looked, and those before the SLO existed,
are filled in as far as the source goes back.

Counts are kept by what was promised, not by the objective's name: objectives that differ in the share only have them in
common, a renamed one keeps them, and one with another threshold is counted anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache

from perfslo.api.v1alpha1 import Latency, Objective, PerformanceSLOSpec
from perfslo.core import objectives
from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import HOUR_SECONDS, BudgetSlice, Counted, Ledger, Memory, Span
from perfslo.core.model import Histogram, Observation

DAY_HOURS = 24
HOURLY_HOURS = 24
"""A day is kept by the hour until it ended so long ago; the longest window that is told by the hour is 24 h."""
SETTLE_SECONDS = 120.0
"""An hour is not asked about before: the last scrapes and remote writes of it may be under way."""
MAX_SPANS = 8
REMEMBERED = 1 << 15
"""Promises whose keys are not made anew each cycle."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests of a stretch of time that ends now."""

    total: float
    bad: float
    covered_seconds: float
    """How much of it was counted; without requests counts, unknown does not."""

    def burn_rate(self, allowed_bad_ratio: float) -> float:
        """Share of bad requests over the allowed one: 1 spends the budget exactly within its window; 0 without any."""
        return self.bad / (self.total * allowed_bad_ratio) if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Account:
    """One objective's budget. Ratios are of the budget, which is of the requests counted."""

    remaining_ratio: float
    """1 untouched, 0 spent, negative when overspent."""
    covered_ratio: float
    """Part of the window that was counted, 0..1."""
    burn_rate_1h: float | None
    burn_rate_6h: float | None
    """None when nothing of these hours was counted."""
    exhausts_at: float | None
    """Unix seconds; None when the last six hours, if they went on, would not spend it, and when it is spent."""


@dataclass(frozen=True, slots=True)
class Burn:
    """Too fast, when over `long_hours` and `short_hours` (it has not stopped) so much is spent as to be told.

    Google, The Site Reliability Workbook, chapter 5; the short windows are hours here because the counts are.
    """

    budget_share: float
    """Of the whole budget, spent within `long_hours`."""
    long_hours: int
    short_hours: int

    def threshold(self, window_seconds: float, allowed_bad_ratio: float) -> float:
        """The burn rate beyond which it is too fast: 5 % of 28 days' budget within 6 hours is 5.6.

        Such a factor is meant for a few bad requests in thousands. A promise that allows 5 % can burn at 20 at most, so
        the factor is taken of the odds of a bad request: it tends to the plain one for strict promises, and can
        always be reached.
        """
        factor = max(1.0, self.budget_share * window_seconds / (self.long_hours * HOUR_SECONDS))
        return factor / (1.0 + (factor - 1.0) * allowed_bad_ratio)


BURNS = (Burn(0.05, 6, 1), Burn(0.10, 24, 2), Burn(0.10, 72, 6))
"""Faster ones show as a breach at once."""


@dataclass(frozen=True, slots=True)
class Burning:
    """An objective whose budget burns too fast."""

    objective: str
    hours: int
    burn_rate: float


@dataclass(frozen=True, slots=True)
class Books:
    """How the budgets of an SLO stand."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    """By latency objective, those of which anything was counted."""
    burning: Burning | None = None
    """The first that burns too fast."""


def key(spec: PerformanceSLOSpec, latency: Latency) -> str:
    """Names what is counted for a latency objective: which requests of which workload, and which of them are slow."""
    metrics = spec.metrics
    return _key(
        spec.scale_target_ref or spec.scale_target_refs,
        (metrics.source, metrics.preset, metrics.custom, metrics.service, metrics.matchers),
        (latency.threshold_seconds, latency.matchers),
    )


@lru_cache(REMEMBERED)
def _key(target: object, requests: tuple[object, ...], slow: tuple[object, ...]) -> str:
    return hashlib.blake2s(repr(((str(target), *requests), slow)).encode(), digest_size=6).hexdigest()


# --- counting ----------------------------------------------------------------------------------------------------


def counted(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed: float) -> Memory:
    """With what the last `elapsed` seconds brought: the new part of each window once."""
    ledgers, counts = {}, {}
    part = min(1.0, elapsed / observation.scale.window_seconds)
    for objective, promise in _promises(spec):
        ledger, sum_before = memory.ledgers.get(promise, Ledger()), memory.counts.get(promise, Counted())
        if part > 0 and (new := _requests(objective, observation)) is not None:
            new = Counted(new.total * part, new.bad * part)
            ledger = _with(ledger, new, observation.time, elapsed, spec.window_seconds)
            sum_before = Counted(sum_before.total + new.total, sum_before.bad + new.bad)
        ledgers[promise], counts[promise] = ledger, sum_before
    return replace(memory, ledgers=ledgers, counts=counts)


def next_hour(spec: PerformanceSLOSpec, ledgers: Mapping[str, Ledger], now: float) -> int | None:
    """The newest hour (Unix seconds / 3600) of the window that ended, and that the source was not asked about yet."""
    newest = int((now - SETTLE_SECONDS) // HOUR_SECONDS) - 1
    oldest = int((now - spec.window_seconds) // HOUR_SECONDS)
    unasked = (_newest_outside(ledgers.get(promise, Ledger()).asked, newest) for _, promise in _promises(spec))
    hour = max(unasked, default=oldest - 1)
    return hour if hour >= oldest else None


def settled(
    spec: PerformanceSLOSpec, ledgers: Mapping[str, Ledger], hour: int, observation: Observation
) -> Mapping[str, Ledger]:
    """With what the source said of a whole hour in place of what the cycles made of it.

    An hour that the source knows nothing of keeps what the cycles saw, and is not asked about again.
    """
    settled = dict(ledgers)
    for objective, promise in _promises(spec):
        ledger = settled.get(promise, Ledger())
        if not any(first <= hour <= last for first, last in ledger.asked):
            requests = _requests(objective, observation)
            slices = ledger.slices if requests is None else _exact(ledger.slices, hour, requests)
            ledger = Ledger(slices, _asked(ledger.asked, hour, hour))
            settled[promise] = _folded(ledger, int(observation.time // HOUR_SECONDS) - HOURLY_HOURS)
    return settled


def _promises(spec: PerformanceSLOSpec) -> Iterator[tuple[Objective, str]]:
    return ((objective, key(spec, objective.latency)) for objective in spec.objectives if objective.latency)


def _requests(objective: Objective, observation: Observation) -> Counted | None:
    """All and bad ones of the observation's window; None when unknown."""
    reading = observation.latency.get(objective.name)
    if reading is None or not objectives.known(reading):
        return None
    share = objectives.slow(observation, objective)
    if share is None or not isinstance(reading, Histogram):
        return Counted()
    return Counted(reading.total, reading.total * objectives.failed_or(share.ratio, objective, observation))


def _with(ledger: Ledger, new: Counted, now: float, elapsed: float, window_seconds: float) -> Ledger:
    hour = int(now // HOUR_SECONDS)
    piece = BudgetSlice(hour, 1, new.total, new.bad, elapsed)
    if ledger.slices and (ledger.slices[-1].hour, ledger.slices[-1].hours) == (hour, 1):
        return replace(ledger, slices=(*ledger.slices[:-1], _sum(ledger.slices[-1], piece)))
    oldest = int((now - window_seconds) // HOUR_SECONDS)
    ledger = _folded(_before(ledger, hour), hour - HOURLY_HOURS)
    slices = (*(s for s in ledger.slices if s.hour + s.hours > oldest), piece)
    oldest = min(oldest, slices[0].hour)
    return Ledger(slices, tuple((max(first, oldest), last) for first, last in ledger.asked if last >= oldest))


def _before(ledger: Ledger, hour: int) -> Ledger:
    """What ended before an hour that runs: anything later is of a clock that was wrong, and is asked about again."""
    slices = tuple(s for s in ledger.slices if s.hour + s.hours <= hour)
    until = min((s.hour for s in ledger.slices[len(slices) :]), default=hour)
    return Ledger(slices, tuple((first, min(last, until - 1)) for first, last in ledger.asked if first < until))


def _folded(ledger: Ledger, hour: int) -> Ledger:
    """Days that ended by then in one piece each. What was seen of their hours is final: it could not be told apart."""
    slices: list[BudgetSlice] = []
    asked = ledger.asked
    for piece in ledger.slices:
        day = piece.hour - piece.hour % DAY_HOURS
        if piece.hours == 1 and day + DAY_HOURS <= hour:
            asked = _asked(asked, piece.hour, piece.hour)
            piece = replace(piece, hour=day, hours=DAY_HOURS)
            if slices and (slices[-1].hour, slices[-1].hours) == (day, DAY_HOURS):
                piece = _sum(slices.pop(), piece)
        slices.append(piece)
    return Ledger(tuple(slices), asked)


def _exact(slices: tuple[BudgetSlice, ...], hour: int, requests: Counted) -> tuple[BudgetSlice, ...]:
    piece = BudgetSlice(hour, 1, requests.total, requests.bad, HOUR_SECONDS)
    for index, known in enumerate(slices):
        if known.hour <= hour < known.hour + known.hours:
            piece = piece if known.hours == 1 else _sum(known, piece)
            return (*slices[:index], piece, *slices[index + 1 :])
    return tuple(sorted((*slices, piece), key=lambda s: s.hour))


def _sum(one: BudgetSlice, other: BudgetSlice) -> BudgetSlice:
    return replace(
        one,
        total=one.total + other.total,
        bad=one.bad + other.bad,
        covered_seconds=one.covered_seconds + other.covered_seconds,
    )


def _asked(spans: tuple[Span, ...], first: int, last: int) -> tuple[Span, ...]:
    """Spans with one more, joined where they touch. Of too many the oldest are joined: better not asked than twice."""
    joined: list[Span] = []
    for span in sorted((*spans, (first, last))):
        if joined and span[0] <= joined[-1][1] + 1:
            span = joined[-1][0], max(joined.pop()[1], span[1])
        joined.append(span)
    while len(joined) > MAX_SPANS:
        joined[:2] = [(joined[0][0], joined[1][1])]
    return tuple(joined)


def _newest_outside(spans: tuple[Span, ...], newest: int) -> int:
    for first, last in reversed(spans):
        if last < newest:
            break
        newest = min(newest, first - 1)
    return newest


# --- telling -----------------------------------------------------------------------------------------------------


def books(spec: PerformanceSLOSpec, memory: Memory, now: float) -> Books:
    """How the budgets of all latency objectives stand."""
    burns, windows = _looks_back(spec.window_seconds)
    accounts: dict[str, Account] = {}
    burning: Burning | None = None
    for objective, promise in _promises(spec):
        if objective.latency is None or (ledger := memory.ledgers.get(promise)) is None:
            continue
        allowed = objective.latency.allowed_bad_ratio
        tallies = dict(zip(windows, over(ledger, now, windows), strict=True))
        if account := _account(spec.window_seconds, allowed, tallies, now):
            accounts[objective.name] = account
        for burn in burns:
            if burning is None and (rate := _too_fast(spec, allowed, tallies, burn)) is not None:
                burning = Burning(objective.name, burn.long_hours, rate)
    return Books(accounts, burning)


@lru_cache
def _looks_back(window_seconds: int) -> tuple[tuple[Burn, ...], tuple[int, ...]]:
    """What can burn too fast within the window, and all seconds before now that are counted for it, ascending."""
    burns = tuple(burn for burn in BURNS if burn.long_hours * HOUR_SECONDS <= window_seconds)
    hours = {1, 6, *(hours for burn in burns for hours in (burn.long_hours, burn.short_hours))}
    return burns, tuple(sorted({window_seconds, *(each * HOUR_SECONDS for each in hours)}))


Tallies = Mapping[int, Tally]
"""By the seconds before now."""


def _account(window_seconds: int, allowed: float, tallies: Tallies, now: float) -> Account | None:
    """None before anything was counted."""
    whole, last, last_six = (tallies[seconds] for seconds in (window_seconds, HOUR_SECONDS, 6 * HOUR_SECONDS))
    if whole.covered_seconds <= 0:
        return None
    remaining, covered = 1.0 - whole.burn_rate(allowed), min(1.0, whole.covered_seconds / window_seconds)
    burn = last_six.burn_rate(allowed)
    seconds_left = remaining * covered * window_seconds / burn if burn > 1 and remaining > 0 else None
    return Account(
        remaining_ratio=remaining,
        covered_ratio=covered,
        burn_rate_1h=last.burn_rate(allowed) if last.covered_seconds > 0 else None,
        burn_rate_6h=burn if last_six.covered_seconds > 0 else None,
        exhausts_at=None if seconds_left is None else now + seconds_left,
    )


def _too_fast(spec: PerformanceSLOSpec, allowed: float, tallies: Tallies, burn: Burn) -> float | None:
    """The burn rate, when it is, by enough requests to say so."""
    long, short = tallies[burn.long_hours * HOUR_SECONDS], tallies[burn.short_hours * HOUR_SECONDS]
    if short.covered_seconds < burn.short_hours * HOUR_SECONDS / 2 or short.total < spec.metrics.min_requests:
        return None
    rate = long.burn_rate(allowed)
    return rate if min(rate, short.burn_rate(allowed)) > burn.threshold(spec.window_seconds, allowed) else None


def over(ledger: Ledger, now: float, windows: Sequence[int]) -> Iterator[Tally]:
    """What was counted in so many seconds before `now`, in one pass; `windows` are ascending.

    Of a slice that began before, the part that is within.
    """
    total = bad = covered = 0.0
    remaining = list(windows)
    for piece in reversed(ledger.slices):
        begin = piece.hour * HOUR_SECONDS
        end = min(begin + piece.hours * HOUR_SECONDS, now)
        if end <= begin:
            continue
        while remaining and now - remaining[0] > begin:
            within = max(0.0, end - (now - remaining.pop(0))) / (end - begin)
            yield Tally(
                total + piece.total * within, bad + piece.bad * within, covered + piece.covered_seconds * within
            )
        if not remaining:
            return
        total, bad, covered = total + piece.total, bad + piece.bad, covered + piece.covered_seconds
    yield from (Tally(total, bad, covered) for _ in remaining)
