"""Named signals: who may use them, and which of four things each answer says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from perfslo.api.v1alpha1 import Signal as Named
from perfslo.core import enforce, identify, signals
from perfslo.core.conditions import conditions
from perfslo.core.measure import Row, Wanted
from perfslo.core.model import Evidence, Missing, NoTraffic, Signal, Stale, Value
from perfslo.core.promql import Matcher
from perfslo.core.signals import Definition, Readings
from perfslo.core.status import report
from tests.core.turns import memory, observation, spec, turn

WANTED = Wanted("shop/web", "shop", frozenset({"web"}), "default", "http-server", spec())


def definition(kind: Any = "DependencyLatency", **more: Any) -> Definition:
    return Definition(kind, "default", "", **more)


def value(number: float, **labels: str) -> Row:
    return Row({"perfslo_part": "value", **labels}, number)


def age(seconds: float, part: str = "age0", **labels: str) -> Row:
    return Row({"perfslo_part": part, **labels}, -seconds)


def read(*rows: Row, kind: Any = "DependencyLatency", **more: Any) -> Signal:
    return Readings(definition(kind, **more), rows).of(WANTED)


# --- what an answer says ------------------------------------------------------------------------------------------


def test_a_fresh_row_is_a_value_as_old_as_the_oldest_of_what_it_rests_on() -> None:
    assert read(value(0.012), age(3), age(11, "age1")) == Value(0.012, 11.0)
    assert read(age(11), value(0.012), age(3, "age1")) == Value(0.012, 11.0)


def test_no_row_is_missing() -> None:
    for rows in ((), (age(3),)):
        seen = read(*rows)
        assert isinstance(seen, Missing)
        assert seen.reason == "SeriesMissing"


def test_old_samples_make_it_stale_with_a_value_and_without() -> None:
    assert read(value(0.012), age(3), age(121, "age1")) == Stale(121.0)
    assert read(age(121)) == Stale(121.0)
    assert read(value(0.012), age(121), stale_after_seconds=150) == Value(0.012, 121.0)


def test_a_value_that_rests_on_no_sample_is_stale() -> None:
    """`sum(x) or vector(0)`, and x is gone."""
    assert read(value(0.0), kind="QueueLength") == Stale(signals.LOOKBACK_SECONDS)


def test_samples_from_the_future_are_missing() -> None:
    seen = read(value(0.012), age(-600))
    assert isinstance(seen, Missing)
    assert seen.reason == "ClockSkewed"
    assert read(value(0.012), age(-2)) == Value(0.012, 0.0)


@pytest.mark.parametrize("kind", ["CacheHitRatio", "DependencyLatency", "PoolWait"])
def test_nothing_over_nothing_is_no_traffic(kind: str) -> None:
    assert read(value(math.nan), age(3), kind=kind) == NoTraffic(3.0)


@pytest.mark.parametrize("kind", ["PoolUse", "QueueAge", "QueueLength"])
def test_a_gauge_that_is_not_a_number_is_missing(kind: str) -> None:
    assert reason(read(value(math.nan), age(3), kind=kind)) == "NotANumber"


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        ("DependencyLatency", math.inf, "NotANumber"),
        ("QueueLength", -1.0, "OutOfRange"),
        ("CacheHitRatio", 93.0, "OutOfRange"),
        ("PoolUse", 1.01, "OutOfRange"),
    ],
)
def test_an_absurd_number_is_missing(kind: str, number: float, expected: str) -> None:
    assert reason(read(value(number), age(3), kind=kind)) == expected


def test_a_histogram_is_no_number() -> None:
    histogram = Row({"perfslo_part": "value"}, 7.0, buckets=((0.1, 0.2, 7.0),))
    assert reason(read(histogram, age(3))) == "NotANumber"


def test_a_ratio_is_at_most_one_whatever_rounding_says() -> None:
    assert read(value(1.0000001), age(3), kind="CacheHitRatio") == Value(1.0, 3.0)
    assert read(value(7.0), age(3), kind="QueueLength") == Value(7.0, 3.0)


def test_more_than_one_row_is_missing() -> None:
    seen = read(value(1.0, pod="a"), value(2.0, pod="b"), age(3))
    assert isinstance(seen, Missing)
    assert (seen.reason, "2 rows" in seen.message) == ("SeveralRows", True)


def reason(seen: Signal) -> str:
    assert isinstance(seen, Missing)
    return seen.reason


# --- whose row it is ----------------------------------------------------------------------------------------------


def test_rows_belong_by_namespace_and_workload() -> None:
    rows = (
        value(1.0, namespace="shop", workload="web"), age(3, namespace="shop", workload="web"),
        value(2.0, namespace="shop", workload="db"), age(200, namespace="shop", workload="db"),
        value(3.0, namespace="bank", workload="web"),
    )  # fmt: skip
    assert read(*rows, per="Workload") == Value(1.0, 3.0)
    assert reason(read(*rows[2:], per="Workload")) == "SeriesMissing"
    assert reason(read(*rows[:1], *rows[2:3], age(3), per="Namespace")) == "SeveralRows"
    assert read(rows[0], rows[4], age(3), per="Namespace") == Value(1.0, 3.0)


def test_ages_count_where_series_lack_the_labels_of_the_rows() -> None:
    row = value(1.0, namespace="shop", workload="web")
    assert read(row, age(5, namespace="shop"), per="Workload") == Value(1.0, 5.0)
    assert read(row, age(5), age(7, "age1", namespace="shop", workload="web"), per="Workload") == Value(1.0, 7.0)
    assert read(row, age(5, namespace="bank"), per="Workload") == Stale(signals.LOOKBACK_SECONDS)


# --- the query ----------------------------------------------------------------------------------------------------


def test_a_query_is_asked_together_with_the_ages_of_its_selectors() -> None:
    text = signals.asked(
        'sum(rate(a{x="1"}[5m])) / sum(rate(b[5m])) # why', "Workload", [Matcher("cluster", "=", "eu")]
    )
    eu = Matcher("cluster", "=", "eu")
    own = ("a", (Matcher("x", "=", "1"), eu)), ("b", (eu,))
    assert enforce.selectors(text) == (*own, *own)
    assert text.count("max by (namespace, workload) (timestamp(") == 2


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(rate(a[5m])", "not PromQL"),
        ("", "not PromQL"),
        ("vector(1)", "no series"),
        ("a[5m]", "rows"),
        ("scalar(a)", "rows"),
        ("a) or (b", "not PromQL"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused(query: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        signals.asked(query, "Cluster")


# --- who may use it -----------------------------------------------------------------------------------------------

DEFINED = {"pg-main": definition(), "bank-queue": definition("QueueAge", namespaces=("bank",))}


@pytest.mark.parametrize(
    ("ref", "kind", "expected", "says"),
    [
        ("pg-main", "DependencyLatency", None, ""),
        ("pg-mian", "DependencyLatency", "SignalNotDefined", "pg-main"),
        ("bank-queue", "QueueAge", "SignalNotAllowed", "shop"),
        ("pg-main", "PoolWait", "SignalKindDiffers", "kind: DependencyLatency"),
    ],
)
def test_who_may_use_a_signal(ref: str, kind: Any, expected: str | None, says: str) -> None:
    refusal = signals.refused(Named(name="db", kind=kind, ref=ref), "shop", DEFINED)
    assert (refusal and refusal.reason) == expected
    assert says in (refusal.message if refusal else "")
    assert "bank-queue" not in (refusal.message if refusal and ref != "bank-queue" else "")


# --- shown --------------------------------------------------------------------------------------------------------

NAMES = {
    "db": "DependencyLatency",
    "hits": "CacheHitRatio",
    "jobs": "QueueLength",
    "age": "QueueAge",
    "new": "PoolWait",
}
SPEC = spec(metrics={"signals": [{"name": name, "kind": kind, "ref": name} for name, kind in NAMES.items()]})
SEEN: dict[str, Signal] = {
    "db": Value(0.0123, 3.6),
    "hits": NoTraffic(4.0),
    "jobs": Stale(200.0),
    "age": Missing("SeveralRows", "two"),
}


def test_the_status_tells_the_states_apart() -> None:
    status = report(turn(seen=observation(signals=SEEN), promise=SPEC), None)
    shown = {one.name: (one.kind, one.state, one.value, one.age_seconds) for one in status.signals}
    assert shown == {
        "db": ("DependencyLatency", "Value", "12ms", 4),
        "hits": ("CacheHitRatio", "NoTraffic", None, 4),
        "jobs": ("QueueLength", "Stale", None, 200),
        "age": ("QueueAge", "Missing", None, None),
        "new": ("PoolWait", "Missing", None, None),
    }
    assert {one.name: one.message for one in status.signals}["age"] == "SeveralRows: two"


def test_what_is_known_is_evidence_and_changes_no_verdict() -> None:
    with_signals = identify.diagnose(SPEC, memory(), observation(signals=SEEN))
    without = identify.diagnose(spec(), memory(), observation())
    told, untold = (
        identify.evidence(promise, memory(), observation(signals=seen))
        for promise, seen in ((SPEC, SEEN), (spec(), {}))
    )
    assert Evidence("db (DependencyLatency)", "12ms", 3.6) in told
    assert len(told) == len(untold) + 1
    assert with_signals.bottleneck == without.bottleneck
    assert with_signals.forbidden == without.forbidden


@pytest.mark.parametrize("kind", signals.KINDS)
@pytest.mark.parametrize("number", [0.0, 1e-9, 1.0, 1e300])
def test_any_number_fits_the_status(kind: Any, number: float) -> None:
    one = spec(metrics={"signals": [{"name": "a", "kind": kind, "ref": "a"}]})
    seen = read(value(number), age(1), kind=kind)
    (status,) = signals.statuses(one, observation(signals={"a": seen}))
    assert len(status.value or "") < 64


@pytest.mark.parametrize("why", ["SignalNotDefined", "SignalNotAllowed", "SignalKindDiffers"])
def test_a_signal_that_may_not_be_used_makes_the_slo_unready_and_nothing_else(why: str) -> None:
    seen = turn(seen=observation(signals={**SEEN, "db": Missing(why, "name another")}), promise=SPEC)
    healthy = turn(seen=observation(signals=SEEN), promise=SPEC)
    found, usual = ({one.type: one for one in conditions(each, ())} for each in (seen, healthy))
    assert (found["Ready"].status, found["Ready"].reason) == ("False", why)
    assert "name another" in found["Ready"].message
    assert usual["Ready"].status == "True", "what is stale or missing is no fault of the configuration"
    assert {kind: one for kind, one in found.items() if kind != "Ready"} == {
        kind: one for kind, one in usual.items() if kind != "Ready"
    }
    assert report(seen, None).summary == report(healthy, None).summary
