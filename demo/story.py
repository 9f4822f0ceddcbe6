"""The story that `make demo` tells: a promise, three times the load, and perfslo keeping the promise.

python -m demo.story         tell it; exits 0 only when it really happened
python -m demo.story down    remove every trace of it
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

from demo import judge, kube, prometheus, render, stage, ui
from demo.follow import Follower, LoadError
from demo.judge import Acts, Evidence, Load, Sample
from demo.kube import ROOT, Cluster, CommandError
from demo.load import rates
from demo.load.rates import Segment
from perfslo.api.v1alpha1 import PerformanceSLO

RATES = ROOT / "demo" / "load" / "rates" / "story.csv"
LOOK_SECONDS = 3
QUIET_SECONDS = 15
"""A line of the table at least this often; more often when load, replicas or state change."""

PLAN = """\
This demonstration
  - finds or makes a local Kubernetes cluster (which says below what it changes on this machine),
  - builds the images of the operator and of the demonstration and loads them there,
  - creates in it the namespaces {namespaces}, Prometheus' ClusterRole and perfslo's CRDs,
  - runs a web service under load for {minutes:g} minutes, and judges what happened.
`make demo-down` removes all of it."""


@dataclasses.dataclass
class Seen:
    """What was seen so far, and what was told of it."""

    replicas: list[Sample] = dataclasses.field(default_factory=list)
    decisions: dict[str, str] = dataclasses.field(default_factory=dict)
    told: tuple[str, ...] = ()
    told_second: float = 0.0


def tell() -> bool:
    """The whole story; whether it really happened."""
    segments = rates.parse(RATES.read_text())
    ui.say(PLAN.format(namespaces=", ".join(stage.NAMESPACES), minutes=segments[-1].end_seconds / 60))
    ui.heading("The cluster")
    cluster = kube.bring_up()
    _have_images()
    ui.heading("What runs in it")
    stage.set_up(cluster)
    slo = stage.promise(cluster)
    ui.heading("The promise")
    ui.say(_promise_in_words(slo))
    ui.heading("What happened")
    evidence = _watch(cluster, slo, segments)
    ui.heading("Did it really happen?")
    found = judge.judge(evidence)
    ui.findings(found)
    ui.heading("To look around")
    ui.say(_hints(cluster))
    return all(finding.held for finding in found)


def _have_images() -> None:
    if kube.is_users_own():
        images = (render.DEMO_IMAGE, render.PROMETHEUS_IMAGE, stage.OPERATOR_IMAGE)
        ui.say(f"  The cluster is yours: it must have the images {', '.join(images)}.")
    else:
        kube.load_images()


def _promise_in_words(slo: PerformanceSLO) -> str:
    latency, spec = slo.spec.primary_latency, slo.spec
    return (
        f"  kubectl apply -f {stage.EXAMPLE.relative_to(ROOT)}\n"
        f"  P{latency.promised_percent:g} of {stage.SERVICE} below {latency.threshold}, "
        f"with {spec.min_replicas} to {spec.max_replicas} replicas; nothing says how much a pod can do"
    )


def _watch(cluster: Cluster, slo: PerformanceSLO, segments: list[Segment]) -> Evidence:
    """Sends the load, prints the table while it lasts, and returns what was seen."""
    latency = slo.spec.primary_latency
    stage.start_load(cluster, RATES.read_text(), latency.threshold_seconds * 1000)
    seen = Seen()
    with Follower(cluster.kubectl_command("logs", f"--namespace={stage.SHOP}", "--follow", "load")) as load:
        load.wait_for_line()
        ui.table_head()
        while not load.summary:
            load.check()
            _look(cluster, load, seen)
            time.sleep(LOOK_SECONDS)
    start, end = int(load.summary["start_unix"]), segments[-1].end_seconds
    edge = prometheus.first_edge(cluster, stage.MONITORING, stage.SHOP, latency.threshold_seconds)
    ui.say(f"\n  Prometheus is judged at {edge:g} s, its first bucket edge that is not below {latency.threshold}.")
    rise, fall = (round(segment.start_seconds) for segment in segments[1:])
    return Evidence(
        acts=Acts(rise=rise, fall=fall, end=round(end)),
        promised_ratio=float(latency.allowed_bad_ratio),
        load=Load(
            planned=[segment.rps for segment in segments for _ in range(round(segment.duration_seconds))],
            sent=load.summary["sent"],
            over=load.summary["over"],
        ),
        prometheus_over=prometheus.over_ratio(
            cluster,
            stage.MONITORING,
            stage.SHOP,
            edge,
            start=start,
            end=start + end,
            scrape_seconds=stage.SCRAPE_SECONDS,
        ),
        replicas=seen.replicas,
        reasons=list(seen.decisions.values()),
    )


def _look(cluster: Cluster, load: Follower, seen: Seen) -> None:
    """A line of the table when something changed or it is time for one, and what the operator has newly decided."""
    names = (f"deployment/{stage.SERVICE}", f"performanceslo/{stage.SERVICE}")
    deployment, slo = cluster.get(*names, f"--namespace={stage.SHOP}")["items"]
    second = time.time() - load.start_unix
    seen.replicas.append(Sample(second, deployment["spec"]["replicas"]))
    cells = _cells(second, load.latest, deployment, slo.get("status", {}).get("summary", {}))
    what = (cells[1], *cells[5:8])
    if what != seen.told or second >= seen.told_second + QUIET_SECONDS:
        ui.row(cells)
        seen.told, seen.told_second = what, second
    for why in _news(slo.get("status", {}), seen.decisions):
        ui.aside("perfslo", why)


def _cells(second: float, line: dict[str, Any], deployment: dict[str, Any], summary: dict[str, str]) -> tuple[str, ...]:
    return (
        f"{int(second) // 60}:{int(second) % 60:02d}",
        f"{line['rps']:g}",
        "-" if line["p95_ms"] is None else f"{line['p95_ms']:.0f} ms",
        "-" if line["over_ratio"] is None else f"{line['over_ratio']:.1%}",
        summary.get("p95", "-"),
        str(deployment["status"].get("readyReplicas", 0)),
        str(deployment["spec"]["replicas"]),
        summary.get("state", "-"),
        summary.get("bottleneck", ""),
    )


def _news(status: dict[str, Any], told: dict[str, str]) -> list[str]:
    """Sentences of the decisions that changed something and were not told yet, oldest first."""
    news = {one["id"]: one.get("why", "") for one in reversed(status.get("history", [])) if one["id"] not in told}
    told.update(news)
    return list(news.values())


def _hints(cluster: Cluster) -> str:
    return (
        f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.tools}:$PATH\n"
        f"  kubectl get perfslo --namespace {stage.SHOP} --watch\n"
        f"  kubectl describe perfslo {stage.SERVICE} --namespace {stage.SHOP}\n"
        f"  kubectl logs --namespace {stage.OPERATOR} --selector app.kubernetes.io/name=perfslo --follow\n"
        "  make demo-down       # removes it all"
    )


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case []:
                happened = tell()
                ui.say("\nIt really happened." if happened else "\nIt did not really happen: see the lines marked NO.")
                return 0 if happened else 1
            case ["down"]:
                stage.remove()
                return 0
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (CommandError, LoadError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
