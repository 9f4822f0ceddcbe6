"""Where levers stand, from what the watches show. The World is a double; all else is real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import DatabaseLever, PerformanceSLOSpec
from perfslo.core.databases import Connections
from perfslo.core.levers import database, knobs
from perfslo.core.model import Missing, OtherWriter, Standing, Target, TargetProblem, Value
from perfslo.core.steps import Scale, Switch, TargetRef
from perfslo.edges.kube.consents import ConfigMap
from perfslo.edges.kube.policies import Policy
from perfslo.edges.kube.reference import Reference
from perfslo.edges.standing import Survey
from perfslo.settings import Database
from tests.core.turns import NOW, spec, target


@dataclass(frozen=True)
class Seen:
    spec: PerformanceSLOSpec
    target: Target | TargetProblem
    namespace: str = "shop"


class Eyes:
    def __init__(self, **config_maps: ConfigMap) -> None:
        self._config_maps = config_maps

    def target(self, namespace: str, reference: Reference, now: float) -> Target | TargetProblem:
        return target(1, 1, reference.name)

    def config_map(self, namespace: str, name: str) -> ConfigMap | TargetProblem:
        return self._config_maps.get(name) or TargetProblem("ConfigMapNotManaged", f"label {namespace}/{name}")

    def policy(self, namespace: str, ref: TargetRef) -> Policy | TargetProblem:
        if ref.name == "shop":
            return Policy("uid", "1", "Random")
        return TargetProblem("PolicyNotFound", f"there is no {ref}")


FLAG = {"configMap": "flags", "key": "CACHE", "onValue": "redis", "offValue": "none"}
POOL = {"configMap": "flags", "key": "POOL", "maxSize": 20}
REDIS = knobs.tier("redis")


def with_cache() -> PerformanceSLOSpec:
    return spec(levers={"cache": {"tiers": [{"name": "redis", "flag": FLAG}]}})


def with_database(**lever: Any) -> PerformanceSLOSpec:
    return spec(levers={"database": {"budget": "pg", "connectionsPerReplica": 10, **lever}})


def standing(eyes: Eyes, *subjects: Seen, **budgets: Database) -> Standing:
    """Of the first of them."""
    return Survey(eyes, budgets, subjects, NOW).standing(subjects[0], {"hits": Value(0.5)})


def flag(eyes: Eyes) -> str | Missing:
    return standing(eyes, Seen(with_cache(), target())).values[REDIS]


def problem(value: object) -> str:
    assert isinstance(value, Missing)
    return f"{value.reason}: {value.message}"


def test_without_levers_nothing_is_looked_at() -> None:
    assert standing(Eyes(), Seen(spec(), target())) == Standing()


def test_a_flag_is_what_its_key_holds_and_a_known_signal_comes_along() -> None:
    seen = standing(Eyes(flags=ConfigMap("c", {"CACHE": "none"})), Seen(with_cache(), target()))
    assert (seen.values[REDIS], seen.signals) == ("none", {"hits": Value(0.5)})


def test_a_hook_is_what_its_namespace_is_told() -> None:
    mine = Seen(spec(levers={"cdn": {"hook": "cdn"}}), target())
    told = {("shop", "cdn"): "on", ("elsewhere", "cdn"): "off"}
    survey = Survey(Eyes(), None, [mine], NOW, hooks=lambda namespace, hook: told[namespace, hook])
    assert survey.hooks == {("shop", "cdn")}
    assert survey.standing(mine, {}).values == {knobs.CDN: "on"}


def test_what_cannot_be_switched_is_unknown_and_says_what_to_do() -> None:
    assert problem(flag(Eyes())) == "ConfigMapNotManaged: label shop/flags"
    assert "add it with the value that holds now" in problem(flag(Eyes(flags=ConfigMap("c", {}))))
    frozen = ConfigMap("c", {"CACHE": "none"}, immutable=True)
    assert "without immutable: true" in problem(flag(Eyes(flags=frozen)))


def test_a_tiers_own_workload_and_the_workers_are_looked_up() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "redis"}
    workload = {"scaleTargetRef": reference, "onReplicas": 1}
    promise = spec(levers={"cache": {"tiers": [{"name": "redis", "workload": workload}]}})
    seen = standing(Eyes(), Seen(promise, target()))
    assert seen.workloads == {REDIS: target(1, 1, "redis")}


def test_a_budget_is_what_all_others_leave() -> None:
    mine, other = Seen(with_database(), target(2, 2)), Seen(with_database(), target(4, 4), "bank")
    lost = Seen(with_database(), TargetProblem("TargetNotFound", ""))
    budget = Database(max_connections=300, reserved=20)
    assert standing(Eyes(), mine, pg=budget).connections == Connections(280, 0)
    assert standing(Eyes(), mine, other, Seen(spec(), target()), pg=budget).connections == Connections(280, 50)
    assert standing(Eyes(), mine, lost, pg=budget).connections == Connections(280, (10 + 3) * 10), "as many as may be"


def test_the_others_pools_count_as_they_are_set() -> None:
    mine, other = Seen(with_database(), target()), Seen(with_database(pool=POOL), target(4, 4))
    budget = Database(max_connections=300)
    sized = standing(Eyes(flags=ConfigMap("c", {"POOL": "3"})), mine, other, pg=budget)
    unseen = standing(Eyes(), mine, other, pg=budget)
    assert (sized.connections, unseen.connections) == (Connections(300, 15), Connections(300, 100))


def test_a_budget_that_nobody_defined_is_unknown() -> None:
    seen = standing(Eyes(), Seen(with_database(), target()), other=Database(max_connections=1))
    assert "no database 'pg' is defined (defined: other)" in problem(seen.connections)


def test_who_did_not_enable_budgets_has_none_that_bind() -> None:
    survey = Survey(Eyes(), None, [Seen(with_database(), target())], NOW)
    assert problem(survey.standing(Seen(with_database(), target()), {}).connections) == "NotMeasured: "


def test_what_one_was_ordered_is_not_left_for_those_whose_turn_comes_later() -> None:
    mine, other = Seen(with_database(), target(2, 2)), Seen(with_database(), target(4, 4), "bank")
    third = Seen(with_database(), target(1, 1), "till")
    survey = Survey(Eyes(), {"pg": Database(max_connections=200)}, [mine, other, third], NOW)
    survey.ordered(mine, Scale(2, 4))
    assert survey.standing(other, {}).connections == Connections(200, 50 + 20)
    survey.ordered(mine, Scale(1, 4, "offload", "workers", TargetRef("apps", "Deployment", "workers")))
    survey.ordered(other, Scale(4, 1))
    assert survey.standing(third, {}).connections == Connections(200, 50 + 50), "pods that leave hold theirs until then"
    survey.ordered(other, Scale(2, 4, subject="blue", target=TargetRef("apps", "Deployment", "blue")))
    assert survey.standing(third, {}).connections == Connections(200, 50 + 80), "two more of its backend's"


def test_a_larger_pool_counts_from_the_moment_that_it_was_ordered() -> None:
    mine, other = Seen(with_database(pool=POOL), target(4, 4)), Seen(with_database(), target(4, 4), "bank")
    survey = Survey(
        Eyes(flags=ConfigMap("c", {"POOL": "4"})), {"pg": Database(max_connections=200)}, [mine, other], NOW
    )
    survey.ordered(mine, Switch("database", "pool", "flags", "POOL", "4", "8"))
    assert survey.standing(other, {}).connections == Connections(200, 5 * 8)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), min_size=1, max_size=6), st.integers(1, 800))
def test_however_many_want_more_in_one_cycle_the_budget_is_never_exceeded(
    wishes: list[tuple[int, int]], limit: int
) -> None:
    """`wishes`: pods now and wanted. What is drawn already may be more than the limit: then nobody gets more."""
    lever = DatabaseLever(budget="pg", connections_per_replica=10)
    subjects = [Seen(with_database(), target(now, now), f"shop-{n}") for n, (now, _) in enumerate(wishes)]
    survey = Survey(Eyes(), {"pg": Database(max_connections=limit)}, subjects, NOW)
    drawn = before = sum(database.drawn(lever, now, Missing("NotMeasured")) for now, _ in wishes)
    for subject, (now, wanted) in zip(subjects, wishes, strict=True):
        most = database.most_replicas(lever, survey.standing(subject, {}))
        assert most is not None
        if (granted := min(wanted, most)) > now:
            survey.ordered(subject, Scale(now, granted))
            drawn += database.drawn(lever, granted, Missing("NotMeasured"))
            drawn -= database.drawn(lever, now, Missing("NotMeasured"))
    assert drawn <= max(limit, before)


def test_a_balancing_policy_is_what_its_object_says() -> None:
    def seen(name: str) -> str | Missing:
        named = {"routeRef": {"name": "web"}, "backends": [{"name": "a"}, {"name": "b"}], "policyRef": {"name": name}}
        return standing(Eyes(), Seen(spec(levers={"traffic": named}), target())).values[knobs.POLICY]

    assert seen("shop") == "Random"
    assert problem(seen("cart")) == "PolicyNotFound: there is no BackendTrafficPolicy/cart"


def test_a_policy_that_somebody_else_writes_is_left_alone() -> None:
    class Owned(Eyes):
        def policy(self, namespace: str, ref: TargetRef) -> Policy | TargetProblem:
            found = super().policy(namespace, ref)
            writer = OtherWriter("Application", "shop", "let it ignore spec.loadBalancer")
            return found if isinstance(found, TargetProblem) else replace(found, other_writers=(writer,))

    named = {"routeRef": {"name": "web"}, "backends": [{"name": "a"}, {"name": "b"}], "policyRef": {"name": "shop"}}
    found = standing(Owned(), Seen(spec(levers={"traffic": named}), target())).values[knobs.POLICY]
    assert isinstance(found, Missing)
    assert found.reason == "PolicyNotOurs"
    assert "Application shop also writes BackendTrafficPolicy/shop: let it ignore" in found.message
