"""Writes what each turn came to: the status when it changed, an Event when something happened."""

from __future__ import annotations

import asyncio
import heapq
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from perfslo.api.v1alpha1 import Condition, PerformanceSLOStatus
from perfslo.core import codec, notable
from perfslo.core.model import JSON, ChangeResult, Outcome
from perfslo.core.status import Gist, gist, report, unreadable
from perfslo.core.turn import Turn
from perfslo.edges.kube.budget import StatusBudget, Wish
from perfslo.edges.kube.writes import Event, Writer, apply_status, emit
from perfslo.edges.watch import SLO
from perfslo.errors import ApiError

log = structlog.get_logger(__name__)

MEMORY_REFRESH_SECONDS = 3600.0
"""What was learnt goes along with the news, and is worth a write of its own only now and then: a restart loses at most
so much of it, from a time in which no number left its band. Thousands of SLOs at rest are not written for it."""
WAITING_REFRESH_UNITS = 1.0
"""The same while a reduction waits for nothing but time: a new leader goes on waiting if the memory that it finds is a
cycle or two old, and else begins anew (see `iterate.UNSEEN_UNITS`)."""
_WAITS = {"StabilizationWindow", "FlapBudget", "LoadReturns"}

REPORTS_A_WRITE = 4
"""Times what the budget lets through at once. Most turns say what the one before said, but for the noise of their
numbers: finding that out for each of thousands takes longer than deciding."""
BREATH = 50
"""After so many SLOs others have the event loop."""
_CHANGED, _NEW, _QUIET = range(3)

_TELLING = {
    "SLOMet": "True",
    "MetricsAvailable": "True",
    "WriteConflict": "False",
    "Ready": "True",
    "Fallback": "False",
}
"""Conditions whose transitions are Events, and the status in which all is well."""


@dataclass(slots=True)
class _Page:
    """What is known to be written about one SLO, and what should be; packed, for most are seldom looked at."""

    uid: str
    status: bytes
    """Without what is remembered, once a turn was reported."""
    written: bytes
    written_at: float = 0.0
    gist: Gist | None = None
    """Of the newest turn that was reported."""
    reported_at: float = 0.0
    is_news: bool = False
    """Whether `status` says something else than what is written."""
    is_urgent: bool = False
    """Whether it says so of more than numbers."""


