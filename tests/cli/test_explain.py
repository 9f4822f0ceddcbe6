from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from perfslo.cli.explain import story

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def slo(status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"minReplicas": 2, "maxReplicas": 20, "mode": "Auto"},
        "status": status,
    }


def decision(**changes: Any) -> dict[str, Any]:
    return {
        "id": "d1",
        "time": "2026-01-01T12:00:00Z",
        "action": "ScaleUp",
        "lever": "replicas",
        "from": "2",
        "to": "20",
        "proposed": "23",
        "limitedBy": ["MaxReplicas"],
        "result": "Applied",
        "why": "152 requests/s need 23 pods of 7.1/s each",
        **changes,
    }


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T11:00:00Z",
    }


def test_an_slo_that_was_never_seen_by_an_operator_says_where_to_look() -> None:
    told = "\n".join(story(slo(), NOW))
    assert told.startswith("checkout in shop: nothing was measured yet.")
    assert "kubectl get pods" in told


def test_the_story_of_a_breach() -> None:
    status = {
        "summary": {
            "target": "Deployment/checkout",
            "state": "Breaching",
            "p95": "312ms",
            "objective": "p95<200ms",
            "replicas": "2/20",
            "requestsPerSecond": "152",
            "cpu": "71%",
            "bottleneck": "Saturated",
            "observedTime": "2026-01-01T12:00:28Z",
        },
        "utilization": {
            "cpu": "750m",
            "cpuOfRequest": "71%",
            "memory": "412Mi",
            "memoryOfLimit": "81%",
            "diskRead": "0B/s",
            "networkReceive": "9kB/s",
            "networkTransmit": "1MB/s",
        },
        "conditions": [
            condition("Ready", "True", "Configured", "all is resolved"),
            condition("Actuating", "True", "ScalingUp", "scale up: p95 312 ms > 200 ms"),
            condition("ScalingLimited", "True", "MaxReplicas", "maxReplicas is 20, 23 are needed: raise it"),
        ],
        "objectives": [
            {
                "name": "p95",
                "state": "Missed",
                "current": "312ms",
                "target": "200ms",
                "badPercent": "17.5",
                "badPercentLow": "16.6",
                "badPercentHigh": "18.5",
                "allowedBadPercent": "5",
                "requests": 9120,
                "message": "add a bucket at 0.2",
            }
        ],
        "budget": {
            "window": "28d",
            "remainingPercent": "71.2",
            "coveredPercent": "50.0",
            "burnRate1h": "3.1",
            "burnRate6h": "1.4",
            "exhaustsAt": "2026-01-15T12:00:00Z",
        },
        "history": [decision(), decision(id="d0", time="2026-01-01T09:00:00Z", verdict="Improved", limitedBy=[])],
    }
    assert list(story(slo(status), NOW)) == [
        "checkout in shop: Breaching (seen 2 s ago)",
        "  Deployment/checkout: 2/20 replicas ready, between 2 and 20, mode Auto",
        "  P95 312ms, promised p95<200ms, 152 requests/s, bottleneck Saturated",
        "  CPU 750m, 71% of requests, memory 412Mi, 81% of limits, disks 0B/s read, network 9kB/s received, 1MB/s sent",
        "  Why: scale up: p95 312 ms > 200 ms",
        "Promises:",
        "  p95: Missed, 312ms against 200ms; 17.5 % of 9120 requests were bad (16.6 to 18.5 with 90 % confidence), "
        "5 % may be (add a bucket at 0.2)",
        "Error budget: 71.2 % of 28d left (50.0 % of it counted); burn rate 3.1 over 1 h, 1.4 over 6 h; "
        "spent by 2026-01-15T12:00:00Z at that rate",
        "To look at:",
        "  MaxReplicas: maxReplicas is 20, 23 are needed: raise it",
        "Last decisions, newest first:",
        "  30 s ago: ScaleUp replicas 2->20, 23 before MaxReplicas: Applied [d1]",
        "      152 requests/s need 23 pods of 7.1/s each",
        "  3 h ago: ScaleUp replicas 2->20: Applied, Improved [d0]",
        "      152 requests/s need 23 pods of 7.1/s each",
    ]


def test_what_is_unknown_is_not_told_as_zero() -> None:
    told = list(story(slo({"summary": {"state": "Unknown", "objective": "p95<200ms"}}), NOW))
    assert told == [
        "checkout in shop: Unknown",
        "  no target: ? replicas ready, between 2 and 20, mode Auto",
        "  promised p95<200ms",
        "Nothing was changed yet.",
    ]


def test_signals_are_told_with_what_is_wrong_with_them() -> None:
    signals = [
        {"name": "db", "kind": "DependencyLatency", "state": "Value", "value": "12ms", "ageSeconds": 3},
        {"name": "hits", "kind": "CacheHitRatio", "state": "NoTraffic", "ageSeconds": 3},
        {"name": "jobs", "kind": "QueueAge", "state": "Missing", "message": "SeveralRows: one is expected"},
    ]
    told = list(story(slo({"summary": {"state": "Healthy"}, "signals": signals}), NOW))
    at = told.index("Signals:")
    assert told[at + 1 : at + 4] == [
        "  db (DependencyLatency): 12ms",
        "  hits (CacheHitRatio): NoTraffic",
        "  jobs (QueueAge): Missing (SeveralRows: one is expected)",
    ]


def test_conditions_that_are_well_are_not_trouble() -> None:
    status = {
        "summary": {"state": "Healthy"},
        "conditions": [
            condition("Ready", "True", "Configured", "x"),
            condition("WriteConflict", "False", "NoOtherWriter", "x"),
            condition("MetricsAvailable", "False", "PrometheusUnreachable", "start it"),
        ],
    }
    told = "\n".join(story(slo(status), NOW))
    assert "PrometheusUnreachable: start it" in told
    assert "NoOtherWriter" not in told


def test_what_people_should_look_at_stands_with_its_lever() -> None:
    levers = [
        {"name": "replicas", "state": "Idle"},
        {
            "name": "database",
            "state": "Idle",
            "observed": "pool=10",
            "recommendations": ["slow statement x", "index y"],
        },
    ]
    told = list(story(slo({"summary": {"state": "Healthy"}, "levers": levers}), NOW))
    at = told.index("Other levers:")
    assert told[at + 1 : at + 4] == [
        "  database: Idle, set to pool=10",
        "      Look at: slow statement x.",
        "      Look at: index y.",
    ]


def test_backends_and_why_their_weights_moved() -> None:
    status = {
        "summary": {"state": "Breaching", "target": "HTTPRoute/checkout", "replicas": "4/4"},
        "backends": [
            {
                "name": "b",
                "weightPercent": "25.0",
                "observedPercent": "24.6",
                "p95": "312ms",
                "readyReplicas": 2,
                "message": "8.1% slow or failed of 5.0% allowed at 33% of the traffic: 33% -> 25%",
            },
            {"name": "c", "message": "metrics are missing (no series match)"},
        ],
    }
    told = list(story(slo(status), NOW))
    start = told.index("Backends:")
    assert told[start + 1 : start + 3] == [
        "  b: weight 25.0 %, 24.6 % of the requests seen, P95 312ms, 2 pods ready "
        "(8.1% slow or failed of 5.0% allowed at 33% of the traffic: 33% -> 25%)",
        "  c: nothing is known (metrics are missing (no series match))",
    ]
