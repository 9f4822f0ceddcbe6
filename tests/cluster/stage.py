"""A stage for scenarios: a namespace with its own Prometheus, services, load and operator, on the real cluster."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

from demo import render
from tests.conftest import ROOT, Cluster, cluster_py

T = TypeVar("T")

LONG = os.environ.get("PERFSLO_TEST_LONG") == "1"
CLUSTER_SCOPED = ("clusterrole", "clusterrolebinding", "validatingadmissionpolicy", "validatingadmissionpolicybinding")
OPERATOR_IMAGE = "localhost/perfslo/operator"


@dataclass(frozen=True)
class Tempo:
    """How fast everything goes. The law scales with the scrape interval, so a short play is the same play."""

    scrape_seconds: int
    cycle_seconds: float


SHORT = Tempo(3, 3)
TEMPO = Tempo(15, 15) if LONG else SHORT


@dataclass
class Stage:
    cluster: Cluster
    namespace: str
    tempo: Tempo = TEMPO
    _loads: list[str] = field(default_factory=list)

    # --- the cast ------------------------------------------------------------------------------------------------

    def prometheus(self) -> None:
        self.apply(render.prometheus(self.namespace, scrape_seconds=self.tempo.scrape_seconds))
        self.kubectl("rollout", "status", "deployment/prometheus", "--timeout=120s")

    def service(
        self, name: str, *, replicas: int = 2, workers: int = 2, behaviour: Mapping[str, float] | None = None
    ) -> None:
        self.apply(render.service(name, replicas=replicas, workers=workers, behaviour=behaviour))

    def behave(self, name: str, behaviour: Mapping[str, float]) -> None:
        """From now on, without a rollout: the kubelet looks at mounted files when a pod has changed."""
        data = json.dumps({"data": {"behaviour.json": json.dumps(behaviour)}})
        self.kubectl("patch", f"configmap/{name}-behaviour", f"--patch={data}")
        self.kubectl("annotate", "pods", f"--selector=app={name}", "--overwrite", f"changed={time.time():.3f}")

    def operator(self, values: Mapping[str, Any] | None = None, *, release: str = "perfslo") -> None:
        """Install the chart for this namespace only, with this stage's Prometheus as the default source."""
        self.helm(
            "install", release, str(ROOT / "helm/perfslo"), "--values=-", "--wait", "--timeout=180s", stdin=values
        )

    @contextmanager
    def operator_away(self) -> Iterator[None]:
        """No pod of it runs meanwhile; one does afterwards."""
        self.kubectl("scale", "deployment/perfslo", "--replicas=0")
        self.eventually("the operator is away", lambda: not self.pods("app.kubernetes.io/name=perfslo"))
        yield
        self.kubectl("scale", "deployment/perfslo", "--replicas=1")

    def helm(self, *arguments: str, stdin: Mapping[str, Any] | None = None) -> str:
        values = merge(
            {
                "image": {"repository": OPERATOR_IMAGE, "tag": "dev", "pullPolicy": "Never"},
                "crds": {"install": False},
                "watch": {"namespaces": [self.namespace]},
                "cycleSeconds": self.tempo.cycle_seconds,
                "releaseGraceSeconds": 5,
                "prometheus": {"sources": {"default": {"address": f"http://prometheus.{self.namespace}:9090"}}},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "384Mi"}},
            },
            stdin or {},
        )
        done = self.cluster.helm(f"--namespace={self.namespace}", *arguments, input=json.dumps(values), check=False)
        if done.returncode:
            pytest.fail(f"helm {' '.join(arguments)}:\n{done.stdout}{done.stderr}\n{self.describe_pods()}")
        return done.stdout

    def slo(self, name: str, spec: Mapping[str, Any]) -> None:
        """Apply a PerformanceSLO; `spec` is laid over a small default for the Deployment of the same name."""
        self.apply(json.dumps(manifest(name, spec)))

    def load(self, service: str, rates: str, *, threshold_ms: float) -> Load:
        """Start replaying a rate file against a service from a pod of its own."""
        name = f"load-{service}-{len(self._loads)}"
        self._loads.append(name)
        self.apply(render.load(name, rates=rates, url=f"http://{service}.{self.namespace}/", threshold_ms=threshold_ms))
        return Load(self, name)

    # --- looking ---------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, input=stdin, check=check).stdout

    def apply(self, manifests: str) -> None:
        self.kubectl("apply", "--filename=-", stdin=manifests)

    def get(self, *what: str) -> Any:
        return json.loads(self.kubectl("get", *what, "--output=json"))

    def status(self, slo: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get("perfslo", slo).get("status", {})
        return status

    def condition(self, slo: str, kind: str) -> dict[str, Any]:
        found = [c for c in self.status(slo).get("conditions", ()) if c["type"] == kind]
        return found[0] if found else {"status": "absent", "reason": "", "message": ""}

    def replicas(self, target: str) -> int:
        return int(self.get(target)["spec"]["replicas"])

    def pods(self, selector: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get("pods", f"--selector={selector}")["items"]
        return items

    def leader(self, release: str = "perfslo") -> str:
        """The pod that holds the lease; "" when nobody does."""
        lease = self.get("lease", "--ignore-not-found", release) if self._has_lease(release) else {}
        return str(lease.get("spec", {}).get("holderIdentity", ""))

    def _has_lease(self, release: str) -> bool:
        return bool(self.kubectl("get", "lease", release, "--ignore-not-found", "--output=name"))

    def describe_pods(self) -> str:
        """For a failing test: what the pods are doing, and the operator's last words."""
        logs = self.kubectl("logs", "--selector=app.kubernetes.io/name=perfslo", "--tail=30", "--prefix", check=False)
        return self.kubectl("get", "pods,perfslo,events", "--output=wide", check=False)[-6000:] + logs

    def pid(self, pod: str) -> int:
        """The process of a pod's only container, as this machine numbers it."""
        container = self.get("pod", pod)["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
            with suppress(OSError):
                if container in cgroup.read_text():
                    return int(cgroup.parent.name)
        pytest.fail(f"the container of {pod} is not among this machine's processes: use a cluster that runs on it")

    def audit(self, since: float, *, verbs: tuple[str, ...], user_part: str = "") -> list[dict[str, Any]]:
        """What the API server's audit log has about this namespace since a moment (Unix seconds)."""
        return [
            entry
            for entry in audit_entries(self.cluster, mention=self.namespace)
            if entry.get("objectRef", {}).get("namespace") == self.namespace
            and entry["verb"] in verbs
            and user_part in entry["user"].get("username", "")
            and unix(entry["requestReceivedTimestamp"]) >= since
            and entry["stage"] == "ResponseComplete"
        ]

    def operator_requests(self, since: float = 0.0) -> list[dict[str, Any]]:
        """All that the operator asked of the API server, about whichever namespace, in the order of arrival."""
        account = f"system:serviceaccount:{self.namespace}:perfslo"
        asked = [
            entry
            for entry in audit_entries(self.cluster, mention=account)
            if entry["user"].get("username") == account and unix(entry["requestReceivedTimestamp"]) >= since
        ]
        return sorted(asked, key=lambda entry: str(entry["requestReceivedTimestamp"]))

    def scale_writes(self, target: str = "", since: float = 0.0) -> list[dict[str, Any]]:
        """Every attempt of the operator to write a /scale, e.g. of the target of that name."""
        return [
            entry
            for entry in self.operator_requests(since)
            if entry["verb"] not in ("get", "list", "watch")
            and (where := entry.get("objectRef", {})).get("subresource") == "scale"
            and target in ("", where["name"])
        ]

    # --- waiting -----------------------------------------------------------------------------------------------------

    def eventually(
        self, what: str, look: Callable[[], T | Literal[False] | None], *, seconds: float = 90, pause: float = 1.0
    ) -> T:
        """The first true thing that `look` returns; fails with what was last seen and what the pods are doing."""
        deadline = time.monotonic() + seconds
        while True:
            seen = look()
            if seen:
                return seen
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:.0f} s: {what} (last seen: {seen!r})\n{self.describe_pods()}")
            time.sleep(pause)

    def holds(self, what: str, look: Callable[[], bool], *, seconds: float, pause: float = 1.0) -> None:
        """Fails as soon as `look` returns False within that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not look():
                pytest.fail(f"did not hold for {seconds:.0f} s: {what}\n{self.describe_pods()}")
            time.sleep(pause)

    def cycles(self, count: float) -> float:
        """Seconds that surely hold this many cycles of the operator, on a busy machine."""
        return count * self.tempo.cycle_seconds + 2 * self.tempo.scrape_seconds


@contextmanager
def staged(cluster: Cluster) -> Iterator[Stage]:
    """A namespace, and cleaning up of what the chart left outside it."""
    with cluster.namespace() as name:
        yield Stage(cluster, name)
        for kind in CLUSTER_SCOPED:
            owned = [
                item["metadata"]["name"]
                for item in cluster.get(kind)["items"]
                if item["metadata"]["name"].startswith(f"{name}-")
            ]
            if owned:
                cluster.kubectl("delete", kind, *owned, "--ignore-not-found")


@dataclass(frozen=True)
class Load:
    """A running replay."""

    stage: Stage
    name: str

    def lines(self) -> list[dict[str, Any]]:
        """What it said so far, one record a second."""
        text = self.stage.kubectl("logs", self.name, "--tail=-1", check=False)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def seconds(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "summary" not in line]

    def started(self) -> bool:
        return bool(self.seconds())

    def now(self) -> int:
        """Second of the replay that was reported last; -1 before the first."""
        return int(self.seconds()[-1]["t"]) if self.started() else -1

    def over_ratio(self, start: int, end: int) -> float:
        """Share of the requests due in [start, end) seconds of the replay that failed or were too slow."""
        chosen = [line for line in self.seconds() if start <= line["t"] < end]
        over: int = sum(line["over"] for line in chosen)
        sent: int = sum(line["sent"] for line in chosen)
        return over / max(1, sent)

    def wait_until(self, second: int) -> None:
        self.stage.eventually(
            f"{self.name} reaches second {second}", lambda: self.now() >= second, seconds=second + 120, pause=1.0
        )

    def stop(self) -> None:
        self.stage.kubectl("delete", "pod", self.name, "--ignore-not-found", "--wait=false")


def manifest(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    default = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": 20,
        "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "300ms"}}],
        "metrics": {"minRequests": 20},
    }
    return {
        "apiVersion": "perfslo.io/v1alpha1",
        "kind": "PerformanceSLO",
        "metadata": {"name": name},
        "spec": {**default, **spec},
    }


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Helm's own way: maps are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = (
            merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def audit_entries(cluster: Cluster, *, mention: str) -> Iterator[dict[str, Any]]:
    """The audit log's entries with that text anywhere in them: most of a shared cluster's need not be parsed."""
    with Path(cluster_py("audit-log")).open() as lines:
        for line in lines:
            if mention in line and line.endswith("\n"):
                yield json.loads(line)


def unix(timestamp: str) -> float:
    """Seconds since 1970 of an RFC 3339 timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()
