"""What the operator sees of a real cluster: targets, who else writes them, and the SLOs themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import yaml

from perfslo.core.model import JSON
from perfslo.core.steps import TargetRef
from perfslo.edges.kube import reflector
from perfslo.edges.watch import SLO
from perfslo.settings import DEPLOYMENT, STATEFUL_SET, ScaleKind, Settings
from tests.cluster.mirrors import Mirrors, definition, eventually, mirroring, slo, workload
from tests.conftest import Cluster

pytestmark = pytest.mark.cluster

WEB = TargetRef("apps", "Deployment", "web")


@pytest.fixture
async def mirrors(cluster: Cluster, namespace: str, crds: None) -> AsyncIterator[Mirrors]:
    async with mirroring(cluster, Settings(watch_namespaces=(namespace,))) as mirrors:
        yield mirrors


@pytest.fixture
def group(cluster: Cluster, namespace: str) -> Iterator[str]:
    """An API group of the test's own, whose kinds are taken away afterwards."""
    group = f"{namespace}.example.com"
    yield group
    for item in cluster.get("crd")["items"]:
        if item["spec"]["group"] == group:
            cluster.kubectl("delete", "crd", item["metadata"]["name"], "--wait=false")


async def test_a_deployment_from_nothing_through_scaling_to_a_new_version(mirrors: Mirrors) -> None:
    assert mirrors.problem(WEB) == "TargetNotFound"

    await mirrors.apply(workload("Deployment", "web", 2))
    first = await mirrors.found(WEB, lambda t: t.replicas.ready == 2, "two ready pods")
    assert (first.replicas.desired, first.replicas.starting, first.replicas.pending) == (2, 0, 0)
    assert (first.replicas.cpu_request_cores, first.replicas.cpu_limit_cores) == (0.01, 0.1)
    assert (first.replicas.memory_request_bytes, first.replicas.memory_limit_bytes) == (16 * 2**20, None)
    assert first.replicas.startup_seconds is not None
    assert first.replicas.youngest_ready_age_seconds is not None
    assert first.pod_workloads == {"web"}

    await mirrors.kubectl("scale", "deployment/web", "--replicas=3")
    more = await mirrors.found(WEB, lambda t: t.replicas.ready == 3, "three ready pods")
    assert (more.uid, more.replicas.version) == (first.uid, first.replicas.version)

    await mirrors.kubectl("set", "env", "deployment/web", "VERSION=2")
    await mirrors.found(WEB, lambda t: t.replicas.rolling_out, "a rollout")
    # The Deployment and its pods are watched apart: either may be seen first.
    after = await mirrors.found(
        WEB, lambda t: not t.replicas.rolling_out and t.replicas.ready == 3, "the rollout's end, with three ready pods"
    )
    assert after.replicas.version not in ("", first.replicas.version)

    await mirrors.kubectl("delete", "deployment/web")
    await eventually(lambda: mirrors.problem(WEB) == "TargetNotFound", "no deployment")


async def test_a_pod_that_fits_on_no_node_is_pending(mirrors: Mirrors) -> None:
    huge = workload("Deployment", "web", 1)
    huge["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "900"}}
    await mirrors.apply(huge)
    seen = await mirrors.found(WEB, lambda t: t.replicas.pending, "a pending pod")
    assert (seen.replicas.ready, seen.replicas.starting, seen.replicas.pending) == (0, 0, 1)


async def test_a_stateful_set(mirrors: Mirrors) -> None:
    ref = TargetRef("apps", "StatefulSet", "db")
    await mirrors.apply(workload("StatefulSet", "db", 2))
    seen = await mirrors.found(ref, lambda t: t.replicas.ready == 2, "two ready pods")
    assert seen.pod_workloads == {"db"}
    assert seen.replicas.version.startswith("db-")
    assert not seen.replicas.rolling_out


async def test_an_autoscaler_on_the_target_is_seen_and_named(mirrors: Mirrors) -> None:
    await mirrors.apply(workload("Deployment", "web", 1))
    await mirrors.kubectl("autoscale", "deployment/web", "--max=4", "--name=front")
    seen = await mirrors.found(WEB, lambda t: t.other_writers, "another writer")
    (writer,) = seen.other_writers
    assert f"kubectl delete hpa front -n {mirrors.namespace}" in writer.fix
    await mirrors.kubectl("delete", "hpa/front")
    await mirrors.found(WEB, lambda t: not t.other_writers, "no other writer")


async def test_a_kind_that_is_not_enabled(mirrors: Mirrors) -> None:
    problem = mirrors.look(TargetRef("argoproj.io", "Rollout", "web"))
    assert problem.__class__.__name__ == "TargetProblem"
    assert mirrors.problem(TargetRef("argoproj.io", "Rollout", "web")) == "KindNotEnabled"
    assert "Deployment.apps, StatefulSet.apps" in str(problem)
    assert "scaleKinds" in str(problem)


async def test_a_custom_kind_that_is_installed_late_and_scales(
    cluster: Cluster, namespace: str, group: str, crds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "NOT_SERVED_RETRY_SECONDS", 0.5)
    kind = ScaleKind(group=group, version="v1", kind="Widget", resource="widgets")
    settings = Settings(watch_namespaces=(namespace,), scale_kinds=(DEPLOYMENT, STATEFUL_SET, kind))
    ref = TargetRef(group, "Widget", "shop")
    async with mirroring(cluster, settings) as mirrors:
        assert mirrors.problem(ref) == "KindNotServed"
        await mirrors.apply(definition(group, "Widget"))
        await eventually(lambda: mirrors.problem(ref) == "TargetNotFound", "the kind to be known")

        await mirrors.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/widgets.{group}")
        await mirrors.apply(
            {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "shop"}, "spec": {"replicas": 2}},
            workload("Deployment", "runs-it", 2),
        )
        await mirrors.found(ref, lambda t: t.replicas.desired == 2 and not t.replicas.ready, "no selector, no pods")
        # Other tests define kinds of this name too, each in a group of its own.
        shop = f"widgets.{group}/shop"
        status = '{"status": {"replicas": 2, "selector": "app=runs-it"}}'
        await mirrors.kubectl("patch", shop, "--subresource=status", "--type=merge", f"--patch={status}")
        seen = await mirrors.found(ref, lambda t: t.replicas.ready == 2, "the selector's pods")
        assert seen.pod_workloads == {"runs-it"}

        await mirrors.kubectl("scale", shop, "--replicas=5")
        await mirrors.found(ref, lambda t: t.replicas.desired == 5, "what its scale says now")
        await mirrors.kubectl("delete", shop)
        await eventually(lambda: mirrors.problem(ref) == "TargetNotFound", "no widget")


