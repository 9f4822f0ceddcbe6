"""What may be changed to keep the promise."""

from typing import Annotated

from pydantic import Field

from perfslo.api.rules import ListMap, Rule
from perfslo.api.v1alpha1.common import (
    Group,
    Kind,
    Mode,
    Name,
    ObjectName,
    Positive,
    Replicas,
    ScaleTargetRef,
    SpecModel,
)

LEVERS = ("replicas", "traffic", "cache", "cdn", "database", "offload")
"""Names of all levers, in the order of the schema."""

PercentInt = Annotated[int, Field(ge=0, le=100)]
Key = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        cel="self.matches('^[-._a-zA-Z0-9]+$')",
        holds=lambda text: text.isascii() and text.replace("-", "").replace(".", "").replace("_", "a").isalnum(),
        message="write a ConfigMap key: letters, digits, dashes, underscores and dots, such as CACHE_TIER",
        pattern="^[-._a-zA-Z0-9]+$",
    ),
]
FlagValue = Annotated[str, Field(min_length=1, max_length=256)]


class Lever(SpecModel):
    """What every lever has."""

    mode: Mode | None = None
    """Auto or Recommend for this lever alone; unset, the mode of the SLO holds."""


class ReplicasLever(Lever):
    """Replicas of the target; on unless its mode says Recommend."""


class Flag(SpecModel):
    """A ConfigMap key in the same namespace that the application follows at run time."""

    rules = (
        Rule(
            cel="self.onValue != self.offValue",
            holds=lambda flag: flag.on_value != flag.off_value,
            message="write an offValue that differs from onValue",
            field="offValue",
        ),
    )

    config_map: ObjectName
    """Name of the ConfigMap; it must carry the label perfslo.io/managed: "true", its owner's consent."""
    key: Key
    """Key within it."""
    on_value: FlagValue
    """Value that turns it on. (Not named on: YAML reads that word as true.)"""
    off_value: FlagValue
    """Value that turns it off."""


class WorkloadSwitch(SpecModel):
    """A workload of its own that is turned on and off by its replicas."""

    scale_target_ref: ScaleTargetRef
    """Workload in the same namespace."""
    on_replicas: Replicas
    """Replicas while on; 0 while off."""


class SwitchEvidence(SpecModel):
    """What is known about something that can be turned on."""

    hit_ratio: Name | None = None
    """Administrator's named signal for the share of requests that it answers."""
    confirm: Name | None = None
    """Administrator's named signal by which the pods themselves say that it is on."""
    warmup_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    """Seconds until it is warm; its effect is judged only then."""
    hourly_cost: Positive | None = None
    """Cost of an hour while on, in the currency of spec.cost, as a quoted decimal."""


class CacheTier(SwitchEvidence):
    """A cache tier that can be turned on."""

    rules = (
        Rule(
            cel="has(self.flag) != has(self.workload)",
            holds=lambda tier: (tier.flag is None) != (tier.workload is None),
            message="write exactly one of flag (a ConfigMap key) or workload (replicas of the tier's own Deployment)",
        ),
    )

    name: Name
    """Name of the tier, unique in this SLO."""
    flag: Flag | None = None
    """ConfigMap key that turns the tier on."""
    workload: WorkloadSwitch | None = None
    """Workload of the tier that is scaled up from 0."""


class CacheLever(Lever):
    """Cache tiers, turned on one after another in the order of relief for their cost."""

    tiers: Annotated[tuple[CacheTier, ...], Field(strict=False, min_length=1, max_length=8), ListMap("name")]
    """The tiers."""


class CdnLever(Lever, SwitchEvidence):
    """A content delivery network, or another way of answering before the service is reached."""

    rules = (
        Rule(
            cel="has(self.flag) != has(self.hook)",
            holds=lambda cdn: (cdn.flag is None) != (cdn.hook is None),
            message="write exactly one of flag (a ConfigMap key) or hook (a name that the administrator gave)",
        ),
    )

    flag: Flag | None = None
    """ConfigMap key that turns it on."""
    hook: Name | None = None
    """Administrator's HTTP hook that turns it on."""


class Pool(SpecModel):
    """Size of each replica's connection pool, in a ConfigMap key that the application follows at run time."""

    rules = (
        Rule(
            cel="self.minSize <= self.maxSize",
            holds=lambda pool: pool.min_size <= pool.max_size,
            message="write a pool.minSize that is at most pool.maxSize",
            field="minSize",
        ),
    )

    config_map: ObjectName
    """Name of the ConfigMap; it must carry the label perfslo.io/managed: "true", its owner's consent."""
    key: Key
    """Key within it."""
    min_size: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Fewest connections of a replica."""
    max_size: Annotated[int, Field(ge=1, le=10_000)]
    """Most connections of a replica."""


class DatabaseLever(Lever):
    """Connections to a database that several SLOs share."""

    budget: Name
    """Connection budget as the administrator named it; the limit lives there and is shared by all SLOs that name it."""
    connections_per_replica: Annotated[int, Field(ge=1, le=10_000)]
    """Connections that each replica may open; replicas are never raised beyond what the budget allows."""
    pool: Pool | None = None
    """Pool that may be resized; unset, the budget only limits the replicas."""


class Workers(SpecModel):
    """Background workers, scaled by the age of their queue."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            holds=lambda workers: workers.min_replicas <= workers.max_replicas,
            message="write a workers.minReplicas that is at most workers.maxReplicas",
            field="minReplicas",
        ),
    )

    scale_target_ref: ScaleTargetRef
    """Workload of the workers, in the same namespace."""
    min_replicas: Replicas = 1
    """Fewest workers while work is moved to them."""
    max_replicas: Replicas
    """Most workers."""
    queue_age: Name
    """Administrator's named signal for the age of the oldest waiting item, in seconds."""
    max_queue_age_seconds: Annotated[int, Field(ge=1, le=86400)]
    """Age of the oldest waiting item that workers must keep below, in seconds."""


