"""The load to expect when pods ordered now are ready, and how far off such forecasts have been."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from perfslo.core import overload, season
from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import Errors, Expected, Memory, Sample
from perfslo.core.timescale import TimeScale

LEVEL_SAMPLES = 4
"""One window: what differs from its mean by no more than chance is the mean."""
TREND_SAMPLES = 6
"""75 s at 15 s: shorter follows noise, longer follows the past."""
STEEPEST = 1.5
"""Times the median of the last three steps: a single jump is no trend."""
MOST_RISE = 10.0
"""Times the load now; from next to nothing, anything is a rise without end."""
MAX_GROWTH = 1.5
"""What goes beyond this is measured a cycle later."""
SIGNIFICANT = 3.0
"""Standard deviations of counting noise that a rise must exceed; a lower bar adds pods by chance once an hour."""
SHARPNESS = 0.7
"""How much of what a moving window hides is added again; with all of it, errors would alternate for ever."""
BELIEVED_BEHIND = 0.8
"""The least part of a rise that is believed while pods are missing already (see `overload.behind`): one that is missing
when the load has risen costs more than one too many, and rises that were met with pods to spare are no measure."""
RATIOS = (0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4)
"""Load that came over load that was expected: where errors are counted."""
BELIEVED = Errors(tuple({0.95: 5.0, 1.0: 10.0, 1.05: 5.0}.get(ratio, 0.0) for ratio in RATIOS), moved=0.016, rise=0.02)
"""Before any came true: a few per cent off for twenty cycles, and trends that go on for eight tenths of the way."""
HALF_LIFE_UNITS = 120.0
"""Half an hour at 15 s: what follows on a burst is learnt from the bursts before it."""
SLOT_UNITS = 20.0
SLOTS = 12
"""Highest loads of the last hour at 15 s, in slots of 5 minutes: errors of forecasts do not add up beyond them."""
LEADING = 0.98
"""Of the highest forecast that pods are still held for: lower ones order nothing, and their errors cost nothing."""
BEYOND = 1.1
"""What may come beyond the highest load of the last hour, by errors alone."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Requests a second."""

    level: float
    """Now."""
    peak: float
    """The most until the horizon; never below `level`."""
    cases: tuple[tuple[float, float], ...]
    """What may come, and how likely it is."""
    announced: bool = False
    """Whether `peak` is what comes at this time of the day, and no trend."""

    def plus(self, rate: float) -> Forecast:
        """The same and so many requests a second besides."""
        return replace(self, peak=self.peak + rate, cases=tuple((r + rate, w) for r, w in self.cases))

    def without_trend(self) -> Forecast:
        """As if the load stayed what it is, unless something else is announced."""
        if self.announced or self.peak <= self.level:
            return self
        factor = self.level / self.peak
        return replace(self, peak=self.level, cases=tuple((factor * r, w) for r, w in self.cases))

    def times(self, factor: float) -> Forecast:
        """The same of so many times the load."""
        if factor == 1.0:
            return self
        cases = tuple((factor * r, w) for r, w in self.cases)
        return replace(self, level=factor * self.level, peak=factor * self.peak, cases=cases)


def sharpened(measured: float, before: float | None, scale: TimeScale) -> float:
    """What a rate over the short window says of the window's end, given the estimate of a cycle before."""
    overlap = 1.0 - scale.cycle_seconds / (2.0 * scale.scrape_seconds)
    if before is None or not 0.0 < overlap <= 0.5:
        return measured
    if abs(measured - before) <= SIGNIFICANT * math.sqrt(max(measured, before) / scale.counted_seconds):
        return measured
    return max(0.0, measured + SHARPNESS * overlap / (1.0 - overlap) * (measured - before))


def forecast(memory: Memory, scale: TimeScale, horizon_seconds: float) -> Forecast:
    """Level and trend, as far as trends have come true, and what may come instead. A falling trend is not extrapolated.

    While pods are missing already, most of a rise is believed, whatever became of others. What comes at this time of
    the day is expected instead when that is more.

    `memory` has `noted` the newest of its arrivals.
    """
    level, rise = _level_and_rise(memory, scale, horizon_seconds)
    errors = memory.errors or BELIEVED
    trust = max(_trust(errors), BELIEVED_BEHIND) if overload.behind(memory, level) else _trust(errors)
    peak = level * min(1.0 + trust * rise, MAX_GROWTH)
    jump = season.ahead(memory.season, memory.arrivals[-1].time, horizon_seconds) or 0.0
    announced, peak = jump > peak, max(jump, peak)
    highest = max((high.value for high in memory.highs), default=level)
    most, total = max(peak, BEYOND * highest), sum(errors.ratios)
    cases = tuple((min(r * peak, most), w / total) for r, w in zip(RATIOS, errors.ratios, strict=True) if w > 0)
    return Forecast(level, peak, cases, announced)


