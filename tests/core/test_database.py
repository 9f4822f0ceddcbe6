"""Connections that SLOs share: scaling out never exhausts them, and pools grow within them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import DatabaseLever
from perfslo.core.databases import Connections
from perfslo.core.levers import database
from perfslo.core.levers.knobs import POOL
from perfslo.core.model import Bottleneck, Missing, Standing, Value
from tests.core.stress import Stress, deeds, promise

LEVER: dict[str, Any] = {
    "budget": "pg-main",
    "connectionsPerReplica": 10,
    "pool": {"configMap": "shop", "key": "POOL", "minSize": 5, "maxSize": 40},
}
METRICS = {
    "signals": [
        {"name": "wait", "kind": "PoolWait", "ref": "wait"},
        {"name": "db", "kind": "DependencyLatency", "ref": "db"},
    ]
}


def pooled(limit: int = 200, others: int = 20, **changes: Any) -> Stress:
    """Requests wait for connections, though CPU is idle; less with a larger pool."""

    def slow(stress: Stress) -> float:
        wait = stress.signals["wait"]
        exhausted = isinstance(wait, Value) and wait.value > 0.02
        return 0.4 * (10 / int(str(stress.values[POOL]))) ** 4 if exhausted else 0.01

    stress = Stress(
        promise({"database": LEVER}, metrics=METRICS, **changes),
        slow,
        values={POOL: "10"},
        signals={"wait": Value(0.001, 5.0), "db": Value(0.01, 5.0)},
        connections=Connections(limit, others),
    )
    stress.turns(600)
    stress.signals["wait"] = Value(0.15, 5.0)
    return stress


def test_an_exhausted_pool_grows_and_replicas_do_not() -> None:
    stress = pooled()
    happened = stress.turns(1800)
    seen = [one.decision.diagnosis for one in happened]
    assert seen[0].bottleneck == Bottleneck.CONNECTION_POOL_BOUND
    assert "replicas:up" in seen[0].forbidden
    assert stress.replicas == 4
    assert deeds(happened) == ["database pool 10->20"]
    assert [one.verdict.outcome.value for one in happened if one.verdict] == ["Improved"]


def test_the_pool_never_grows_beyond_the_budget_and_its_bounds() -> None:
    stress = pooled(limit=80, others=20)
    happened = stress.turns(600)
    assert deeds(happened) == ["database pool 10->12"], "5 pods with a rollout's share 60 connections"
    full = pooled(limit=70, others=20)
    happened = full.turns(600)
    assert deeds(happened) == []
    plan = happened[-1].decision.plan
    assert plan
    assert "all that the budget pg-main allows" in plan.alternatives[0]


def test_scaling_out_stops_where_connections_end_and_never_takes_away() -> None:
    stress = pooled(limit=70, others=0)
    stress.signals["wait"] = Value(0.001, 5.0)
    stress.slow = lambda now: min(1.0, 0.05 * (now.rate / now.replicas / 25.0) ** 4)
    stress.rate = 200.0
    happened = stress.turns(1800)
    assert stress.replicas == 5, "7 pods during a rollout"
    plan = happened[-1].decision.plan
    assert plan
    assert "DatabaseBudget" in plan.limited_by
    stress.connections = Connections(30, 0)
    stress.turns(300)
    assert stress.replicas == 5
    stress.connections = Missing("BudgetNotDefined", "ask the administrator")
    stress.turns(300)
    assert stress.replicas == 5


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 50))
def test_most_replicas_fit_with_their_surge_and_one_more_does_not(limit: int, others: int, each: int) -> None:
    lever = DatabaseLever(budget="pg-main", connections_per_replica=each)
    most = database.most_replicas(lever, Standing(connections=Connections(limit, others)))
    assert most is not None
    nothing = Missing("NotMeasured")
    assert most == 0 or database.drawn(lever, most, nothing) + others <= limit
    assert database.drawn(lever, most + 1, nothing) + others > limit


@pytest.mark.parametrize("size", ["many", "0", Missing("ConfigMapMissing", "create it")])
def test_a_pool_of_unknown_size_is_left_alone(size: str | Missing) -> None:
    stress = pooled()
    stress.slow = lambda now: 0.4
    stress.values[POOL] = size
    assert [step for step in deeds(stress.turns(600)) if "pool" in step] == []
