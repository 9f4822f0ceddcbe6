"""How weights move between unequal backends."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core.levers import traffic
from perfslo.core.levers.traffic import Carried, Part, Shift
from perfslo.core.timescale import TimeScale
from perfslo.core.trust import GOOD, Bad
from perfslo.core.weights import Traffic, Trim

NOW, SCALE = 1_800_000_000.0, TimeScale()
UNMOVED = Traffic()
FINE = Bad(0.1, 0.05, 0.2, 0.05)
SLOW = Bad(1.62, 1.3, 2.0, 0.05)
STRAINED = Bad(0.9, 0.8, 1.0, 0.05)
FAILING = Bad(20.0, 18.0, 20.0, 0.05)


def carries(rate: float) -> Carried:
    return Carried(rate, 0.95 * rate)


def part(
    weight: int, rate: float | None = 20.0, *, bad: Bad | None = FINE, ready: int = 2, factor: float = 1.0
) -> Part:
    known = None if rate is None else carries(rate)
    return Part(weight, 1, 100, ready, known, bad, Trim(factor=factor, found=1 / 3))


def propose(parts: dict[str, Part], load: float = 60.0, moved: Traffic = UNMOVED) -> Shift:
    return traffic.propose(parts, load, moved, NOW, SCALE)


def equal(**others: Part) -> dict[str, Part]:
    return {"a": part(34), "b": part(33), "c": part(33), **others}


def test_while_the_backends_are_well_weights_stay_as_somebody_wrote_them() -> None:
    shift = propose(equal(c=part(33, 12.0)))
    assert shift.weights == {"a": 34, "b": 33, "c": 33}
    assert shift.why == "the backends are well with their weights"


def test_what_is_more_than_pods_carry_goes_to_those_that_have_room() -> None:
    parts = equal(c=part(33, 9.0, bad=STRAINED))
    for _ in range(10):
        shift = propose(parts)
        parts = {name: replace(each, weight=shift.weights[name]) for name, each in parts.items()}
    assert sum(shift.weights.values()) == 100
    assert 17 <= parts["c"].weight <= 28
    assert abs(parts["a"].weight - parts["b"].weight) <= 1
    assert propose(equal(c=part(33, 9.0, bad=STRAINED))).reasons["c"].startswith("19.8/s for pods that carry 18.")


def test_more_ready_pods_carry_more() -> None:
    assert propose(equal(c=part(33, 9.0, bad=STRAINED, ready=4))).weights["c"] == 33


def test_what_little_is_known_of_hardly_differs_from_the_others() -> None:
    guessed = replace(part(33, bad=STRAINED), carried=Carried(13.0, 6.0))
    assert propose(equal(b=guessed)).weights["b"] == 33


def test_a_move_says_why() -> None:
    shift = propose(equal(b=part(33, bad=SLOW, factor=0.7)))
    assert shift.reasons["b"] == "8.1% slow or failed of 5.0% allowed at 33% of the traffic: 33% -> 24%"
    assert "; a: takes it over: 34% -> 38%" in shift.why


def test_what_was_taken_is_given_back_in_steps_while_all_is_well() -> None:
    parts = {"a": part(60), "b": part(5), "c": part(35)}
    assert propose(parts, 30.0, Traffic(moved_at=NOW - 200.0)).weights["b"] == 5
    seen = [5]
    for _ in range(6):
        shift = propose(parts, 30.0, Traffic(moved_at=NOW - 300.0))
        parts = {name: replace(each, weight=shift.weights[name]) for name, each in parts.items()}
        seen.append(parts["b"].weight)
    assert seen[1] == 15
    assert 32 <= seen[-1] <= 34
    assert seen == sorted(seen)


def test_what_was_learnt_to_be_too_much_is_tried_in_small_steps_only() -> None:
    parts = {"a": part(55, 40.0), "b": part(10, 4.0), "c": part(35, 40.0)}
    assert propose(parts, 70.0).weights["b"] == 13
    assert propose(parts, 120.0).weights["b"] == 20


def test_one_that_was_drained_gets_back_twice_what_it_has() -> None:
    parts = {"a": part(500, 40.0), "b": part(10, 0.1), "c": part(490, 40.0)}
    parts = {name: replace(each, most=1000) for name, each in parts.items()}
    assert propose(parts, 60.0).weights["b"] in (20, 21)
    parts["b"] = replace(parts["b"], trim=Trim(factor=0.03, found=1 / 3))
    assert propose(parts, 60.0).weights["b"] == 10


def test_a_step_is_bounded() -> None:
    assert propose(equal(b=part(33, bad=SLOW, factor=0.05))).weights["b"] == 23


def test_one_that_fails_is_left_at_once_and_keeps_a_little() -> None:
    shift = propose(equal(b=part(33, bad=FAILING, factor=0.02)), load=30.0)
    assert shift.weights["b"] == 1


def test_one_without_a_ready_endpoint_is_drained_to_its_least_share_even_while_a_move_settles() -> None:
    moved = Traffic(moved_at=NOW - 1.0)
    parts = equal(b=part(33, ready=0))
    assert propose(parts, 30.0, moved).weights["b"] == 1
    assert "b: no ready endpoint at 33% of the traffic: 33% -> 1.0%" in propose(parts, 30.0, moved).why
    assert propose(parts | {"b": replace(parts["b"], least=5)}, 30.0, moved).weights["b"] == 5


def test_one_without_a_ready_endpoint_is_drained_though_nothing_is_known_of_the_others() -> None:
    unknown = {name: part(weight, None, bad=None) for name, weight in (("a", 60), ("b", 30))}
    shift = propose(unknown | {"c": part(10, None, bad=None, ready=0)})
    assert shift.weights == {"a": 66, "b": 33, "c": 1}


def test_without_any_ready_endpoint_nothing_moves() -> None:
    assert propose({"a": part(50, ready=0), "b": part(50, ready=0)}).weights == {"a": 50, "b": 50}


def test_a_move_waits_for_the_effect_of_the_one_before() -> None:
    parts = equal(b=part(33, bad=SLOW, factor=0.7))
    assert propose(parts, moved=Traffic(moved_at=NOW - 119.0)).why == (
        "weights moved 119s ago show their effect, or may move back, after 120s"
    )
    assert propose(parts, moved=Traffic(moved_at=NOW - 120.0)).weights["b"] < 33


def test_nobody_gets_more_than_it_carries() -> None:
    used = Bad(0.8, 0.6, 1.0, 0.05)
    parts = {"a": part(34, bad=used), "b": part(33, bad=used), "c": part(33, bad=FAILING, factor=0.03)}
    assert propose(parts, load=72.0).weights == {"a": 49, "b": 49, "c": 2}
    tight = propose(parts, load=100.0)
    assert max(tight.weights["a"], tight.weights["b"]) <= 36
    assert tight.short.keys() == {"a", "b"}
    assert sum(tight.short.values()) > 90.0
    full = propose(parts, load=300.0)
    assert full.weights == {"a": 34, "b": 33, "c": 33}
    assert full.why.endswith("should get less, but no other backend could take it")


def test_one_that_is_well_may_get_a_little_more_whatever_it_carried() -> None:
    parts = equal(c=part(33, bad=FAILING, factor=0.03))
    assert propose(parts, load=100.0).weights["a"] == 41


def test_the_unknown_stay_as_they_are() -> None:
    parts = equal(b=part(33, 7.0, bad=None))
    assert propose(parts).weights["b"] == 33
    parts = equal(b=part(33, bad=SLOW, factor=0.5), c=part(33, bad=None))
    assert propose(parts).weights["c"] == 33


def test_what_carries_nobody_knows_how_much_may_lose_but_not_gain() -> None:
    assert propose(equal(b=part(33, None, bad=SLOW, factor=0.7))).weights["b"] < 33
    assert propose(equal(b=part(33, None), c=part(33, bad=SLOW, factor=0.5))).weights["b"] == 33


def test_what_weighs_nothing_stays_off() -> None:
    found = traffic.bounds({"a": 50, "b": 50, "c": 0}, {"a": (0, 100), "b": (0, 100), "c": (0, 100)})
    assert found == {"a": (1, 100), "b": (1, 100), "c": (0, 0)}
    assert propose(equal(c=replace(part(0, 90.0), least=0, most=0))).weights["c"] == 0


def test_bounds_hold_at_once_whatever_else_there_is() -> None:
    parts = {"a": replace(part(90), most=80), "b": replace(part(10), least=15)}
    shift = propose(parts, moved=Traffic(moved_at=NOW))
    assert shift.weights == {"a": 80, "b": 20}
    assert shift.reasons["a"] == "its share may be 1.0% to 80%: 90% -> 80%"


def test_bounds_that_leave_no_room_for_a_least_share_hold_without_it() -> None:
    assert traffic.bounds({"a": 20, "b": 0}, {"a": (100, 100), "b": (0, 50)}) == {"a": (20, 20), "b": (0, 0)}
    assert traffic.bounds({"a": 10, "b": 11}, {"a": (50, 50), "b": (50, 50)}) is None


BADS = st.one_of(
    st.none(),
    st.floats(0.0, 20.0).map(lambda ratio: Bad(ratio, 0.8 * ratio, 1.2 * ratio + 0.1, 0.05)),
)
RATES = st.one_of(st.none(), st.builds(Carried, st.floats(1.0, 100.0), st.floats(0.5, 1.0)))
PARTS = st.builds(
    Part,
    weight=st.integers(0, 1000),
    least=st.integers(0, 30),
    most=st.integers(30, 1000),
    ready=st.integers(0, 20),
    carried=RATES,
    bad=BADS,
    trim=st.builds(Trim, factor=st.floats(0.02, 1.0), found=st.floats(0.0, 1.0)),
)


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Part]:
    """Any backends, whose bounds can be met by the sum of their weights."""
    parts = {f"b{number}": each for number, each in enumerate(draw(st.lists(PARTS, min_size=2, max_size=5)))}
    total = sum(each.weight for each in parts.values())
    percents = {name: (each.least // len(parts), 100) for name, each in parts.items()}
    bounds = traffic.bounds({name: each.weight for name, each in parts.items()}, percents) or {}
    known = {name: each for name, each in parts.items() if name in bounds}
    return {
        name: replace(
            each,
            least=bounds[name][0],
            most=bounds[name][1],
            carried=replace(each.carried, low=each.carried.low * each.carried.median) if each.carried else None,
        )
        for name, each in known.items()
        if total
    }


@settings(max_examples=30, deadline=None)
@given(parts=routes(), load=st.floats(0.0, 2000.0), moved=st.one_of(st.none(), st.floats(0.0, 300.0)))
def test_whatever_happens_sums_and_bounds_hold(parts: dict[str, Part], load: float, moved: float | None) -> None:
    state = Traffic(moved_at=None if moved is None else NOW - moved)
    shift = traffic.propose(parts, load, state, NOW, SCALE)
    total = sum(each.weight for each in parts.values())
    assert sum(shift.weights.values()) == total
    was_within = all(each.least <= each.weight <= each.most for each in parts.values())
    capacity = traffic.capacities(parts)
    moves = {name: shift.weights[name] - each.weight for name, each in parts.items()}
    dead = any(each.ready == 0 for each in parts.values())
    for name, each in parts.items():
        if any(moves.values()):
            assert each.least <= shift.weights[name] <= each.most
        if not was_within:
            continue
        if moves[name] > 0:
            assert each.ready
            assert not each.bad or each.bad.low <= 1.0
            if name in capacity and each.bad and each.bad.ratio > GOOD:
                assert load * shift.weights[name] / total <= traffic.FULL * capacity[name] + 1e-6
        if each.ready and not each.bad and not dead:
            assert moves[name] == 0
    assert set(shift.reasons) == {name for name, move in moves.items() if move}


@settings(max_examples=12, deadline=None)
@given(parts=routes(), load=st.floats(1.0, 2000.0))
def test_what_is_decided_is_where_it_rests(parts: dict[str, Part], load: float) -> None:
    """Without news, weights come to rest, and nobody goes back and forth."""
    seen = [{name: each.weight for name, each in parts.items()}]
    for _ in range(15):
        shift = traffic.propose(parts, load, UNMOVED, NOW, SCALE)
        seen.append(dict(shift.weights))
        parts = {name: replace(each, weight=shift.weights[name]) for name, each in parts.items()}
    assert seen[-1] == seen[-2]
    for name in parts:
        steps = [after[name] - before[name] for before, after in itertools.pairwise(seen[1:])]
        turns = sum(a * b < 0 for a, b in itertools.pairwise([step for step in steps if step]))
        assert turns <= 2
