"""Give levers back and forget their claims: those of one SLO, or all of them before an uninstall."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from perfslo import settings as settings_file
from perfslo.api.v1alpha1 import LeverClaim
from perfslo.cli import _cluster
from perfslo.cli._name import called
from perfslo.edges import log
from perfslo.edges.actuators.all import every_lever
from perfslo.edges.actuators.levers import Levers
from perfslo.edges.claims import Claims
from perfslo.edges.kube.client import Api, connect
from perfslo.edges.kube.writes import Writer
from perfslo.edges.lease import Elector
from perfslo.errors import (
    ApiUnavailable,
    ConfigurationError,
    LostRace,
    NotFound,
    NotLeading,
    PerfsloError,
)
from perfslo.settings import Lease, Settings

PATIENCE_SECONDS = 75.0
"""For the lease: the old holder's promise (15 s) and a slow API server, within the hook's own two minutes."""
TIMEOUT_SECONDS = 15.0


def run(argv: list[str]) -> int:
    """0 when everything was released, 1 when something was not, 2 for a wrong command line."""
    arguments = _arguments(argv)
    try:
        settings = settings_file.load(arguments.settings) if arguments.settings else Settings()
    except PerfsloError as error:
        print(f"{called()} release: {error}", file=sys.stderr)
        return 1
    log.configure("warning")
    if arguments.all:
        return _cluster.main(arguments, lambda api: _release_all(api, arguments, settings))
    return _cluster.main(arguments, lambda api: _release_one(api, arguments, settings))


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = _cluster.parser("release", __doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="a PerformanceSLO that is paused or deleted")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="default: that of the context")
    parser.add_argument("--all", action="store_true", help="every lever; takes the lease from the operator first")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="the operator's settings; the chart mounts them")
    arguments = parser.parse_args(argv)
    if arguments.all == bool(arguments.name):
        parser.error("write either NAME or --all")
    return arguments


async def _release_one(api: Api, arguments: argparse.Namespace, settings: Settings) -> int:
    namespace, name = await _cluster.namespace_of(arguments), arguments.name
    with suppress(NotFound):
        if not (await _cluster.get_slo(api, namespace, name))["spec"].get("suspend"):
            raise ConfigurationError(
                f"{namespace}/{name} is active and would take its levers again. "
                f"Pause it first: {called()} pause {name} -n {namespace}"
            )
    writer = Writer(api, lambda: None, timeout_seconds=TIMEOUT_SECONDS)
    claims = Claims(api, writer, (namespace,))
    await claims.refresh()
    return await _release(api, writer, claims, settings, lambda claim: claim.spec.holder.name == name)


async def _release_all(api: Api, arguments: argparse.Namespace, settings: Settings) -> int:
    """The lease stays held for a minute: no operator starts anew before an uninstall has removed it."""
    timing = Lease(
        name=settings.lease.name, duration_seconds=60.0, renew_deadline_seconds=40.0, retry_period_seconds=5.0
    )
    lease_api = await connect(arguments.kubeconfig, arguments.context)
    identity = os.environ.get("POD_NAME") or socket.gethostname()
    elector = Elector(lease_api, settings.namespace, timing, f"release-{identity}", seize=True)
    election = asyncio.create_task(elector.run())
    try:
        await _settled(elector, election, settings)
        writer = Writer(api, elector.fence, timeout_seconds=TIMEOUT_SECONDS)
        claims = Claims(api, writer, settings.watch_namespaces)
        await claims.refresh()
        return await _release(api, writer, claims, settings, lambda claim: True)
    finally:
        election.cancel()
        with suppress(asyncio.CancelledError, NotLeading):
            await election
        await lease_api.close()


async def _settled(elector: Elector, election: asyncio.Task[None], settings: Settings) -> None:
    """Wait until nobody else can write any more."""
    leading = asyncio.create_task(elector.leading.wait())
    await asyncio.wait({leading, election}, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    leading.cancel()
    if not elector.leading.is_set():
        raise ApiUnavailable(
            f"the lease {settings.namespace}/{settings.lease.name} could not be taken: "
            "check that the namespace exists and that you may get, create and update leases in it"
        )


async def _release(
    api: Api, writer: Writer, claims: Claims, settings: Settings, chosen: Callable[[LeverClaim], bool]
) -> int:
    levers = every_lever(api, writer, claims, settings)
    failed, mine = 0, [claim for claim in claims if chosen(claim)]
    for claim in mine:
        where = f"{claim.metadata.namespace}/{claim.spec.holder.name}"
        try:
            print(f"{where}: {await _patiently(levers, claims, claim)}", flush=True)
        except PerfsloError as error:
            print(f"{where}: NOT released: {error}", file=sys.stderr, flush=True)
            failed += 1
    print(f"{len(mine) - failed} of {len(mine)} levers released")
    return int(failed > 0)


async def _patiently(levers: Levers, claims: Claims, claim: LeverClaim) -> str:
    """Nobody plans anew after us, so what changed under our hands is looked at again, a few times."""
    for pause_seconds in (1.0, 3.0):
        try:
            return await levers.release(claim)
        except (LostRace, ApiUnavailable):
            await asyncio.sleep(pause_seconds)
            await claims.refresh()
            claim = next((known for known in claims if known.metadata.uid == claim.metadata.uid), claim)
    return await levers.release(claim)
