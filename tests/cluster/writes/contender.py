"""One of several processes that would write: `python -m tests.cluster.writes.contender KUBECONFIG NAMESPACE SLO`.

It contends for the lease and, while it leads, writes a growing number into its own SLO's status, printing each.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from perfslo.edges import log
from perfslo.edges.kube.client import connect
from perfslo.edges.kube.writes import Writer, apply_status, slo_path
from perfslo.edges.lease import Elector
from perfslo.errors import NotLeading
from perfslo.settings import Lease

PAUSE_SECONDS = 1.0
"""So that who reads a number has the time to stop it before the next, on a busy machine too."""


@dataclass(frozen=True)
class Slo:
    namespace: str
    name: str
    uid: str


async def contend(kubeconfig: Path, namespace: str, name: str) -> None:
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, cast(asyncio.Task[None], asyncio.current_task()).cancel
    )
    api, lease_api = await connect(kubeconfig), await connect(kubeconfig)
    elector = Elector(lease_api, namespace, Lease(), name)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(elector.run())
            await elector.leading.wait()
            slo = Slo(namespace, name, (await api.request("GET", slo_path(namespace, name)))["metadata"]["uid"])
            writer = Writer(api, elector.fence, timeout_seconds=5.0)
            for number in range(sys.maxsize):
                await apply_status(writer, slo, {"currentReplicas": number})
                print(number, flush=True)
                await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await api.close()
        await lease_api.close()


if __name__ == "__main__":
    log.configure("warning")
    try:
        asyncio.run(contend(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
    except* NotLeading as lost:
        print(lost.exceptions[0], file=sys.stderr)
        sys.exit(7)