async def test_a_custom_kind_without_scale(cluster: Cluster, namespace: str, group: str, crds: None) -> None:
    kind = ScaleKind(group=group, version="v1", kind="Rock", resource="rocks")
    ref = TargetRef(group, "Rock", "big")
    crd = yaml.safe_dump(definition(group, "Rock", scale=False))
    cluster.kubectl("apply", "--filename=-", input=crd)
    cluster.established(f"rocks.{group}")
    async with mirroring(cluster, Settings(watch_namespaces=(namespace,), scale_kinds=(kind,))) as mirrors:
        await mirrors.apply({"apiVersion": f"{group}/v1", "kind": "Rock", "metadata": {"name": "big"}})
        await eventually(lambda: mirrors.problem(ref) == "ScaleNotSupported", "the missing scale")


async def test_slos_come_change_and_go(mirrors: Mirrors) -> None:
    key = f"{mirrors.namespace}/web"
    assert not mirrors.registry.snapshot()
    await mirrors.apply(slo("web"))
    first = (await eventually(lambda: mirrors.registry.snapshot(), "the SLO"))[key]
    assert first.spec
    assert (first.spec.max_replicas, first.generation, first.status, first.problem) == (5, 1, {}, "")
    assert mirrors.registry.by_uid(first.uid) == first

    await mirrors.apply(slo("web", maximum=7))
    await eventually(lambda: mirrors.registry.snapshot()[key].generation == 2, "the change")
    await mirrors.kubectl("replace", "--force", "--filename=-", manifest=slo("web"))
    second = await eventually(lambda: _other_than(mirrors.registry.snapshot().get(key), first.uid), "its replacement")
    assert mirrors.registry.by_uid(first.uid) is None
    assert mirrors.cluster.get("perfslo", "web", f"--namespace={mirrors.namespace}")["metadata"]["uid"] == second.uid

    await mirrors.kubectl("delete", "perfslo/web")
    await eventually(lambda: not mirrors.registry.snapshot(), "no SLO")


async def test_nothing_is_written_to_an_slo_by_watching_it(mirrors: Mirrors) -> None:
    await mirrors.apply(slo("web"))
    await eventually(lambda: mirrors.registry.snapshot(), "the SLO")
    await mirrors.kubectl("label", "perfslo/web", "touched=once")
    await eventually(lambda: _version_of(mirrors) == _live(mirrors)["resourceVersion"], "the newest version")
    metadata = _live(mirrors)
    assert "finalizers" not in metadata
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert {entry["manager"] for entry in metadata["managedFields"]} <= {"kubectl-client-side-apply", "kubectl-label"}


def _live(mirrors: Mirrors) -> JSON:
    metadata: JSON = mirrors.cluster.get("perfslo", "web", f"--namespace={mirrors.namespace}", "--show-managed-fields")[
        "metadata"
    ]
    return metadata


def _version_of(mirrors: Mirrors) -> str:
    return str(mirrors.registry.snapshot()[f"{mirrors.namespace}/web"].resource_version)


def _other_than(seen: SLO | None, uid: str) -> SLO | None:
    return seen if seen and seen.uid != uid else None
