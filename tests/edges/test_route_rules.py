"""Weights of each kind of route: read, chosen, and written without touching anything else."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core.apportion import apportion
from perfslo.core.model import JSON
from perfslo.edges.kube.routes import DIALECTS, rules
from perfslo.edges.kube.routes.rules import Dialect, Rule
from tests.edges.json_patch import TestFailed, applied
from tests.edges.route_objects import Weights, canary, http_route, ingress, traefik_service, virtual_service

MAKERS: dict[str, Callable[[Weights], JSON]] = {
    "HTTPRoute": http_route,
    "VirtualService": virtual_service,
    "TraefikService": traefik_service,
}
DIALECT = {kind: dialect for (_, kind), dialect in DIALECTS.items()}
DEFAULT = {"HTTPRoute": 1, "VirtualService": 0, "TraefikService": 1}

KINDS = st.sampled_from(sorted(MAKERS))
WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.integers(0, 1000), min_size=2, max_size=8)


def chosen(route: JSON, wanted: list[str], rule_name: str = "") -> Rule:
    rule = rules.choose(DIALECT[route["kind"]].project(route), rule_name, wanted)
    assert isinstance(rule, Rule), rule
    return rule


def refused(route: JSON, wanted: list[str], rule_name: str = "") -> str:
    problem = rules.choose(DIALECT[route["kind"]].project(route), rule_name, wanted)
    assert isinstance(problem, str)
    return problem


def total_of(route: JSON, wanted: list[str]) -> int | str:
    return rules.total(DIALECT[route["kind"]], chosen(route, wanted), wanted)


def patch_of(route: JSON, wanted: dict[str, int]) -> list[JSON]:
    dialect = DIALECT[route["kind"]]
    return rules.patch(dialect, dialect.project(route), chosen(route, list(wanted)), wanted)


def without_weights(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_weights(item) for key, item in value.items() if key != "weight"}
    return [without_weights(item) for item in value] if isinstance(value, list) else value


@given(KINDS, WEIGHTS, st.data())
def test_what_is_written_is_read_again_and_nothing_else_changed(kind: str, weights: Weights, data: Any) -> None:
    route = MAKERS[kind](weights)
    listed = data.draw(st.lists(st.sampled_from(sorted(weights)), min_size=2, unique=True))
    total = total_of(route, listed)
    if isinstance(total, str):
        return
    shares = data.draw(st.lists(st.integers(0, 100), min_size=len(listed), max_size=len(listed)).filter(any))
    wanted = apportion(dict(zip(listed, shares, strict=True)), total)

    after = applied(patch_of(route, wanted), route)

    before_weights, after_weights = (rules.weights(chosen(r, list(weights)), list(weights)) for r in (route, after))
    assert {name: after_weights[name] for name in listed} == wanted
    others = set(weights) - set(listed)
    assert all(after_weights[name] == before_weights[name] for name in others)
    if any(before_weights[name] for name in others):
        assert sum(after_weights.values()) == sum(before_weights.values())
    elif kind == "VirtualService":
        assert sum(after_weights.values()) == 100
    assert without_weights(after) == without_weights(route)
    for index, name in enumerate(weights):
        if name in others:  # to the byte: what was not written stays unwritten
            assert _backend(after, index) == _backend(route, index)
    assert patch_of(after, wanted) == []


def _backend(route: JSON, index: int) -> JSON:
    match route["kind"]:
        case "HTTPRoute":
            found = route["spec"]["rules"][0]["backendRefs"][index]
        case "VirtualService":
            found = route["spec"]["http"][0]["route"][index]
        case _:
            found = route["spec"]["weighted"]["services"][index]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_weights_that_are_not_written_mean_what_the_kind_says(kind: str) -> None:
    route = MAKERS[kind]({"a": None, "b": 50})
    assert rules.weights(chosen(route, ["a", "b"]), ["b", "a"]) == {"b": 50, "a": DEFAULT[kind]}


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_a_weight_of_zero_is_written_out(kind: str) -> None:
    after = applied(
        patch_of(MAKERS[kind]({"a": None, "b": 30}), {"a": 0, "b": 100}), MAKERS[kind]({"a": None, "b": 30})
    )
    assert _backend(after, 0)["weight"] == 0


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_no_write_when_all_is_as_wanted(kind: str) -> None:
    assert patch_of(MAKERS[kind]({"a": None, "b": 70}), {"a": DEFAULT[kind], "b": 70}) == []


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_an_object_that_changed_since_refuses_the_patch(kind: str) -> None:
    route = MAKERS[kind]({"a": 50, "b": 50, "c": 0})
    patch = patch_of(route, {"a": 40, "b": 60})
    for path, value in (("resourceVersion", "8"), ("uid", "u-2")):
        changed = deepcopy(route)
        changed["metadata"][path] = value
        with pytest.raises(TestFailed):
            applied(patch, changed)


@pytest.mark.parametrize("make", [http_route, virtual_service])
@pytest.mark.parametrize("names", [(), ("one", "two")])
def test_rules_or_backends_in_another_order_refuse_it_even_without_the_version(
    make: Callable[..., JSON], names: tuple[str, ...]
) -> None:
    route = make({"a": 50, "b": 50}, {"x": 1, "y": 1}, names=names)
    patch = [operation for operation in patch_of(route, {"a": 40, "b": 60}) if "metadata" not in operation["path"]]
    ((_, listed),) = ((key, value) for key, value in route["spec"].items() if key in ("rules", "http"))
    listed.reverse()
    with pytest.raises(TestFailed):
        applied(patch, route)
    listed.reverse()
    for backends in (value for value in listed[0].values() if isinstance(value, list) and len(value) == 2):
        backends.reverse()
    with pytest.raises(TestFailed):
        applied(patch, route)


def test_small_weights_grow_unless_others_would_lose_their_share() -> None:
    assert total_of(http_route({"a": 1, "b": 1}), ["a", "b"]) == 1000
    assert total_of(http_route({"a": 3000, "b": 1}), ["a", "b"]) == 3001
    assert total_of(http_route({"a": 30, "b": 30, "c": 40}), ["a", "b"]) == 60
    assert total_of(http_route({"a": 30, "b": 30, "c": 0}), ["a", "b"]) == 1000
    assert total_of(virtual_service({"a": 3000, "b": 1}), ["a", "b"]) == 100
    assert total_of(virtual_service({"a": 30, "b": 30, "c": 40}), ["a", "b"]) == 60
    assert total_of(traefik_service({"a": 1, "b": 1}), ["a", "b"]) == 100


def test_too_few_parts_to_share_are_a_problem_with_a_number() -> None:
    problem = total_of(http_route({"a": 1, "b": 1, "c": 1}), ["a", "b"])
    assert problem == "shares only 2 parts of 3 among these backends: multiply all weights of the rule by 50"
    assert "a weight first" in str(total_of(http_route({"a": 0, "b": 0, "c": 1}), ["a", "b"]))


@pytest.mark.parametrize("make", [http_route, virtual_service])
def test_which_rule(make: Callable[..., JSON]) -> None:
    two = make({"a": 1, "b": 1}, {"a": 1, "b": 1})
    assert "2 rules with these backends" in refused(two, ["a", "b"])
    assert "write it as routeRef.ruleName" in refused(two, ["a", "b"])
    named = make({"a": 1, "b": 1}, {"a": 5, "b": 5}, names=("", "main"))
    assert rules.weights(chosen(named, ["a", "b"], "main"), ["a"]) == {"a": 5}
    assert "has no rule mian: correct routeRef.ruleName (its rules: main)" in refused(named, ["a", "b"], "mian")
    assert "none has a name" in refused(two, ["a", "b"], "main")
    apart = make({"a": 1}, {"b": 1})
    assert "only backends of one rule share its requests" in refused(apart, ["a", "b"])
    assert "has no backend c (it has a, b)" in refused(two, ["a", "c"])


def test_a_service_of_another_namespace_or_another_kind_is_not_the_one() -> None:
    route = http_route({"a": 1, "b": 1, "c": 1})
    route["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "elsewhere"
    route["spec"]["rules"][0]["backendRefs"][2].update(group="multicluster.x-k8s.io", kind="ServiceImport")
    assert "has no backend a (it has ServiceImport/c, b, elsewhere/a)" in refused(route, ["a", "b"])
    assert "has no backend c" in refused(route, ["b", "c"])
    istio = virtual_service({"a": 1, "b": 1})
    istio["spec"]["http"][0]["route"][0]["destination"]["host"] = "a.elsewhere.svc.cluster.local"
    assert "has no backend a" in refused(istio, ["a", "b"])


def test_a_backend_that_is_there_twice_is_refused() -> None:
    route = http_route({"a": 1, "b": 1})
    route["spec"]["rules"][0]["backendRefs"].append({"name": "a", "port": 81})
    assert "names a twice in one rule" in refused(route, ["a", "b"])


def test_subsets_are_backends_of_their_own() -> None:
    route = virtual_service({"a": 90, "b": 10})
    for subset, destination in zip(("v1", "v2"), route["spec"]["http"][0]["route"], strict=True):
        destination["destination"] = {"host": "checkout", "subset": subset}
    after = applied(patch_of(route, {"v1": 70, "v2": 30}), route)
    assert [d["weight"] for d in after["spec"]["http"][0]["route"]] == [70, 30]


def test_what_has_no_weights_says_what_to_write() -> None:
    mirror = traefik_service({"a": 1})
    mirror["spec"] = {"mirroring": {"name": "a"}}
    assert "spec.weighted.services" in refused(mirror, ["a", "b"])
    tcp = virtual_service()
    assert "has no http routes" in refused(tcp, ["a", "b"])
    assert 'annotation nginx.ingress.kubernetes.io/canary: "true"' in refused(ingress("a"), ["a", "b"])


@given(st.none() | st.integers(0, 200), st.none() | st.integers(0, 1000), st.data())
def test_a_canary_of_nginx(weight: int | None, total: int | None, data: Any) -> None:
    route = canary("new", weight, total)
    whole = total_of(route, ["old", "new"])
    assert whole == max(100, total or 0)  # ingress-nginx ignores a smaller one
    found = rules.weights(chosen(route, ["old", "new"]), ["old", "new"])
    assert found == {"old": whole - min(weight or 0, whole), "new": min(weight or 0, whole)}
    new = data.draw(st.integers(0, whole))
    patch = patch_of(route, {"old": whole - new, "new": new})
    after = applied(patch, route)
    assert bool(patch) == (new != found["new"])
    if patch:
        assert after["metadata"]["annotations"].pop("nginx.ingress.kubernetes.io/canary-weight") == str(new)
        route["metadata"]["annotations"].pop("nginx.ingress.kubernetes.io/canary-weight", None)
        assert after == route


def test_a_canary_of_nginx_has_two_backends() -> None:
    assert "name two backends" in refused(canary("new", 10), ["old", "new", "other"])
    assert "name two backends" in refused(canary("new", 10), ["old", "other"])
    several = canary("new", 10)
    several["spec"]["defaultBackend"] = {"service": {"name": "else", "port": {"number": 80}}}
    assert "weighs one against one" in refused(several, ["new", "else"])


def test_dialects_are_those_of_the_kinds() -> None:
    assert all(isinstance(dialect, Dialect) for dialect in DIALECT.values())
    assert sorted(DIALECT) == ["HTTPRoute", "Ingress", "TraefikService", "VirtualService"]
