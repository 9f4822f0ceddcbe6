"""Synthetic loads. Each is a function of time with a mean of about 1, to be multiplied; chance comes from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from perfslo.simulate.model import Load

STEP_SECONDS = 5.0
Rate = Callable[[float], float]


def sampled(rate: Rate, duration_seconds: float, step_seconds: float = STEP_SECONDS) -> Load:
    """The load of a function of time, never below 0."""
    times = [i * step_seconds for i in range(math.ceil(duration_seconds / step_seconds) + 1)]
    return Load(tuple(times), tuple(max(0.0, rate(t)) for t in times))


def constant(duration_seconds: float, rps: float = 1.0) -> Load:
    return Load((0.0, duration_seconds), (rps, rps))


def step(duration_seconds: float, at_seconds: float, until_seconds: float, low: float, high: float) -> Load:
    """`high` between two times and `low` outside, within a second."""
    corners = ((0.0, low), (at_seconds, low), (at_seconds + 1, high), (until_seconds, high), (until_seconds + 1, low))
    points = [*corners, (duration_seconds, low)]
    return Load(tuple(t for t, _ in points), tuple(r for _, r in points))


def ramp(duration_seconds: float, at_seconds: float, until_seconds: float, low: float, high: float) -> Load:
    """`low`, then evenly up to `high`, which stays."""
    return Load((0.0, at_seconds, until_seconds, duration_seconds), (low, low, high, high))


def flash_crowd(duration_seconds: float, at_seconds: float, low: float, factor: float, rise_seconds: float) -> Load:
    """`low`, `factor` times as much within `rise_seconds` for 10 minutes, and back as interest fades."""

    def rate(t: float) -> float:
        if t < at_seconds:
            return low
        after = t - at_seconds
        faded = 1.0 if after < 600 else math.exp((600 - after) / 600)
        return low * (1 + (factor - 1) * min(1.0, after / rise_seconds) * faded)

    return sampled(rate, duration_seconds)


def on_off(duration_seconds: float, period_seconds: float, low: float, high: float, edge_seconds: float = 20.0) -> Load:
    """High for half of each period and low for the other, with edges as steep as a batch job has them."""

    def rate(t: float) -> float:
        phase = t % period_seconds
        half = period_seconds / 2
        up = min(1.0, phase / edge_seconds)
        down = min(1.0, max(0.0, (phase - half) / edge_seconds))
        return low + (high - low) * (up - down)

    return sampled(rate, duration_seconds)


def diurnal(duration_seconds: float, seed: int, swing: float = 0.45) -> Load:
    """A day and its night, with a morning steeper than the evening and the slow noise that real days have."""
    noise = _wandering(random.Random(seed), 0.03, 180.0)

    def rate(t: float) -> float:
        turn = 2 * math.pi * t / duration_seconds
        return 1 + swing * math.sin(turn - 1.9) + 0.25 * swing * math.sin(2 * turn - 1.0) + noise(t)

    return sampled(rate, duration_seconds)


def noisy(duration_seconds: float, seed: int, deviation: float = 0.2) -> Load:
    """No trend: rates that wander within half a minute, as those of a service with few users do."""
    fast, slow = (_wandering(random.Random(f"{seed}-{seconds}"), deviation * 0.7, seconds) for seconds in (15.0, 90.0))
    return sampled(lambda t: 1 + fast(t) + slow(t), duration_seconds)


def bursty(duration_seconds: float, seed: int) -> Load:
    """A quiet level, and on it bursts of up to three times as much that come every few minutes and last one to four."""
    chance = random.Random(seed)
    bursts = []
    t = chance.uniform(60, 240)
    while t < duration_seconds:
        lasting = chance.uniform(60, 240)
        bursts.append((t, t + lasting, chance.uniform(0.6, 1.6)))
        t += lasting + chance.expovariate(1 / 180)
    noise = _wandering(chance, 0.06, 20.0)

    def rate(t: float) -> float:
        return 0.65 + noise(t) + sum(high * _plateau(t, start, end, 20.0) for start, end, high in bursts)

    return sampled(rate, duration_seconds)


def _plateau(t: float, start: float, end: float, edge: float) -> float:
    return max(0.0, min(1.0, (t - start) / edge, (end - t) / edge))


def _wandering(chance: random.Random, deviation: float, memory_seconds: float) -> Rate:
    """Gaussian noise around 0 that forgets its past within `memory_seconds` (first-order autoregressive)."""
    keep = math.exp(-STEP_SECONDS / memory_seconds)
    values = [chance.gauss(0, deviation)]

    def value(t: float) -> float:
        index = int(t / STEP_SECONDS)
        while len(values) <= index:
            values.append(keep * values[-1] + chance.gauss(0, deviation * math.sqrt(1 - keep * keep)))
        return values[index]

    return value
