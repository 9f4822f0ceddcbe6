"""The composition root: settings become edges, edges become a cycle, and one TaskGroup runs them all."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from perfslo import __version__
from perfslo.cycle import Cycle
from perfslo.edges import presets
from perfslo.edges.actuators.all import every_lever
from perfslo.edges.caretaker import Caretaker
from perfslo.edges.claims import Claims
from perfslo.edges.clock import Clock, SystemClock
from perfslo.edges.hands import Hands
from perfslo.edges.kube.budget import StatusBudget
from perfslo.edges.kube.client import connect
from perfslo.edges.kube.world import World
from perfslo.edges.kube.writes import Writer
from perfslo.edges.lease import Elector
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.scribe import Scribe
from perfslo.edges.serve import Health, serve, stuck
from perfslo.edges.watch import Registry
from perfslo.errors import ApiError, NotLeading
from perfslo.settings import Settings

log = structlog.get_logger(__name__)

MISSED_CYCLES = 4
"""A leader that has not finished a cycle for this many, and for a minute, is stuck: the kubelet may restart it."""
CLAIMS_RETRY_SECONDS = 2.0
GARBAGE_THRESHOLDS = (100_000, 10, 100)
"""An answer is up to 160,000 objects while it is read, which reference counting takes away again. At Python's 700, 10
and 10, looking for cycles among them takes more time than reading them does; at 50,000 still an eighth of it. At
200,000, what waits to be looked for was seen to take 20 MiB."""


class _Stop(Exception):
    """SIGTERM or SIGINT: not an error, but it ends the group like one."""


async def run(settings: Settings, kubeconfig: Path | None = None) -> int:
    """Run until a signal or a fault. Returns the exit code: 0 after a signal, 1 after a lost lease.

    Raises:
        ConfigurationError: there is no way to reach an API server.
    """
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    clock = SystemClock()
    identity = os.environ.get("POD_NAME") or socket.gethostname()
    async with AsyncExitStack() as stack:
        api, lease_api = await connect(kubeconfig), await connect(kubeconfig)
        stack.push_async_callback(api.close)
        stack.push_async_callback(lease_api.close)
        elector = Elector(lease_api, settings.namespace, settings.lease, identity)
        registry = Registry(api, settings)
        world = World(api, settings)
        sources = Sources(
            settings.sources, presets.load(settings.presets_dir), settings.patience_seconds, settings.signals
        )
        stack.push_async_callback(sources.close)

        write_seconds = settings.lease.duration_seconds - settings.lease.renew_deadline_seconds
        writer = Writer(api, elector.fence, timeout_seconds=write_seconds)
        claims = Claims(api, writer, settings.watch_namespaces, registry.by_uid)
        levers = every_lever(api, writer, claims, settings)
        burst = settings.status_writes_per_second * settings.cycle_seconds
        cycle = Cycle(
            settings,
            registry,
            world,
            sources,
            Hands(levers, settings.levers, world.target),
            claims,
            Scribe(writer, StatusBudget(settings.status_writes_per_second, burst), identity),
            Caretaker(claims, levers, settings.release_grace_seconds),
            clock,
        )
        health = _health(settings, clock, registry, world, cycle)
        server = await serve(settings.port, health, cycle.metrics.registry)
        stack.push_async_callback(server.cleanup)
        log.info("started", version=__version__, identity=identity, namespaces=settings.watch_namespaces or "all")
        return await _until_stopped(elector, registry, world, claims, cycle)


async def _until_stopped(elector: Elector, registry: Registry, world: World, claims: Claims, cycle: Cycle) -> int:
    election = asyncio.create_task(elector.run())
    code = 0
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_signals())
            tasks.create_task(_outcome(election))
            tasks.create_task(registry.run())
            tasks.create_task(world.run())
            tasks.create_task(_lead(elector, registry, world, claims, cycle))
    except* _Stop:
        log.info("stopped by a signal")
    except* NotLeading as lost:
        log.error("stopped: another leads", problem=str(lost.exceptions[0]))
        code = 1
    finally:
        # Only now does nothing write any more: so only now may the lease be given away.
        election.cancel()
        with suppress(asyncio.CancelledError, NotLeading):
            await election
    return code


async def _lead(elector: Elector, registry: Registry, world: World, claims: Claims, cycle: Cycle) -> None:
    """Wait, warm, until it is our turn and everything was seen once; then cycle."""
    await registry.synced.wait()
    await world.synced.wait()
    await elector.leading.wait()
    cycle.metrics.leading.set(1)
    log.info("leading")
    gc.freeze()  # what was listed stays: nobody need look through it, now or later
    await _list_claims(claims)
    await cycle.run()


async def _list_claims(claims: Claims) -> None:
    """Nothing is decided before it is known who holds what: an API server that does not say is asked again."""
    while True:
        try:
            return await claims.refresh()
        except ApiError as error:
            log.warning("LeverClaims cannot be listed", problem=str(error))
            await asyncio.sleep(CLAIMS_RETRY_SECONDS)


async def _outcome(election: asyncio.Task[None]) -> None:
    await asyncio.shield(election)


async def _signals() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    raise _Stop


def _health(settings: Settings, clock: Clock, registry: Registry, world: World, cycle: Cycle) -> Health:
    patience = max(60.0, MISSED_CYCLES * settings.cycle_seconds)

    def alive() -> str | None:
        return stuck(clock.monotonic(), cycle.heartbeat, patience)

    def ready() -> str | None:
        return None if registry.synced.is_set() and world.synced.is_set() else "the first lists are not complete yet"

    return Health(alive, ready)
