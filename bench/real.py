"""What benchmarks on a real cluster share: random load for the demo service, and what its pods count."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from perfslo.core.model import Histogram
from perfslo.simulate.model import Load

TIMEOUT_SECONDS = 10.0
Kubectl = Callable[..., str]
"""Runs kubectl in the namespace of the service, and returns what it prints."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request, by the client's own clock. Times are seconds since the load began."""

    due_seconds: float
    latency_seconds: float
    """From when it was due, so that a client that is late counts."""
    failed: bool

    def bad(self, threshold_seconds: float) -> bool:
        return self.failed or self.latency_seconds > threshold_seconds


def arrivals(load: Load, seed: int) -> Iterator[float]:
    """Random times, as those of many users: a Poisson process whose rate follows the load."""
    chance, highest, at = random.Random(seed), max(load.rps), 0.0
    while (at := at + chance.expovariate(highest)) < load.duration_seconds:
        if chance.random() * highest < load.at(at):
            yield at


async def send(address: str, due: Iterable[float]) -> list[Answer]:
    """A request at each of these times, each on a new connection: for each, a Service takes a random pod."""
    loop = asyncio.get_running_loop()
    begin, answers = loop.time(), list[Answer]()

    async def one(session: aiohttp.ClientSession, at: float) -> None:
        try:
            async with session.get(f"http://{address}/") as response:
                failed = response.status >= 500
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            failed = True
        answers.append(Answer(at, loop.time() - begin - at, failed))

    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        for at in due:
            await asyncio.sleep(begin + at - loop.time())
            group.create_task(one(session, at))
    return answers


def address(kubectl: Kubectl, service: str) -> str:
    """A Service's own: kube-proxy takes a random pod for each connection."""
    return kubectl("get", "service", service, "--output=jsonpath={.spec.clusterIP}:{.spec.ports[0].port}")


def buckets(kubectl: Kubectl, namespace: str, pods: Sequence[str]) -> Counter[float]:
    """Requests of these pods since they began, by the upper bound of how many seconds they took."""
    found: Counter[float] = Counter()
    for name in pods:
        text = kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/metrics")
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "http_server_request_duration_seconds_bucket":
                    found[float(sample.labels["le"])] += int(sample.value)
    return found


def histogram(before: Mapping[float, int], after: Mapping[float, int]) -> Histogram:
    """What was counted in between."""
    bounds = sorted(after)
    return Histogram(tuple(bounds), tuple(float(after[bound] - before[bound]) for bound in bounds))
