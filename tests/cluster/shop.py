"""The demonstration's service with all that stands behind it, on a stage: levers other than replicas are for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from kubernetes import client, config

from demo import render
from tests.cluster.stage import SHORT, Load, Stage

QUICK = {"wait_ms": 2, "cpu_ms": 0.5, "cv": 0.3, "query_ms": 40, "keys": 40}
RPS = 25.0
OFF = {"CACHE_TIER": "none", "OFFLOAD": "inline", "CDN": "off"}
LATELY_SECONDS = 15
SIGNALS = {
    "db": (
        "DependencyLatency",
        "histogram_quantile(0.9, sum by (namespace, le) "
        '(rate(db_client_operation_duration_seconds_bucket{db_system_name="postgresql"}[WINDOW])))',
    ),
    # Sees a slower database no later than a promise about 95 of 100 requests does.
    "db-tail": (
        "DependencyLatency",
        "histogram_quantile(0.97, sum by (namespace, le) "
        '(rate(db_client_operation_duration_seconds_bucket{db_system_name="postgresql"}[WINDOW])))',
    ),
    "pool-wait": (
        "PoolWait",
        "histogram_quantile(0.9, sum by (namespace, le) (rate(db_client_connection_wait_time_seconds_bucket[WINDOW])))",
    ),
    "cache-hits": (
        "CacheHitRatio",
        'sum by (namespace) (rate(cache_requests_total{result="hit"}[WINDOW]))'
        " / sum by (namespace) (rate(cache_requests_total[WINDOW]))",
    ),
    "cache-on": ("SwitchedOn", 'avg by (namespace) (feature_flag_on{flag="CACHE_TIER"})'),
    "cdn-on": ("SwitchedOn", 'avg by (namespace) (feature_flag_on{flag="CDN"})'),
    "offload-on": ("SwitchedOn", 'avg by (namespace) (feature_flag_on{flag="OFFLOAD"})'),
    "work-age": ("QueueAge", "max by (namespace) (queue_oldest_age_seconds)"),
}
"""Kinds and queries, as an administrator would write them."""


@dataclass
class Shop:
    """Under steady load."""

    stage: Stage
    backends: Sequence[str] = ("shop",)
    """Services that ask the same stores, and follow the same flags."""
    entrance: str = "shop"
    """The Service that takes requests for all of them."""
    threshold_ms: float = 150
    behaviour: Mapping[str, float] = field(default_factory=lambda: QUICK)
    pool_size: int = 4
    workers: int = 8
    flags_found: Mapping[str, str] = field(default_factory=dict)
    """Those that are not off before anything is promised."""
    cpu_request: str = "10m"
    cpu_limit: str = ""

    def open(self, levers: Sequence[str], **values: Any) -> None:
        """With an operator that may pull these levers and replicas; `values` are more of the chart's."""
        stage = self.stage
        stage.tempo = SHORT  # an experiment takes minutes, and half an hour of calm is waited for
        stage.prometheus()
        self.stand()
        window = f"{5 * stage.tempo.scrape_seconds}s"
        signals = {
            name: {"kind": kind, "per": "Namespace", "query": query.replace("WINDOW", window)}
            for name, (kind, query) in SIGNALS.items()
        }
        stage.operator({"levers": ["replicas", *levers], "prometheus": {"signals": signals}} | values)
        self.begin()

    def stand(self) -> None:
        """The service and its stores, ready, without anybody who scales it."""
        stage = self.stage
        stage.apply(render.stores())
        flags = {**OFF, "POOL_SIZE": str(self.pool_size), **self.flags_found}
        for name in self.backends:
            stage.apply(
                render.service(
                    name,
                    replicas=2,
                    workers=self.workers,
                    behaviour=self.behaviour,
                    flags=flags,
                    flags_of="shop",
                    with_stores=True,
                    cpu_request=self.cpu_request,
                    cpu_limit=self.cpu_limit,
                )
            )
        for name in ("redis", "database", *self.backends):
            stage.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")

    def begin(self) -> None:
        """The usual load."""
        self.load = self._load(RPS)

    def visited(self, rps: float) -> None:
        """So many requests a second from now on."""
        before, self.load = self.load, self._load(rps)
        self.stage.eventually("the new load has begun", self.load.started, seconds=60)
        before.stop()

    def _load(self, rps: float) -> Load:
        return self.stage.load(self.entrance, f"t_seconds,rps\n0,{rps}\n7200,0\n", threshold_ms=self.threshold_ms)

    def promise(self, levers: Mapping[str, Any], signals: Sequence[str] = ("db", "pool-wait"), **changes: Any) -> None:
        spec = {
            "minReplicas": 2,
            "maxReplicas": 6,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": f"{self.threshold_ms:g}ms"}}],
            "metrics": {
                "minRequests": 20,
                "signals": [{"name": name, "kind": SIGNALS[name][0], "ref": name} for name in signals],
            },
            "levers": {"replicas": {"mode": "Auto"}, **levers},
        }
        self.stage.slo("shop", spec | changes)

    @contextmanager
    def calm(
        self,
        levers: Mapping[str, Any],
        signals: Sequence[str] = ("db", "pool-wait"),
        values: Mapping[str, Any] | None = None,
        usual_seconds: float = 30,
        **changes: Any,
    ) -> Iterator[None]:
        """Open, promised with these levers, and nothing the matter yet, for so long at least."""
        self.open([*levers], **(values or {}))
        with self.quick_kubelet():
            self.promise(levers, signals, **changes)
            self.gets_usual(usual_seconds)
            yield

    def gets_usual(self, seconds: float) -> None:
        """Until it is known what is usual, as nothing is the matter."""
        self.stage.eventually("it is healthy", lambda: self.state() == "Healthy", seconds=120)
        untouched = self.flags()
        self.stage.holds("nothing is touched", lambda: self.flags() == untouched, seconds=seconds)

    def behave(self, **changes: float) -> None:
        for name in self.backends:
            self.stage.behave(name, {**self.behaviour, **changes})

    @contextmanager
    def quick_kubelet(self) -> Iterator[None]:
        """It looks at mounted ConfigMaps within a minute; an annotation makes it look at once."""
        closing = Event()
        # kubectl takes much longer to start than this takes, and plays side by side share two cores.
        core = client.CoreV1Api(config.new_client_from_config(str(self.stage.cluster.kubeconfig)))  # type: ignore[no-untyped-call]
        namespace, apps = self.stage.namespace, ", ".join(("workers", *self.backends))

        def poke() -> None:
            number = 0
            while not closing.wait(3):
                number += 1
                poked = {"metadata": {"annotations": {"poked": str(number)}}}
                pods = core.list_namespaced_pod(namespace, label_selector=f"app in ({apps})").items
                for name in [str(pod.metadata.name) for pod in pods if pod.metadata]:
                    with suppress(client.ApiException):  # it may be gone by now
                        core.patch_namespaced_pod(name, namespace, poked)

        with ThreadPoolExecutor(1) as poker:
            poker.submit(poke)
            try:
                yield
            finally:
                closing.set()

    def state(self) -> str:
        return str(self.stage.status("shop").get("summary", {}).get("state", ""))

    def bottleneck(self) -> str:
        return str(self.stage.status("shop").get("summary", {}).get("bottleneck", ""))

    def finds(self, *bottlenecks: str, seconds: float = 120) -> None:
        """One of these is what it says."""

        def found() -> str:
            return now if (now := self.bottleneck()) in bottlenecks else ""

        self.tell(f"found {self.stage.eventually(f'{bottlenecks} is found', found, seconds=seconds)}")

    def tell(self, what: str) -> None:
        """Where it stands, for whoever reads along."""
        now, bad = self.load.now(), self.bad()
        bottleneck = self.bottleneck() or "nothing"
        print(f"{now} s, {what}: {bad:.1%} bad, {bottleneck} is the matter, {self.replicas()} replicas, {self.flags()}")

    def bad(self) -> float:
        """Share of late."""
        now = self.load.now()
        return self.load.over_ratio(now - LATELY_SECONDS, now)

    def replicas(self) -> int:
        """Of all backends."""
        return sum(self.stage.replicas(f"deployment/{name}") for name in self.backends)

    def flags(self) -> dict[str, str]:
        data: dict[str, str] = self.stage.get("configmap", "shop-flags")["data"]
        return data

    def flag(self, key: str) -> str:
        return self.flags()[key]

    def decisions(self, action: str, **more: str) -> list[dict[str, Any]]:
        """Those with these fields, newest first."""
        history: list[dict[str, Any]] = self.stage.status("shop").get("history", [])
        wanted = ({"action": action} | more).items()
        return [decision for decision in history if wanted <= decision.items()]

    def switches(self) -> list[dict[str, Any]]:
        """Newest first."""
        return self.decisions("Switch")

    def verdicts(self) -> list[str]:
        """On switches, newest first; empty before there is one."""
        return [str(switch.get("verdict", "")) for switch in self.switches()]

    def keeps_its_promise(self) -> None:
        """As the operator and the load generator say."""
        self.stage.eventually("the promise is kept again", lambda: self.state() == "Healthy", seconds=90)
        since = self.load.now()

        def of_late() -> bool:
            return self.load.now() >= since + LATELY_SECONDS and self.bad() < 0.05

        self.stage.eventually("the load generator says so, too", of_late, seconds=90)
        self.tell("kept again")
