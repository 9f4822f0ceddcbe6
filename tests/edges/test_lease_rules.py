"""At most one candidate holds, whatever is slow, frozen or out of step. The server here is the rule that matters of the
real one: a write with an old version is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfslo.edges.lease import Candidate, LeaseSpec
from perfslo.settings import Lease

TIMING = Lease()
SLOWEST = 1 / 1.49
"""Clock rates within duration / renew_deadline of each other: what the rules promise to bear."""


@dataclass
class Server:
    spec: LeaseSpec | None = None
    version: int = 0

    def read(self) -> tuple[LeaseSpec | None, str]:
        return self.spec, str(self.version) if self.spec else ""

    def write(self, spec: LeaseSpec, version: str) -> str | None:
        if version != self.read()[1]:
            return None
        self.spec = spec
        self.version += 1
        return str(self.version)

    def delete(self) -> None:
        self.spec = None


@dataclass
class Process:
    """A candidate whose requests and answers travel as slowly as the test likes."""

    server: Server
    candidate: Candidate
    clock_rate: float = 1.0
    clock_offset: float = 0.0
    version: str = ""
    phase: str = "idle"
    asked_at: float = 0.0
    answer: tuple[LeaseSpec | None, str] = (None, "")
    draft: LeaseSpec | None = None
    accepted: str | None = None
    written_at: list[float] = field(default_factory=list)

    def now(self, true_time: float) -> float:
        return self.clock_offset + self.clock_rate * true_time

    def step(self, true_time: float) -> None:
        """The next of: ask, be answered by the server, receive; for reading, then for writing."""
        now = self.now(true_time)
        if self.phase == "idle":
            self.phase = "reading"
        elif self.phase == "reading":
            self.answer = self.server.read()
            self.phase = "read"
        elif self.phase == "read":
            self.candidate.observe(*self.answer, now)
            self.version = self.answer[1]
            self.asked_at, self.draft = now, self.candidate.draft(now, f"at {true_time}")
            self.phase = "writing" if self.draft else "idle"
        elif self.phase == "writing":
            assert self.draft
            self.accepted = self.server.write(self.draft, self.version)
            self.phase = "written"
        else:
            if self.draft and self.accepted:
                self.candidate.written(self.draft, self.accepted, self.asked_at, now)
            self.phase = "idle"

    def holds(self, true_time: float) -> bool:
        return self.candidate.holds(self.now(true_time))


seconds = st.one_of(st.floats(0, 3), st.floats(0, 40), st.sampled_from([0.0, 5.0, 10.0, 14.999, 15.0, 15.001]))


@st.composite
def schedules(draw: st.DrawFn) -> list[tuple[float, int, int]]:
    """Time passes, then one process gets to do some of its steps; one that never gets any is frozen."""
    return draw(st.lists(st.tuples(seconds, st.integers(0, 2), st.integers(1, 6)), min_size=5, max_size=60))


@settings(max_examples=600, deadline=None)
@example(  # the first holder's promise is longer than that of who seized the lease and was heard of no more
    schedule=[(0.0, 0, 4), (0.0, 2, 4), (0.0, 0, 1), (0.0, 1, 3), (15.0, 1, 5), (0.0, 1, 5)],
    rates=(1.0, 1.0, 1.0),
    offsets=(0.0, 0.0, 0.0),
    durations=(60.0, 15.0, 15.0),
    seizer=True,
    deleted_at=None,
)
@given(
    schedule=schedules(),
    rates=st.tuples(*[st.floats(SLOWEST, 1.0)] * 3),
    offsets=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    durations=st.tuples(*[st.sampled_from([15.0, 15.0, 60.0])] * 3),
    seizer=st.booleans(),
    deleted_at=st.one_of(st.none(), st.integers(3, 40)),
)
def test_two_never_hold(
    schedule: list[tuple[float, int, int]],
    rates: tuple[float, ...],
    offsets: tuple[float, ...],
    durations: tuple[float, ...],
    seizer: bool,
    deleted_at: int | None,
) -> None:
    server = Server()
    if deleted_at is not None:  # a promise that was deleted before it was seen is known to nobody
        durations = (15.0, 15.0, 15.0)
    processes = [
        Process(
            server,
            Candidate(
                f"p{index}",
                Lease(duration_seconds=duration, renew_deadline_seconds=duration * 2 / 3),
                seize=seizer and index == 2,
            ),
            rate,
            offset,
        )
        for index, (rate, offset, duration) in enumerate(zip(rates, offsets, durations, strict=True))
    ]
    if deleted_at is not None:  # only a candidate that has seen the record can know that somebody may still hold
        server.write(LeaseSpec(holder_identity="earlier", lease_duration_seconds=15), "")
        for process in processes:
            for _ in range(3):
                process.step(0.0)
    now = 0.0
    for index, (passed, who, steps) in enumerate(schedule):
        now += passed
        if index == deleted_at:
            server.delete()
        for _ in range(steps):
            processes[who].step(now)
            holding = [number for number, process in enumerate(processes) if process.holds(now)]
            assert len(holding) <= 1, f"at {now}: {holding}"


def alone(identity: str = "a", *, seize: bool = False) -> Candidate:
    return Candidate(identity, TIMING, seize=seize)


def win(candidate: Candidate, now: float, version: str = "1") -> LeaseSpec:
    draft = candidate.draft(now, "stamp")
    assert draft is not None
    candidate.written(draft, version, now, now)
    return draft


def test_an_absent_lease_is_taken_at_once_and_counts_no_transition() -> None:
    candidate = alone()
    candidate.observe(None, "", 100.0)
    draft = win(candidate, 100.0)
    assert (draft.holder_identity, draft.lease_duration_seconds, draft.lease_transitions) == ("a", 15, 0)
    assert candidate.holds(100.0)


def test_the_holder_stops_at_its_renew_deadline_and_never_holds_again() -> None:
    candidate = alone()
    win(candidate, 0.0)
    assert candidate.holds(9.99)
    assert not candidate.holds(10.0)
    assert candidate.draft(60.0, "stamp") is None, "woken after a minute, it must not renew either"
    assert candidate.lost


def test_the_deadline_counts_from_asking_not_from_the_answer() -> None:
    candidate = alone()
    draft = candidate.draft(0.0, "stamp")
    assert draft
    candidate.written(draft, "1", 0.0, 9.0)
    assert not candidate.holds(10.0)


def test_a_standby_waits_the_holders_own_duration_from_first_seeing_it() -> None:
    standby = alone("b")
    held = LeaseSpec(holder_identity="a", lease_duration_seconds=60, lease_transitions=4, acquire_time="1999")
    standby.observe(held, "7", 1000.0)
    assert standby.draft(1059.9, "stamp") is None
    standby.observe(held, "8", 1059.9)
    assert standby.draft(1119.8, "stamp") is None, "a renewal starts the wait anew"
    draft = win(standby, 1119.9, "9")
    assert (draft.lease_transitions, draft.acquire_time) == (5, "stamp")


def test_a_resigned_lease_is_taken_at_once() -> None:
    leader, standby = alone("a"), alone("b")
    win(leader, 0.0)
    standby.observe(LeaseSpec(holder_identity="a", lease_duration_seconds=15), "1", 0.5)
    left = leader.resign("stamp")
    assert left
    assert not leader.holds(1.0)
    standby.observe(left, "2", 1.0)
    assert standby.draft(1.0, "stamp")


def test_the_loser_of_the_record_knows_it_is_lost() -> None:
    candidate = alone()
    win(candidate, 0.0)
    candidate.observe(LeaseSpec(holder_identity="b", lease_duration_seconds=15), "2", 2.0)
    assert candidate.lost
    assert not candidate.holds(2.0)
    assert candidate.resign("stamp") is None, "what is not ours is not given away"


def test_renewing_keeps_the_time_of_acquisition() -> None:
    candidate = alone()
    first = win(candidate, 0.0)
    renewed = candidate.draft(2.0, "later")
    assert renewed
    assert (renewed.acquire_time, renewed.renew_time, renewed.lease_transitions) == (first.acquire_time, "later", 0)


def test_seizing_holds_only_after_the_old_holder_must_have_stopped() -> None:
    candidate = Candidate("release", Lease(duration_seconds=60, renew_deadline_seconds=40), seize=True)
    candidate.observe(LeaseSpec(holder_identity="a", lease_duration_seconds=15), "1", 0.0)
    draft = candidate.draft(0.0, "stamp")
    assert draft
    candidate.written(draft, "2", 0.0, 1.0)
    assert not candidate.holds(15.9)
    assert candidate.holds(16.0)


def test_a_third_waits_for_the_one_that_the_lease_was_seized_from() -> None:
    candidate = alone("release", seize=True)
    candidate.observe(LeaseSpec(holder_identity="a", lease_duration_seconds=60), "1", 0.0)
    assert win(candidate, 0.0, "2").lease_duration_seconds == 60
    renewed = candidate.draft(2.0, "stamp")
    assert renewed
    assert renewed.lease_duration_seconds == 60, "the old holder may still write"
    for now in (8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 56.0):
        candidate.written(renewed, str(now), now, now)
    renewed = candidate.draft(60.0, "stamp")
    assert renewed
    assert renewed.lease_duration_seconds == 15


@pytest.mark.parametrize("holder", ["", None])
def test_seizing_from_nobody_need_not_wait(holder: str | None) -> None:
    candidate = alone(seize=True)
    candidate.observe(LeaseSpec(holder_identity=holder, lease_duration_seconds=15), "1", 0.0)
    win(candidate, 0.0, "2")
    assert candidate.holds(0.0)


def test_a_standby_wakes_just_when_the_lease_runs_out() -> None:
    standby = alone("b")
    standby.observe(LeaseSpec(holder_identity="a", lease_duration_seconds=15), "1", 0.5)
    assert standby.wait_seconds(started=10.0, now=10.1) == pytest.approx(1.9)
    assert standby.wait_seconds(started=14.0, now=14.1) == pytest.approx(1.4)
    assert standby.wait_seconds(started=16.0, now=30.0) == 0.0
