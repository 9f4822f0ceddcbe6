"""Whether a status says something else than the one that was written, or the same with the noise of measuring.

Measured numbers never stand still: ten thousand statuses that followed each step would flood the API server. So a
measured number is news once it leaves a band around the one that was written, and the others go with it. The band is
around what was written, not around the number before: slow drift is not missed, and no number flaps at an edge. What is
decided, counted or judged is news whenever it changes: a promise that is missed by a hair is missed.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from itertools import starmap

from perfslo.core.model import JSON

NOISE = 0.1
"""Half width of the band: three sigmas of the requests counted in a minute of 20 a second."""
NOISE_REQUESTS = 1000.0
"""A share wanders like one of so many requests: its band is two sigmas wide, which matters where it is small."""

_MEASURED = {
    "p50", "p95", "p99", "requestsPerSecond", "errors", "cpu", "throttled", "memory", "memoryOfLimit", "disk",
    "network", "utilization", "budget", "budgetRemainingPercent", "current", "value", "badPercent", "requests",
    "message", "recommendations",
}  # fmt: skip
"""Fields whose numbers carry noise, and so do those of the fields within."""
_RIDE_ALONG = {"observedTime", "ageSeconds", "exhaustsAt", "badPercentLow", "badPercentHigh"}
"""Fields that change by themselves, or only with others, which is never news."""
_UNITS = {
    "ms": 0.001, "s": 1.0, "m": 60.0,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
    "B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12,
    "%": 0.01,
}  # fmt: skip
"""Those of core/text.py: 990ms and 1.01s are neighbours."""
_NUMBER = re.compile(r"([0-9](?<![\w.][0-9])[0-9]*(?:\.([0-9]+))?(?:e[+-]?[0-9]+)?)([A-Za-z%/]*)")
"""A number, its decimals and its unit; not the 95 of p95."""


def differs(written: JSON, now: JSON, measured: bool = False) -> bool:
    """Whether `now`, a status or a part of one, is news to somebody who has read `written`.

    `measured`: whether the numbers of all its fields carry noise.
    """
    return any(
        _news(name, one, other, measured or name in _MEASURED)
        for name in written.keys() | now.keys()
        if (one := written.get(name)) != (other := now.get(name)) and name not in _RIDE_ALONG
    )


def _news(name: str, written: object, now: object, measured: bool) -> bool:
    if isinstance(written, dict) and isinstance(now, dict):
        return differs(written, now, measured)
    if isinstance(written, list) and isinstance(now, list) and len(written) == len(now):
        return any(one != other and _news(name, one, other, measured) for one, other in zip(written, now, strict=True))
    if measured and isinstance(written, str | int) and isinstance(now, str | int):
        unit = "%" if name.endswith("Percent") else ""
        return not _alike(f"{written}{unit}", f"{now}{unit}")
    return True


def _alike(written: str, now: str) -> bool:
    """Whether two texts differ by the noise of their numbers only."""
    one, other = _NUMBER.split(written), _NUMBER.split(now)  # words, then number, decimals, unit, words, over and over
    if one[::4] != other[::4]:
        return False
    numbers = zip(one[1::4], one[2::4], one[3::4], other[1::4], other[2::4], other[3::4], strict=True)
    return all(starmap(_near, numbers))


def _near(one: str, decimals: str | None, unit: str, other: str, other_decimals: str | None, other_unit: str) -> bool:
    if unit == other_unit and one == other:
        return True
    first, step = _quantity(one, decimals, unit)
    second, other_step = _quantity(other, other_decimals, other_unit)
    largest = max(first, second)
    band = max(NOISE * largest, step, other_step)
    if unit == "%":
        band = max(band, 2.0 * math.sqrt(largest / NOISE_REQUESTS))
    alike = unit == other_unit or (unit in _UNITS and other_unit in _UNITS)
    return alike and abs(first - second) <= band * (1 + 1e-9)


@lru_cache(4096)
def _quantity(number: str, decimals: str | None, unit: str) -> tuple[float, float]:
    """The number in its base unit, and one step of its last decimal.

    A step is rounding. A whole number without a unit may be a count of pods, and has none.
    """
    scale = _UNITS.get(unit, 1.0)
    return float(number) * scale, 10.0 ** -len(decimals or "") * scale if decimals or unit else 0.0
