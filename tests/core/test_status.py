"""What each situation looks like to whoever runs `kubectl get perfslo`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfslo.api.v1alpha1 import MAX_HISTORY, PerformanceSLOSpec, PerformanceSLOStatus
from perfslo.core import budget
from perfslo.core.decide import decide
from perfslo.core.levers import knobs
from perfslo.core.memory import BudgetSlice, Ledger, Memory, Sample
from perfslo.core.model import (
    Change,
    ChangeResult,
    Histogram,
    LatencyReading,
    Missing,
    NoTraffic,
    Outcome,
    Replicas,
    Route,
    Stale,
    Standing,
    TargetProblem,
    Value,
    Verdict,
)
from perfslo.core.status import report, state, unreadable
from perfslo.core.steps import Balance, TargetRef
from perfslo.core.trials import Experiment, Tally, Trials
from perfslo.core.turn import Conflict, Turn
from tests.core import split, test_backends, turns
from tests.core.turns import FAST, NOW, SLOW, change, memory, observation, plan, spec, target, turn

GONE = TargetProblem("TargetNotFound", "there is no Deployment/web: create it")
THIN = Histogram(turns.BOUNDS, (30.0, 30.0, 30.0, 30.0, 30.0))
MI = 2.0**20
NO_SERIES = Missing("SeriesMissing", "no series match")
BURNING = turns.spent(*[(1000.0, 400.0)] * 6)
"""Eight times as many bad requests as may be, for six hours; then they stopped."""
WITH_FALLBACK = spec(fallback={"minReplicas": 4, "failureThreshold": 3})


@pytest.mark.parametrize(
    ("word", "case"),
    [
        ("Healthy", turn(FAST)),
        ("AtRisk", turn(FAST, remembered=BURNING)),
        ("Breaching", turn(SLOW)),
        ("Recovering", turn(SLOW, plan=plan(2, 4), change=change(2, 4))),
        ("Recovering", turn(SLOW, target=target(desired=4, ready=2))),
        ("Breaching", turn(SLOW, plan=plan(2, 4), change=change(2, 4, ChangeResult.REFUSED))),
        ("NoTraffic", turn(NoTraffic(), remembered=memory(arrivals=(Sample(NOW, 0.0),)))),
        ("InsufficientData", turn(THIN)),
        ("Unknown", turn(NO_SERIES)),
        ("Unknown", turn(Stale(90.0))),
        ("Unknown", turn(observation=None, diagnosis=None)),
        ("Unknown", turn(NO_SERIES, promise=WITH_FALLBACK, remembered=memory(missing_cycles=2))),
        ("Fallback", turn(NO_SERIES, promise=WITH_FALLBACK, remembered=memory(missing_cycles=3))),
        ("Suspended", turn(SLOW, promise=spec(suspend=True))),
        ("NotReady", turn(target=GONE, observation=None, diagnosis=None)),
        ("NotReady", turn(promise=spec(suspend=True), target=GONE, observation=None, diagnosis=None)),
    ],
)
def test_one_word_says_how_the_promise_stands(word: str, case: Turn) -> None:
    assert state(case) == word
    assert report(case, None).summary.state == word


def test_an_outage_of_the_whole_source_is_never_the_fallback() -> None:
    down = Missing("PrometheusUnreachable", "no answer in time")
    seen = observation(down, source_problem=down)
    assert state(turn(seen=seen, promise=WITH_FALLBACK, remembered=memory(missing_cycles=9))) == "Unknown"


def test_the_columns() -> None:
    priced = spec(cost={"replicaHourly": "0.04"})
    pods = Replicas(
        desired=4, ready=3, cpu_request_cores=0.5, memory_request_bytes=128 * MI, memory_limit_bytes=256 * MI
    )
    seen = observation(
        SLOW,
        pods,
        cpu_cores=Value(0.75),
        cpu_throttled_ratio=Value(0.118),
        memory_bytes=Value(412 * MI),
        disk_read_bytes_per_second=Value(1.2e6),
        disk_write_bytes_per_second=NoTraffic(),
        network_receive_bytes_per_second=Value(85e3),
        network_transmit_bytes_per_second=Value(3.4e6),
        error_ratio=Value(0.002),
        completions_per_second=Value(52.34),
    )
    status = report(
        turn(
            SLOW,
            seen=seen,
            promise=priced,
            target=replace(target(), replicas=pods),
            plan=plan(2, 4),
            change=change(2, 4),
        ),
        None,
    )
    assert status.summary.model_dump(exclude_none=True) == {
        "target": "Deployment/web",
        "state": "Recovering",
        "p50": "100ms",
        "p95": "500ms",
        "p99": "1.00s",
        "objective": "p95<200ms",
        "replicas": "3/4",
        "desired": "4",
        "requestsPerSecond": "52.3",
        "errors": "0.2%",
        "cpu": "50%",
        "throttled": "12%",
        "memory": "412Mi",
        "memoryOfLimit": "54%",
        "disk": "1.2MB/s",
        "network": "3.5MB/s",
        "bottleneck": "Saturated",
        "lastAction": "replicas 2->4",
        "cost": "0.16",
        "observedTime": "2027-01-15T08:00:00Z",
    }
    assert (status.current_replicas, status.ready_replicas, status.desired_replicas) == (4, 3, 4)
    assert status.utilization
    assert status.utilization.model_dump(exclude_none=True) == {
        "cpu": "750m",
        "cpuOfRequest": "50%",
        "cpuThrottled": "12%",
        "memory": "412Mi",
        "memoryOfRequest": "107%",
        "memoryOfLimit": "54%",
        "diskRead": "1.2MB/s",
        "diskWrite": "0B/s",
        "networkReceive": "85kB/s",
        "networkTransmit": "3.4MB/s",
    }


def test_use_is_shown_as_far_as_it_is_known() -> None:
    """Containers without requests or limits have no shares; half a sum is not a sum."""
    seen = observation(
        cpu_cores=NoTraffic(),
        memory_bytes=Value(3 * 1024 * MI),
        disk_read_bytes_per_second=Value(5.0),
        network_receive_bytes_per_second=Stale(90.0),
        network_transmit_bytes_per_second=Missing("SeriesMissing"),
    )
    status = report(turn(seen=seen), None)
    assert status.utilization
    assert status.utilization.model_dump(exclude_none=True) == {"cpu": "0m", "memory": "3.0Gi", "diskRead": "5B/s"}
    shown = status.summary.model_dump(exclude_none=True)
    assert not {"cpu", "throttled", "memoryOfLimit", "disk", "network"} & {*shown}
    assert report(turn(), None).utilization is None


def test_the_error_budget() -> None:
    status = report(turn(remembered=turns.spent((1000.0, 100.0), (1000.0, 0.0), (2000.0, 50.0))), None)
    assert status.summary.budget == "25.0%"
    assert status.objectives[0].budget_remaining_percent == "25.0"
    assert status.budget
    assert status.budget.model_dump(exclude_none=True) == {
        "window": "28d",
        "remainingPercent": "25.0",
        "coveredPercent": "0.4",
        "burnRate1h": "2.0",
        "burnRate6h": "0.8",
    }


@pytest.mark.parametrize(("window", "covered", "shown"), [("28d", 120.0, None), ("28d", 3600.0, "-344.0%"),
                                                          ("1h", 1200.0, None), ("1h", 1900.0, "-344.0%")])  # fmt: skip
def test_a_budget_of_a_few_minutes_is_not_shown_in_the_column(window: str, covered: float, shown: str | None) -> None:
    promise = spec(window=window)
    piece = BudgetSlice(int(turns.NOW // 3600) - 1, 1, 1000.0, 222.0, covered)
    remembered = memory(ledgers={budget.key(promise, promise.primary_latency): Ledger((piece,))})
    status = report(turn(promise=promise, remembered=remembered), None)
    assert status.summary.budget == shown
    assert status.budget


def test_an_overspent_budget_is_negative() -> None:
    status = report(turn(remembered=turns.spent((1000.0, 222.0))), None)
    assert status.summary.budget == "-344.0%"


def test_a_budget_that_burns_says_when_it_is_spent() -> None:
    hours = [(1000.0, 100.0)] * 6 + [(1000.0, 10.0)] * 18
    status = report(turn(remembered=turns.spent(*hours)), None)
    assert status.budget
    # 1 - 780 / 1200 of a day's budget, at twice its rate: 4.2 hours from 08:00.
    assert (status.budget.remaining_percent, status.budget.burn_rate6h) == ("35.0", "2.0")
    assert status.budget.exhausts_at == "2027-01-15T12:00:00Z"


def test_the_last_action_stays_until_the_next() -> None:
    acted = report(turn(plan=plan(2, 4), change=change(2, 4)), None)
    refused = turn(plan=plan(4, 5), change=change(4, 5, ChangeResult.REFUSED))
    assert report(refused, acted).summary.last_action == "replicas 2->4"


@pytest.mark.parametrize("latency", [NO_SERIES, Stale(90.0)])
def test_what_is_unknown_is_empty(latency: LatencyReading) -> None:
    seen = observation(latency, completions_per_second=latency, error_ratio=latency)
    status = report(turn(seen=seen), None)
    shown = status.summary.model_dump(exclude_none=True)
    assert not {"p50", "p95", "p99", "requestsPerSecond", "errors", "cpu", "desired", "budget", "cost"} & {*shown}
    (promise,) = status.objectives
    assert promise.state == "Unknown"
    assert (promise.current, promise.requests, promise.bad_percent) == (None, None, None)
    assert promise.interpolated is None
    assert status.cost is None
    assert status.last_decision is None


def test_no_traffic_is_a_known_zero_of_requests_and_of_nothing_else() -> None:
    seen = observation(NoTraffic(5.0), completions_per_second=NoTraffic(), error_ratio=NoTraffic())
    status = report(turn(seen=seen), None)
    assert status.summary.requests_per_second == "0.0"
    assert (status.summary.p95, status.summary.errors) == (None, None)
    (promise,) = status.objectives
    assert (promise.state, promise.requests, promise.age_seconds, promise.current) == ("NoTraffic", 0, 5, None)


def test_each_promise_is_shown_with_its_evidence() -> None:
    (promise,) = report(turn(SLOW), None).objectives
    assert promise.model_dump(exclude_none=True) == {
        "name": "p95",
        "state": "Missed",
        "current": "500ms",
        "target": "200ms",
        "badPercent": "30",
        "badPercentLow": "26.7",
        "badPercentHigh": "33.5",
        "allowedBadPercent": "5",
        "requests": 1000,
        "ageSeconds": 4,
        "interpolated": False,
    }


def test_the_interval_of_a_promise_holds_what_counts_and_edges_leave_open() -> None:
    between = spec(objectives=[{"name": "p95", "latency": {"percentile": 95, "threshold": "300ms"}}])
    (wide,) = report(turn(SLOW, promise=between), None).objectives
    assert float(wide.bad_percent_low or "nan") < 5, "5 % took more than 500 ms"
    assert float(wide.bad_percent_high or "nan") > 30, "30 % took more than 200 ms"
    few = Histogram(turns.BOUNDS, tuple(count / 10 for count in SLOW.counts))
    (exact,), (open_,) = (report(turn(latency), None).objectives for latency in (SLOW, few))
    assert exact.bad_percent == open_.bad_percent
    assert float(open_.bad_percent_low or "nan") < float(exact.bad_percent_low or "nan")


def test_errors_among_few_requests_decide_nothing() -> None:
    both = spec(
        objectives=[
            {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
            {"name": "errors", "errorRate": {"maxPercent": "1"}},
        ]
    )
    seen = observation(THIN, error_ratio=Value(1 / 3), requests_counted=Value(30.0))
    one = turn(seen=seen, promise=both)
    told = report(one, None)
    assert told.summary.state == "InsufficientData"
    for promise in told.objectives:
        assert (promise.state, promise.requests) == ("InsufficientData", 30)
        assert promise.message == "30 of at least 100 requests in the window"
    errors = told.objectives[1]
    assert float(errors.bad_percent_low or "nan") < 33.3 < float(errors.bad_percent_high or "nan")
    assert one.diagnosis
    assert not one.diagnosis.forbidden, "three requests break no promise"


def test_a_threshold_between_two_edges_says_which_bucket_to_add() -> None:
    between = spec(objectives=[{"name": "p95", "latency": {"percentile": 95, "threshold": "300ms"}}])
    (promise,) = report(turn(FAST, promise=between), None).objectives
    assert (promise.interpolated, promise.add_bucket) == (True, "0.3")


def test_a_threshold_between_a_native_histograms_edges_asks_for_no_bucket() -> None:
    between = spec(objectives=[{"name": "p95", "latency": {"percentile": 95, "threshold": "105ms"}}])
    latency = Histogram((0.1, 0.11, 0.2, 1.0, math.inf), (0.0, 990.0, 990.0, 1000.0, 1000.0), native=True)
    (promise,) = report(turn(latency, promise=between), None).objectives
    assert (promise.interpolated, promise.add_bucket, promise.message) == (True, None, None)
    wide = spec(objectives=[{"name": "p95", "latency": {"percentile": 95, "threshold": "500ms"}}])
    (promise,) = report(turn(latency, promise=wide), None).objectives
    assert promise.add_bucket is None
    assert promise.message
    assert "200ms to 1.00s" in promise.message
    assert "resolution" in promise.message


def test_promises_are_told_apart() -> None:
    two = spec(
        objectives=[
            {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
            {"name": "errors", "errorRate": {"maxPercent": "1"}},
            {"name": "cpu", "utilization": {"resource": "cpu", "targetPercent": 60}},
            {"name": "served", "throughput": {"minPerSecond": "10"}},
        ]
    )
    seen = observation(
        FAST, error_ratio=Value(0.02), completions_per_second=Value(20.0), requests_counted=Value(1200.0)
    )
    promises = {promise.name: promise for promise in report(turn(seen=seen, promise=two), None).objectives}
    assert {name: promise.state for name, promise in promises.items()} == {
        "p95": "Met",
        "errors": "Missed",
        "cpu": "Unknown",
        "served": "Met",
    }
    assert (promises["errors"].current, promises["errors"].target) == ("2.0%", "1.0%")
    assert promises["served"].current == "20.0"
    assert promises["cpu"].current is None
    assert promises["errors"].requests == 1200


@pytest.mark.parametrize(
    ("word", "case"),
    [
        ("Idle", turn(plan=plan(2, 2))),
        ("Acting", turn(plan=plan(2, 4), change=change(2, 4))),
        ("Settling", turn(target=target(desired=4, ready=2), plan=plan(4, 4))),
        ("Limited", turn(plan=plan(10, 10, "MaxReplicas", proposed=12))),
        ("Recommending", turn(promise=spec(mode="Recommend"), plan=plan(2, 4))),
        ("Recommending", turn(promise=spec(mode="Recommend"), conflict=Conflict("HPA web scales it"))),
        ("Conflict", turn(conflict=Conflict("HPA web scales it"))),
        ("Suspended", turn(promise=spec(suspend=True))),
    ],
)
def test_the_lever(word: str, case: Turn) -> None:
    (lever,) = report(case, None).levers
    assert (lever.name, lever.state) == ("replicas", word)


def test_a_lever_that_this_version_does_not_pull_is_disabled() -> None:
    promise = spec(levers={"database": {"budget": "main", "connectionsPerReplica": 5}})
    states = {lever.name: lever.state for lever in report(turn(promise=promise), None).levers}
    assert states.pop("replicas") == "Idle"
    assert [*states.values()] == ["Disabled"]


# --- decisions -------------------------------------------------------------------------------------------------------


def test_a_decision_is_recorded_with_its_numbers() -> None:
    case = turn(SLOW, plan=plan(2, 10, "MaxReplicas", proposed=12), change=change(2, 10))
    status = report(case, None)
    assert status.last_decision
    assert status.history == (status.last_decision,)
    assert status.last_decision.model_dump(exclude_none=True, by_alias=True) == {
        "id": "d1",
        "time": "2027-01-15T08:00:00Z",
        "action": "ScaleUp",
        "lever": "replicas",
        "from": "2",
        "to": "10",
        "proposed": "12",
        "limitedBy": ("MaxReplicas",),
        "bottleneck": "Saturated",
        "mode": "Auto",
        "result": "Applied",
        "why": "scale 2 -> 10: load",
        "alternatives": (),
    }


def test_a_hold_adds_nothing() -> None:
    acted = report(turn(plan=plan(2, 4), change=change(2, 4)), None)
    held = report(turn(plan=plan(4, 4)), acted)
    assert (held.last_decision, held.history) == (acted.last_decision, acted.history)


@pytest.mark.parametrize("result", [ChangeResult.RECOMMENDED, ChangeResult.REFUSED])
def test_what_is_only_repeated_is_still_the_one_before(result: ChangeResult) -> None:
    status = report(turn(plan=plan(2, 4), change=change(2, 4, result, decision="d1")), None)
    status = report(turn(plan=plan(2, 4), change=change(2, 4, result, decision="d2")), status)
    assert [entry.id for entry in status.history] == ["d1"]
    assert status.last_decision == status.history[0]
    status = report(turn(plan=plan(2, 5), change=change(2, 5, result, decision="d3")), status)
    assert [entry.id for entry in status.history] == ["d3", "d1"]


def test_the_same_change_made_twice_is_two_decisions() -> None:
    status = report(turn(plan=plan(2, 4), change=change(2, 4, decision="d1")), None)
    status = report(turn(plan=plan(2, 4), change=change(2, 4, decision="d2")), status)
    assert [entry.id for entry in status.history] == ["d2", "d1"]


def test_a_verdict_is_filled_in_later() -> None:
    status = report(turn(plan=plan(2, 4), change=change(2, 4, decision="d1")), None)
    status = report(turn(plan=plan(4, 5), change=change(4, 5, decision="d2")), status)
    status = report(turn(plan=plan(5, 5), verdict=Verdict("d1", Outcome.IMPROVED, "p95 fell")), status)
    assert [(entry.id, entry.verdict) for entry in status.history] == [("d2", None), ("d1", "Improved")]


def test_the_verdict_shows_in_the_last_decision_too() -> None:
    status = report(turn(plan=plan(2, 4), change=change(2, 4, decision="d1")), None)
    status = report(turn(plan=plan(4, 4), verdict=Verdict("d1", Outcome.NO_EFFECT, "p95 stayed")), status)
    assert status.last_decision
    assert status.last_decision.verdict == "NoEffect"


def test_the_history_is_bounded() -> None:
    status: PerformanceSLOStatus | None = None
    for number in range(MAX_HISTORY + 5):
        status = report(
            turn(plan=plan(number, number + 1), change=change(number, number + 1, decision=f"d{number}")), status
        )
    assert status
    assert len(status.history) == MAX_HISTORY
    assert status.history[0].id == f"d{MAX_HISTORY + 4}"


def test_cost_follows_what_was_decided() -> None:
    status = report(turn(promise=spec(cost={"replicaHourly": "0.04"}), plan=plan(2, 5)), None)
    assert status.cost
    assert status.cost.model_dump() == {"currentHourly": "0.08", "projectedHourly": "0.20", "savedHourly": "0.20"}


# --- whatever comes --------------------------------------------------------------------------------------------------

ABSURD = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
COUNTS = st.lists(st.floats(0, 1e12) | st.just(0.0), min_size=4, max_size=4).map(
    lambda counts: sorted(map(round, counts))
)


@settings(deadline=None)
@given(
    counts=COUNTS,
    load=ABSURD,
    cores=ABSURD,
    words=st.text(max_size=3000),
    name=st.sampled_from(["web", "w" * 253]),
)
def test_no_cluster_and_no_prometheus_can_say_what_has_no_status(
    counts: list[int], load: float, cores: float, words: str, name: str
) -> None:
    pods = Replicas(1, 1, cpu_request_cores=1e-3)
    latency: LatencyReading = Histogram((0.1, 0.2, 1e9, math.inf), tuple(counts)) if counts[-1] else NoTraffic()
    promise = spec(scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
    case = turn(
        seen=observation(latency, pods, completions_per_second=Value(load), cpu_cores=Value(cores)),
        promise=promise,
        target=target(name=name),
        plan=replace(plan(1, 2), why=words),
        change=change(1, 2),
        conflict=Conflict(words),
    )
    status = report(case, None)
    dumped: dict[str, Any] = json.loads(status.model_dump_json())
    assert PerformanceSLOStatus.model_validate(dumped) == status
    lost = turn(seen=observation(Missing("SeriesMissing", words)), promise=promise, target=target(name=name))
    assert report(lost, status).summary.state == "Unknown"
    gone = turn(target=TargetProblem("TargetNotFound", words), observation=None, diagnosis=None)
    assert report(gone, status).summary.state == "NotReady"


def test_a_specification_that_does_not_fit_is_said_so_and_the_rest_stays() -> None:
    known = report(turn(plan=plan(2, 4), change=change(2, 4)), None)
    status = unreadable("spec.window: write a window", 7, NOW + 60, known)
    assert status.summary.state == "NotReady"
    assert (status.observed_generation, status.history, status.memory) == (7, known.history, known.memory)
    ready, *others = status.conditions
    assert (ready.type, ready.status, ready.reason) == ("Ready", "False", "SpecInvalid")
    assert "spec.window: write a window" in ready.message
    assert others == [condition for condition in known.conditions if condition.type != "Ready"]
    assert [c.type for c in unreadable("x", 1, NOW, None).conditions] == ["Ready"]


# --- backends ----------------------------------------------------------------------------------------------------


def of_backends(mind: Memory | None = None, promise: PerformanceSLOSpec | None = None, **changes: Any) -> Turn:
    """A turn of three backends, of which one is alone in breaking the promise."""
    promise = promise or split.spec("a", "b", "c")
    observed = test_backends.seen(latency={"b": test_backends.SLOW}, **changes.pop("seen", {}))
    mind = mind or test_backends.mind({"b": test_backends.BAD})
    decision = decide(promise, mind, observed)
    whole = replace(target(), ref=split.ROUTE, replicas=observed.replicas)
    made = turn(
        seen=observed,
        promise=promise,
        remembered=decision.memory,
        target=whole,
        diagnosis=decision.diagnosis,
        plan=decision.plan,
        parts=decision.parts,
        shift=decision.shift,
    )
    return replace(made, enabled_levers=("replicas", "traffic"), **changes)


def test_each_backend_shows_its_latency_shares_and_why_it_moves() -> None:
    a, b, c = report(of_backends(), None).backends
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert (a.p95, b.p95) == ("139ms", "567ms")
    assert (b.weight_percent, b.observed_percent, b.ready_replicas) == ("33.3", "33.3", 2)
    assert b.message
    assert "slow or failed of 5.0% allowed at 33% of the traffic: 33% -> " in b.message


def test_an_slo_with_backends_is_named_by_its_route() -> None:
    status = report(of_backends(), None)
    assert status.summary.target == "HTTPRoute/web"
    assert status.summary.bottleneck == "BackendSkew"
    assert status.summary.replicas == "6/6"


def test_what_is_not_known_of_a_backend_is_absent_and_said() -> None:
    blind = of_backends(seen={"route": TargetProblem("RouteNotFound", "there is no HTTPRoute/web: create it")})
    parts = dict(blind.parts)
    dark = replace(parts["c"].observation, latency={"p95": NO_SERIES}, requests_counted=NO_SERIES)
    parts["c"] = replace(parts["c"], observation=dark)
    a, _, c = report(replace(blind, parts=parts), None).backends
    assert (a.weight_percent, a.observed_percent, c.p95) == (None, None, None)
    assert c.message == "metrics are missing (no series match)"


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("Idle", {}),
        ("Recommending", {"promise": split.spec("a", "b", "c", mode="Recommend")}),
        ("Conflict", {"route_conflict": Conflict("Flagger also writes the weights")}),
        ("Suspended", {"promise": split.spec("a", "b", "c", suspend=True)}),
    ],
)
def test_the_state_of_the_traffic_lever(expected: str, changes: dict[str, Any]) -> None:
    lever = report(of_backends(**changes), None).levers[-1]
    assert (lever.name, lever.state) == ("traffic", expected)
    assert lever.observed == "a=33%,b=33%,c=33%"


def test_backends_without_workloads_of_their_own_cannot_be_told_apart() -> None:
    levers = {"traffic": {"routeRef": {"name": "web"}, "backends": [{"name": "a"}, {"name": "b"}]}}
    status = report(turn(promise=spec(levers=levers), enabled_levers=("replicas", "traffic")), None)
    disabled = next(each for each in status.conditions if each.type == "LeverDisabled")
    assert (disabled.status, disabled.reason) == ("True", "BackendsAlike")
    assert "backends[].scaleTargetRef" in disabled.message


TRIED = Experiment(
    "d1", NOW, *knobs.POLICY, "Random", "LeastRequest", "QueueingBound", "p95", 10.0, Tally(), 2
)  # fmt: skip
RANDOM = observation(standing=Standing(values={knobs.POLICY: "Random"}))
SET = plan(2, 2)
SET = replace(
    SET, why="pull it", steps=(Balance(TargetRef("", "BackendTrafficPolicy", "web"), "Random", "LeastRequest"),)
)


@pytest.mark.parametrize(
    ("mode", "state", "changes"),
    [
        ("Recommend", "Recommending", {"plan": SET}),
        ("Auto", "Idle", {}),
        ("Auto", "Acting", {"plan": SET, "change": Change("d1", NOW, SET.steps[0], ChangeResult.APPLIED, "")}),
        ("Auto", "Settling", {"remembered": memory(trials=Trials(pending=TRIED))}),
        ("Auto", "Disabled", {"enabled_levers": ("replicas",)}),
        ("Auto", "Suspended", {"suspend": True}),
    ],
)
def test_a_balancing_policy_has_a_mode_and_a_state_of_its_own(mode: str, state: str, changes: dict[str, Any]) -> None:
    traffic = {"routeRef": {"name": "web"}, "backends": [{"name": "a"}, {"name": "b"}]}
    traffic |= {"policyRef": {"name": "web"}, "policy": mode}
    promise = spec(levers={"traffic": traffic}, suspend=changes.pop("suspend", False))
    status = report(turn(seen=RANDOM, promise=promise, **{"enabled_levers": ("replicas", "traffic"), **changes}), None)
    weights, policy = status.levers[-2:]
    assert (weights.name, weights.state != "Acting") == ("traffic", True)
    assert (policy.name, policy.mode, policy.state, policy.observed) == ("traffic/policy", mode, state, "Random")
    assert (policy.desired, policy.message) == (("LeastRequest", "pull it") if "plan" in changes else (None, None))
    disabled = next(each for each in status.conditions if each.type == "LeverDisabled")
    assert disabled.reason == ("NotEnabled" if state == "Disabled" else "AllEnabled")


def test_a_route_that_is_not_served_as_it_is_written_is_told() -> None:
    served = test_backends.seen().route
    assert isinstance(served, Route)
    route = replace(served, followed=False, note="Accepted is False")
    status = report(of_backends(seen={"route": route}), None)
    acting = next(each for each in status.conditions if each.type == "Actuating")
    assert (acting.status, acting.reason) == ("False", "NotFollowed")
    assert "Accepted is False" in acting.message


def test_a_conflict_over_the_weights_is_told_with_its_fix() -> None:
    status = report(of_backends(route_conflict=Conflict("Flagger web also writes the weights: pause it")), None)
    conflict = next(each for each in status.conditions if each.type == "WriteConflict")
    assert (conflict.status, conflict.message) == ("True", "Flagger web also writes the weights: pause it")


def test_a_decision_about_one_backend_has_the_numbers_of_that_one() -> None:
    promise = split.spec("a", "b", "c", backend={"maxReplicas": 3})
    mind = test_backends.mind(b=test_backends.known(60.0))
    made = of_backends(mind, promise, seen={"route": test_backends.NO_ROUTE, "load": {"b": 60.0}})
    assert made.plan
    decided = report(replace(made, change=Change("d1", NOW, made.plan.steps[0], ChangeResult.APPLIED, "")), None)
    decision = decided.last_decision
    assert decision
    assert (decision.from_, decision.to, decision.limited_by) == ("2", "3", ("MaxReplicas",))
    assert decision.proposed
    assert int(decision.proposed) < 20


ROOMY = test_backends.known(20.0, 40.0)


def test_a_shift_of_traffic_is_a_decision_without_replicas() -> None:
    made = of_backends(test_backends.mind({"b": test_backends.BAD}, a=ROOMY, c=ROOMY))
    assert made.plan
    decided = report(replace(made, change=Change("d1", NOW, made.plan.steps[0], ChangeResult.APPLIED, "")), None)
    decision = decided.last_decision
    assert decision
    assert (decision.action, decision.from_, decision.proposed) == ("ShiftTraffic", "a=334,b=333,c=333", None)
    assert decision.why
    assert decision.why.startswith("shift traffic: b: ")
