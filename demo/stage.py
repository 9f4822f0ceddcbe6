"""What the story needs in the cluster, put there and taken away: Prometheus, the service, perfslo, a promise, load."""

from __future__ import annotations

import json
import time

from demo import kube, render, ui
from demo.kube import ROOT, Cluster, CommandError
from perfslo.api.v1alpha1 import PerformanceSLO

SHOP = "perfslo-demo"
MONITORING = "perfslo-demo-monitoring"
OPERATOR = "perfslo-system"
NAMESPACES = (SHOP, MONITORING, OPERATOR)
OWNED = "app.kubernetes.io/part-of"
OWNER = "perfslo-demo"
CRDS = ("performanceslos.perfslo.io", "leverclaims.perfslo.io")

OPERATOR_IMAGE = "localhost/perfslo/operator:dev"

EXAMPLE = ROOT / "examples" / "slo.yaml"
SERVICE = "checkout"
WORKERS = 2
BEHAVIOUR = {"cpu_ms": 1.0, "wait_ms": 44.0, "cv": 1.0}
"""About 25 requests/s a pod within the 200 ms of examples/slo.yaml; see demo/README.md."""

SCRAPE_SECONDS = 5
CYCLE_SECONDS = 5
"""A third of the defaults, so that the story fits into minutes: every window of the operator follows these two."""


def set_up(cluster: Cluster) -> None:
    """Installs everything anew; CommandError says what would not start."""
    _refuse_foreign_perfslo(cluster)
    with ui.step("a fresh namespace for the shop"):
        cluster.kubectl("delete", "namespace", SHOP, "--ignore-not-found")
        for namespace in NAMESPACES:
            cluster.kubectl("apply", "--filename=-", stdin=_namespace(namespace))
    with ui.step(f"Prometheus, which looks every {SCRAPE_SECONDS} s"):
        cluster.apply(MONITORING, render.prometheus(MONITORING, scrape_seconds=SCRAPE_SECONDS))
        _wait_for_rollout(cluster, MONITORING, "prometheus")
    with ui.step(f"the web service {SERVICE}, 2 pods"):
        cluster.apply(SHOP, render.service(SERVICE, replicas=2, workers=WORKERS, behaviour=BEHAVIOUR))
        _wait_for_rollout(cluster, SHOP, SERVICE)
    with ui.step(f"perfslo, which decides every {CYCLE_SECONDS} s"):
        cluster.helm(
            "upgrade",
            "--install",
            "perfslo",
            str(ROOT / "helm" / "perfslo"),
            f"--namespace={OPERATOR}",
            "--wait",
            "--timeout=3m",
            # CRDs that tests left on a local cluster are used; a user's own perfslo was refused above.
            "--take-ownership",
            "--force-conflicts",
            "--set=image.repository={},image.tag={}".format(*OPERATOR_IMAGE.rsplit(":", 1)),
            f"--set=cycleSeconds={CYCLE_SECONDS}",
            f"--set=watch.namespaces={{{SHOP}}}",
            f"--set=prometheus.sources.default.address=http://prometheus.{MONITORING}:9090",
            # The tag stays the same when the image is built anew: this starts it all the same.
            f"--set-string=podAnnotations.started-by-demo={time.time():.0f}",
        )


def promise(cluster: Cluster) -> PerformanceSLO:
    """Applies examples/slo.yaml and returns it as the API server keeps it."""
    cluster.apply(SHOP, EXAMPLE.read_text())
    return PerformanceSLO.model_validate(cluster.get("performanceslo", SERVICE, f"--namespace={SHOP}"))


def start_load(cluster: Cluster, rates: str, threshold_ms: float) -> None:
    """Starts the replay of a rate file and returns when its pod runs."""
    cluster.apply(SHOP, render.load("load", rates=rates, url=f"http://{SERVICE}/", threshold_ms=threshold_ms))
    cluster.kubectl("wait", f"--namespace={SHOP}", "--for=condition=Ready", "pod/load", "--timeout=120s")


def remove() -> None:
    """Removes every trace: the cluster, or what was added to the user's own."""
    if not kube.is_users_own():
        kube.take_down()
        return
    cluster = kube.bring_up()
    owned = _owned_namespaces(cluster)
    if OPERATOR in owned:
        with ui.step("perfslo"):
            cluster.helm("uninstall", "perfslo", f"--namespace={OPERATOR}", "--ignore-not-found", "--wait")
            _delete_crds_unless_used(cluster)
    if owned:
        with ui.step("its namespaces"):
            cluster.kubectl(
                "delete", "clusterrole,clusterrolebinding", f"{MONITORING}-prometheus", "--ignore-not-found"
            )
            cluster.kubectl("delete", "namespaces", *owned)


def _delete_crds_unless_used(cluster: Cluster) -> None:
    """With the CRDs all their objects would go: those of others are never ours to delete."""
    promises = cluster.get(CRDS[0], "--all-namespaces")["items"]
    if all(promise["metadata"]["namespace"] == SHOP for promise in promises):
        cluster.kubectl("delete", "customresourcedefinitions", *CRDS, "--ignore-not-found")


def _refuse_foreign_perfslo(cluster: Cluster) -> None:
    present = cluster.kubectl("get", "customresourcedefinition", CRDS[0], "--ignore-not-found")
    if present and not _owned_namespaces(cluster) and kube.is_users_own():
        raise CommandError("this cluster has perfslo already, and not from a demonstration: name another cluster")


def _owned_namespaces(cluster: Cluster) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.get("namespaces", f"--selector={OWNED}={OWNER}")["items"]]


def _namespace(name: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {OWNED: OWNER}}})


def _wait_for_rollout(cluster: Cluster, namespace: str, deployment: str) -> None:
    cluster.kubectl("rollout", "status", f"--namespace={namespace}", f"deployment/{deployment}", "--timeout=180s")
