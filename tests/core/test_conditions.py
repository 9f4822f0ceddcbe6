"""What the conditions say in each situation, and that they say what to do."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perfslo.api.v1alpha1 import Condition
from perfslo.core import backends
from perfslo.core.conditions import CONDITIONS, LIMIT_FIXES, SOURCE_FIXES, conditions
from perfslo.core.model import (
    Bottleneck,
    ChangeResult,
    Diagnosis,
    Histogram,
    Missing,
    NoTraffic,
    Replicas,
    Stale,
    TargetProblem,
    Value,
)
from perfslo.core.turn import Conflict, Turn
from tests.arch.repository import CORE, PACKAGE, modules
from tests.core import turns
from tests.core.turns import FAST, NOW, SLOW, change, memory, observation, plan, spec, target, turn

GONE = turn(
    target=TargetProblem("TargetNotFound", "there is no Deployment/web: create it"), observation=None, diagnosis=None
)
NO_SERIES = Missing("SeriesMissing", "no series match")
THIN = Histogram(turns.BOUNDS, (30.0, 30.0, 30.0, 30.0, 30.0))
BURNING = turns.spent(*[(1000.0, 400.0)] * 6)
CPU = [
    {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}},
    {"name": "cpu", "utilization": {"resource": "cpu", "targetPercent": 60}},
]


def of(case: Turn, kind: str) -> Condition:
    return next(condition for condition in conditions(case, ()) if condition.type == kind)


def diagnosed(bottleneck: Bottleneck) -> Turn:
    case = turn(SLOW)
    assert case.diagnosis
    return replace(case, diagnosis=replace(case.diagnosis, bottleneck=bottleneck))


@pytest.mark.parametrize(
    ("case", "kind", "status", "reason", "words"),
    [
        (turn(), "TargetResolved", "True", "TargetFound", "Deployment/web"),
        (GONE, "TargetResolved", "False", "TargetNotFound", "create it"),
        (turn(), "Ready", "True", "Configured", "SLOMet"),
        (turn(SLOW), "Ready", "True", "Configured", "SLOMet"),
        (
            turn(remembered=BURNING),
            "SLOMet",
            "True",
            "ObjectivesMet",
            "budget of p95 burns 8.0 times as fast as it may",
        ),
        (turn(remembered=BURNING), "SLOMet", "True", "ObjectivesMet", "(last 6 h): look at when requests were bad"),
        (turn(NO_SERIES), "Ready", "True", "Configured", "SLOMet"),
        (GONE, "Ready", "False", "TargetNotFound", "create it"),
        (turn(Missing("SourceNotDefined", "name one of: a")), "Ready", "False", "SourceNotDefined", "name one of: a"),
        (turn(), "MetricsAvailable", "True", "MetricsFound", "last 60s"),
        (turn(NO_SERIES), "MetricsAvailable", "False", "SeriesMissing", "no series match; nothing is reduced"),
        (turn(Stale(90.0)), "MetricsAvailable", "False", "MetricsStale", "90s old"),
        (turn(NoTraffic()), "MetricsAvailable", "True", "MetricsFound", ""),
        (GONE, "MetricsAvailable", "Unknown", "NotMeasured", "see TargetResolved"),
        (turn(), "SLOMet", "True", "ObjectivesMet", "2.0% of 1000 requests were slower than 200ms or failed, 5.0% may"),
        (turn(SLOW), "SLOMet", "False", "Saturated", "p95: 500ms, 30% of 1000 requests were slower than 200ms"),
        (turn(NO_SERIES), "SLOMet", "Unknown", "Unknown", "see MetricsAvailable"),
        (turn(THIN), "SLOMet", "Unknown", "InsufficientData", "lower spec.metrics.minRequests"),
        (turn(remembered=memory(arrivals=())), "SLOMet", "True", "ObjectivesMet", ""),
        (turn(promise=spec(objectives=CPU)), "SLOMet", "Unknown", "ObjectiveUnknown", "cpu: metrics are missing"),
        (GONE, "SLOMet", "Unknown", "NotMeasured", "see TargetResolved"),
        (turn(plan=plan(2, 2)), "Actuating", "False", "Holding", "scale 2 -> 2: load"),
        (turn(plan=plan(2, 4), change=change(2, 4)), "Actuating", "True", "ScalingUp", "scale 2 -> 4: load"),
        (turn(plan=plan(4, 2), change=change(4, 2)), "Actuating", "True", "ScalingDown", "scale 4 -> 2: load"),
        (turn(target=target(4, 2), plan=plan(4, 4)), "Actuating", "True", "Settling", "load"),
        (
            turn(plan=plan(2, 4), change=change(2, 4, ChangeResult.RECOMMENDED)),
            "Actuating",
            "False",
            "Recommended",
            "scale 2 -> 4: load (Recommended!)",
        ),
        (turn(plan=plan(2, 4), change=change(2, 4, ChangeResult.REFUSED)), "Actuating", "False", "Refused", "load"),
        (turn(promise=spec(suspend=True)), "Actuating", "False", "Suspended", "set suspend: false"),
        (GONE, "Actuating", "False", "TargetNotResolved", "create it"),
        (turn(plan=plan(2, 4)), "ScalingLimited", "False", "DesiredWithinRange", ""),
        (
            turn(plan=plan(2, 10, "ScaleUpLimit", "MaxReplicas", proposed=12)),
            "ScalingLimited",
            "True",
            "MaxReplicas",
            "12 replicas were asked for, 10 are allowed: raise maxReplicas",
        ),
        (turn(plan=plan(2, 4, "MinReplicas", proposed=4)), "ScalingLimited", "False", "DesiredWithinRange", ""),
        (turn(), "WriteConflict", "False", "OnlyWriter", ""),
        (turn(conflict=Conflict("delete it")), "WriteConflict", "True", "OtherWriter", "delete it"),
        (
            turn(conflict=Conflict("delete it"), promise=spec(mode="Recommend")),
            "WriteConflict",
            "False",
            "NotWriting",
            "nothing is written",
        ),
        (turn(NO_SERIES), "Fallback", "False", "NotNeeded", ""),
        (
            turn(NO_SERIES, promise=spec(fallback={"minReplicas": 4}), remembered=memory(missing_cycles=5)),
            "Fallback",
            "True",
            "MetricsMissing",
            "5 times in a row: at least 4 replicas are kept",
        ),
        (turn(), "Suspended", "False", "Active", ""),
        (turn(promise=spec(suspend=True)), "Suspended", "True", "SuspendedBySpec", "set spec.suspend to false"),
        (turn(), "LeverDisabled", "False", "AllEnabled", ""),
        (replace(turn(), enabled_levers=()), "LeverDisabled", "True", "NotEnabled", "chart's `levers`"),
    ],
)
def test_a_situation_has_its_words(case: Turn, kind: str, status: str, reason: str, words: str) -> None:
    condition = of(case, kind)
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message
    assert condition.message


@pytest.mark.parametrize("case", [turn(), turn(SLOW), turn(NO_SERIES), GONE])
def test_all_are_there_always(case: Turn) -> None:
    assert [condition.type for condition in conditions(case, ())] == [kind for kind, _ in CONDITIONS]


@pytest.mark.parametrize(
    "bottleneck", [Bottleneck.CPU_THROTTLED, Bottleneck.UNREACHABLE_TARGET, Bottleneck.FAST_FAILING]
)
def test_what_replicas_do_not_cure_says_what_does(bottleneck: Bottleneck) -> None:
    condition = of(diagnosed(bottleneck), "SLOMet")
    assert condition.reason == bottleneck.value
    assert re.search(r": (raise|look)", condition.message)


def test_a_promise_that_is_not_judged_is_not_kept_by_silence() -> None:
    case = replace(turn(), diagnosis=Diagnosis(Bottleneck.UNKNOWN, "the load is not known yet"))
    assert of(case, "SLOMet").status == "Unknown"


def test_a_source_that_is_down_is_named_with_what_to_do() -> None:
    down = Missing("PrometheusUnreachable", "no answer in time")
    seen = observation(Missing("SeriesMissing"), Replicas(2, 2), source_problem=down)
    condition = of(turn(seen=seen), "MetricsAvailable")
    assert (condition.status, condition.reason) == ("False", "PrometheusUnreachable")
    assert condition.message == (
        "no answer in time; nothing is reduced meanwhile: check that it runs, and that no NetworkPolicy is in between"
    )


def test_each_reason_for_missing_metrics_says_what_to_do() -> None:
    say_it_themselves = (CORE / "signals.py", PACKAGE / "edges" / "hooks.py", PACKAGE / "edges" / "standing.py")
    others = [path for path in modules(PACKAGE) if path not in say_it_themselves]
    sources = [path.read_text() for path in others]
    named = {name for text in sources for name in re.findall(r'\bMissing\(\s*"(\w+)"', text)}
    named |= {name for text in sources for name in re.findall(r'reason = "((?:Prometheus(?!Error)|Query)\w+)"', text)}
    assert {"SeriesMissing", "PrometheusUnwell", "QueryRejected"} <= named
    said_by_the_message = {"SourceNotDefined", "SourceNotAllowed", "PresetNotDefined", "QueryInvalid"}
    assert named - said_by_the_message == {*SOURCE_FIXES}


def test_each_limit_says_what_to_do() -> None:
    named = {*re.findall(r'"([A-Z][a-z]\w+)", ', (CORE / "guardrails.py").read_text()), backends.WEIGHTS}
    assert {"MaxReplicas", "AlreadyOrdered"} <= named
    assert named == {*LIMIT_FIXES}


def test_the_transition_time_moves_with_the_status_only() -> None:
    first = {c.type: c for c in conditions(turn(FAST), ())}
    assert {c.last_transition_time for c in first.values()} == {"2027-01-15T08:00:00Z"}
    later = replace(turn(FAST, plan=plan(2, 4), change=change(2, 4)), time=NOW + 60, generation=4)
    second = {c.type: c for c in conditions(later, tuple(first.values()))}
    moved = {kind for kind, c in second.items() if c.last_transition_time != first[kind].last_transition_time}
    assert moved == {"Actuating"}
    assert second["Actuating"].last_transition_time == "2027-01-15T08:01:00Z"
    assert {c.observed_generation for c in second.values()} == {4}
    settling = replace(turn(FAST, target=target(4, 2), plan=plan(4, 4)), time=NOW + 120)
    third = next(c for c in conditions(settling, tuple(second.values())) if c.type == "Actuating")
    assert third.reason == "Settling"
    assert third.last_transition_time == "2027-01-15T08:01:00Z", "the reason changed, the status did not"


def test_a_long_message_is_cut() -> None:
    seen = observation(completions_per_second=Value(1.0))
    case = turn(seen=seen, conflict=Conflict("x" * 5000))
    message = of(case, "WriteConflict").message
    assert len(message) == 2048
    assert message.endswith("…")
