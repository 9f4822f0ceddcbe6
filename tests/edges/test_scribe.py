"""What is written about an SLO, and when. Only the door to the API server is a double."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from perfslo.core.model import ChangeResult, Histogram, Missing, Outcome, Value, Verdict
from perfslo.core.turn import Conflict, Turn
from perfslo.edges.kube.budget import StatusBudget
from perfslo.edges.kube.writes import Writer
from perfslo.edges.scribe import MEMORY_REFRESH_SECONDS, Scribe
from perfslo.edges.watch import SLO
from perfslo.errors import ApiUnavailable, NotLeading
from tests.core.turns import BOUNDS, FAST, NOW, SLOW, change, memory, observation, plan, turn
from tests.edges.slos import slo

SLOWER = Histogram(BOUNDS, (400.0, 600.0, 950.0, 990.0, 1000.0))


class Door:
    """Keeps what was written; refuses it while `refusal` is set."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.refusal: Exception | None = None

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        if path.endswith("/status"):
            self.statuses.append(body[1]["value"])
        else:
            self.notes.append(body)
        return {}

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(note["type"], note["reason"]) for note in self.notes]


class Desk:
    """A scribe with its door, told of one turn after another."""

    def __init__(self, per_second: float = 5.0, burst: float = 75.0) -> None:
        self.door = Door()
        self.scribe = Scribe(cast(Writer, self.door), StatusBudget(per_second, burst), "pod-1")
        self.now = NOW

    async def tell(self, case: Turn, *, after: float = 15.0, about: SLO | None = None) -> None:
        about = about or slo(spec=case.spec)
        await self.publish({about.key: about}, {about.key: case}, after=after)

    async def publish(self, slos: Mapping[str, SLO], turns: Mapping[str, Turn], *, after: float = 15.0) -> None:
        self.now += after
        await self.scribe.publish(slos, {key: replace(t, time=self.now) for key, t in turns.items()}, self.now)


async def test_the_first_turn_is_written_whole() -> None:
    desk = Desk()
    await desk.tell(turn(FAST))
    (status,) = desk.door.statuses
    assert status["summary"]["state"] == "Healthy"
    assert {"conditions", "objectives", "levers", "memory"} <= {*status}
    assert desk.door.events == [], "that all is well is no news"


async def test_what_only_says_the_time_again_is_not_written() -> None:
    desk = Desk()
    await desk.tell(turn(FAST))
    await desk.tell(turn(replace(FAST, age_seconds=11.0)))
    assert len(desk.door.statuses) == 1


async def test_the_noise_of_measuring_is_not_written_and_goes_with_what_is() -> None:
    desk = Desk()
    calm = observation(FAST, completions_per_second=Value(20.0), memory_bytes=Value(4e8))
    await desk.tell(turn(seen=calm))
    for load in (20.6, 19.3, 21.4):
        noisy = replace(calm, completions_per_second=Value(load), memory_bytes=Value(4e8 + load * 1e6))
        await desk.tell(turn(seen=noisy))
    assert len(desk.door.statuses) == 1
    await desk.tell(turn(seen=replace(noisy, error_ratio=Value(0.03))))
    assert [status["summary"]["requestsPerSecond"] for status in desk.door.statuses] == ["20.0", "21.4"]
    await desk.tell(turn(seen=replace(noisy, error_ratio=Value(0.03), completions_per_second=Value(24.0))))
    assert desk.door.statuses[-1]["summary"]["requestsPerSecond"] == "24.0"


async def test_a_number_that_changed_is_written() -> None:
    desk = Desk()
    await desk.tell(turn(SLOW))
    await desk.tell(turn(SLOWER))
    assert [status["objectives"][0]["badPercent"] for status in desk.door.statuses] == ["30", "40"]


