"""Recorded request rates, cut, hurried and scaled to fit what is tried out.

A file has the line `t_seconds,rps`, and then one line for each bin: when it starts, and the mean rate in it.
"""

from __future__ import annotations

import csv
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from perfslo.errors import ConfigurationError
from perfslo.simulate.model import Load

HEADER = ["t_seconds", "rps"]
_Rows = TypeAdapter(
    list[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], Annotated[float, Field(ge=0, allow_inf_nan=False)]]]
)


def read(path: Path) -> Load:
    """The load that a file holds. Time begins with its first bin, and the last bin is as long as the one before.

    Raises ConfigurationError, with the line and what to write there.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), start=1) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not lines or [cell.strip() for cell in lines[0][1]] != HEADER:
        raise ConfigurationError(f"{path}:1: write {','.join(HEADER)} into the first line")
    numbers = [number for number, _ in lines[1:]]
    try:
        rows = _Rows.validate_python([tuple(line) for _, line in lines[1:]])
    except ValidationError as error:
        first = error.errors()[0]
        number, column = numbers[int(first["loc"][0])], first["loc"][1:2]
        where = HEADER[int(column[0])] if column and int(column[0]) < len(HEADER) else "the line"
        raise ConfigurationError(
            f"{path}:{number}: {where}: write two numbers from 0, as in 60,12.5 ({first['msg']})"
        ) from None
    if len(rows) < 2:
        raise ConfigurationError(f"{path}: it has {len(rows)} bins: at least two make a trace")
    for number, ((before, _), (after, _)) in zip(numbers[1:], pairwise(rows), strict=True):
        if after <= before:
            raise ConfigurationError(f"{path}:{number}: t_seconds {after:g} is not after {before:g}: sort the lines")
    start, (last, rps) = rows[0][0], rows[-1]
    times = [*(t - start for t, _ in rows), 2 * last - rows[-2][0] - start]
    return Load(tuple(times), (*(r for _, r in rows), rps))


def cut(load: Load, from_seconds: float = 0.0, duration_seconds: float = math.inf) -> Load:
    """A part of a load, beginning anew at 0. Raises ConfigurationError when nothing is left."""
    to_seconds = min(from_seconds + duration_seconds, load.duration_seconds)
    if not 0 <= from_seconds < to_seconds:
        raise ConfigurationError(
            f"nothing is left of a trace of {load.duration_seconds:g} s from {from_seconds:g} s on: start earlier"
        )
    inner = [(t, r) for t, r in zip(load.times_seconds, load.rps, strict=True) if from_seconds < t < to_seconds]
    points = [(from_seconds, load.at(from_seconds)), *inner, (to_seconds, load.at(to_seconds))]
    return Load(tuple(t - from_seconds for t, _ in points), tuple(r for _, r in points))


def hurried(load: Load, speed: float) -> Load:
    """The same rates in less time: at 24 a day takes an hour."""
    return Load(tuple(t / speed for t in load.times_seconds), load.rps)


def peaking(load: Load, peak_rps: float) -> Load:
    """Multiplied so that the highest rate is this. Raises ConfigurationError for a trace without a request."""
    return _multiplied(load, peak_rps, max(load.rps))


def averaging(load: Load, mean_rps: float) -> Load:
    """Multiplied so that the mean rate is this. Raises ConfigurationError for a trace without a request."""
    return _multiplied(load, mean_rps, load.mean_rps)


def around_the_peak(load: Load, duration_seconds: float) -> Load:
    """The part with the highest rate two thirds of the way through; all of it when it is not longer."""
    if load.duration_seconds <= duration_seconds:
        return load
    peak = load.times_seconds[max(range(len(load.rps)), key=lambda i: load.rps[i])]
    start = min(max(0.0, peak - duration_seconds * 2 / 3), load.duration_seconds - duration_seconds)
    return cut(load, start, duration_seconds)


def _multiplied(load: Load, wanted: float, found: float) -> Load:
    if found <= 0:
        raise ConfigurationError("the trace has no request in it: take another part of it")
    return Load(load.times_seconds, tuple(r * wanted / found for r in load.rps))