class OffloadLever(Lever):
    """Work moved out of the request to background workers."""

    flag: Flag
    """ConfigMap key that moves the work."""
    confirm: Name | None = None
    """Administrator's named signal by which the pods themselves say that it is moved."""
    workers: Workers
    """Workers that take it."""


class RouteRef(SpecModel):
    """The object in the same namespace that holds the weights."""

    group: Group = "gateway.networking.k8s.io"
    """API group."""
    kind: Kind = "HTTPRoute"
    """Kind, such as HTTPRoute; the administrator enables kinds."""
    name: ObjectName
    """Name."""
    rule_name: Name | None = None
    """Name of the rule; needed when the route has more than one."""


class PolicyRef(SpecModel):
    """The object in the same namespace that says how a proxy chooses among the pods of a backend."""

    group: Group = "gateway.envoyproxy.io"
    """API group."""
    kind: Kind = "BackendTrafficPolicy"
    """Kind, such as BackendTrafficPolicy or DestinationRule; the administrator enables kinds."""
    name: ObjectName
    """Name."""


class Backend(SpecModel):
    """One of the backends between which traffic is shared."""

    rules = (
        Rule(
            cel="!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            holds=lambda backend: backend.max_replicas is None or backend.min_replicas <= backend.max_replicas,
            message="write a backend's minReplicas that is at most its maxReplicas",
            field="minReplicas",
        ),
        Rule(
            cel="self.minWeightPercent <= self.maxWeightPercent",
            holds=lambda backend: backend.min_weight_percent <= backend.max_weight_percent,
            message="write a minWeightPercent that is at most maxWeightPercent",
            field="minWeightPercent",
        ),
        Rule(
            cel="has(self.scaleTargetRef) || !has(self.maxReplicas)",
            holds=lambda backend: backend.scale_target_ref is not None or backend.max_replicas is None,
            message="write a backend's scaleTargetRef beside its maxReplicas: nothing else says what to scale",
            field="maxReplicas",
        ),
    )

    name: Name
    """Name of the Service that the route refers to, unique in this SLO."""
    scale_target_ref: ScaleTargetRef | None = None
    """Workload behind the Service, when each backend has its own."""
    min_replicas: Replicas = 1
    """Fewest replicas of this backend's workload."""
    max_replicas: Replicas | None = None
    """Most replicas of this backend's workload; unset, spec.maxReplicas."""
    min_weight_percent: PercentInt = 0
    """Smallest share of the traffic, in percent."""
    max_weight_percent: PercentInt = 100
    """Largest share of the traffic, in percent."""


def _same_scaling(lever: "TrafficLever") -> bool:
    return len({backend.scale_target_ref is None for backend in lever.backends}) == 1


class TrafficLever(Lever):
    """Shares of traffic between backends."""

    rules = (
        Rule(
            cel="self.backends.map(b, b.minWeightPercent).sum() <= 100",
            holds=lambda lever: sum(backend.min_weight_percent for backend in lever.backends) <= 100,
            message="lower the minWeightPercent of some backend: together they exceed 100",
            field="backends",
        ),
        Rule(
            cel="self.backends.map(b, b.maxWeightPercent).sum() >= 100",
            holds=lambda lever: sum(backend.max_weight_percent for backend in lever.backends) >= 100,
            message="raise the maxWeightPercent of some backend: together they do not reach 100",
            field="backends",
        ),
        Rule(
            cel="!has(self.policy) || has(self.policyRef)",
            holds=lambda lever: lever.policy is None or lever.policy_ref is not None,
            message="write a policyRef beside the policy: nothing else says which object holds it",
            field="policy",
        ),
        Rule(
            cel=("self.backends.all(b, has(b.scaleTargetRef)) || !self.backends.exists(b, has(b.scaleTargetRef))"),
            holds=_same_scaling,
            message="write a scaleTargetRef for each backend or for none",
            field="backends",
        ),
    )

    route_ref: RouteRef
    """Route whose weights may be changed."""
    backends: Annotated[tuple[Backend, ...], Field(strict=False, min_length=2, max_length=16), ListMap("name")]
    """The backends, at least two."""
    policy: Mode | None = None
    """Auto has the balancing policy set to least-request when the promise is broken; otherwise it is recommended."""
    policy_ref: PolicyRef | None = None
    """Object that holds the balancing policy."""


def _any_set(levers: "Levers") -> bool:
    return any(getattr(levers, name) is not None for name in LEVERS)


class Levers(SpecModel):
    """The levers that may be pulled. One that the administrator did not enable is reported as LeverDisabled."""

    rules = (
        Rule(
            cel=f"[{', '.join(f'has(self.{name})' for name in LEVERS)}].exists(x, x)",
            holds=_any_set,
            message="levers is empty: name at least one, such as replicas: {mode: Auto}, or leave levers out",
        ),
    )

    replicas: ReplicasLever | None = None
    """Replicas of the target; on when unset."""
    traffic: TrafficLever | None = None
    """Shares of traffic between backends."""
    cache: CacheLever | None = None
    """Cache tiers."""
    cdn: CdnLever | None = None
    """Content delivery network."""
    database: DatabaseLever | None = None
    """Database connections."""
    offload: OffloadLever | None = None
    """Background workers."""
