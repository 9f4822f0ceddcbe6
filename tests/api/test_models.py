"""The models: what they accept, refuse and compute."""

from decimal import Decimal
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from perfslo.api.v1alpha1 import (
    Decision,
    ErrorRate,
    Latency,
    PerformanceSLO,
    PerformanceSLOSpec,
    PerformanceSLOStatus,
    ScalingRules,
    Summary,
    Utilization,
    claim_name,
    duration_seconds,
    window_seconds,
)
from tests.api.manifests import BASE, EXAMPLES, merged, table


def spec(patch: dict[str, Any] | None = None) -> PerformanceSLOSpec:
    return PerformanceSLO.model_validate(merged(BASE, {"spec": patch or {}})).spec


@pytest.mark.parametrize("entry", table("bad"))
def test_bad_manifests_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PerformanceSLO.model_validate(yaml.safe_load(entry["manifest"]), by_alias=True, by_name=False)


@pytest.mark.parametrize("entry", table("good"))
def test_edges_of_the_good_are_accepted_and_come_back_as_written(entry: dict[str, Any]) -> None:
    manifest = yaml.safe_load(entry["manifest"])
    slo = PerformanceSLO.model_validate(manifest, by_alias=True, by_name=False)
    assert slo.model_dump(mode="json", exclude_unset=True) == manifest


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_accepted(path: Any) -> None:
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document["kind"] == "PerformanceSLO"]
    assert documents
    for document in documents:
        PerformanceSLO.model_validate(document, by_alias=True, by_name=False)


def test_defaults() -> None:
    assert spec({"minReplicas": None, "objectives": [{"name": "p95", "latency": {"percentile": 95}}]}).model_dump(
        mode="json", exclude_none=True
    ) == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "mode": "Auto",
        "suspend": False,
        "minReplicas": 1,
        "maxReplicas": 20,
        "objectives": [
            {"name": "p95", "primary": False, "latency": {"percentile": 95, "threshold": "200ms", "matchers": []}}
        ],
        "window": "28d",
        "metrics": {"source": "default", "preset": "http-server", "matchers": [], "minRequests": 100, "signals": []},
        "cost": {},
        "onDelete": {"replicas": "Keep", "others": "Restore"},
    }


def test_a_null_is_as_good_as_nothing() -> None:
    written = {**BASE, "spec": {**BASE["spec"], "window": None, "levers": None}}
    assert PerformanceSLO.model_validate(written).spec == spec()


def test_an_object_as_the_api_server_returns_it_is_read() -> None:
    returned = merged(
        BASE,
        {
            "metadata": {
                "uid": "u",
                "generation": 3,
                "resourceVersion": "9",
                "managedFields": [{"manager": "kubectl"}],
            },
            "status": {"summary": {"state": "Healthy", "p95": "120ms"}, "writtenByALaterVersion": 1},
        },
    )
    slo = PerformanceSLO.model_validate(returned)
    assert (slo.metadata.uid, slo.metadata.generation, slo.status.summary.p95) == ("u", 3, "120ms")


@pytest.mark.parametrize(
    ("latency", "allowed_bad_ratio"),
    [
        (Latency(percentile=95), 0.05),
        (Latency(percentile=99), 0.01),
        (Latency(proportion_percent=Decimal("99.9")), 0.001),
    ],
)
def test_latency_says_what_share_may_be_bad(latency: Latency, allowed_bad_ratio: float) -> None:
    assert latency.allowed_bad_ratio == allowed_bad_ratio
    assert latency.threshold_seconds == 0.2


def test_ratios_are_of_one() -> None:
    assert ErrorRate(max_percent=Decimal("0.5")).max_ratio == 0.005
    assert Utilization(resource="cpu", target_percent=70).target_ratio == 0.7


@pytest.mark.parametrize(
    ("text", "seconds"), [("200ms", 0.2), ("1.5s", 1.5), ("2m", 120.0), ("0.5m", 30.0), ("0001ms", 0.001)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("1h", 3600), ("28d", 28 * 86400), ("2w", 14 * 86400)])
