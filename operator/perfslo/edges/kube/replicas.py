"""From a workload and its pods, as mirrored, to the core's Replicas: pure, and cheap enough for every cycle."""

from __future__ import annotations

from collections.abc import Sequence

from perfslo.core.model import Replicas
from perfslo.edges.kube.projections import Pod, Resources, Workload

SCHEDULING_SECONDS = 5.0
"""A pod that has no node for longer than this waits for room; before, the scheduler may just not have come by."""


def replicas(
    desired: int, pods: Sequence[Pod], *, version: str, rolling_out: bool, startup_seconds: float | None, now: float
) -> Replicas:
    """Count pods. Those that are terminating count as nothing: they serve no new request soon."""
    living = [p for p in pods if not p.deleting]
    ready = [now - p.ready_since for p in living if p.ready_since is not None]
    pending = sum(not p.scheduled and now - p.created > SCHEDULING_SECONDS for p in living)
    newest = _newest(living, version) if living else None
    resources = newest.resources if newest else Resources()
    return Replicas(
        desired=desired,
        ready=len(ready),
        starting=len(living) - len(ready) - pending,
        pending=pending,
        youngest_ready_age_seconds=max(0.0, min(ready)) if ready else None,
        startup_seconds=startup_seconds,
        version=version or (newest.version if newest else ""),
        rolling_out=rolling_out or len({p.version for p in living}) > 1,
        cpu_request_cores=resources.cpu_request_cores,
        cpu_limit_cores=resources.cpu_limit_cores,
        memory_request_bytes=resources.memory_request_bytes,
        memory_limit_bytes=resources.memory_limit_bytes,
        host_network=newest is not None and newest.host_network,
    )


def is_rolling_out(workload: Workload) -> bool:
    """Its controller has not caught up with its spec, or pods of an older template still exist."""
    return workload.observed_generation < workload.generation or workload.updated < workload.existing


def _newest(pods: Sequence[Pod], version: str) -> Pod:
    return max((p for p in pods if p.version == version), key=_created, default=max(pods, key=_created))


def _created(pod: Pod) -> float:
    return pod.created
