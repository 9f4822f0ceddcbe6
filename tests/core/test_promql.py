"""Queries: golden text that a real parser reads, and nothing a user writes can leave its place."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import promql_parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfslo.core import promql
from perfslo.core.promql import Mark, Matcher, Over, Pods, Query, Together, one_of, quote, texts, workload_of_pod

BUCKETS = Query("http_bucket", (Matcher("code", "!~", "4.."),), Over.INCREASE, 60, keep=("le",))
FAILED = Query("http_count", over=Over.INCREASE, window_seconds=37.5, mark=Mark("failed", ("code", "status"), "5.."))
GOLDEN = {
    BUCKETS: (
        "sum by (namespace, perfslo_workload, le) ("
        "max without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(increase(http_bucket{code!~"4..",namespace=~"bank|shop-eu"}[60s]), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD)))'
    ),
    FAILED: (
        "sum by (namespace, perfslo_workload, failed) (label_replace(label_replace("
        "max without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(increase(http_count{namespace=~"bank|shop-eu"}[37500ms]), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD)), '
        '"failed", "true", "code", "5.."), "failed", "true", "status", "5.."))'
    ),
    Query("g", identity=Pods("exported_namespace", "exported_pod")): (
        "sum by (exported_namespace, perfslo_workload) ("
        "max without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(g{exported_namespace=~"bank|shop-eu"}, '
        '"perfslo_workload", "${1}${2}${3}", "exported_pod", POD)))'
    ),
    Query("c", over=Over.AGE, aggregate="max"): (
        'max by (namespace, perfslo_workload) (label_replace(timestamp(c{namespace=~"bank|shop-eu"}) - time(), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD))'
    ),
    Query("c", over=Over.INCREASE, window_seconds=3600, at_seconds=1_800_000_000, aggregate="max"): (
        "max by (namespace, perfslo_workload) (label_replace("
        'increase(c{namespace=~"bank|shop-eu"}[3600s] @ 1800000000), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD))'
    ),
    Query("c", over=Over.COUNT, window_seconds=60, offset_seconds=240, aggregate="max"): (
        "max by (namespace, perfslo_workload) (label_replace("
        'count_over_time(c{namespace=~"bank|shop-eu"}[60s] offset 240s), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD))'
    ),
    Query("http_bucket", over=Over.INCREASE, window_seconds=60, keep=("le",), native="http"): (
        "sum by (namespace, perfslo_workload, le) ("
        "avg without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(increase(http{namespace=~"bank|shop-eu"}[60s]), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD)) or ('
        "max without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(increase(http_bucket{namespace=~"bank|shop-eu"}[60s]), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD)) unless ignoring (le) '
        "avg without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(increase(http{namespace=~"bank|shop-eu"}[60s]), '
        '"perfslo_workload", "${1}${2}${3}", "pod", POD))))'
    ),
    Query("http_count", over=Over.INCREASE, window_seconds=60, native="http"): (
        "sum by (namespace, perfslo_workload) ("
        "max without (endpoint, instance, job, metrics_path, node, prometheus, prometheus_replica, service) ("
        'label_replace(histogram_count(increase(http{namespace=~"bank|shop-eu"}[60s])) or '
        'increase(http_count{namespace=~"bank|shop-eu"}[60s]), "perfslo_workload", "${1}${2}${3}", "pod", POD)))'
    ),
    Query("http_count", over=Over.AGE, aggregate="max", native="http"): (
        'max by (namespace, perfslo_workload) (label_replace(timestamp(http{namespace=~"bank|shop-eu"}) - time() or '
        'timestamp(http_count{namespace=~"bank|shop-eu"}) - time(), "perfslo_workload", "${1}${2}${3}", "pod", POD))'
    ),
}
SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
POD = f'"([a-z0-9.-]+)-{SAFE}{{6,10}}-{SAFE}{{5}}|([a-z0-9.-]+)-[0-9]+|(?s:(.*))"'

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hostile = st.sampled_from(
    ['"', '"} or vector(1) #', "\\", '\\"', "\n", "`", "'", "{", "}", "$1", "|", ".*", "\x00", "\ufffd"]
)
written = st.lists(st.one_of(any_text, hostile), max_size=4).map("".join)
label = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)


@pytest.mark.parametrize("query", GOLDEN, ids=lambda query: f"{query.native}-{query.metric}-{query.over.name}")
def test_queries_read_as_meant(query: Query) -> None:
    text = query.text(["bank", "shop-eu"])
    assert text == GOLDEN[query].replace("POD", POD)
    promql_parser.parse(text)


def selectors(text: str) -> list[tuple[str | None, list[tuple[str, str, str]]]]:
    """Every selector in a query, as a real parser sees it."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
            matchers = [(m.name, operators[str(m.op).rpartition(".")[2]], m.value) for m in node.matchers.matchers]
            assert not node.matchers.or_matchers
            found.append((node.name, matchers))
        for name in ("expr", "lhs", "rhs", "vector_selector"):
            if (child := getattr(node, name, None)) is not None:
                visit(child)
        for child in getattr(node, "args", None) or ():
            visit(child)

    visit(promql_parser.parse(text))
    return found


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.tuples(label, st.sampled_from(["=", "!="]), written), max_size=4),
    st.lists(written, min_size=1, max_size=3),
)
@example([("a", "=", 'b"} or up{x="')], ['.*"}) or vector(1) #'])
def test_a_query_has_exactly_the_selectors_that_were_meant(
    matchers: list[tuple[str, str, str]], namespaces: list[str]
) -> None:
    query = Query("http_bucket", tuple(Matcher(*matcher) for matcher in matchers), Over.INCREASE, 60, keep=("le",))
    assert selectors(query.text(namespaces)) == [("http_bucket", [*matchers, ("namespace", "=~", one_of(namespaces))])]