def noted(memory: Memory, scale: TimeScale, horizon_seconds: float) -> Memory:
    """Remember what is expected now, and how what was expected has come."""
    now, actual = memory.arrivals[-1].time, memory.arrivals[-1].value
    level, rise = _level_and_rise(memory, scale, horizon_seconds)
    if overload.flooded(memory):
        rise = 0.0  # what seems to come is an estimate then, and no measure of trends
    errors = memory.errors or BELIEVED
    due = [expected for expected in memory.expected if expected.time <= now]
    if due:
        errors = _learnt(errors, due[-1], actual, scale)
    remembered = now - scale.down_window_seconds + horizon_seconds
    kept = tuple(e for e in memory.expected if e.time > now or e.time > remembered)
    trust = _trust(errors)
    before = max((e.level * (1.0 + trust * e.rise) for e in kept if e.time > remembered), default=0.0)
    leading = level * (1.0 + trust * rise) >= LEADING * before
    kept = (*kept, Expected(now + horizon_seconds, level, rise, leading))
    # In a flood arrivals are estimated; what completed has surely come.
    high = memory.completions or 0.0 if overload.flooded(memory) else actual
    return replace(
        memory,
        expected=kept,
        errors=errors,
        highs=_highs(memory.highs, now, high, scale),
        season=season.noted(memory.season, now, high),
    )


def _learnt(errors: Errors, due: Expected, actual: float, scale: TimeScale) -> Errors:
    if due.level <= 0:
        return errors
    keep = 0.5 ** (scale.cycle_seconds / (HALF_LIFE_UNITS * scale.unit_seconds))
    weights = [keep * weight for weight in errors.ratios]
    if due.leading:
        ratio = actual / (due.level * (1.0 + _trust(errors) * due.rise))
        ratio = min(max(ratio, RATIOS[0]), RATIOS[-1])
        # Between two ratios that are counted, so that the mean is kept.
        above = min(bisect_right(RATIOS, ratio), len(RATIOS) - 1)
        share = (ratio - RATIOS[above - 1]) / (RATIOS[above] - RATIOS[above - 1])
        weights[above] += share
        weights[above - 1] += 1.0 - share
    moved = max(-1.0, min(actual / due.level - 1.0, 2.0))
    return Errors(
        tuple(weights),
        moved=keep * errors.moved + due.rise * moved,
        rise=keep * errors.rise + due.rise**2,
    )


def _trust(errors: Errors) -> float:
    """The part of expected rises that came."""
    return max(0.0, min(1.0, errors.moved / errors.rise)) if errors.rise > 0 else 0.0


def _highs(highs: tuple[Sample, ...], now: float, level: float, scale: TimeScale) -> tuple[Sample, ...]:
    """The highest load of each slot, the newest last; a slot's time is its begin."""
    slot = SLOT_UNITS * scale.unit_seconds
    if highs and now - highs[-1].time < slot:
        return (*highs[:-1], Sample(highs[-1].time, max(highs[-1].value, level)))
    return (*(h for h in highs if now - h.time < SLOTS * slot), Sample(now, level))


def _level_and_rise(memory: Memory, scale: TimeScale, horizon_seconds: float) -> tuple[float, float]:
    """Requests a second now, and what the trend adds until the horizon, in parts of that."""
    arrivals = memory.arrivals
    recent = [sample.value for sample in arrivals[-LEVEL_SAMPLES:]]
    now, usual = recent[-1], sum(recent) / len(recent)
    noise = math.sqrt(max(now, usual) / scale.counted_seconds)
    level = usual if abs(now - usual) <= SIGNIFICANT * noise else now
    if level <= 0:
        return level, 0.0
    slope = _slope(arrivals[-TREND_SAMPLES:], math.sqrt(2.0) * noise)
    return level, min(slope * horizon_seconds / level, MOST_RISE)


def _slope(samples: Sequence[Sample], noise: float) -> float:
    """Slope per second, never negative; 0 when the rise is not told from `noise`.

    Least squares, but no steeper than the median of the last three steps: a step is not a trend.
    The windows of neighbours overlap, so their residuals are no measure of noise: the counts are.
    """
    if len(samples) < 4:
        return 0.0
    mean_t = sum(s.time for s in samples) / len(samples)
    mean_v = sum(s.value for s in samples) / len(samples)
    spread = sum((s.time - mean_t) ** 2 for s in samples)
    if spread <= 0:
        return 0.0
    slope = sum((s.time - mean_t) * (s.value - mean_v) for s in samples) / spread
    if slope * (samples[-1].time - samples[0].time) <= SIGNIFICANT * noise:
        return 0.0
    steps = sorted((b.value - a.value) / max(b.time - a.time, 1e-9) for a, b in pairwise(samples[-4:]))
    return max(0.0, min(slope, STEEPEST * steps[1]))
