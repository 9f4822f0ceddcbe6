"""Whose a series is: built from both names and compared as a whole, so that no namespace can pass for another."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.core import enforce
from perfslo.core.identity import Joined, Labels
from perfslo.core.promql import Identity, Matcher, Pods, Query
from perfslo.edges import presets

PRESETS = presets.load()
dns_label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
object_name = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)


def key_of(identity: Identity, **labels: str) -> tuple[str, str]:
    """What Prometheus and the operator together make of a series with these labels."""
    calls: list[tuple[str, str, str, str]] = []

    def visit(node: Any) -> None:
        if getattr(getattr(node, "func", None), "name", "") == "label_replace":
            inner, *arguments = node.args
            visit(inner)
            calls.append(tuple(argument.val for argument in arguments))

    visit(enforce.parse(identity.named("up")))
    for to, replacement, label, regex in calls:
        if match := re.fullmatch(regex, labels.get(label, "")):
            labels[to] = match.expand(replacement.replace("$1", r"\1"))
    return identity.key(labels)


def chosen(identity: Identity, namespace: str, **labels: str) -> bool:
    """Whether a query for the namespace selects a series with these labels."""

    def holds(one: Matcher) -> bool:
        have = labels.get(one.label, "")
        if one.op == "=~":
            return re.fullmatch(one.value, have) is not None
        return (have == one.value) == (one.op == "=")

    return all(map(holds, identity.where([namespace])))


@settings(max_examples=200, deadline=None)
@given(dns_label, object_name, st.integers(0, 20))
def test_a_route_is_found_by_its_names(namespace: str, name: str, rule: int) -> None:
    identity = PRESETS["envoy-gateway"].identity
    for rest in (f"/rule/{rule}", f"/rule/{rule}/backend/1"):
        labels = {"pod": "envoy-1", "envoy_cluster_name": f"httproute/{namespace}/{name}{rest}"}
        assert chosen(identity, namespace, **labels)
        assert not chosen(identity, f"{namespace}x", **labels)
        assert (key_of(identity, **labels),) == identity.keys(namespace, (), name)


@settings(max_examples=200, deadline=None)
@given(st.tuples(dns_label, object_name), st.tuples(dns_label, object_name))
def test_two_routes_never_have_one_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    identity = PRESETS["envoy-gateway"].identity
    assert (identity.keys(one[0], (), one[1]) == identity.keys(other[0], (), other[1])) == (one == other)


@pytest.mark.parametrize(
    "value",
    [
        "httproute/shop/web/rule/0/x",
        "httproute/shop/web",
        "grpcroute/shop/web/rule/0",
        "xhttproute/shop/web/rule/0",
        "httproute/shop/other/web/rule/0",
        "httproute/shop/web/rule/0/match/0",
        "",
    ],
)
def test_another_cluster_of_envoy_is_not_a_route(value: str) -> None:
    identity = PRESETS["envoy-gateway"].identity
    assert key_of(identity, pod="envoy-1", envoy_cluster_name=value) not in identity.keys("shop", (), "web")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("shop-web-80@kubernetes", "web"),
        ("shop-web-http@kubernetes", "web"),
        ("shop-web-api-8080@kubernetes", "web-api"),
        ("shop-web-http-80@kubernetesgateway", "web"),
        ("shop-web-grpc-9000@kubernetesgateway", "web"),
        ("shop-web-80@kubernetescrd", "web"),
        ("shop-web-6c3ab0c61d1c6f2f0f39@kubernetescrd", "web"),
    ],
)
def test_traefiks_names(value: str, name: str) -> None:
    identity = PRESETS["traefik"].identity
    keys = identity.keys("shop", (), name)
    assert key_of(identity, pod="t", service=value) in keys
    assert key_of(identity, pod="t", exported_service=value, service="traefik-metrics") in keys


@pytest.mark.parametrize(
    "value",
    [
        "shop-web-api-80@kubernetes",
        "shopweb-80@kubernetes",
        "shop-web@kubernetes",
        "shop-web-80@file",
        "x-shop-web-80@kubernetes",
    ],
)
def test_traefiks_other_names(value: str) -> None:
    identity = PRESETS["traefik"].identity
    assert key_of(identity, pod="t", service=value) not in identity.keys("shop", (), "web")


def test_labels_name_namespace_and_object() -> None:
    identity = PRESETS["nginx-ingress"].identity
    labels = {"pod": "nginx-1", "exported_namespace": "shop", "exported_service": "web", "service": "nginx-metrics"}
    assert chosen(identity, "shop", **labels)
    assert not chosen(identity, "bank", **labels)
    assert key_of(identity, **labels) in identity.keys("shop", (), "web")
    del labels["exported_service"]
    assert key_of(identity, **(labels | {"service": "web"})) in identity.keys("shop", (), "web")
    assert not chosen(identity, "shop", **(labels | {"pod": ""})), "the proxy's pods cannot be told apart"


def test_pods_are_found_by_the_names_that_theirs_give() -> None:
    assert Pods().keys("shop", {"web", "a"}, "other") == (("shop", "a"), ("shop", "web"))


def test_a_service_in_two_ports_is_told_apart_until_it_is_added_up() -> None:
    """Else the greater of the two would stand for both."""
    text = Query("c", identity=PRESETS["traefik"].identity).text(["shop"])
    without = re.findall(r"max without \(([^)]*)\)", text)
    assert "perfslo_object" in text
    assert all("perfslo_object" not in labels for labels in without)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Labels("a-b", ("c",)),
        lambda: Labels("a", ("b c",)),
        lambda: Joined(("a",), "{namespace}", ""),
        lambda: Joined(("a",), "{name}/{namespace}/{name}", ""),
        lambda: Joined(("a b",), "{namespace}/{name}", ""),
    ],
)
def test_what_cannot_be_asked_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"not a label|once each"):
        make()


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), dns_label)
def test_any_text_around_the_names_is_taken_literally(text: str, namespace: str) -> None:
    around = text.replace("{", "")
    identity = Joined(("label",), f"{around}{{namespace}}/{{name}}{around}", "")
    value = f"{around}{namespace}/web{around}"
    assert chosen(identity, namespace, pod="p", label=value)
    ((_, key),) = identity.keys(namespace, (), "web")
    assert key == value
    assert enforce.selectors(Query("up", identity=identity).text([namespace])) == (
        ("up", (Matcher("pod", "!=", ""), identity.where([namespace])[1])),
    )
