"""What an SLO says itself about its series: never more than its own namespace, and refused early when it cannot be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import Custom
from perfslo.core import custom, enforce, queries
from perfslo.core.measure import FAILED, Answer, Row, Wanted
from perfslo.core.model import Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import Matcher, Pods, Query, quote
from perfslo.core.queries import Subject, sampling_asks, value_asks
from tests.core.test_enforce import query as any_query
from tests.core.test_measure import spec

TENANT = Matcher("namespace", "=", "shop")
BUCKETS = 'increase(x_bucket{app="web"}[$window])'
REQUESTS = 'increase(x_count{app="web"}[$window])'


def wanted(its: dict[str, Any], *objectives: dict[str, Any], **metrics: Any) -> Wanted:
    its_spec = spec(*objectives, preset="custom", custom=its, **metrics)
    return Wanted("shop/web", "shop", frozenset({"web"}), "default", "custom", its_spec)


def subject(one: Wanted, source_matchers: tuple[Matcher, ...] = (), label: str = "namespace") -> Subject:
    its = one.spec.metrics.custom
    assert its
    return queries.custom_subject(one, its, label, source_matchers)


def whole(**more: Any) -> dict[str, Any]:
    return {"queries": {"buckets": BUCKETS, "requests": REQUESTS, **more}}


def sent(one: Subject) -> dict[str, str]:
    asks = {**sampling_asks(one), **value_asks(one, 15.0, None)}
    return {name: ask.query.text(["shop"]) for name, ask in asks.items() if name != "resource-sampling"}


def test_names_become_a_preset_that_equal_ones_share() -> None:
    its = {"names": {"histogram": "x", "failed": {"label": "code", "regex": "5.."}, "podLabel": "exported_pod"}}
    one = subject(wanted(its))
    assert one == subject(wanted(its))
    assert one.preset.identity == Pods("namespace", "exported_pod")
    asks = value_asks(one, 15.0, None)
    assert isinstance(asks["requests"].query, Query)
    assert asks["requests"].query.metric == "x_count"
    assert set(asks) == {"completions", "requests", "now", "latency/p95"}
    assert subject(wanted(its), label="tenant").preset.identity == Pods("tenant", "exported_pod")


def test_whole_queries_are_bound_added_up_and_given_their_window() -> None:
    assert sent(subject(wanted(whole(failed='y{code="5"}', inFlight="z")))) == {
        "sampling": sent(subject(wanted(whole())))["sampling"],
        "completions": 'sum (increase(x_count{app="web",namespace="shop"}[37500ms]))',
        "requests": 'sum (increase(x_count{app="web",namespace="shop"}[60s]))',
        "failed": 'sum (y{code="5",namespace="shop"})',
        "in-flight": 'sum (z{namespace="shop"})',
        "latency/p95": 'sum by (le) (increase(x_bucket{app="web",namespace="shop"}[60s]))',
    }


def test_matchers_of_the_administrator_the_slo_and_an_objective_are_put_on_too() -> None:
    route, health = Matcher("route", "=", "/cart"), Matcher("route", "!=", "/healthz")

    def written(matcher: Matcher) -> dict[str, str]:
        return {"label": matcher.label, "op": matcher.op, "value": matcher.value}

    cart = {"name": "cart", "latency": {"percentile": 95, "threshold": "200ms", "matchers": [written(route)]}}
    one = subject(wanted(whole(), cart, matchers=[written(health)]), (Matcher("cluster", "=", "eu"),))
    every = {TENANT, health, Matcher("cluster", "=", "eu")}
    for name, text in sent(one).items():
        for _, matchers in enforce.selectors(text):
            assert every <= set(matchers)
            assert (route in matchers) == name.endswith("/cart")


def test_freshness_is_that_of_the_series_that_are_read() -> None:
    one = subject(wanted(whole(buckets="increase(a[$window] offset 5m) + on (le) b @ end()")))
    text = sent(one)["sampling"]
    a, b = 'a{namespace="shop"}', 'b{namespace="shop"}'
    assert f"timestamp({a}) - time()" in text
    assert f"timestamp({b}) - time()" in text
    assert f"count_over_time({a}[20s])" in text
    assert set(enforce.selectors(text)) == {("a", (TENANT,)), ("b", (TENANT,))}


@settings(max_examples=200, deadline=None)
@given(any_query(), any_query())
def test_whatever_is_written_only_the_own_namespace_is_read(
    buckets: tuple[str, Any], requests: tuple[str, Any]
) -> None:
    its = {"queries": {"buckets": buckets[0][:2048], "requests": requests[0][:2048], "failed": requests[0][:2048]}}
    one = wanted(its)
    assert one.spec.metrics.custom
    if custom.problems(one.spec.metrics.custom):
        return  # too long, and cut in the middle
    for text in sent(subject(one)).values():
        chosen = enforce.selectors(text)
        assert chosen
        assert all(TENANT in matchers for _, matchers in chosen)


def test_a_dollar_window_in_a_value_is_no_way_out() -> None:
    its = whole(buckets='x_bucket{a="$window\\"} or up{b=\\""}')
    (selector,) = enforce.selectors(sent(subject(wanted(its)))["latency/p95"])
    assert selector == ("x_bucket", (Matcher("a", "=", '60s"} or up{b="'), TENANT))


@pytest.mark.parametrize(
    ("its", "path", "why"),
    [
        (whole(buckets="sum("), ("queries", "buckets"), "not PromQL"),
        (whole(requests="x[$windows]"), ("queries", "requests"), "where a range belongs, write [$window]"),
        (whole(failed='x{a="b" or c="d"}'), ("queries", "failed"), "`or` between matchers"),
        (whole(inFlight="info(x)"), ("queries", "inFlight"), "info() may not be used"),
        (whole(requests="vector(1)"), ("queries", "requests"), "it reads no series"),
        (
            {"names": {"histogram": "x", "failed": {"label": "c", "regex": "("}}},
            ("names", "failed", "regex"),
            "regular",
        ),
    ],
)
def test_what_cannot_be_used_is_said(its: dict[str, Any], path: tuple[str, ...], why: str) -> None:
    ((found, said),) = custom.problems(Custom.model_validate(its))
    assert found == path
    assert why in said


def test_nothing_is_wrong_with_what_can() -> None:
    assert custom.problems(Custom.model_validate(whole(failed=REQUESTS, inFlight="z"))) == ()
    assert custom.problems(Custom.model_validate({"names": {"histogram": "x"}})) == ()


def answered(**second: Answer) -> Any:
    one = subject(wanted(whole(failed="y", unit="milliseconds") if "failed" in second else whole()))
    return queries.series(one, (Missing("x"), Missing("y")), 15.0, None, second)


@pytest.mark.parametrize(
    ("requests", "failed", "good", "bad"),
    [(10.0, 2.0, 8.0, 2.0), (10.0, 0.0, 10.0, 0.0), (2.0, 2.1, 0.0, 2.1)],
)
def test_failed_ones_are_a_part_of_all(requests: float, failed: float, good: float, bad: float) -> None:
    series = answered(requests=(Row({}, requests),), failed=(Row({}, failed),))
    assert series.requests == (Row({}, good), Row({FAILED: "true"}, bad))
    assert series.tells_failed
    assert series.scale_to_seconds == 0.001


def test_what_is_not_known_stays_unknown() -> None:
    refused = Missing("QueryRejected")
    assert answered(requests=(Row({}, 1.0),), failed=refused).requests == refused
    assert answered(requests=refused, failed=(Row({}, 1.0),)).requests == refused
    assert answered(requests=(), failed=(Row({}, 1.0),)).requests == ()
    assert answered(requests=(Row({}, 5.0),), failed=()).requests == (Row({}, 5.0),)
    series = answered(requests=(Row({}, 5.0),))
    assert series.requests == (Row({}, 5.0),)
    assert not series.tells_failed
    (unknown,) = answered(requests=(Row({}, math.nan),), failed=()).requests
    assert math.isnan(unknown.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Python may read [[ otherwise one day; RE2 will not
@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_regular_expression_of_a_name_stays_in_its_place(regex: str) -> None:
    its = {"names": {"histogram": "x", "failed": {"label": "code", "regex": regex}}}
    one = wanted(its)
    assert one.spec.metrics.custom
    if custom.problems(one.spec.metrics.custom):
        return
    text = sent(subject(one))["requests"]
    assert enforce.selectors(text) == (("x_count", (Matcher("namespace", "=~", "shop"),)),)
    assert quote(regex) in text


def test_a_preset_has_a_variant_for_each_of_its_names() -> None:
    preset = Preset.model_validate(
        {
            "histogram": "a",
            "inFlight": "b",
            "matchers": [{"label": "c", "value": "d"}],
            "alternatives": [{"histogram": "e"}],
        }
    )
    first, second = preset.variants
    assert (first.histogram, first.in_flight, first.fixed) == ("a", "b", (Matcher("c", "=", "d"),))
    assert (second.histogram, second.in_flight, second.fixed) == ("e", None, (Matcher("c", "=", "d"),))
    assert not first.alternatives
    assert not second.alternatives


def test_the_first_names_that_have_series_are_meant() -> None:
    variants = [Preset(histogram=name) for name in ("a", "b_count", "c")]
    rows = [Row({"__name__": name}, 1.0) for name in ("c_count", "b_count_count", "other")] + [Row({}, 1.0)]
    assert queries.looked({"look": tuple(rows)}, variants) == 1
    assert queries.looked({"look": (Row({"__name__": "c"}, 1.0),)}, variants) == 2
    assert queries.looked({"look": ()}, variants) is None
    assert queries.looked({"look": Missing("QueryRejected")}, variants) is None
