"""PerformanceSLO: a workload and what its users were promised."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.rules import ListMap, Rule
from perfslo.api.v1alpha1.behavior import Behavior
from perfslo.api.v1alpha1.common import (
    Mode,
    ObjectMeta,
    Positive,
    Replicas,
    ScaleTargetRef,
    SpecModel,
    Window,
    window_seconds,
)
from perfslo.api.v1alpha1.levers import LEVERS, Backend, Lever, Levers
from perfslo.api.v1alpha1.metrics import Metrics
from perfslo.api.v1alpha1.objectives import Latency, Objective
from perfslo.api.v1alpha1.status import PerformanceSLOStatus

Undo = Literal["Keep", "Restore"]


class Fallback(SpecModel):
    """What holds while this SLO's own series are missing. It can only raise replicas."""

    failure_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    """Consecutive cycles without series after which the fallback holds."""
    min_replicas: Replicas
    """Replicas below which the target does not stay, between minReplicas and maxReplicas of the SLO."""


class Cost(SpecModel):
    """Prices, in any one currency."""

    rules = (
        Rule(
            cel="!has(self.maxHourly) || has(self.replicaHourly)",
            holds=lambda cost: cost.max_hourly is None or cost.replica_hourly is not None,
            message="write replicaHourly beside maxHourly: without the price of a replica the cap cannot be kept",
            field="maxHourly",
        ),
    )

    replica_hourly: Positive | None = None
    """Price of one replica for an hour, as a quoted decimal such as "0.04"."""
    max_hourly: Positive | None = None
    """Price of an hour that replicas and levers together never exceed, as a quoted decimal; needs replicaHourly."""


class OnDelete(SpecModel):
    """What happens to the levers when the SLO is deleted."""

    replicas: Undo = "Keep"
    """Keep leaves the replicas as they are; Restore puts them back, which under load may be an outage."""
    others: Undo = "Restore"
    """Restore puts weights, flags and pools back after a minute if they are still ours; Keep leaves them."""


def _backends(spec: "PerformanceSLOSpec") -> tuple[Backend, ...]:
    return spec.levers.traffic.backends if spec.levers and spec.levers.traffic else ()


_BACKENDS = "(has(self.levers) && has(self.levers.traffic))"


