"""What survives a restart, and what a damaged status does (nothing)."""

from __future__ import annotations

import base64
import json
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core import codec, forecast
from perfslo.core.memory import (
    Bin,
    BudgetSlice,
    Capacity,
    Counted,
    Curve,
    Decision,
    Errors,
    Expected,
    Ledger,
    Memory,
    Order,
    Recommendation,
    Regret,
    Sample,
    ScaleEvent,
)

finite = st.floats(min_value=0, max_value=1e9, allow_nan=False)
words = st.text(max_size=30)
bins = st.builds(Bin, load=finite, requests=finite, slow=finite)
curves = st.builds(
    Curve, bins=st.lists(bins, max_size=16).map(tuple), worse=finite, better=finite, low=finite, median=finite
)
capacities = st.builds(
    Capacity, version=words, ceiling=st.none() | finite, curves=st.dictionaries(words, curves, max_size=3)
)
decisions = st.builds(
    Decision,
    id=words,
    time=st.floats(min_value=1.6e9, max_value=2e9),
    bottleneck=words,
    current=st.integers(0, 1000),
    final=st.integers(0, 1000),
    proposed=st.none() | st.integers(0, 1000),
    why=st.text(max_size=2000),
    limited_by=st.lists(words, max_size=8).map(tuple),
    numbers=st.dictionaries(words, finite, max_size=6),
)
slices = st.builds(
    BudgetSlice,
    hour=st.integers(4 * 10**5, 5 * 10**5),
    hours=st.just(1),
    total=finite,
    bad=finite,
    covered_seconds=finite,
)
hours = st.integers(4 * 10**5, 5 * 10**5)
ledgers = st.builds(
    Ledger,
    slices=st.lists(slices, max_size=300).map(tuple),
    asked=st.lists(st.tuples(hours, hours), max_size=8).map(tuple),
)
memories = st.builds(
    Memory,
    capacities=st.lists(capacities, max_size=3).map(tuple),
    startup_seconds=st.none() | finite,
    history=st.lists(decisions, max_size=10).map(tuple),
    ledgers=st.dictionaries(words, ledgers, max_size=3),
    recommendations=st.lists(st.builds(Recommendation, finite, finite, st.integers(0, 99)), max_size=50).map(tuple),
    highs=st.lists(st.builds(Sample, finite, finite), max_size=13).map(tuple),
    time=st.none() | finite,
    arrivals=st.lists(st.builds(Sample, finite, finite), max_size=40).map(tuple),
)


@settings(deadline=None)
@given(memories)
def test_encoded_memory_fits_the_status_and_is_read_back(remembered: Memory) -> None:
    text = codec.encode(remembered)
    assert len(text) <= codec.MAX_ENCODED_BYTES
    back = codec.decode(text)
    # What was shed is gone; what is there is what was, to four digits; and it stays so.
    assert codec.encode(back) == text
    assert len(back.history) <= len(remembered.history)
    for kept, original in zip(back.history, remembered.history, strict=False):
        assert (kept.id, kept.current, kept.final) == (original.id, original.current, original.final)


def test_what_is_known_just_now_survives_but_for_what_this_process_counted() -> None:
    curve = Curve(bins=(Bin(5.0, 400.0, 2.0),), low=5.5, median=6.0)
    before = Memory(
        capacities=(Capacity("v1", 9.0, True, {"0.2s/0.05": curve}),),
        startup_seconds=7.0,
        counts={"p95": Counted(7.0, 1.0)},
        time=160.0,
        desired=3,
        known_since=100.0,
        arrivals=(Sample(145.0, 20.0), Sample(160.0, 21.0)),
        expected=(Expected(190.0, 20.0, 0.1),),
        order=Order("d", 1.0, 2, 3, 4.0, 5.0, None),
    )
    assert codec.decode(codec.encode(before)) == replace(before, counts={})
    part = codec.decode(codec.encode(Memory(backends={"a": before}))).backends["a"]
    assert part == replace(before, counts={})


def test_whoever_has_no_room_for_what_was_asked_for_does_not_believe_to_have_seen_it() -> None:
    chance = random.Random(3)
    asked = tuple(Recommendation(10.0 * n, 10.0 * n, 9_000_000 - 1000 * n - chance.randrange(1000)) for n in range(999))
    before = Memory(recommendations=asked, time=160.0, known_since=100.0, arrivals=(Sample(160.0, 21.0),))
    assert codec.decode(codec.encode(before)) == Memory()


def test_the_last_hour_survives_as_far_as_reductions_look_back() -> None:
    asked = [Recommendation(100.0 * n, 100.0 * n + 90.0, pods) for n, pods in enumerate((9, 4, 6, 5, 5, 2))]
    before = Memory(
        errors=forecast.BELIEVED,
        highs=(Sample(1.0, 20.0),),
        recommendations=tuple(asked),
        scale_events=tuple(ScaleEvent(float(n), n) for n in range(100)),
        regrets=(Regret(5.0, 60.0, 7),),
        lately=Counted(100.0, 2.0),
        spend=1.5,
    )
    after = codec.decode(codec.encode(before))
    assert [one.replicas for one in after.recommendations] == [9, 6, 5, 2]
    assert [event.change for event in after.scale_events] == list(range(60, 100))
    assert after == replace(before, recommendations=after.recommendations, scale_events=after.scale_events)
    part = codec.decode(codec.encode(Memory(backends={"a": before}))).backends["a"]
    assert part == after


