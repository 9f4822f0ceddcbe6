"""The balancing policy of the proxy: recommended, or set and judged like any other action."""

from __future__ import annotations

from typing import Any

import pytest

from perfslo.core.levers import balancing, knobs
from perfslo.core.model import Missing
from tests.core.stress import Happened, Stress, deeds, promise, verdicts

BACKENDS = [{"name": "a"}, {"name": "b"}]
REF = {"name": "shop"}


def stress(relief: float, now: str | Missing = "Random", ref: dict[str, str] = REF, **traffic: Any) -> Stress:
    """All replicas there may be are too few; least-request leaves this part of the slow requests."""
    lever = {"routeRef": {"name": "web"}, "backends": BACKENDS, "policyRef": ref, **traffic}

    def slow(world: Stress) -> float:
        return 0.3 * (relief if str(world.values[knobs.POLICY]) in balancing.LEAST_REQUEST.values() else 1.0)

    world = Stress(promise({"traffic": lever}, maxReplicas=4), lambda _: 0.01)
    world.values = {knobs.POLICY: now}
    world.turns(600)
    world.slow = slow
    return world


def considered(happened: list[Happened]) -> str:
    plan = happened[-1].decision.plan
    assert plan
    return "; ".join((plan.why, *plan.alternatives))


def test_set_when_asked_for_and_kept_when_it_helps() -> None:
    happened = stress(0.1, policy="Auto").turns(1800)
    assert deeds(happened) == ["traffic policy Random->LeastRequest"]
    assert verdicts(happened)[-1] == "Improved"


def test_put_back_when_it_does_not_help() -> None:
    happened = stress(1.0, policy="Auto").turns(1800)
    assert deeds(happened)[:2] == ["traffic policy Random->LeastRequest", "traffic policy LeastRequest->Random"]


def test_recommended_with_what_it_should_bring_unless_it_is_asked_for() -> None:
    world = stress(0.1)
    happened = world.turns(600)
    assert deeds(happened) == []
    assert world.values[knobs.POLICY] == "Random"
    assert (
        "traffic policy Random->LeastRequest: with LeastRequest in BackendTrafficPolicy/shop pods may carry 25% more"
        in considered(happened)
    )
    assert "of the slow requests" in considered(happened)


def test_one_that_cannot_be_read_any_more_says_so_in_words_about_policies() -> None:
    world = stress(1.0, policy="Auto")
    while not deeds(world.turns(15)):
        pass
    world.values = {knobs.POLICY: Missing("PolicyNotFound", "create it")}
    (verdict,) = [each.verdict for each in world.turns(600) if each.verdict]
    assert "the object was not seen to say LeastRequest" in verdict.why


def test_istio_says_it_in_its_own_words() -> None:
    rule = {"group": "networking.istio.io", "kind": "DestinationRule", "name": "shop"}
    assert deeds(stress(0.1, "ROUND_ROBIN", rule, policy="Auto").turns(900)) == [
        "traffic policy ROUND_ROBIN->LEAST_REQUEST"
    ]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ("LeastRequest", "BackendTrafficPolicy/shop says LeastRequest already"),
        ("ConsistentHash", "BackendTrafficPolicy/shop says ConsistentHash, which is left as it is"),
        ("", "BackendTrafficPolicy/shop says nothing, which is left as it is"),
        (Missing("PolicyNotFound", "create it"), "BackendTrafficPolicy/shop is left as it is (create it)"),
    ],
)
def test_only_what_wastes_is_replaced(now: str | Missing, why: str) -> None:
    happened = stress(0.1, now, policy="Auto").turns(600)
    assert deeds(happened) == []
    assert why in considered(happened)
