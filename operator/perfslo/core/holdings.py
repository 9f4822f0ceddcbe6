"""Which fields of which objects a specification asks to have moved, and what is to become of them without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.api.v1alpha1.common import ScaleTargetRef
from perfslo.api.v1alpha1.levers import CacheLever, Flag, Pool

REPLICAS = "replicas"
WEIGHTS = "weights"
POLICY = "policy"
CONFIG_MAP = "ConfigMap"
HOOK, HOOK_FIELD = "Hook", "value"
"""No kind of Kubernetes': the administrator's HTTP hooks, by their names."""


class Holding(NamedTuple):
    """A field that a LeverClaim can be about."""

    group: str
    kind: str
    name: str
    field: str


Undo = Literal["Keep", "Restore"]


def holdings(spec: PerformanceSLOSpec) -> dict[Holding, Undo]:
    """Every one, with what happens to it when the SLO is deleted."""
    serving, levers = [spec.scale_target_ref], spec.levers
    others: list[Holding] = []
    if levers and levers.traffic:
        serving += [backend.scale_target_ref for backend in levers.traffic.backends]
        route = levers.traffic.route_ref
        others.append(Holding(route.group, route.kind, route.name, weights_field(route.rule_name)))
        if policy := levers.traffic.policy_ref:
            others.append(Holding(policy.group, policy.kind, policy.name, POLICY))
    if levers and levers.cache:
        others += _tiers(levers.cache)
    if levers and levers.cdn and levers.cdn.flag:
        others.append(_key(levers.cdn.flag))
    if levers and levers.cdn and levers.cdn.hook:
        others.append(Holding("", HOOK, levers.cdn.hook, HOOK_FIELD))
    if levers and levers.database and levers.database.pool:
        others.append(_key(levers.database.pool))
    if levers and levers.offload:
        others += [_key(levers.offload.flag), _replicas(levers.offload.workers.scale_target_ref)]
    return dict.fromkeys(others, spec.on_delete.others) | {
        _replicas(ref): spec.on_delete.replicas for ref in serving if ref is not None
    }


def weights_field(rule_name: str | None) -> str:
    """The field of a route's weights: of its only rule, or of the one of that name."""
    return f"{WEIGHTS}/{rule_name}" if rule_name else WEIGHTS


def data_field(key: str) -> str:
    """The field of a ConfigMap's key."""
    return f"data.{key}"


def _tiers(cache: CacheLever) -> Iterator[Holding]:
    for tier in cache.tiers:
        if tier.flag:
            yield _key(tier.flag)
        if tier.workload:
            yield _replicas(tier.workload.scale_target_ref)


def _key(flag: Flag | Pool) -> Holding:
    return Holding("", CONFIG_MAP, flag.config_map, data_field(flag.key))


def _replicas(ref: ScaleTargetRef) -> Holding:
    return Holding(ref.group, ref.kind, ref.name, REPLICAS)
