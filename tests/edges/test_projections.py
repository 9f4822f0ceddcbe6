from __future__ import annotations

import pytest

from perfslo.core.model import JSON
from perfslo.core.steps import TargetRef
from perfslo.edges.kube import projections
from perfslo.edges.kube.projections import Pod, Resources
from tests.edges import kube_objects as objects
from tests.edges.kube_objects import NOW


def pod(**how: object) -> Pod:
    seen = projections.pod(objects.pod(**how))  # type: ignore[arg-type]
    assert seen
    return seen


def container(cpu: str | None = None, memory: str | None = None, **more: object) -> JSON:
    amounts = {name: amount for name, amount in (("cpu", cpu), ("memory", memory)) if amount}
    return {"name": "c", "resources": {"requests": amounts, "limits": amounts}, **more}


def test_a_ready_pod() -> None:
    seen = pod()
    assert (seen.uid, seen.owner_uid, seen.version) == ("uid-web-5d4f8c7b9c-x2k4j", "rs-1", "5d4f8c7b9c")
    assert (seen.scheduled, seen.deleting, seen.never_ready) == (True, False, False)
    assert (seen.created, seen.ready_since) == (NOW - 100, NOW - 90)


def test_a_pod_that_starts_was_never_ready_but_one_that_fell_ill_was() -> None:
    assert pod(ready=False, taken_on=-99, ready_changed=-99).never_ready
    assert pod(taken_on=None).never_ready
    assert not pod(ready=False, taken_on=-99, ready_changed=-20).never_ready


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_is_left_out(phase: str) -> None:
    assert projections.pod(objects.pod(phase=phase)) is None


def test_a_pod_without_a_node_or_that_is_leaving() -> None:
    assert not pod(taken_on=None).scheduled
    assert pod(deleting=True).deleting


def test_labels_are_kept_only_when_asked_for() -> None:
    assert pod(labels={"app": "web"}).labels == ()
    kept = projections.pod(objects.pod(labels={"app": "web"}), keep_labels=True)
    assert kept
    assert dict(kept.labels) == {"pod-template-hash": "5d4f8c7b9c", "app": "web"}


def test_resources_are_summed_over_what_runs_side_by_side() -> None:
    spec = {
        "containers": [container("250m", "64Mi"), container("1", "1G")],
        "initContainers": [container("8", "8Gi"), container("50m", "1Mi", restartPolicy="Always")],
    }
    wanted = 64 * 2**20 + 1e9 + 2**20
    assert pod(spec=spec).resources == Resources(1.3, 1.3, wanted, wanted)


def test_one_container_without_a_request_makes_the_sum_unknown() -> None:
    spec = {"containers": [container("250m", "64Mi"), container(memory="64Mi")]}
    resources = pod(spec=spec).resources
    assert resources.cpu_request_cores is None
    assert resources.memory_request_bytes == 128 * 2**20


def test_what_is_set_for_the_whole_pod_wins() -> None:
    spec = {"containers": [container("250m")], "resources": {"limits": {"cpu": "2"}}}
    resources = pod(spec=spec).resources
    assert (resources.cpu_request_cores, resources.cpu_limit_cores) == (0.25, 2.0)


def test_like_pods_share_one_value() -> None:
    spec = {"containers": [container("250m", "64Mi")]}
    assert pod(name="a", spec=spec).resources is pod(name="b", spec=spec).resources


def test_a_deployment_that_says_no_replicas_wants_one() -> None:
    seen = projections.workload({"metadata": {"uid": "u", "generation": 3}, "spec": {}})
    assert (seen.desired, seen.generation, seen.observed_generation) == (1, 3, 0)


def test_a_replica_set_of_its_own_is_left_out() -> None:
    assert projections.replica_set({"metadata": {"uid": "u", "name": "alone"}}) is None
    seen = projections.replica_set(objects.replica_set("rs-1", "d-1", 7, "abc"))
    assert seen
    assert (seen.owner_uid, seen.revision, seen.version) == ("d-1", 7, "abc")


def test_autoscalers_by_what_they_scale() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    web = TargetRef("apps", "Deployment", "web")
    assert projections.horizontal_pod_autoscaler(objects.hpa("web", target)).target == web
    made = objects.hpa("keda-hpa-web", target, objects.owner("ScaledObject", "web", "so-1"))
    assert projections.horizontal_pod_autoscaler(made).scaled_object == "web"
    # KEDA's own defaults for the parts of the reference that are left out
    assert projections.scaled_object(objects.hpa("web", {"name": "web"})).target == web
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}
    assert projections.scaled_object(objects.hpa("web", rollout)).target == TargetRef("argoproj.io", "Rollout", "web")


def test_a_condition_without_a_time_has_held_for_long() -> None:
    item = objects.pod()
    item["status"]["conditions"][0]["lastTransitionTime"] = None
    seen = projections.pod(item)
    assert seen
    assert seen.ready_since == 0.0


@pytest.mark.parametrize("revision", ["", "latest", "-1", "1.5", "²"])
def test_a_revision_that_somebody_wrote_is_the_oldest(revision: str) -> None:
    item = objects.replica_set("rs-1", "d-1", 1, "v")
    item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision
    seen = projections.replica_set(item)
    assert seen
    assert seen.revision == 0
