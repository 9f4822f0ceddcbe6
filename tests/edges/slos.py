"""PerformanceSLOs as the registry has them."""

from __future__ import annotations

import json
import zlib

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.model import JSON
from perfslo.edges.watch import SLO
from tests.core import turns


def slo(
    name: str = "web",
    *,
    uid: str = "",
    created: str = "2026-01-01T00:00:00Z",
    spec: PerformanceSLOSpec | None = None,
    problem: str = "",
    status: JSON | None = None,
) -> SLO:
    """In namespace shop, for Deployment/web unless `spec` says otherwise; one with a `problem` has no spec."""
    return SLO(
        namespace="shop",
        name=name,
        uid=uid or f"uid-{name}",
        created=created,
        generation=3,
        resource_version=1,
        spec=None if problem else spec or turns.spec(),
        problem=problem,
        status_packed=zlib.compress(json.dumps(status or {}).encode()),
    )