class Scribe:
    def __init__(self, writer: Writer, budget: StatusBudget, instance: str) -> None:
        self._writer = writer
        self._budget = budget
        self._instance = instance
        self._pages: dict[str, _Page] = {}

    async def publish(self, slos: Mapping[str, SLO], turns: Mapping[str, Turn], now: float) -> int:
        """Write as many changed statuses as the budget allows, each with the Events of its transitions.

        A decision and its verdict are reported at once; of the other turns several times as many as may be written are,
        those whose state or conditions changed before those whose numbers may be news. An Event for a decision does not
        wait for the budget. `turns` are those of this cycle, by the SLO's key. Returns how many were written.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        self._pages = {key: page for key, page in self._pages.items() if key in slos}
        waiting: list[tuple[int, float, str]] = []
        for count, (key, slo) in enumerate(slos.items()):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            page, turn = self._page(key, slo), turns.get(key)
            if slo.spec is None or (turn and (turn.change or turn.verdict)):
                await self._report(page, slo, turn, now)
            elif turn and gist(turn) != page.gist:
                waiting.append((_NEW if page.gist is None else _CHANGED, page.reported_at, key))
            elif turn and not page.is_news:
                waiting.append((_QUIET, page.reported_at, key))
        for count, (_, _, key) in enumerate(heapq.nsmallest(REPORTS_A_WRITE * self._budget.burst, waiting)):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            await self._report(self._pages[key], slos[key], turns[key], now)
        wishes = [Wish(key, page.is_urgent, page.written_at) for key, page in self._pages.items() if page.is_news]
        granted = self._budget.grant(wishes, now)
        writing = (self._write(self._pages[key], slos[key], turns.get(key), now) for key in granted)
        return sum(await asyncio.gather(*writing))

    def _page(self, key: str, slo: SLO) -> _Page:
        page = self._pages.get(key)
        if page is None or page.uid != slo.uid:
            page = self._pages[key] = _Page(slo.uid, slo.status_packed, slo.status_packed)
        return page

    async def _report(self, page: _Page, slo: SLO, turn: Turn | None, now: float) -> None:
        """Bring the page up to date with a turn."""
        if not page.reported_at:  # as it was found, whoever wrote it: thousands are found at once
            page.status = page.written = _packed(_dump(_status_in(page.written)))
        before = _status_in(page.status)
        after = _status(slo, turn, before, now)
        if turn and (event := _decision_event(slo, turn, before, after)):
            _log_decision(turn)
            await emit(self._writer, self._instance, event)
        if turn and (event := _verdict_event(slo, turn)):
            await emit(self._writer, self._instance, event)
        written, status = _unpacked(page.written), _without_memory(_dump(after))
        page.status, page.gist, page.reported_at = _packed(status), gist(turn) if turn else None, now
        page.is_news = notable.differs(_without_memory(written), status) or (
            turn is not None
            and now - page.written_at >= _refresh_seconds(turn)
            and _remembered(turn) != written.get("memory")
        )
        page.is_urgent = _essence(written) != _essence(status)

    async def _write(self, page: _Page, slo: SLO, turn: Turn | None, now: float) -> bool:
        if turn and page.reported_at != now:
            await self._report(page, slo, turn, now)
        status = _unpacked(page.status)
        if memory := _remembered(turn) if turn else _unpacked(page.written).get("memory"):
            status["memory"] = memory
        try:
            await apply_status(self._writer, slo, status)
        except ApiError as error:
            log.warning("status not written", namespace=slo.namespace, name=slo.name, reason=error.reason)
            return False
        before, page.written, page.written_at, page.is_news = page.written, _packed(status), now, False
        for event in _transition_events(slo, _status_in(before), read_status(status)):
            await emit(self._writer, self._instance, event)
        return True


def _status(slo: SLO, turn: Turn | None, before: PerformanceSLOStatus, now: float) -> PerformanceSLOStatus:
    if slo.spec is None:
        return unreadable(slo.problem, slo.generation, now, before)
    return report(turn, before) if turn else before


def read_status(status: Mapping[str, object]) -> PerformanceSLOStatus:
    """The status as the API server has it; an empty one when it was written by something that we do not understand."""
    try:
        return PerformanceSLOStatus.model_validate(dict(status))
    except ValidationError:
        return PerformanceSLOStatus()


def _status_in(packed: bytes) -> PerformanceSLOStatus:
    return read_status(_unpacked(packed))


def _dump(status: PerformanceSLOStatus) -> JSON:
    dumped: JSON = status.model_dump(mode="json", exclude_none=True)
    return dumped


def _packed(status: JSON) -> bytes:
    return zlib.compress(json.dumps(status, separators=(",", ":")).encode(), 1)


def _unpacked(packed: bytes) -> JSON:
    status: JSON = json.loads(zlib.decompress(packed))
    return status


def _remembered(turn: Turn) -> JSON:
    """What the status keeps of the memory: made for a write alone, as it takes as long as all the rest."""
    return {"version": codec.VERSION, "data": codec.encode(turn.memory)}


def _refresh_seconds(turn: Turn) -> float:
    plans = [turn.plan, *(part.plan for part in turn.parts.values())]
    if turn.observation and any(plan and _WAITS & {*plan.limited_by} for plan in plans):
        return WAITING_REFRESH_UNITS * turn.observation.scale.unit_seconds
    return MEMORY_REFRESH_SECONDS


def _without_memory(status: JSON) -> JSON:
    return {name: value for name, value in status.items() if name != "memory"}


def _essence(status: JSON) -> object:
    """State, conditions and decision."""
    conditions = [condition.get("status") for condition in status.get("conditions", ())]
    return status.get("summary", {}).get("state"), conditions, status.get("lastDecision", {}).get("id")


def _decision_event(slo: SLO, turn: Turn, before: PerformanceSLOStatus, after: PerformanceSLOStatus) -> Event | None:
    decision, known = after.last_decision, before.last_decision
    if turn.change is None or decision is None or (known and known.id == decision.id):
        return None
    return Event(
        slo,
        reason=_REASONS.get(turn.change.result, decision.action),
        action=decision.action,
        note=f"{decision.lever} {decision.from_}->{decision.to}: {turn.why}",
        warning=turn.change.result is ChangeResult.REFUSED,
        decision_id=decision.id,
    )


def _log_decision(turn: Turn) -> None:
    """Once, as its Event: advice that is repeated every cycle is no news."""
    if (plan := turn.plan) is None or (change := turn.change) is None:
        return
    found, wanted = change.step.values
    log.info(
        "decision",
        namespace=turn.namespace,
        name=turn.name,
        decision_id=change.decision_id,
        lever=change.step.lever,
        subject=change.step.subject,
        current=found,
        wanted=wanted,
        result=change.result.value,
        why=turn.why,
        numbers=dict(plan.numbers),
    )


def _verdict_event(slo: SLO, turn: Turn) -> Event | None:
    """Of an experiment; that replicas followed the load well is no news."""
    if (verdict := turn.verdict) is None or verdict.lever == "replicas":
        return None
    return Event(
        slo,
        reason=verdict.outcome.value,
        action="Judge",
        note=verdict.why,
        warning=verdict.outcome is Outcome.WORSE,
        decision_id=verdict.decision_id,
    )


_REASONS = {ChangeResult.RECOMMENDED: "Recommended", ChangeResult.REFUSED: "WriteRefused"}


def _transition_events(slo: SLO, before: PerformanceSLOStatus, after: PerformanceSLOStatus) -> Iterable[Event]:
    known = {condition.type: condition for condition in before.conditions}
    for condition in after.conditions:
        if _is_telling(condition, known.get(condition.type)):
            yield Event(
                slo,
                reason=condition.reason,
                action=condition.type,
                note=f"{condition.type} is {condition.status}: {condition.message}",
                warning=condition.status != _TELLING[condition.type],
            )


def _is_telling(condition: Condition, before: Condition | None) -> bool:
    if condition.type not in _TELLING or condition.status == "Unknown":
        return False
    return (before.status if before else _TELLING[condition.type]) != condition.status
