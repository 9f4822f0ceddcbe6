"""Counts of good and bad requests for the error budget: by the hour for two days, by the day before that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import objectives
from perfslo.core.memory import BudgetSlice
from perfslo.core.model import Histogram, Missing, Observation

HOURLY_HOURS = 48
"""Hours of the error budget kept one by one; older ones are kept by the day."""


def counted(
    spec: PerformanceSLOSpec, before: Mapping[str, tuple[BudgetSlice, ...]], observation: Observation, elapsed: float
) -> dict[str, tuple[BudgetSlice, ...]]:
    """The counts with those of the last `elapsed` seconds, the new part of each window once, within `spec.window`."""
    part = min(1.0, elapsed / observation.scale.window_seconds)
    hour = int(observation.time // 3600)
    oldest = hour - math.ceil(spec.window_seconds / 3600)
    counts = {}
    for objective in spec.latency_objectives:
        reading = observation.latency.get(objective.name, Missing("NotMeasured"))
        slices = before.get(objective.name, ())
        if objectives.known(reading) and part > 0:
            share = objectives.slow(observation, objective)
            errors = objectives.number(objectives.requests_of(objective, observation).error_ratio) or 0.0
            total = reading.total * part if isinstance(reading, Histogram) else 0.0
            bad = total * (share.ratio + errors * (1.0 - share.ratio)) if share else 0.0
            slices = _merged(slices, BudgetSlice(hour, 1, total, bad, elapsed))
        counts[objective.name] = tuple(s for s in slices if s.hour + s.hours > oldest)
    return counts


def _merged(slices: tuple[BudgetSlice, ...], new: BudgetSlice) -> tuple[BudgetSlice, ...]:
    if slices and slices[-1].hour == new.hour and slices[-1].hours == 1:
        return (*slices[:-1], _sum(slices[-1], new))
    out: list[BudgetSlice] = []
    for piece in slices:
        if piece.hours == 1 and piece.hour < new.hour - HOURLY_HOURS:
            piece = replace(piece, hour=piece.hour - piece.hour % 24, hours=24)
            if out and out[-1].hour == piece.hour and out[-1].hours == 24:
                piece = _sum(out.pop(), piece)
        out.append(piece)
    return (*out, new)


def _sum(one: BudgetSlice, other: BudgetSlice) -> BudgetSlice:
    return replace(
        one,
        total=one.total + other.total,
        bad=one.bad + other.bad,
        covered_seconds=one.covered_seconds + other.covered_seconds,
    )
