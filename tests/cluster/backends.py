"""Three backends behind a real proxy, under steady load, and one promise for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from demo import render
from perfslo.core.model import JSON
from perfslo.settings import RouteKind
from tests.cluster.proxies import Proxy, shared_promise
from tests.cluster.stage import Load, Stage, Tempo

BACKENDS = ("one", "two", "three")
REPLICAS = 2
CPU_REQUEST = "20m"
"""More than they use."""
USUAL = {"wait_ms": 150, "cpu_ms": 0.2, "cv": 0.5}
SLOWER = {**USUAL, "wait_ms": 450}
"""Three times; alone it is within its capacity, and far from the promise."""
FAILING = {**USUAL, "wait_ms": 1, "fail_ratio": 1.0}
RPS, THRESHOLD_MS = 36, 500
PROMISED_RATIO = 0.05
WINDOW_SECONDS, MOMENT_SECONDS = 30, 5
END = 1500
TEMPO = Tempo(5, 5)
"""Windows of 20 s: minutes, not an hour, until what was taken is given back."""

Run = Callable[[Stage, Mapping[str, int]], AbstractContextManager[Proxy]]


@dataclass
class Shared:
    """Three backends under steady load, and the promise for all of them."""

    stage: Stage
    proxy: Proxy
    load: Load

    def kept(self) -> bool:
        """Over the last window, as users see it."""
        return self.bad() <= PROMISED_RATIO

    def bad(self) -> float:
        now = self.load.now()
        return self.load.over_ratio(now - WINDOW_SECONDS, now + 1)

    def was_bad(self, since: int, ratio: float) -> bool:
        """Whether users saw more than that in some moment since: what is cured at once is soon over."""
        seconds = [each for each in self.load.seconds() if each["t"] >= since]
        moments = (seconds[first : first + MOMENT_SECONDS] for first in range(len(seconds) - MOMENT_SECONDS + 1))
        return any(sum(each["over"] - ratio * each["sent"] for each in moment) > 0 for moment in moments)

    def share(self, name: str) -> float:
        """As the weights say; printed for whoever reads along."""
        shares = self.proxy.shares(self.stage)
        print(f"{self.load.now()} s, bad {self.bad():.1%},", *(f"{each} {share:.1%}" for each, share in shares.items()))
        return shares[name]

    def replicas(self) -> dict[str, int]:
        return {name: self.stage.replicas(f"deployment/{name}") for name in BACKENDS}

    def moves(self) -> list[str]:
        """Why weights were moved."""
        history = self.stage.status("shop")["history"]
        return [each["why"] for each in history if each["lever"] == "traffic" and each["result"] == "Applied"]


@contextmanager
def loaded(stage: Stage, run: Run) -> Iterator[Shared]:
    """Without anybody who keeps anything."""
    for name in BACKENDS:
        stage.apply(render.service(name, replicas=REPLICAS, workers=8, behaviour=USUAL, cpu_request=CPU_REQUEST))
    with run(stage, dict.fromkeys(BACKENDS, 1)) as proxy:
        load = stage.load(proxy.entrance, f"t_seconds,rps\n0,{RPS}\n{END},0\n", threshold_ms=THRESHOLD_MS)
        load.wait_until(WINDOW_SECONDS)
        yield Shared(stage, proxy, load)


@contextmanager
def opened(stage: Stage, run: Run, kind: RouteKind) -> Iterator[Shared]:
    """With the promise, which is kept."""
    stage = replace(stage, tempo=TEMPO)
    stage.prometheus()
    with loaded(stage, run) as shared:
        stage.operator({"levers": ["replicas", "traffic"], "routeKinds": [kind.model_dump()]})
        stage.slo("shop", promise(kind.group, kind.kind))
        stage.eventually("the promise is kept", shared.kept, seconds=180)
        yield shared


def promise(group: str, kind: str) -> JSON:
    return shared_promise(
        BACKENDS, THRESHOLD_MS, mode="Auto", routeRef={"group": group, "kind": kind, "name": "shared"}
    )
