"""Where the numbers come from."""

from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.rules import ListMap
from perfslo.api.v1alpha1.common import Name, ObjectName, SpecModel
from perfslo.api.v1alpha1.objectives import Matchers

SignalKind = Literal["CacheHitRatio", "DependencyLatency", "PoolUse", "PoolWait", "QueueAge", "QueueLength"]


class Signal(SpecModel):
    """A signal that the administrator defined, used to tell one bottleneck from another."""

    name: Name
    """Name used by this SLO's status and evidence."""
    kind: SignalKind
    """What the signal measures."""
    ref: Name
    """Name under which the administrator defined it."""


class Metrics(SpecModel):
    """Which series belong to the target, and how many requests make evidence."""

    source: Name = "default"
    """Prometheus source as the administrator named it; addresses and credentials stay with the administrator."""
    preset: Name = "http-server"
    """Set of metric names as the administrator named it."""
    service: ObjectName | None = None
    """Name by which a proxy's series know the target, where it is not the target's own: its Service for the presets
    nginx-ingress and traefik, its HTTPRoute for envoy-gateway. Presets that go by pods do not look at it."""
    matchers: Matchers = ()
    """Further matchers for every series of this SLO, such as leaving out health checks."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Fewest requests in the evaluation window that count as evidence; below it the state is InsufficientData."""
    signals: Annotated[tuple[Signal, ...], Field(strict=False, max_length=16), ListMap("name")] = ()
    """Named signals for the diagnosis."""