async def test_what_was_learnt_alone_is_written_now_and_then() -> None:
    desk = Desk()
    await desk.tell(turn(FAST, remembered=memory(startup_seconds=1.0)))
    learnt = turn(FAST, remembered=memory(startup_seconds=2.0))
    await desk.tell(learnt, after=MEMORY_REFRESH_SECONDS - 1)
    assert len(desk.door.statuses) == 1
    await desk.tell(learnt, after=2.0)
    assert len(desk.door.statuses) == 2
    assert desk.door.statuses[0]["memory"] != desk.door.statuses[1]["memory"]
    await desk.tell(learnt, after=MEMORY_REFRESH_SECONDS + 1)
    assert len(desk.door.statuses) == 2, "nothing new was learnt"


async def test_while_a_reduction_waits_what_a_new_leader_would_need_is_written_each_cycle() -> None:
    desk = Desk()
    waiting = turn(FAST, plan=plan(4, 4, "StabilizationWindow", proposed=2))
    for number in range(3):
        await desk.tell(replace(waiting, memory=memory(time=NOW + number)))
    assert len({status["memory"]["data"] for status in desk.door.statuses}) == 3
    done = turn(FAST, plan=plan(4, 4, "NoProof", proposed=2))
    for number in range(3):
        await desk.tell(replace(done, memory=memory(time=NOW + number)))
    assert len(desk.door.statuses) == 4, "that it waits for something else than time is news once"


async def test_a_transition_is_told_once() -> None:
    desk = Desk()
    for latency in (FAST, SLOW, SLOWER, SLOW, FAST, FAST):
        await desk.tell(turn(latency))
    assert desk.door.events == [("Warning", "Saturated"), ("Normal", "ObjectivesMet")]
    assert desk.door.notes[0]["regarding"]["uid"] == "uid-web"
    assert "p95: 500ms" in desk.door.notes[0]["note"]


async def test_trouble_is_told_at_first_sight() -> None:
    desk = Desk()
    await desk.tell(turn(Missing("SeriesMissing", "no series match"), conflict=Conflict("delete the HPA")))
    assert desk.door.events == [("Warning", "SeriesMissing"), ("Warning", "OtherWriter")]


async def test_what_the_api_server_already_has_is_not_told_again_after_a_restart() -> None:
    before = Desk()
    await before.tell(turn(SLOW))
    after = Desk()
    await after.tell(turn(SLOW), about=slo(status=before.door.statuses[-1]))
    assert after.door.events == []
    assert after.door.statuses == [], "nothing changed"


async def test_a_decision_is_told_once_with_its_id() -> None:
    desk = Desk()
    await desk.tell(turn(FAST, plan=plan(2, 4), change=change(2, 4)))
    await desk.tell(turn(FAST, plan=plan(4, 4)))
    assert desk.door.events == [("Normal", "ScaleUp")]
    assert desk.door.notes[0]["note"] == "replicas 2->4: scale 2 -> 4: load [d1]"


async def test_the_verdict_on_an_experiment_is_told_and_a_verdict_on_replicas_is_not() -> None:
    desk = Desk()
    worse = Verdict("d-7", Outcome.WORSE, "cache redis off->on: bad requests went from 6% to 40%", "cache")
    await desk.tell(replace(turn(FAST), verdict=worse))
    await desk.tell(replace(turn(FAST), verdict=Verdict("d-8", Outcome.IMPROVED, "latency objectives hold")))
    assert desk.door.events == [("Warning", "Worse")]
    assert (desk.door.notes[0]["action"], desk.door.notes[0]["note"]) == ("Judge", f"{worse.why} [d-7]")


@pytest.mark.parametrize(
    ("result", "event"),
    [(ChangeResult.RECOMMENDED, ("Normal", "Recommended")), (ChangeResult.REFUSED, ("Warning", "WriteRefused"))],
)
async def test_what_is_only_repeated_is_told_once(result: ChangeResult, event: tuple[str, str]) -> None:
    desk = Desk()
    with capture_logs() as lines:
        for number in range(3):
            await desk.tell(turn(FAST, plan=plan(2, 4), change=change(2, 4, result, decision=f"d{number}")))
    assert desk.door.events == [event]
    assert [(line["event"], line["decision_id"], line["result"]) for line in lines] == [
        ("decision", "d0", result.value)
    ]
    assert len(desk.door.statuses) == 1
    await desk.tell(turn(FAST, plan=plan(2, 5), change=change(2, 5, result, decision="other")))
    assert desk.door.events == [event, event]