class PerformanceSLOSpec(SpecModel):
    """What was promised for which workload, and what may be done to keep it."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            holds=lambda spec: spec.min_replicas <= spec.max_replicas,
            message="write a minReplicas that is at most maxReplicas",
            field="minReplicas",
        ),
        Rule(
            cel="self.objectives.exists(o, has(o.latency))",
            holds=lambda spec: any(objective.latency for objective in spec.objectives),
            message="add an objective for latency, such as {name: p95, latency: {percentile: 95, threshold: 200ms}}",
            field="objectives",
        ),
        Rule(
            cel="self.objectives.filter(o, o.primary).size() <= 1",
            holds=lambda spec: sum(objective.primary for objective in spec.objectives) <= 1,
            message="write primary: true on one objective only",
            field="objectives",
        ),
        Rule(
            cel=(
                "!has(self.fallback) || "
                "(self.fallback.minReplicas >= self.minReplicas && self.fallback.minReplicas <= self.maxReplicas)"
            ),
            holds=lambda spec: (
                spec.fallback is None or spec.min_replicas <= spec.fallback.min_replicas <= spec.max_replicas
            ),
            message="write a fallback.minReplicas between minReplicas and maxReplicas",
            field="fallback.minReplicas",
        ),
        Rule(
            cel=(
                "has(self.scaleTargetRef) || "
                f"({_BACKENDS} && self.levers.traffic.backends.exists(b, has(b.scaleTargetRef)))"
            ),
            holds=lambda spec: bool(spec.scale_target_refs),
            message="write scaleTargetRef, or a scaleTargetRef for each of levers.traffic.backends",
        ),
        Rule(
            cel=(
                f"!has(self.scaleTargetRef) || !{_BACKENDS} || "
                "!self.levers.traffic.backends.exists(b, has(b.scaleTargetRef))"
            ),
            holds=lambda spec: (
                spec.scale_target_ref is None or not any(backend.scale_target_ref for backend in _backends(spec))
            ),
            message="write either scaleTargetRef or the scaleTargetRef of each of levers.traffic.backends, not both",
            field="scaleTargetRef",
        ),
        Rule(
            cel=(
                f"!{_BACKENDS} || "
                "self.levers.traffic.backends.all(b, !has(b.maxReplicas) || b.maxReplicas <= self.maxReplicas)"
            ),
            holds=lambda spec: all((backend.max_replicas or 1) <= spec.max_replicas for backend in _backends(spec)),
            message="write a maxReplicas for each backend that is at most spec.maxReplicas, which bounds them together",
            field="maxReplicas",
        ),
        Rule(
            cel=(
                f"!{_BACKENDS} || !self.levers.traffic.backends.exists(b, has(b.scaleTargetRef)) || "
                "self.levers.traffic.backends.map(b, b.minReplicas).sum() <= self.maxReplicas"
            ),
            holds=lambda spec: (
                sum(backend.min_replicas for backend in _backends(spec) if backend.scale_target_ref)
                <= spec.max_replicas
            ),
            message="raise maxReplicas to at least the sum of the backends' minReplicas",
            field="maxReplicas",
        ),
    )

    scale_target_ref: ScaleTargetRef | None = None
    """Workload in the same namespace. Left out when each backend of the traffic lever has its own."""
    mode: Mode = "Auto"
    """Auto decides and acts; Recommend decides and records, and touches nothing. Each lever may override it."""
    suspend: bool = False
    """While true the promise is measured and reported, nothing is decided, and the levers stay where they are."""
    min_replicas: Replicas = 1
    """Fewest replicas, of all backends together when they have targets of their own."""
    max_replicas: Replicas
    """Most replicas, of all backends together when they have targets of their own."""
    objectives: Annotated[tuple[Objective, ...], Field(strict=False, min_length=1, max_length=10), ListMap("name")]
    """The promises; at least one of them for latency."""
    window: Window = "28d"
    """Window of the error budget and its burn rate, 1h to 90d."""
    metrics: Metrics = Metrics()
    """Where the numbers come from."""
    behavior: Behavior | None = None
    """Scaling limits as in autoscaling/v2; unset, the documented limits of this operator."""
    fallback: Fallback | None = None
    """What holds while this SLO's own series are missing; unset, the replicas are held."""
    levers: Levers | None = None
    """What may be changed; unset, the replicas only."""
    cost: Cost = Cost()
    """Prices and a cap."""
    on_delete: OnDelete = OnDelete()
    """What happens to the levers when the SLO is deleted."""

    @cached_property
    def window_seconds(self) -> int:
        """Error budget window in seconds."""
        return window_seconds(self.window)

    @cached_property
    def latency_objectives(self) -> tuple[Objective, ...]:
        """Objectives that have `latency`, in the order of the spec; never empty."""
        return tuple(objective for objective in self.objectives if objective.latency)

    @cached_property
    def primary_objective(self) -> Objective:
        """The objective marked primary, else the first for latency."""
        marked = (objective for objective in self.objectives if objective.primary)
        return next(marked, self.latency_objectives[0])

    @cached_property
    def primary_latency(self) -> Latency:
        """Latency of the primary objective."""
        if (latency := self.primary_objective.latency) is None:
            raise ValueError("a primary objective is for latency, by the rules of Objective")
        return latency

    @property
    def scale_target_refs(self) -> tuple[ScaleTargetRef, ...]:
        """Every workload that may be scaled: the one target, or one for each backend."""
        if self.scale_target_ref:
            return (self.scale_target_ref,)
        return tuple(backend.scale_target_ref for backend in _backends(self) if backend.scale_target_ref)

    @cached_property
    def enabled_levers(self) -> tuple[str, ...]:
        """Names of the levers that the spec turns on; replicas is on by default."""
        return tuple(name for name in LEVERS if name == "replicas" or self._lever(name) is not None)

    def lever_mode(self, name: str) -> Mode:
        """Mode of a lever: its own, else that of the SLO. Raises KeyError for a lever that is not on."""
        if name not in self.enabled_levers:
            raise KeyError(name)
        lever = self._lever(name)
        return lever.mode if lever and lever.mode else self.mode

    @property
    def policy_mode(self) -> Mode:
        """Mode of the balancing policy: to be set it must be asked for, whatever holds for the rest of its lever."""
        traffic = self.levers.traffic if self.levers else None
        return (traffic and traffic.policy) or "Recommend"

    def _lever(self, name: str) -> Lever | None:
        return getattr(self.levers, name) if self.levers else None


class PerformanceSLO(SpecModel):
    """A workload and what its users were promised."""

    rules = (
        Rule(
            cel="size(self.metadata.name) <= 63",
            holds=lambda slo: len(slo.metadata.name) <= 63,
            message="write a metadata.name of at most 63 characters: it is used in labels",
        ),
    )

    api_version: Literal["perfslo.io/v1alpha1"] = "perfslo.io/v1alpha1"
    kind: Literal["PerformanceSLO"] = "PerformanceSLO"
    metadata: ObjectMeta
    spec: PerformanceSLOSpec
    """What was promised for which workload, and what may be done to keep it."""
    status: PerformanceSLOStatus = PerformanceSLOStatus()
    """What was measured, decided and done."""
