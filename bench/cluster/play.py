"""A piece of load on the demo service on the real cluster, and what came of it."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import real
from bench.real import Answer
from demo import render
from perfslo.simulate.model import Load, Minute
from tests.cluster.stage import Stage, unix

SERVICE = "shop"
WORKERS = 2
BEHAVIOUR = {"wait_ms": 220.0, "cpu_ms": 2.0, "cv": 0.5}
CPU_REQUEST = "55m"
"""More than twice what a pod uses with all that it can carry, for on a busy machine it is a pod's weight, too."""
THRESHOLD_SECONDS = 1.0
PERCENTILE = 95.0
ALLOWED = 1.0 - PERCENTILE / 100.0
LEAST_REQUESTS = 20
"""Of a minute that is judged."""
LOOK_SECONDS = 3.0
LAST_SECONDS = 2.0
"""After the load: for the last look."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the workload stood at a moment of the load."""

    at_seconds: float
    desired: int
    ready: int
    pods: int
    """That are paid for: those that are starting or terminating, too."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is compared."""

    requests: int
    bad_ratio: float
    violation_minutes: int
    replica_minutes: float
    actions: int


@dataclass(frozen=True, slots=True)
class Play:
    """One policy's run on the cluster."""

    answers: tuple[Answer, ...]
    looks: tuple[Look, ...]
    startup_seconds: tuple[float, ...]
    """Of each pod that became ready meanwhile, from its creation, in whole seconds as Kubernetes has them."""
    client_waited_seconds: float = 0.0
    """For which the client could have run and had no core: how busy the machine was with other things."""

    def minutes(self) -> tuple[Minute, ...]:
        """As the simulator tells them."""
        count = math.ceil(max(answer.due_seconds for answer in self.answers) / 60)
        return tuple(self._minute(number * 60.0) for number in range(count))

    def figures(self) -> Figures:
        minutes = self.minutes()
        requests, bad = (sum(values) for values in zip(*((m.requests, m.bad) for m in minutes), strict=True))
        return Figures(
            requests,
            bad / requests,
            sum(m.requests >= LEAST_REQUESTS and m.bad > ALLOWED * m.requests for m in minutes),
            sum(minute.replicas for minute in minutes),
            sum(one.desired != other.desired for one, other in pairwise(self.looks)),
        )

    def as_data(self) -> dict[str, Any]:
        minutes = [{name: _rounded(value) for name, value in asdict(minute).items()} for minute in self.minutes()]
        return {
            **asdict(self.figures()),
            "startup_seconds": list(self.startup_seconds),
            "client_waited_seconds": round(self.client_waited_seconds, 1),
            "minutes": minutes,
        }

    def _minute(self, at: float) -> Minute:
        answers = [answer for answer in self.answers if at <= answer.due_seconds < at + 60]
        latencies = sorted(real.TIMEOUT_SECONDS if a.failed else a.latency_seconds for a in answers)
        return Minute(
            at_seconds=at,
            requests=len(answers),
            bad=sum(answer.bad(THRESHOLD_SECONDS) for answer in answers),
            percentile_seconds=latencies[math.ceil(len(latencies) * PERCENTILE / 100) - 1] if latencies else 0.0,
            replicas=mean_over([(look.at_seconds, look.pods) for look in self.looks], at, at + 60),
            ready=mean_over([(look.at_seconds, look.ready) for look in self.looks], at, at + 60),
            desired=[look.desired for look in self.looks if look.at_seconds < at + 60][-1],
        )


def mean_over(values: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Time-weighted mean of a step function, each value in force until the next; the first also before itself."""
    times = [at for at, _ in values]
    edges = [begin, *(at for at in times if begin < at < end), end]
    pieces = ((values[max(0, bisect_right(times, one) - 1)][1], other - one) for one, other in pairwise(edges))
    return sum(value * seconds for value, seconds in pieces) / (end - begin)


def serve(stage: Stage, replicas: int) -> None:
    """The service, ready."""
    stage.apply(
        render.service(SERVICE, replicas=replicas, workers=WORKERS, behaviour=BEHAVIOUR, cpu_request=CPU_REQUEST)
    )
    stage.kubectl("rollout", "status", f"deployment/{SERVICE}", "--timeout=180s")


def play(stage: Stage, load: Load, seed: int, autoscaler: str) -> Play:
    """Send the load, with an autoscaler that is made (from its manifest) the moment that it begins."""
    return asyncio.run(_play(stage, load, seed, autoscaler))


async def _play(stage: Stage, load: Load, seed: int, autoscaler: str) -> Play:
    looks: list[Look] = []
    starts: dict[str, float] = {}
    begin, waited = time.time(), _waited_seconds()
    address = real.address(stage.kubectl, SERVICE)

    async def look() -> None:
        while True:
            found = await asyncio.to_thread(stage.get, "deployments,pods", f"--selector=app={SERVICE}")
            looks.append(_looked(found["items"], time.time() - begin))
            starts.update(_started(found["items"], begin))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(look())
    made = asyncio.create_task(asyncio.to_thread(stage.apply, autoscaler))
    answers = await real.send(address, real.arrivals(load, seed))
    await made
    await asyncio.sleep(LAST_SECONDS)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return Play(tuple(answers), tuple(looks), tuple(starts.values()), _waited_seconds() - waited)


def _looked(items: Iterable[dict[str, Any]], at: float) -> Look:
    kinds = Counter(item["kind"] for item in items)
    deployment = next(item for item in items if item["kind"] == "Deployment")
    return Look(at, deployment["spec"]["replicas"], deployment["status"].get("readyReplicas", 0), kinds["Pod"])


def _started(items: Iterable[dict[str, Any]], begin: float) -> dict[str, float]:
    """Of the pods that were made since."""
    return {
        item["metadata"]["uid"]: unix(condition["lastTransitionTime"]) - created
        for item in items
        if item["kind"] == "Pod" and (created := unix(item["metadata"]["creationTimestamp"])) >= begin
        for condition in item["status"].get("conditions", ())
        if condition["type"] == "Ready" and condition["status"] == "True"
    }


def _waited_seconds() -> float:
    """Of this process's first thread, which sends: on a run queue (Linux, Documentation/scheduler/sched-stats.rst)."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def _rounded(value: float) -> float:
    return round(value, 4)