async def test_the_budget_is_kept_and_nobody_is_forgotten() -> None:
    desk = Desk(per_second=0.2, burst=3)
    slos = {each.key: each for each in (slo(f"web-{number}") for number in range(7))}
    turns = {key: turn(FAST) for key in slos}
    for written in (3, 6, 7, 7):
        await desk.publish(slos, turns)
        assert len(desk.door.statuses) == written


async def test_an_event_of_a_transition_waits_for_its_status_one_of_a_decision_does_not() -> None:
    desk = Desk(per_second=0.01, burst=1)
    slos = {each.key: each for each in (slo("a"), slo("b"))}
    acted = turn(SLOW, plan=plan(2, 4), change=change(2, 4))
    await desk.publish(slos, dict.fromkeys(slos, acted))
    assert sorted(desk.door.events) == [("Normal", "ScaleUp"), ("Normal", "ScaleUp"), ("Warning", "Saturated")]
    await desk.publish(slos, {key: turn(SLOW, plan=plan(4, 4)) for key in slos}, after=120.0)
    assert desk.door.events.count(("Warning", "Saturated")) == 2


async def test_a_change_of_state_goes_before_numbers() -> None:
    desk = Desk(per_second=0.1, burst=2)
    slos = {each.key: each for each in (slo("a"), slo("b"))}
    await desk.publish(slos, {key: turn(SLOW) for key in slos})
    await desk.publish(slos, {"shop/a": turn(SLOWER), "shop/b": turn(FAST)}, after=10.0)
    assert desk.door.statuses[-1]["summary"]["state"] == "Healthy"


async def test_a_write_that_failed_is_tried_again() -> None:
    desk = Desk()
    desk.door.refusal = ApiUnavailable("503")
    await desk.tell(turn(SLOW))
    desk.door.refusal = None
    await desk.tell(turn(SLOW))
    assert len(desk.door.statuses) == 1
    assert desk.door.events == [("Warning", "Saturated")]


async def test_who_leads_no_more_writes_nothing() -> None:
    desk = Desk()
    desk.door.refusal = NotLeading("lost")
    with pytest.raises(NotLeading):
        await desk.tell(turn(FAST))


async def test_an_slo_of_the_same_name_begins_with_its_own_status() -> None:
    desk = Desk()
    await desk.tell(turn(FAST, plan=plan(2, 4), change=change(2, 4)))
    await desk.tell(turn(FAST), about=slo(uid="another"))
    assert "lastDecision" in desk.door.statuses[0]
    assert "lastDecision" not in desk.door.statuses[1]


async def test_a_status_that_nobody_here_wrote_is_replaced() -> None:
    desk = Desk()
    await desk.tell(turn(FAST), about=slo(status={"summary": "all fine", "conditions": 7}))
    assert desk.door.statuses[0]["summary"]["state"] == "Healthy"


async def test_a_specification_that_does_not_fit_is_said_once() -> None:
    desk, odd = Desk(), slo(problem="spec.window: write a window", status={})
    await desk.publish({odd.key: odd}, {})
    await desk.publish({odd.key: odd}, {})
    (status,) = desk.door.statuses
    assert status["summary"]["state"] == "NotReady"
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("Ready", "SpecInvalid")]
    assert desk.door.events == [("Warning", "SpecInvalid")]


async def test_what_was_learnt_stays_where_the_specification_does_not_fit_any_more() -> None:
    desk = Desk()
    await desk.tell(turn(FAST))
    odd = slo(problem="spec.window: write a window")
    await desk.publish({odd.key: odd}, {})
    before, after = desk.door.statuses
    assert after["summary"]["state"] == "NotReady"
    assert after["memory"] == before["memory"]


async def test_an_slo_without_a_turn_keeps_what_it_shows() -> None:
    desk = Desk()
    await desk.tell(turn(FAST))
    about = slo()
    await desk.publish({about.key: about}, {})
    assert len(desk.door.statuses) == 1