def test_windows(text: str, seconds: int) -> None:
    assert window_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "200", "ms", "1h", "-1s", "1 s", "1.s", "1s\n", "١s"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration with a unit"):
        duration_seconds(text)


@pytest.mark.parametrize("text", ["", "28", "d", "1.5d", "-1d", "1y", "1d\n"])
def test_what_is_not_a_window(text: str) -> None:
    with pytest.raises(ValueError, match="not a window with a unit"):
        window_seconds(text)


@pytest.mark.parametrize(
    ("tolerance", "ratio"), [("0.05", "0.05"), ("50m", "0.05"), (1, "1"), (".1", "0.1"), ("1.", "1"), ("1k", "1000")]
)
def test_tolerance_is_a_quantity(tolerance: int | str, ratio: str) -> None:
    assert ScalingRules(tolerance=tolerance).tolerance_ratio == Decimal(ratio)


def test_the_primary_is_the_one_marked_else_the_first_for_latency() -> None:
    objectives: list[dict[str, Any]] = [
        {"name": "errors", "errorRate": {"maxPercent": "1"}},
        {"name": "p95", "latency": {"percentile": 95}},
        {"name": "p99", "latency": {"percentile": 99}},
    ]
    assert spec({"objectives": objectives}).primary_objective.name == "p95"
    objectives[2]["primary"] = True
    assert spec({"objectives": objectives}).primary_objective.name == "p99"
    assert spec({"objectives": objectives}).primary_latency.percentile == 99


def test_a_lever_has_its_own_mode_or_that_of_the_slo() -> None:
    cdn = {"flag": {"configMap": "c", "key": "k", "onValue": "a", "offValue": "b"}, "mode": "Auto"}
    modes = spec({"mode": "Recommend", "levers": {"cdn": cdn}})
    assert modes.enabled_levers == ("replicas", "cdn")
    assert modes.lever_mode("replicas") == "Recommend"
    assert modes.lever_mode("cdn") == "Auto"
    with pytest.raises(KeyError):
        modes.lever_mode("cache")


def test_the_targets_are_the_one_or_those_of_the_backends() -> None:
    assert [ref.name for ref in spec().scale_target_refs] == ["checkout"]
    backends = [{"name": n, "scaleTargetRef": {**BASE["spec"]["scaleTargetRef"], "name": n}} for n in ("a", "b")]
    traffic = {"routeRef": {"name": "r"}, "backends": backends}
    both = spec({"scaleTargetRef": None, "levers": {"traffic": traffic}}).scale_target_refs
    assert [(ref.group, ref.name) for ref in both] == [("apps", "a"), ("apps", "b")]


def test_a_status_is_written_without_what_is_unknown() -> None:
    status = PerformanceSLOStatus(
        summary=Summary(state="Unknown"),
        last_decision=Decision(id="7f3a", time="2026-01-01T00:00:00Z", action="Hold", from_="2"),
    )
    assert status.model_dump(mode="json", exclude_none=True, exclude_defaults=True) == {
        "summary": {"state": "Unknown"},
        "lastDecision": {"id": "7f3a", "time": "2026-01-01T00:00:00Z", "action": "Hold", "from": "2"},
    }


def test_models_are_values() -> None:
    assert spec() == spec()
    assert hash(spec()) == hash(spec())
    with pytest.raises(ValidationError, match="frozen"):
        spec().mode = "Recommend"  # type: ignore[misc]


def test_a_claim_is_named_by_what_it_claims() -> None:
    name = claim_name("apps", "Deployment", "checkout", "replicas")
    assert name == claim_name("apps", "Deployment", "checkout", "replicas")
    assert len(name) <= 63
    others = {
        claim_name("", "Deployment", "checkout", "replicas"),
        claim_name("apps", "StatefulSet", "checkout", "replicas"),
        claim_name("apps", "Deployment", "cart", "replicas"),
        claim_name("apps", "Deployment", "checkout", "weight"),
    }
    assert len(others | {name}) == 5
