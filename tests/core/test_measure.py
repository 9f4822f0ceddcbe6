"""Series -> Observation: each kind of not knowing is told apart; and which queries SLOs share."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import hours, queries
from perfslo.core.measure import FAILED, Answer, Row, Series, Wanted, missing, observe
from perfslo.core.model import Histogram, Missing, NoTraffic, Observation, Replicas, Requests, Signal, Stale, Value
from perfslo.core.preset import By, Failed, Preset
from perfslo.core.promql import Matcher, Query, Together
from perfslo.core.queries import Ask, Subject, sampling_asks, value_asks
from perfslo.core.scrape import Sampling
from perfslo.core.table import Table

FRESH = Sampling(age_seconds=7.0, counts=(1.0, 4.0, 20.0), existed_before=True)
REPLICAS = Replicas(desired=2, ready=2)
PRESET = Preset(histogram="http", in_flight="active", failed=Failed(labels=("code",), regex="5.."))


def spec(*objectives: dict[str, Any], **metrics: Any) -> PerformanceSLOSpec:
    latency = {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "objectives": objectives or [latency],
            "metrics": metrics,
        }
    )


def rows(*values: float, **labels: str) -> tuple[Row, ...]:
    return tuple(Row(labels, value) for value in values)


def buckets(**counts: float) -> tuple[Row, ...]:
    return tuple(Row({"le": le.removeprefix("le").replace("_", ".")}, count) for le, count in counts.items())


USUAL = Series(
    sampling=FRESH,
    histograms={"p95": (*buckets(le0_1=50.0, le0_25=90.0), Row({"le": "+Inf"}, 100.0))},
    completions=rows(75.0),
    requests=(*rows(90.0), *rows(10.0, **{FAILED: "true"})),
    in_flight=rows(3.0, 4.0),
    resource_sampling=FRESH,
    cpu_seconds=rows(30.0),
    cfs_periods=rows(600.0),
    cfs_throttled_periods=rows(60.0),
    memory_bytes=rows(1e6, 2e6),
    disk_read_bytes=rows(6e6),
    disk_written_bytes=rows(0.0),
    network_received_bytes=rows(6e7),
    network_sent_bytes=rows(6e8, 6e8),
)


def seen(**changes: Any) -> Observation:
    return observe(spec(), REPLICAS, replace(USUAL, **changes), 15.0, 1000.0)


def test_what_is_there_becomes_values_with_their_age() -> None:
    observation = seen()
    assert observation.latency == {"p95": Histogram((0.1, 0.25, math.inf), (50.0, 90.0, 100.0), 7.0)}
    assert observation.completions_per_second == Value(2.0, 7.0)  # 75 in 2.5 scrapes of 15 s
    assert observation.error_ratio == Value(0.1, 7.0)
    assert observation.in_flight == Value(7.0, 7.0)
    assert observation.cpu_cores == Value(0.5, 7.0)
    assert observation.cpu_throttled_ratio == Value(0.1, 7.0)
    assert observation.memory_bytes == Value(3e6, 7.0)
    assert observation.disk_read_bytes_per_second == Value(1e5, 7.0)  # 6 MB in 60 s
    assert observation.disk_write_bytes_per_second == NoTraffic(7.0), "a known zero"
    assert observation.network_receive_bytes_per_second == Value(1e6, 7.0)
    assert observation.network_transmit_bytes_per_second == Value(2e7, 7.0)
    assert (observation.time, observation.replicas, observation.source_problem) == (1000.0, REPLICAS, None)
    assert observation.scale.window_seconds == 60.0


def requests_of(observation: Observation) -> list[Any]:
    return [
        observation.latency["p95"],
        observation.completions_per_second,
        observation.error_ratio,
        observation.in_flight,
    ]


def resources_of(observation: Observation) -> list[Signal]:
    return [
        observation.cpu_cores,
        observation.cpu_throttled_ratio,
        observation.memory_bytes,
        observation.disk_read_bytes_per_second,
        observation.disk_write_bytes_per_second,
        observation.network_receive_bytes_per_second,
        observation.network_transmit_bytes_per_second,
    ]


NO_IO: dict[str, Answer] = dict.fromkeys(
    ("disk_read_bytes", "disk_written_bytes", "network_received_bytes", "network_sent_bytes"), ()
)


NATIVE = Row({}, 40.0, ((0.1, 0.11, 30.0), (0.3, 0.33, 10.0)))


def test_native_histograms_are_read_beside_classic_ones() -> None:
    own = seen(histograms={"p95": (NATIVE,)}).latency["p95"]
    assert own == Histogram((0.1, 0.11, 0.3, 0.33, math.inf), (0.0, 30.0, 30.0, 40.0, 40.0), 7.0, native=True)
    classic = (*buckets(le0_1=50.0, le0_25=90.0), Row({"le": "+Inf"}, 100.0))
    both = seen(histograms={"p95": (*classic, NATIVE)}).latency["p95"]
    assert both == Histogram((0.1, 0.25, math.inf), (50.0, 120.0, 140.0), 7.0)


def test_requests_without_buckets_are_told_from_no_requests() -> None:
    reading = seen(histograms={"p95": ()}).latency["p95"]
    assert isinstance(reading, Missing)
    assert reading.reason == "BucketsMissing"
    assert "cannot add up" in reading.message
    reading = seen(histograms={"p95": ()}, requests=()).latency["p95"]
    assert isinstance(reading, Missing)
    assert reading.reason == "SeriesMissing"
    route = {"label": "http_route", "op": "=", "value": "/cart"}
    its = spec({"name": "p95", "latency": {"percentile": 95, "threshold": "200ms", "matchers": [route]}})
    reading = observe(its, REPLICAS, replace(USUAL, histograms={"p95": ()}), 15.0, 1000.0).latency["p95"]
    assert isinstance(reading, Missing)
    assert reading.reason == "SeriesMissing", "nobody asked for the cart"


def test_a_native_histogram_without_requests_is_no_traffic() -> None:
    assert seen(histograms={"p95": (Row({}, 0.0, ()),)}).latency["p95"] == NoTraffic(7.0)


@pytest.mark.parametrize("bad", [Row({}, math.nan, ()), Row({"le": "0.1"}, 4.0)], ids=["native", "classic"])
def test_a_part_that_cannot_be_used_is_not_left_out(bad: Row) -> None:
    assert isinstance(seen(histograms={"p95": (NATIVE, bad)}).latency["p95"], Missing)


def test_old_samples_are_stale_each_by_its_own_rhythm() -> None:
    old = replace(FRESH, age_seconds=37.6)
    observation = seen(sampling=old)
    assert requests_of(observation) == [Stale(37.6)] * 4
    assert all(isinstance(signal, Value | NoTraffic) for signal in resources_of(observation))
    observation = seen(resource_sampling=old)
    assert resources_of(observation) == [Stale(37.6)] * 7
    assert all(
        isinstance(signal, Value | NoTraffic)
        for signal in resources_of(seen(resource_sampling=old, resource_scrape_seconds=30.0))
    )
    assert not isinstance(seen(sampling=old, scrape_seconds=30.0).in_flight, Stale)


def test_samples_from_the_future_are_not_fresh() -> None:
    for age in (-600.0, math.nan):
        signal = seen(sampling=replace(FRESH, age_seconds=age)).in_flight
        assert isinstance(signal, Missing)
        assert signal.reason == "ClockSkewed"
    assert seen(sampling=replace(FRESH, age_seconds=-0.3)).in_flight == Value(7.0, 0.0)


def test_no_increase_is_no_traffic() -> None:
    observation = seen(
        histograms={"p95": (*buckets(le0_1=0.0), Row({"le": "+Inf"}, 0.0))},
        completions=rows(0.0),
        requests=rows(0.0),
        in_flight=rows(0.0),
        cpu_seconds=rows(0.0),
        cfs_periods=rows(0.0),
        cfs_throttled_periods=rows(0.0),
    )
    assert requests_of(observation) == [NoTraffic(7.0)] * 3 + [Value(0.0, 7.0)]
    assert resources_of(observation)[:2] == [NoTraffic(7.0)] * 2


def test_no_rows_are_missing_never_zero() -> None:
    observation = seen(
        histograms={},
        completions=(),
        requests=(),
        in_flight=(),
        cpu_seconds=(),
        cfs_periods=(),
        memory_bytes=(),
        **NO_IO,
    )
    for signal in requests_of(observation) + resources_of(observation):
        assert isinstance(signal, Missing)
        assert signal.reason == "SeriesMissing"


def test_one_scrape_is_too_few() -> None:
    signal = seen(sampling=Sampling(3.0, (1.0, 1.0, 1.0)), completions=()).completions_per_second
    assert isinstance(signal, Missing)
    assert signal.reason == "TooFewSamples"


def test_no_failed_rows_are_no_failures() -> None:
    assert seen(requests=rows(90.0)).error_ratio == Value(0.0, 7.0)
    assert seen(requests=rows(9.0, **{FAILED: "true"})).error_ratio == Value(1.0, 7.0)


def test_a_preset_without_failures_leaves_them_unknown() -> None:
    assert seen(tells_failed=False).error_ratio == Missing("NotMeasured")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0])
def test_a_number_that_is_none_is_missing(number: float) -> None:
    bad = rows(5.0, number)
    observation = seen(
        histograms={"p95": (Row({"le": "0.1"}, number), Row({"le": "+Inf"}, 5.0))},
        completions=bad,
        requests=bad,
        in_flight=bad,
        cpu_seconds=bad,
        cfs_throttled_periods=bad,
        memory_bytes=bad,
        **dict.fromkeys(NO_IO, bad),
    )
    for signal in requests_of(observation) + resources_of(observation):
        assert isinstance(signal, Missing)
        assert signal.reason == "NotANumber"


def test_what_was_refused_says_why() -> None:
    refused = Missing("QueryRejected", "too many samples")
    observation = seen(histograms={"p95": refused}, memory_bytes=refused)
    assert observation.latency["p95"] == observation.memory_bytes == refused
    assert isinstance(observation.completions_per_second, Value)


def test_an_unwell_source_is_said_for_everything() -> None:
    problem = Missing("PrometheusUnreachable", "no answer in time")
    for series in (missing(problem, common=True), replace(USUAL, source_problem=problem)):
        observation = observe(spec(), REPLICAS, series, 15.0, 1000.0)
        assert requests_of(observation) + resources_of(observation) == [problem] * 11
        assert observation.source_problem == problem
    own = observe(spec(), REPLICAS, missing(Missing("SourceNotDefined")), 15.0, 1000.0)
    assert own.latency["p95"] == Missing("SourceNotDefined")
    assert own.source_problem is None


def wanted(name: str = "web", its: PerformanceSLOSpec | None = None) -> Wanted:
    return Wanted(f"shop/{name}", "shop", frozenset({name}), "default", "http-server", its or spec())


def subject(
    name: str = "web", its: PerformanceSLOSpec | None = None, source_matchers: tuple[Matcher, ...] = ()
) -> Subject:
    return queries.subject(wanted(name, its), PRESET, source_matchers)


def asked(one: Subject) -> dict[str, Any]:
    return {**sampling_asks(one), **value_asks(one, 15.0, 15.0)}


def test_equal_slos_share_every_query() -> None:
    assert asked(subject("web")) == asked(subject("db"))
    assert len(set(asked(subject()).values())) == 8, "two for each of the four families"


def test_an_objectives_matchers_make_a_histogram_of_their_own() -> None:
    route = {"label": "http_route", "op": "=", "value": "/cart"}
    health = {"label": "http_route", "op": "!=", "value": "/healthz"}
    its = spec(
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "p99", "latency": {"percentile": 99, "threshold": "1s"}},
        {"name": "cart", "latency": {"percentile": 95, "threshold": "200ms", "matchers": [route, health]}},
        matchers=[health],
    )
    asks = asked(subject(its=its))
    assert asks["latency/p95"] == asks["latency/p99"]
    health_matcher, route_matcher = Matcher("http_route", "!=", "/healthz"), Matcher("http_route", "=", "/cart")
    assert asks["latency/p95"].query.matchers == (health_matcher,)
    assert asks["latency/cart"].query.matchers == (health_matcher, route_matcher), "united, each once"
    assert asks["completions"].query.matchers == parts(asks["now"])["in-flight"].matchers == (health_matcher,)
    assert parts(asks["compute"])["cpu"].matchers == (Matcher("container", "!=", ""),), "the kubelet knows no routes"


def test_each_objective_has_its_own_matchers_and_shares_what_is_equal() -> None:
    def chosen(value: str) -> list[dict[str, str]]:
        return [{"label": "http_route", "op": "=", "value": value}]

    its = spec(
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "cart", "latency": {"percentile": 95, "threshold": "200ms", "matchers": chosen("/cart")}},
        {"name": "errors", "errorRate": {"maxPercent": "1"}},
        {"name": "cart-errors", "errorRate": {"maxPercent": "1", "matchers": chosen("/cart")}},
        {"name": "pay", "throughput": {"minPerSecond": "5", "matchers": chosen("/pay")}},
        {"name": "cpu", "utilization": {"resource": "cpu", "targetPercent": 70}},
    )
    asks = asked(subject(its=its))
    cart, pay = Matcher("http_route", "=", "/cart"), Matcher("http_route", "=", "/pay")
    own = {name: ask.query.matchers for name, ask in asks.items() if "/" in name and isinstance(ask.query, Query)}
    assert own == {
        "latency/p95": (),
        "latency/cart": (cart,),
        "requests/cart": (cart,),
        "requests/cart-errors": (cart,),
        "completions/pay": (pay,),
        "in-flight/pay": (pay,),
    }
    assert asks["requests/cart"] == asks["requests/cart-errors"] != asks["requests"]
    assert asks["requests/cart"].query.mark == asks["requests"].query.mark, "failed ones are told apart"
    assert set(asks) - set(own) == set(asked(subject())) - {"latency/p95"}, "what needs no query of its own has none"
    elsewhere = PRESET.model_copy(update={"failed": Failed(metric="answers", labels=("class",), regex="5")})
    asks = asked(queries.subject(wanted(its=its), elsewhere))
    assert asks["requests"].query.metric == asks["requests/cart"].query.metric == "answers"


def test_objectives_with_matchers_are_judged_by_the_requests_they_choose() -> None:
    route = [{"label": "http_route", "op": "=", "value": "/cart"}]
    its = spec(
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "errors", "errorRate": {"maxPercent": "1", "matchers": route}},
        {"name": "served", "throughput": {"minPerSecond": "5", "matchers": route}},
    )
    answers = replace(
        USUAL,
        own_requests={"errors": (*rows(30.0), *rows(10.0, **{FAILED: "true"}))},
        own_completions={"served": rows(37.5)},
        own_in_flight={"served": rows(2.0)},
    )
    observation = observe(its, REPLICAS, answers, 15.0, 1000.0)
    assert observation.requests_counted == Value(100.0, 7.0)
    assert observation.own_requests == {
        "errors": Requests(error_ratio=Value(0.25, 7.0), counted=Value(40.0, 7.0)),
        "served": Requests(completions_per_second=Value(1.0, 7.0), in_flight=Value(2.0, 7.0)),
    }
    stale = observe(its, REPLICAS, replace(answers, sampling=replace(FRESH, age_seconds=90.0)), 15.0, 1000.0)
    assert stale.own_requests["errors"].error_ratio == stale.own_requests["served"].in_flight == Stale(90.0)
    quiet = observe(its, REPLICAS, replace(answers, own_requests={"errors": rows(0.0)}), 15.0, 1000.0)
    assert quiet.own_requests["errors"].error_ratio == NoTraffic(7.0)
    gone = observe(its, REPLICAS, replace(answers, own_completions={"served": ()}), 15.0, 1000.0)
    assert isinstance(gone.own_requests["served"].completions_per_second, Missing)


def parts(ask: Ask) -> dict[str, Query]:
    if isinstance(ask.query, Together):
        return dict(ask.query.parts)
    assert isinstance(ask.query, Query)
    return {"": ask.query}


def test_a_pods_network_is_counted_once_and_without_its_loopback() -> None:
    io = parts(asked(subject())["io"])
    assert io["disk-read"].matchers == io["disk-written"].matchers == (Matcher("container", "!=", ""),)
    sandbox = (Matcher("container", "=~", "|POD"), Matcher("interface", "!=", "lo"))
    assert io["network-received"].matchers == io["network-sent"].matchers == sandbox


def test_the_traffic_of_a_node_is_not_that_of_its_pods() -> None:
    observation = observe(spec(), replace(REPLICAS, host_network=True), USUAL, 15.0, 1000.0)
    assert observation.network_receive_bytes_per_second == Missing("NotMeasured")
    assert observation.network_transmit_bytes_per_second == Missing("NotMeasured")
    assert isinstance(observation.disk_read_bytes_per_second, Value)


def test_the_administrators_matchers_are_everywhere() -> None:
    cluster = Matcher("cluster", "=", "eu")
    for ask in asked(subject(source_matchers=(cluster,))).values():
        assert all(cluster in query.matchers for query in parts(ask).values())


def test_windows_follow_the_scrape_interval() -> None:
    windows = {
        part or name: query.window_seconds
        for name, ask in value_asks(subject(), 30.0, 5.0).items()
        for part, query in parts(ask).items()
    }
    assert windows["latency/p95"] == windows["requests"] == 120
    assert windows["completions"] == 75
    assert windows["cpu"] == windows["cfs-periods"] == windows["disk-read"] == windows["network-sent"] == 40, (
        "the kubelet looks every 10 s, however often it is asked"
    )
    assert windows["in-flight"] == windows["memory"] == 0


def test_an_hour_is_asked_about_as_a_window_is_and_looked_at_when_it_ended() -> None:
    asks = hours.asks(subject(), 500_000)
    assert set(asks) == {"requests", "latency/p95"}
    for name, ask in asks.items():
        (window,) = parts(value_asks(subject(), 15.0, 15.0)[name]).values()
        assert ask.query == replace(window, window_seconds=3600, at_seconds=500_001 * 3600)


def test_an_hour_is_read_from_what_rules_recorded_where_that_is_the_same() -> None:
    matcher = {"label": "http_route", "op": "=", "value": "/cart"}
    its = spec(
        {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
        {"name": "cart", "latency": {"percentile": 95, "threshold": "200ms", "matchers": [matcher]}},
    )
    cluster = Matcher("cluster", "=", "eu")
    recorded = hours.recordings("http-server", PRESET)
    asks = hours.asks(subject(its=its, source_matchers=(cluster,)), 500_000, "http-server")
    read = {name: query for name, ask in asks.items() for query in parts(ask).values() if query.metric in recorded}
    assert set(read) == {"requests", "latency/p95"}, "a choice among the requests was not recorded"
    for query in read.values():
        assert query.matchers == (cluster,)
        assert (query.window_seconds, query.at_seconds) == (3600, 500_001 * 3600)
        made = recorded[query.metric]
        assert made.window_seconds == hours.RECORDED_SECONDS
        assert query.keep == ((*made.keep, made.mark.name) if made.mark else made.keep)
        assert "label_replace" not in query.text(["shop"])


def test_native_histograms_are_not_recorded() -> None:
    asks = hours.asks(replace(subject(), native=True), 500_000, "http-server")
    assert {query.native for ask in asks.values() for query in parts(ask).values()} == {PRESET.histogram}


def test_what_proxies_say_is_not_recorded() -> None:
    proxied = PRESET.model_copy(
        update={"by": By.model_validate({"labels": {"namespaceLabel": "n", "nameLabels": ["s"]}})}
    )
    assert hours.recordings("proxy", proxied) == {}
    asks = hours.asks(queries.subject(wanted(), proxied), 500_000, "proxy")
    assert {query.metric for ask in asks.values() for query in parts(ask).values()} == {
        f"{PRESET.histogram}_count",
        f"{PRESET.histogram}_bucket",
    }


def test_an_hour_without_an_answer_is_not_an_hour_without_requests() -> None:
    buckets = (*rows(90.0, le="0.2"), *rows(100.0, le="+Inf"))
    failed = (*rows(10.0, perfslo_failed="true"), *rows(90.0))

    def hour(**answers: Answer) -> Observation:
        series = hours.series(subject(), {"latency/p95": buckets, "requests": failed} | answers)
        assert series
        return observe(spec(), REPLICAS, series, 15.0, 1000.0)

    assert hour().latency["p95"] == Histogram((0.2, math.inf), (90.0, 100.0))
    assert hour().error_ratio == Value(0.1)
    idle = (*rows(0.0, le="0.2"), *rows(0.0, le="+Inf"))
    assert hour(**{"latency/p95": idle}).latency["p95"] == NoTraffic()
    gone = hour(**{"latency/p95": (), "requests": ()}).latency["p95"]
    assert isinstance(gone, Missing)
    assert hours.series(subject(), {"latency/p95": buckets, "requests": Missing("NotAsked")}) is None


def test_nothing_is_asked_about_series_that_do_not_exist() -> None:
    assert value_asks(subject(), None, None) == {}
    assert set(value_asks(subject(), None, 15.0)) == {"compute", "io"}


def test_native_histograms_are_looked_for_and_then_asked_for() -> None:
    one = subject()
    asks = sampling_asks(one)
    age: dict[str, Answer] = {"sampling": rows(-7.0, part="age")}
    assert not queries.found_native(age)
    assert queries.found_native({"sampling": (*rows(-7.0, part="age"), *rows(-7.0, part="native"))})
    assert not queries.found_native({"sampling": Missing("PrometheusUnwell")})
    looked_for = parts(asks["sampling"])["native"]
    assert (looked_for.metric, looked_for.native) == ("http", "")
    native = replace(one, native=True)
    for name, ask in asked(native).items():
        for part, query in parts(ask).items():
            counted = name in ("sampling", "completions", "requests", "latency/p95") or part == "pods"
            assert query.native == ("http" if counted else ""), (name, part)
    assert len(asked(native)) == len(asked(one))
    assert "native" not in parts(sampling_asks(native)["sampling"])


def numbers(answer: Answer) -> list[float]:
    return [] if isinstance(answer, Missing) else [row.value for row in answer]


def test_rows_go_to_their_own_workload_and_namespace() -> None:
    web = Row({"namespace": "shop", "perfslo_workload": "web"}, 1.0)
    other = Row({"namespace": "shop", "perfslo_workload": "web-x2k4j"}, 2.0)
    elsewhere = Row({"namespace": "bank", "perfslo_workload": "web"}, 4.0)
    table = Table([other, web, elsewhere, Row({"perfslo_workload": "web"}, 8.0)])
    assert numbers(table.of(wanted())) == [1.0]
    assert numbers(table.of(replace(wanted(), workloads=frozenset({"web", "web-x2k4j"})))) == [1.0, 2.0]
    assert table.of(replace(wanted(), namespace="elsewhere")) == ()


def test_rows_keep_and_share_what_tells_them_apart() -> None:
    names = ({"namespace": "shop", "perfslo_workload": name} for name in ("web", "web", "other"))
    table = Table(Row({**name, "le": le}, 1.0) for name, le in zip(names, ("1", "+Inf", "1"), strict=True))
    web, other = table.of(wanted()), table.of(replace(wanted(), workloads=frozenset({"other"})))
    assert not isinstance(web, Missing)
    assert not isinstance(other, Missing)
    assert [row.labels for row in web] == [{"le": "1"}, {"le": "+Inf"}]
    assert other[0].labels is web[0].labels


def test_what_was_not_answered_is_not_taken_for_no_series() -> None:
    problem = Missing("QueryRejected")
    table = Table([Row({"namespace": "bank", "perfslo_workload": "web"}, 4.0)], unanswered={"shop": problem})
    assert table.of(wanted()) == problem
    assert table.of(replace(wanted(), namespace="bank")) != problem


def test_both_rounds_become_series() -> None:
    first: dict[str, Answer] = {
        "sampling": (
            *rows(-7.0, part="age"), *rows(-2.0, part="age"), *rows(4.0, part="60s"), *rows(20.0, part="300s"),
            *rows(1.0, part="20s"), *rows(4.0, part="before"),
        ),
        "resource-sampling": (),
    }  # fmt: skip
    sampling, resources = queries.sampling(first)
    assert sampling == Sampling(2.0, (1.0, 4.0, 20.0), True)
    assert isinstance(resources, Missing)
    second: dict[str, Answer] = {
        "latency/p95": rows(1.0),
        "completions": rows(5.0),
        "compute": (*rows(30.0, part="cpu"), *rows(1e6, part="memory")),
        "io": (
            *rows(1.0, part="disk-read"), *rows(2.0, part="disk-written"),
            *rows(3.0, part="network-received"), *rows(4.0, part="network-sent"),
        ),
    }  # fmt: skip
    series = queries.series(subject(), (sampling, resources), 15.0, None, second)
    assert series.histograms == {"p95": rows(1.0)}
    assert series.completions == rows(5.0)
    assert series.scrape_seconds == 15.0
    assert isinstance(series.resource_sampling, Missing)
    assert (series.cpu_seconds, series.cfs_periods) == (rows(30.0, part="cpu"), ())
    assert series.memory_bytes == rows(1e6, part="memory")
    io = (
        series.disk_read_bytes, series.disk_written_bytes, series.network_received_bytes, series.network_sent_bytes
    )  # fmt: skip
    assert [row.value for answer in io if isinstance(answer, tuple) for row in answer] == [1.0, 2.0, 3.0, 4.0]
    refused = queries.series(subject(), (sampling, resources), 15.0, None, second | {"io": Missing("QueryRejected")})
    assert refused.disk_read_bytes == refused.network_sent_bytes == Missing("QueryRejected")
    assert refused.memory_bytes == series.memory_bytes
