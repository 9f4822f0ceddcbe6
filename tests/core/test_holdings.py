"""What an SLO may claim, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import yaml

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.holdings import holdings
from tests.core.turns import spec

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> PerformanceSLOSpec:
    return PerformanceSLOSpec.model_validate(yaml.safe_load((EXAMPLES / name).read_text())["spec"])


def test_replicas_stay_unless_their_author_says_otherwise() -> None:
    assert holdings(spec()) == {("apps", "Deployment", "web", "replicas"): "Keep"}
    assert set(holdings(spec(onDelete={"replicas": "Restore"})).values()) == {"Restore"}


def test_every_lever_that_is_named_can_be_claimed() -> None:
    held = {"/".join(holding): undo for holding, undo in holdings(example("full.yaml")).items()}
    assert held == {
        "apps/Deployment/checkout/replicas": "Keep",
        "gateway.networking.k8s.io/HTTPRoute/checkout/weights/main": "Restore",
        "gateway.envoyproxy.io/BackendTrafficPolicy/checkout/policy": "Restore",
        "/ConfigMap/checkout/data.CACHE_TIER": "Restore",
        "apps/Deployment/checkout-edge/replicas": "Restore",
        "/ConfigMap/checkout/data.CDN": "Restore",
        "/ConfigMap/checkout/data.POOL_SIZE": "Restore",
        "/ConfigMap/checkout/data.RECEIPTS": "Restore",
        "apps/Deployment/checkout-workers/replicas": "Restore",
    }


def test_the_workloads_of_backends_serve_and_so_stay() -> None:
    held = {"/".join(holding): undo for holding, undo in holdings(example("httproute.yaml")).items()}
    assert {undo for name, undo in held.items() if name.endswith("/replicas")} == {"Keep"}
    assert {undo for name, undo in held.items() if "/weights" in name} == {"Restore"}
