"""How far a backend is trusted with traffic."""

from __future__ import annotations

import random

import pytest

from perfslo.core import trust
from perfslo.core.model import ObjectiveReading
from perfslo.core.timescale import TimeScale
from perfslo.core.trust import Bad
from perfslo.core.weights import Move, Traffic, Trim

NOW, SCALE = 1_800_000_000.0, TimeScale()
FINE, SLOW = Bad(0.1, 0.05, 0.2, 0.05), Bad(2.0, 1.5, 2.5, 0.05)


def latency(bad_ratio: float, requests: float) -> ObjectiveReading:
    return ObjectiveReading(
        "p95", 0.1, 0.2, None, bad_ratio=bad_ratio, bad_ratio_low=bad_ratio, allowed_bad_ratio=0.05, samples=requests
    )


def errors(ratio: float, requests: float) -> ObjectiveReading:
    return ObjectiveReading("errors", ratio, 0.005, None, bad_ratio_low=ratio, samples=requests)


def test_few_requests_are_judged_only_when_they_are_enough() -> None:
    trim = trust.noted(Trim(), [latency(0.5, 15.0)], 100.0, 1.0)
    assert trust.bad(trim, 100.0) is None
    trim = trust.noted(trim, [latency(0.5, 60.0)], 100.0, 1.0)
    few = trust.bad(trim, 100.0)
    assert few
    assert few.ratio == pytest.approx(10.0)
    assert few.low == 0.0
    seen = trust.bad(trust.noted(trim, [latency(0.5, 90.0)], 100.0, 1.0), 100.0)
    assert seen
    assert seen.low > 7.0
    assert str(seen) == "50% slow or failed of 5.0% allowed"


@pytest.mark.parametrize("enough", [20.0, 100.0])
def test_a_drained_backend_is_known_after_about_as_many_requests_as_that(enough: float) -> None:
    trim, requests = Trim(), 0.0
    while trust.bad(trim, enough) is None:
        trim, requests = trust.noted(trim, [latency(0.0, 7.2)], enough, 0.25), requests + 0.25 * 7.2
    assert requests < 1.5 * trust.FEW


def test_the_worst_objective_counts() -> None:
    seen = trust.bad(trust.noted(Trim(), [latency(0.02, 500.0), errors(0.02, 500.0)], 100.0, 1.0), 100.0)
    assert seen
    assert seen.ratio == pytest.approx(4.0)
    assert seen.allowed == 0.005


def test_what_is_old_is_forgotten_by_what_is_new() -> None:
    trim = trust.noted(Trim(), [latency(1.0, 500.0)], 100.0, 1.0)
    for _ in range(12):
        trim = trust.noted(trim, [latency(0.0, 500.0)], 100.0, 0.25)
    seen = trust.bad(trim, 100.0)
    assert seen
    assert seen.ratio < 1.0


def test_a_window_without_requests_says_nothing() -> None:
    trim = Trim(requests=50.0, bad=3.0)
    assert trust.noted(trim, [ObjectiveReading("p95", None, 0.2, None)], 100.0, 1.0) is trim


def test_a_bad_backend_loses_trust_and_gets_it_back() -> None:
    lost = trust.judged({"a": Trim(), "b": Trim()}, {"a": SLOW, "b": FINE})
    assert lost["a"].factor == pytest.approx(0.7, abs=0.01)
    assert lost["b"] == Trim()
    again = trust.judged(lost, {"a": FINE, "b": FINE})
    assert lost["a"].factor < again["a"].factor <= 1.0


def test_the_gain_is_halved_when_the_sign_flips() -> None:
    lost = trust.judged({"a": Trim(), "b": Trim()}, {"a": SLOW, "b": FINE})
    flipped = trust.judged(lost, {"a": FINE, "b": FINE})
    assert flipped["a"].gain == lost["a"].gain / 2
    assert trust.judged(flipped, {"a": SLOW, "b": FINE})["a"].gain == lost["a"].gain / 4


def test_when_most_look_bad_no_backend_is_to_blame() -> None:
    trims = {"a": Trim(factor=0.3), "b": Trim(), "c": Trim(factor=0.5)}
    assert {t.factor for t in trust.judged(trims, {"a": SLOW, "b": SLOW, "c": FINE}).values()} == {1.0}