@settings(max_examples=200, deadline=None)
@given(written)
def test_a_mark_has_exactly_the_expression_that_was_meant(regex: str) -> None:
    text = Query("c", mark=Mark("failed", ("code",), regex)).text(["a"])
    parsed: Any = promql_parser.parse(text)
    assert [argument.val for argument in parsed.expr.args[1:]] == ["failed", "true", "code", regex]
    assert len(selectors(text)) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(written, min_size=1, max_size=4), written)
def test_a_list_matches_its_values_only(values: list[str], other: str) -> None:
    expression = re.compile(one_of(values), re.DOTALL)
    assert all(expression.fullmatch(value) for value in values)
    assert bool(expression.fullmatch(other)) == (other in values)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=10))
def test_names_are_names_or_refused(text: str) -> None:
    for check, first in ((promql.label_name, "_"), (promql.metric_name, "_:")):
        if re.fullmatch(rf"[a-zA-Z{first}][a-zA-Z0-9{first}]*", text, re.ASCII):
            assert check(text) == text
        else:
            with pytest.raises(ValueError, match="not a"):
                check(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Matcher("a-b", "=", "c"),
        lambda: Matcher("a\n", "=", "c"),
        lambda: Matcher("a", "==", "c"),
        lambda: Matcher("a", "=", "\ud800"),
        lambda: Query("a b"),
        lambda: Query("a", native="a b"),
        lambda: Query("a", keep=("l e",)),
        lambda: Query("a", identity=Pods(pod_label='p"')),
        lambda: Query("a", mark=Mark("failed", ("a b",), "x")),
    ],
)
def test_what_cannot_be_in_a_query_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="not"):
        make()


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-5d4f8c7b9c-x2k4j", "web"),
        ("web-api-v2-7bb8d9c-zzzzz", "web-api-v2"),
        ("shop.web-5d4f8c7b9c-24567", "shop.web"),
        ("db-0", "db"),
        ("db-bcdfgh-0", "db-bcdfgh"),
        ("db-117", "db"),
        ("bare", "bare"),
        ("replicaset-x2k4j", "replicaset-x2k4j"),
        ("proxy-b-x2k4j", "proxy-b-x2k4j"),
        ("daemon-proxies-x2k4j", "daemon-proxies-x2k4j"),
        ("", ""),
    ],
)
def test_a_pods_name_gives_its_workload(pod: str, workload: str) -> None:
    assert workload_of_pod(pod) == workload


dns_label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)
safe = "bcdfghjklmnpqrstvwxz2456789"


@settings(max_examples=200, deadline=None)
@given(dns_label, st.text(safe, min_size=6, max_size=10), st.text(safe, min_size=5, max_size=5), st.integers(0, 9999))
def test_any_workload_is_found_by_its_pods_names(name: str, template_hash: str, suffix: str, ordinal: int) -> None:
    assert workload_of_pod(f"{name}-{template_hash}-{suffix}") == name
    assert workload_of_pod(f"{name}-{ordinal}") in (name, name.rpartition("-")[0].rpartition("-")[0] or name)


@settings(max_examples=200, deadline=None)
@given(st.lists(dns_label, max_size=300, unique=True), st.booleans())
def test_chunks_hold_every_namespace_and_are_short(namespaces: list[str], together: bool) -> None:
    query = Together((("a", BUCKETS), ("b", FAILED))) if together else BUCKETS
    chunks = texts(query, namespaces)
    assert len(chunks) <= promql.MAX_CHUNKS
    assert all(len(chunk) <= promql.MAX_QUERY_CHARACTERS for chunk in chunks)
    asked = [name for chunk in chunks for _, matchers in selectors(chunk)[:1] for name in matchers[-1][2].split("|")]
    if namespaces and 'namespace!=""' not in chunks[0]:
        assert sorted(asked) == sorted(namespaces)


def test_long_names_make_more_chunks_not_longer_ones() -> None:
    namespaces = [f"team-{number:050}" for number in range(40)]
    chunks = texts(Together((("a", BUCKETS), ("b", FAILED))), namespaces)
    assert 1 < len(chunks) <= promql.MAX_CHUNKS
    assert all(len(chunk) <= promql.MAX_QUERY_CHARACTERS for chunk in chunks)
    assert all(sum(name in chunk for chunk in chunks) == 1 for name in namespaces)


def test_many_workloads_are_asked_about_in_parts() -> None:
    """An answer of 150,000 rows would hold the process while it is read; one row each is not many."""
    namespaces = [f"team-{number // 100:03}" for number in range(10_000)]
    buckets = replace(BUCKETS, keep=("le",))
    chunks = texts(buckets, namespaces)
    assert 1 < len(chunks) <= promql.MAX_CHUNKS
    assert all(chunk.count("team-") * 100 * promql.ROWS_OF_A_HISTOGRAM <= promql.MAX_ROWS for chunk in chunks)
    assert sum(chunk.count("team-") for chunk in chunks) == 100
    assert len(texts(replace(BUCKETS, keep=()), namespaces)) == 1


def test_a_whole_cluster_is_asked_at_once() -> None:
    (text,) = texts(BUCKETS, [f"team-{number:05}" for number in range(5000)])
    assert selectors(text) == [("http_bucket", [("code", "!~", "4.."), ("namespace", "!=", "")])]


def test_quoting_leaves_plain_text_readable() -> None:
    assert quote("GET /a?b=c|d.*") == '"GET /a?b=c|d.*"'