def test_forecast_errors_of_another_shape_are_learnt_anew() -> None:
    odd = Memory(startup_seconds=7.0, errors=Errors((1.0, 2.0), 0.0, 0.0))
    assert codec.decode(codec.encode(odd)) == replace(odd, errors=None)


def test_the_worst_case_sheds_the_oldest_and_keeps_the_capacity() -> None:
    """Ninety days of four objectives, three versions, ten long decisions."""
    hours = tuple(BudgetSlice(480_000 + i, 1, 1234.5 * i % 977, 3.7 * i % 31, 3600.0) for i in range(500))
    decision = Decision("0123456789abcdef", 1.7e9, "Saturated", 2, 6, 6, "why " * 200, numbers={"load": 1.23456789})
    bins16 = tuple(Bin(1.2345 * i + 0.1, 98765.4321 / (i + 1), 12.3456 * i) for i in range(16))
    curve = Curve(bins=bins16, low=3.3, median=4.4)
    full = Memory(
        capacities=tuple(Capacity(f"v{i}", 9.0, True, {f"{j}": curve for j in range(4)}) for i in range(3)),
        history=(decision,) * 10,
        ledgers={f"objective-{i}": Ledger(hours, ((480_000, 480_498),)) for i in range(4)},
    )
    text = codec.encode(full)
    assert len(text) <= codec.MAX_ENCODED_BYTES
    back = codec.decode(text)
    assert back.capacities[0].curves["0"].median == 4.4
    assert back.history
    for ledger in back.ledgers.values():
        assert ledger.slices[-1].hour == hours[-1].hour
        assert ledger.asked == ((ledger.slices[0].hour, 480_498),), "what was dropped is asked about again"


def test_a_memory_from_before_the_hours_were_asked_about_keeps_its_capacity() -> None:
    remembered = Memory(capacities=(Capacity("v1", 9.0, True),), startup_seconds=7.0)
    saved = json.loads(zlib.decompress(base64.b64decode(codec.encode(remembered))))
    budget = {"p95": [{"hour": 480_000, "hours": 1, "total": 5.0, "bad": 1.0, "covered_seconds": 60.0}]}
    assert codec.decode(packed({**saved, "budget": budget})) == remembered


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "not base64 !",
        "AAAA",
        packed([]),
        packed({"version": codec.VERSION}),
        packed({"version": codec.VERSION + 1, "capacities": [], "startup_seconds": 3.0, "history": [], "budget": {}}),
        codec.encode(Memory(startup_seconds=3.0))[:-8],
        base64.b64encode(zlib.compress(b"[" * 10_000_000)).decode(),
    ],
)
def test_damaged_foreign_or_newer_memory_is_a_fresh_one(text: str | None) -> None:
    assert codec.decode(text) == Memory()


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(zlib.compress(raw)).decode()))
def test_any_text_is_refused_safely(text: str) -> None:
    assert isinstance(codec.decode(text), Memory)


def test_what_backends_carry_survives_and_the_newest_of_it_is_shed_last() -> None:
    bins16 = tuple(Bin(1.2345 * i + 0.1, 98765.4321 / (i + 1), 12.3456 * i) for i in range(16))
    curve = Curve(bins=bins16, low=3.3, median=4.4)
    part = Memory(
        capacities=tuple(Capacity(f"v{i}", 9.0 + i, True, {"0.2s/0.05": curve}) for i in range(3)), startup_seconds=7.0
    )
    few = Memory(backends={"a": part, "b": part})
    assert codec.decode(codec.encode(few)).backends.keys() == {"a", "b"}
    assert len(codec.decode(codec.encode(few)).backends["a"].capacities) == 3
    chance = random.Random(3)
    many = Memory(
        backends={
            f"backend-{i}": replace(
                part,
                capacities=tuple(
                    replace(each, curves={"0.2s/0.05": Curve(_bins(chance), low=chance.random(), median=4.4)})
                    for each in part.capacities
                ),
            )
            for i in range(16)
        }
    )
    text = codec.encode(many)
    assert len(text) <= codec.MAX_ENCODED_BYTES
    back = codec.decode(text).backends
    assert len(back) >= 12
    assert {own.capacities[0].version for own in back.values()} == {"v0"}


def _bins(chance: random.Random) -> tuple[Bin, ...]:
    return tuple(Bin(100 * chance.random(), 1000 * chance.random(), 10 * chance.random()) for _ in range(16))


def test_a_memory_from_before_there_were_backends_is_read() -> None:
    remembered = Memory(capacities=(Capacity("v1", 9.0, True),))
    saved = json.loads(zlib.decompress(base64.b64decode(codec.encode(remembered))))
    assert "backends" not in saved
    assert codec.decode(packed(saved)) == remembered
    assert codec.decode(packed({**saved, "backends": {"a": {"capacities": "x"}}})) == Memory()