def test_what_is_not_known_is_not_judged() -> None:
    trims = {"a": Trim(factor=0.3), "b": Trim()}
    assert trust.judged(trims, {"a": None, "b": FINE}) == trims


def test_weights_that_somebody_else_wrote_are_where_everything_begins_anew() -> None:
    first = trust.saw(Traffic(), {"a": 50, "b": 50}, NOW, SCALE)
    assert first.moved_at is None
    ours = trust.wrote(first, {"a": 60, "b": 40}, {}, Move("d1", NOW, 2.0, 4))
    assert trust.saw(ours, {"a": 60, "b": 40}, NOW + 15, SCALE) is ours
    theirs = trust.saw(ours, {"a": 90, "b": 10}, NOW + 30, SCALE)
    assert (theirs.moved_at, theirs.trims["b"].found) == (NOW + 30, 0.1)


def test_a_reversion_is_told_from_a_watch_that_lags() -> None:
    ours = trust.wrote(
        trust.saw(Traffic(), {"a": 50, "b": 50}, NOW, SCALE), {"a": 60, "b": 40}, {}, Move("d1", NOW, 2.0, 4)
    )
    assert trust.saw(ours, {"a": 50, "b": 50}, NOW + 15, SCALE) is ours
    assert trust.saw(ours, {"a": 50, "b": 50}, NOW + 75, SCALE).moved_at == NOW + 75


def test_weights_that_were_written_and_forgotten_are_ours() -> None:
    original = {"a": 1, "b": 1}
    forgotten = trust.saw(Traffic(), {"a": 900, "b": 100}, NOW, SCALE, original)
    assert (forgotten.moved_at, forgotten.trims["b"].found, forgotten.trims["a"].factor) == (NOW, 0.5, 1.0)
    assert forgotten.trims["b"].factor == pytest.approx(0.2)

    older = trust.saw(Traffic(), {"a": 500, "b": 500}, NOW, SCALE)
    distrusted = Traffic(older.weights, trims={**older.trims, "b": Trim(factor=0.1, gain=0.25, direction=-1)})
    kept = trust.saw(distrusted, {"a": 900, "b": 100}, NOW + 300, SCALE, original).trims["b"]
    assert (kept.factor, kept.gain, kept.direction, kept.found) == (0.1, 0.25, -1, 0.5)


def test_a_proxy_that_does_not_follow_is_told_from_chance() -> None:
    weights, chance = {"a": 70, "b": 25, "c": 5}, random.Random(7)
    for _ in range(200):
        served = dict.fromkeys(weights, 0.0)
        for name in chance.choices(list(weights), list(weights.values()), k=1000):
            served[name] += 1.0
        assert trust.not_followed(served, weights) == ""
    assert trust.not_followed({"a": 670.0, "b": 330.0}, weights) == (
        "b is to get 25% of the requests, and got 33% of the last 1000"
    )
    assert trust.not_followed({"a": 500.0, "b": 300.0}, weights) == ""


def test_what_a_backend_leaves_unanswered_is_no_disobedience_of_the_proxy() -> None:
    weights, behind = {"a": 40, "b": 20, "c": 40}, frozenset("b")
    served = {"a": 1000.0, "b": 200.0, "c": 1000.0}
    assert trust.not_followed(served, weights)
    assert trust.not_followed(served, weights, behind) == ""
    assert trust.not_followed({**served, "b": 1000.0}, weights, behind).startswith(
        "b is to get 20% of the requests, and"
    )
    assert trust.not_followed({**served, "c": 500.0}, weights, behind) == (
        "a is to get 50% of the requests that are not for b, and got 67% of the last 1500"
    )
    assert trust.not_followed({"a": 100.0, "b": 1000.0, "c": 100.0}, weights, frozenset("abc")) == ""


def test_requests_are_counted_once() -> None:
    served: dict[str, float] = {}
    for _ in range(8):
        served = dict(trust.served_since(served, {"a": 600.0, "b": 200.0}, 0.25))
    assert served == {"a": 1200.0, "b": 400.0}
