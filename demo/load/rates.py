"""Rate files: a step function of time, `t_seconds,rps`, each row in force until the next; the last row is the end."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from collections.abc import Iterator

HEADER = ["t_seconds", "rps"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of constant rate: `requests` of them, evenly spaced from `start_seconds` on."""

    start_seconds: float
    duration_seconds: float
    rps: float

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + self.duration_seconds

    @property
    def requests(self) -> int:
        return round(self.duration_seconds * self.rps)

    def planned_seconds(self) -> Iterator[float]:
        """When each request is due, in seconds from the start of the replay."""
        return (self.start_seconds + number / self.rps for number in range(self.requests))


def parse(text: str, scale: float = 1.0) -> list[Segment]:
    """Reads a rate file, its rates multiplied by `scale` and rounded to 0.01.

    ValueError names the line and says what to write there.
    """
    rows = list(csv.reader(line for line in text.splitlines() if line and not line.startswith("#")))
    if not rows or rows[0] != HEADER:
        raise ValueError(f"a rate file starts with the line {','.join(HEADER)}")
    steps = [_step(row) for row in rows[1:]]
    if len(steps) < 2 or steps[0][0] != 0 or steps[-1][1] != 0:
        raise ValueError("a rate file needs a first row at second 0 and a last row with rate 0, which is its end")
    for (earlier, _), (later, _) in itertools.pairwise(steps):
        if later <= earlier:
            raise ValueError(f"the row at second {later:g} must come after second {earlier:g}")
    return [
        Segment(start, until - start, round(rps * scale, 2)) for (start, rps), (until, _) in itertools.pairwise(steps)
    ]


def _step(row: list[str]) -> tuple[float, float]:
    try:
        start, rps = (float(cell) for cell in row)
    except ValueError:
        raise ValueError(f"{','.join(row)!r} is not a row of two numbers: write {','.join(HEADER)}") from None
    if not (math.isfinite(start) and math.isfinite(rps) and start >= 0 and rps >= 0):
        raise ValueError(f"{','.join(row)!r}: both numbers must be finite and not negative")
    return start, rps
