"""Whether a status says something else than the one that was written, or the same with the noise of measuring.

Measured numbers never stand still: ten thousand statuses that followed each step would flood the API server. So a
measured number is news once it leaves a band around the one that was written, and the others go with it. The band is
around what was written, not around the number before: slow drift is not missed, and no number flaps at an edge. What is
decided, counted or judged is news whenever it changes: a promise that is missed by a hair is missed.
"""

from __future__ import annotations

import math
import re

from perfslo.core.model import JSON

NOISE = 0.1
"""Half width of the band: three sigmas of the requests counted in a minute of 20 a second."""
NOISE_REQUESTS = 1000.0
"""A share wanders like one of so many requests: its band is two sigmas wide, which matters where it is small."""

_MEASURED = {
    "p50", "p95", "p99", "requestsPerSecond", "errors", "cpu", "throttled", "memory", "memoryOfLimit", "disk",
    "network", "utilization", "budget", "current", "badPercent", "requests", "message",
}  # fmt: skip
"""Fields whose numbers carry noise, and so do those of the fields within."""
_RIDE_ALONG = {"observedTime", "ageSeconds", "exhaustsAt"}
"""Fields that change by themselves, which is never news."""
_UNITS = {
    "ms": 0.001, "s": 1.0, "m": 60.0,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
    "B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12,
    "%": 0.01,
}  # fmt: skip
"""Those of core/text.py: 990ms and 1.01s are neighbours."""
_NUMBER = re.compile(
    r"(?<![\w.])([0-9]+(?:\.([0-9]+))?(?:e[+-]?[0-9]+)?)"
    rf"({'|'.join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))}|)(?!\w)"
)


def differs(written: JSON, now: JSON) -> bool:
    """Whether `now`, a status or a part of one, is news to somebody who has read `written`."""
    return _news("", written, now, measured=False)


def _news(name: str, written: object, now: object, measured: bool) -> bool:
    if written == now or name in _RIDE_ALONG:
        return False
    measured = measured or name in _MEASURED
    match written, now:
        case dict(), dict():
            names = written.keys() | now.keys()
            return any(_news(each, written.get(each), now.get(each), measured) for each in names)
        case list(), list() if len(written) == len(now):
            return any(_news(name, one, other, measured) for one, other in zip(written, now, strict=True))
        case ((str() | int()), (str() | int())) if measured:
            unit = "%" if name.endswith("Percent") else ""
            return not _alike(f"{written}{unit}", f"{now}{unit}")
    return True


def _alike(written: str, now: str) -> bool:
    """Whether two texts differ by the noise of their numbers only."""
    one, other = _NUMBER.split(written), _NUMBER.split(now)  # words, then number, decimals, unit, words, over and over
    if one[::4] != other[::4]:
        return False
    return all(map(_near, *(parts[part::4] for parts in (one, other) for part in (1, 2, 3))))


def _near(one: str, decimals: str | None, unit: str, other: str, other_decimals: str | None, other_unit: str) -> bool:
    scale, other_scale = _UNITS.get(unit, 1.0), _UNITS.get(other_unit, 1.0)
    first, second = float(one) * scale, float(other) * other_scale
    band = NOISE * max(first, second)
    if unit == "%":
        band = max(band, 2.0 * math.sqrt(max(first, second) / NOISE_REQUESTS))
    return abs(first - second) <= max(band, _step(decimals, scale), _step(other_decimals, other_scale)) * (1 + 1e-9)


def _step(decimals: str | None, scale: float) -> float:
    """One step of the last decimal, which is rounding. A whole number may be a count of pods, and has none."""
    return 10.0 ** -len(decimals) * scale if decimals else 0.0
