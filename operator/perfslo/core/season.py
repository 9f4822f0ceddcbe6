"""Loads that come at the same time every day: those that no trend announces.

A slope is followed by `forecast` as it is seen. What yesterday adds are jumps: the batch job at six, the shop that
opens at nine. One is expected where both days before had it, as far as today resembles them, and only while such
announcements have been nearer to what came than the load just before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfslo.core.frozen import replace
from perfslo.core.memory import Season, Slot

DAY_SECONDS = 86_400
SLOT_SECONDS = 300
SLOTS = DAY_SECONDS // SLOT_SECONDS
LATE_SECONDS = 60.0
"""A slot that is first looked at later than this after its begin is not one that was seen whole."""
LATELY = 6
"""Half an hour: how today compares with the days before it."""
FEWEST_LATELY = 3
JUMP = 1.25
"""Times the highest load of the last two slots: less is noise, or a slope."""
MOST_RESEMBLANCE = 2.0
"""Times the days before: a day that is busier yet has other reasons."""
BETTER = 0.7
"""Of the error of expecting no change: announcements that are no better are not listened to."""
KEPT = 0.8
"""Of older errors with each announcement: about the last five count."""
DIGITS = 4
UNKNOWN = "f" * DIGITS


def noted(season: Season, now: float, load: float) -> Season:
    """Remember the load now; with the end of a slot, also whether what was announced for it came."""
    slot = int(now // SLOT_SECONDS)
    if season.lately and slot == season.begin:
        under_way = season.lately[-1]
        if load <= under_way.came:
            return season
        return replace(season, lately=(*season.lately[:-1], replace(under_way, came=load)))
    follows = bool(season.lately) and slot == season.begin + 1
    days = season.days or UNKNOWN * (2 * SLOTS)
    if follows and season.whole:
        season, days = _judged(season), _with(days, season.begin % SLOTS, season.lately[-1].came)
    done = season.lately[-LATELY:] if follows else ()
    return Season(
        days,
        slot,
        (*done, Slot(load, before_at(days, slot))),
        follows and now - slot * SLOT_SECONDS <= LATE_SECONDS,
        _jump(days, slot, done, done),
        season.error,
        season.naive_error,
    )


def ahead(season: Season, now: float, horizon_seconds: float) -> float | None:
    """The jump to expect until then, in requests a second; None when there is none, or none that is believed."""
    if season.error >= BETTER * season.naive_error or not season.lately:
        return None
    last = min(int((now + horizon_seconds) // SLOT_SECONDS), season.begin + SLOTS)
    done = season.lately[:-1]
    jumps = (_jump(season.days, slot, done, season.lately) for slot in range(season.begin, last + 1))
    return max((jump for jump in jumps if jump is not None), default=None)


def _jump(days: str, slot: int, done: Sequence[Slot], seen: Sequence[Slot]) -> float | None:
    """What the days before had in a slot, as far as today resembles them, if that is far above what was just seen."""
    before = before_at(days, slot)
    known = [one for one in done if one.before is not None]
    if before is None or len(known) < FEWEST_LATELY:
        return None
    theirs = sum(one.before or 0.0 for one in known)
    resemblance = sum(one.came for one in known) / theirs if theirs > 0 else 1.0
    expected = before * min(resemblance, MOST_RESEMBLANCE)
    return expected if expected > JUMP * max(one.came for one in seen[-2:]) else None


def _judged(season: Season) -> Season:
    """The one slot is over: was its announcement better than none?"""
    if season.announced is None or len(season.lately) < 2:
        return season
    came, earlier = season.lately[-1].came, season.lately[-2].came
    return replace(
        season,
        error=KEPT * season.error + abs(came - season.announced),
        naive_error=KEPT * season.naive_error + abs(came - earlier),
    )


def _with(days: str, at: int, load: float) -> str:
    """The newest day's load of a slot; what stood there is that of the day before now."""
    begin, end, half = at * DIGITS, (at + 1) * DIGITS, SLOTS * DIGITS
    newest, older = days[:half], days[half:]
    packed = f"{min(round(1000.0 * math.log1p(load)), 0xFFFE):0{DIGITS}x}"
    return newest[:begin] + packed + newest[end:] + older[:begin] + newest[begin:end] + older[end:]


def before_at(days: str, slot: int) -> float | None:
    """The lower one of the last two days; None when one is not known."""
    begin = slot % SLOTS * DIGITS
    both = [days[at : at + DIGITS] for at in (begin, begin + SLOTS * DIGITS)]
    return None if UNKNOWN in both else math.expm1(min(int(one, 16) for one in both) / 1000.0)
