"""The backends of an SLO that have a workload each: together as one target, and each as an SLO of its own."""

from __future__ import annotations

from collections.abc import Mapping

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.api.v1alpha1.levers import Backend, RouteRef
from perfslo.core import guardrails
from perfslo.core.frozen import replace
from perfslo.core.levers import database, knobs
from perfslo.core.model import Missing, Observation, Replicas, Target
from perfslo.core.steps import TargetRef


def route_ref(spec: PerformanceSLOSpec) -> RouteRef:
    """What shares the requests among its backends.

    Raises:
        ValueError: it has none.
    """
    if not spec.levers or not spec.levers.traffic:
        raise ValueError("an SLO without a scaleTargetRef has levers.traffic, by the rules of its specification")
    return spec.levers.traffic.route_ref


def listed(spec: PerformanceSLOSpec) -> tuple[Backend, ...]:
    """The backends that have a workload of their own."""
    backends = spec.levers.traffic.backends if spec.levers and spec.levers.traffic else ()
    return tuple(backend for backend in backends if backend.scale_target_ref)


def together(targets: Mapping[str, Target], ref: TargetRef) -> Target:
    """All of them as one target, that `ref` names."""
    pods = [target.replicas for target in targets.values()]
    return Target(
        ref=ref,
        uid="",
        replicas=Replicas(
            desired=sum(each.desired for each in pods),
            ready=sum(each.ready for each in pods),
            starting=sum(each.starting for each in pods),
            pending=sum(each.pending for each in pods),
            youngest_ready_age_seconds=_least([each.youngest_ready_age_seconds for each in pods]),
            startup_seconds=max((each.startup_seconds for each in pods if each.startup_seconds), default=None),
            rolling_out=any(each.rolling_out for each in pods),
            cpu_request_cores=_each(pods, [each.cpu_request_cores for each in pods]),
            cpu_limit_cores=_each(pods, [each.cpu_limit_cores for each in pods]),
            memory_request_bytes=_each(pods, [each.memory_request_bytes for each in pods]),
            memory_limit_bytes=_each(pods, [each.memory_limit_bytes for each in pods]),
            host_network=any(each.host_network for each in pods),
        ),
        pod_workloads=frozenset().union(*(target.pod_workloads for target in targets.values())),
    )


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _each(pods: list[Replicas], values: list[float | None]) -> float | None:
    """Of the average ready pod; None when that of some is not known."""
    ready = [(each.ready, value) for each, value in zip(pods, values, strict=True) if each.ready]
    if not ready or any(value is None for _, value in ready):
        return None
    return sum(count * (value or 0.0) for count, value in ready) / sum(count for count, _ in ready)


def own_specs(spec: PerformanceSLOSpec, observation: Observation) -> Mapping[str, PerformanceSLOSpec]:
    """What was promised for each backend, and what may be done there while the others stay as they are.

    Bounds, the fallback's floor and the cost cap of the SLO are for all of them together.
    """
    desired = {name: seen.replicas.desired for name, seen in observation.backends.items()}
    return {
        backend.name: _own(spec, backend, sum(desired.values()) - desired[backend.name])
        for backend in listed(spec)
        if backend.name in desired
    }


def _own(spec: PerformanceSLOSpec, backend: Backend, others: int) -> PerformanceSLOSpec:
    most = max(
        backend.min_replicas, min(backend.max_replicas or spec.max_replicas, guardrails.most_replicas(spec) - others)
    )
    least = min(most, max(backend.min_replicas, spec.min_replicas - others))
    fallback = spec.fallback
    if fallback:
        floor = min(most, max(least, fallback.min_replicas - others))
        fallback = fallback.model_copy(update={"min_replicas": floor})
    return spec.model_copy(
        update={
            "scale_target_ref": backend.scale_target_ref,
            "min_replicas": least,
            "max_replicas": most,
            "fallback": fallback,
            "objectives": tuple(objective for objective in spec.objectives if not objective.throughput),
            "cost": type(spec.cost)(),
        }
    )


def own_observation(spec: PerformanceSLOSpec, observation: Observation, name: str) -> Observation:
    """What was seen of one backend, and of the database that it shares with the others."""
    own, standing = observation.backends[name], observation.standing
    lever = spec.levers.database if spec.levers else None
    if lever is None or isinstance(standing.connections, Missing):
        return replace(own, standing=standing)
    pool = knobs.stands(standing, knobs.POOL)
    others = [seen.replicas for each, seen in observation.backends.items() if each != name]
    drawn = sum(database.drawn(lever, database.holding(pods), pool) for pods in others)
    connections = replace(standing.connections, others=standing.connections.others + drawn)
    return replace(own, standing=replace(standing, connections=connections))
