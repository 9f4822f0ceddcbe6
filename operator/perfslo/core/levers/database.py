"""Connections to a database that several SLOs share: scaling out never exhausts it, and pools fit into what is left."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perfslo.api.v1alpha1 import DatabaseLever, Pool
from perfslo.core.levers import knobs, switching
from perfslo.core.levers.knobs import POOL, stands
from perfslo.core.levers.option import Case, Option, expected, promised
from perfslo.core.model import Bottleneck, Missing, Prediction, Replicas, Standing

NOT_MEASURED = Missing("NotMeasured")

SURGE_SHARE = 0.25
"""Of the replicas: what a rollout adds by a Deployment's default maxSurge, rounded up."""


POOL_GROWTH = 2.0
"""Of a pool at a time, within its bounds: enough to be seen, and what it does to the database is seen before more."""
GUESS = 0.5
"""Part of the slow requests that a larger pool takes away, before it was tried."""


def options(case: Case) -> Iterator[Option]:
    """A larger pool while requests wait for connections; back to the one that was found later."""
    lever = case.spec.levers.database if case.spec.levers else None
    if lever is None or lever.pool is None:
        return
    now = stands(case.observation.standing, POOL)
    size = pool_size(now) if isinstance(now, str) else None
    if size is None:
        why = f"set to {now}, which is no size" if isinstance(now, str) else now.message or now.reason
        yield Option(POOL, f"its size is not known ({why})")
        return
    held = case.memory.trials.holding(POOL)
    if held and str(size) != held.found and case.diagnosis.bottleneck != Bottleneck.CONNECTION_POOL_BOUND:
        least = max(int(held.found), int(size / POOL_GROWTH)) if size > int(held.found) else int(held.found)
        yield switching.given_back(case, held, str(least))
        return
    yield _larger(case, lever, lever.pool, size)


def _larger(case: Case, lever: DatabaseLever, pool: Pool, size: int) -> Option:
    connections, pods = case.observation.standing.connections, holding(case.observation.replicas)
    if isinstance(connections, Missing):
        return Option(POOL, f"the budget {lever.budget} is not known ({connections.message or connections.reason})")
    room = (connections.limit - connections.others) // max(1, with_surge(pods))
    wanted = min(max(size + 1, math.ceil(size * POOL_GROWTH)), pool.max_size, room)
    if wanted <= size:
        bound = "pool.maxSize" if pool.max_size <= size else f"the budget {lever.budget}"
        return Option(POOL, f"{size} connections for each of {pods} replicas are all that {bound} allows")
    part, sure = expected(case, POOL, GUESS)
    step = knobs.step(case.spec, case.observation.standing, POOL, str(wanted))
    return Option(POOL, promised(part, None), step, Prediction(part, 0.0), sure, 0.0)


def drawn(lever: DatabaseLever, replicas: int, pool: str | Missing) -> int:
    """Connections that so many replicas may open, with those that a rollout adds. `pool` is its key's value."""
    return with_surge(replicas) * each(lever, pool)


def with_surge(replicas: int) -> int:
    """Pods that there may be during a rollout."""
    return replicas + math.ceil(SURGE_SHARE * replicas)


def holding(replicas: Replicas) -> int:
    """Pods that hold connections, or were ordered and will."""
    return max(replicas.desired, replicas.ready + replicas.starting)


def each(lever: DatabaseLever, pool: str | Missing) -> int:
    """Connections that a replica may open: what its pool is set to; the most it may be set to while that is unknown."""
    if lever.pool is None:
        return lever.connections_per_replica
    if isinstance(pool, str) and (size := pool_size(pool)) is not None:
        return size
    return max(lever.connections_per_replica, lever.pool.max_size)


def pool_size(value: str) -> int | None:
    """The number that a pool's key holds; None for what is no size."""
    return int(value) if value.isascii() and value.isdigit() and int(value) > 0 else None


def most_replicas(lever: DatabaseLever, standing: Standing) -> int | None:
    """Replicas that the budget has connections for; None when nobody measures it, 0 when it is not known."""
    connections = standing.connections
    if isinstance(connections, Missing):
        return None if connections == NOT_MEASURED else 0
    room = (connections.limit - connections.others) // each(lever, stands(standing, POOL))
    # Pods with their surge, rounded up, fit into the room.
    most = max(0, int(room / (1.0 + SURGE_SHARE)))
    return most + 1 if with_surge(most + 1) <= room else most
