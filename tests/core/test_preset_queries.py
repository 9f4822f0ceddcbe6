"""What each built-in preset asks, as agreed, and what a parser makes of it."""

from __future__ import annotations

import pytest

from perfslo.core import enforce
from perfslo.core.promql import Matcher, literally
from perfslo.edges import presets
from tests.core.preset_queries import GOLDEN, asked, rendered

PRESETS = presets.load()


@pytest.mark.parametrize("name", PRESETS)
def test_queries_are_as_agreed(name: str) -> None:
    agreed = (GOLDEN / f"{name}.promql").read_text()
    assert rendered(PRESETS[name]) == agreed, "if that is what you meant: make golden, and commit the difference"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_selector_is_bound_to_the_tenants_or_to_where_the_proxy_runs(name: str) -> None:
    preset = PRESETS[name]
    for text in asked(preset).values():
        for _, matchers in enforce.selectors(text):
            assert set(preset.fixed) <= set(matchers)
            assert Matcher("namespace", "=~", "bank|shop-eu") in matchers or _is_proxys(matchers)


def _is_proxys(matchers: tuple[Matcher, ...]) -> bool:
    of_the_proxy = any(one.label == "namespace" and one.op == "=" and one.value for one in matchers)
    told_apart = Matcher("pod", "!=", "") in matchers
    return of_the_proxy and told_apart


def test_the_namespaces_of_an_http_route_are_asked_for() -> None:
    (_, matchers), *_ = enforce.selectors(asked(PRESETS["envoy-gateway"])["latency/p95"])
    (route,) = (one for one in matchers if one.label == "envoy_cluster_name")
    assert (
        route.value
        == f"{literally('httproute/')}(?:bank|shop-eu){literally('/')}.+(?:/rule/[0-9]+(?:/backend/[0-9]+)?)"
    )
