"""Writes what each turn came to: the status when it changed, an Event when something happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from perfslo.api.v1alpha1 import Condition, PerformanceSLOStatus
from perfslo.core import notable
from perfslo.core.model import JSON, ChangeResult
from perfslo.core.status import report, unreadable
from perfslo.core.turn import Turn
from perfslo.edges.kube.budget import StatusBudget, Wish
from perfslo.edges.kube.writes import Event, Writer, apply_status, emit
from perfslo.edges.watch import SLO
from perfslo.errors import ApiError

log = structlog.get_logger(__name__)

MEMORY_REFRESH_SECONDS = 300.0
"""What was learnt is worth a write of its own only now and then: a restart loses at most this much of it."""

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
    """What is known to be written about one SLO, and what should be."""

    uid: str
    status: PerformanceSLOStatus
    written: JSON
    written_at: float = 0.0


class Scribe:
    def __init__(self, writer: Writer, budget: StatusBudget, instance: str) -> None:
        self._writer = writer
        self._budget = budget
        self._instance = instance
        self._pages: dict[str, _Page] = {}

    async def publish(self, slos: Mapping[str, SLO], turns: Mapping[str, Turn], now: float) -> int:
        """Write as many changed statuses as the budget allows, each with the Events of its transitions.

        `turns` are those of this cycle, by the SLO's key. An Event for a decision does not wait for the budget.
        Returns how many were written.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        self._pages = {key: page for key, page in self._pages.items() if key in slos}
        wishes = []
        for key, slo in slos.items():
            page, turn = self._page(key, slo), turns.get(key)
            before, page.status = page.status, _status(slo, turn, page.status, now)
            if turn and (event := _decision_event(slo, turn, before, page.status)):
                await emit(self._writer, self._instance, event)
            if _differs(page, now):
                wishes.append(Wish(key, _state_changed(page), page.written_at))
        return sum([await self._write(key, slos[key], now) for key in self._budget.grant(wishes, now)])

    def _page(self, key: str, slo: SLO) -> _Page:
        page = self._pages.get(key)
        if page is None or page.uid != slo.uid:
            status = read_status(slo.status)
            page = self._pages[key] = _Page(slo.uid, status, _dump(status))
        return page

    async def _write(self, key: str, slo: SLO, now: float) -> bool:
        page = self._pages[key]
        status = _dump(page.status)
        try:
            await apply_status(self._writer, slo, status)
        except ApiError as error:
            log.warning("status not written", namespace=slo.namespace, name=slo.name, reason=error.reason)
            return False
        before, page.written, page.written_at = read_status(page.written), status, now
        for event in _transition_events(slo, before, page.status):
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


def _dump(status: PerformanceSLOStatus) -> JSON:
    dumped: JSON = status.model_dump(mode="json", exclude_none=True)
    return dumped


def _differs(page: _Page, now: float) -> bool:
    status = _dump(page.status)
    if notable.differs(_without_memory(page.written), _without_memory(status)):
        return True
    return status.get("memory") != page.written.get("memory") and now - page.written_at > MEMORY_REFRESH_SECONDS


def _without_memory(status: JSON) -> JSON:
    return {name: value for name, value in status.items() if name != "memory"}


def _state_changed(page: _Page) -> bool:
    written = page.written
    return (
        written.get("summary", {}).get("state") != page.status.summary.state
        or [c.get("status") for c in written.get("conditions", ())] != [c.status for c in page.status.conditions]
        or written.get("lastDecision", {}).get("id") != (page.status.last_decision and page.status.last_decision.id)
    )


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
