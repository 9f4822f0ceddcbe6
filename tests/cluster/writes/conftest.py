from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from perfslo.core.model import Target
from perfslo.edges.kube.client import connect
from perfslo.settings import DEPLOYMENT
from tests.cluster.stage import Stage
from tests.cluster.writes.hand import GADGET_CRD, Contend, Hand, workload
from tests.conftest import ROOT, Cluster


@pytest.fixture
async def hand(stage: Stage) -> AsyncIterator[Hand]:
    api = await connect(stage.cluster.kubeconfig)
    yield Hand(stage, api)
    await api.close()
    await asyncio.sleep(0.25)  # TLS connections need a moment to end: aiohttp's documentation, "graceful shutdown"


@pytest.fixture(scope="session")
def gadgets(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(GADGET_CRD))
    cluster.established("gadgets.tests.perfslo.io")


@pytest.fixture
def web(hand: Hand) -> Target:
    """A Deployment of two, of pods that never run: only the numbers matter here."""
    hand.stage.apply(workload("Deployment"))
    return hand.target(DEPLOYMENT, "web")


@pytest.fixture
def contend(hand: Hand) -> Iterator[Contend]:
    """Start a process that contends for the lease and writes while it leads."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        hand.slo(name)
        arguments = [hand.stage.cluster.kubeconfig, hand.stage.namespace, name]
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.writes.contender", *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": "operator"},
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()
