from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.core.model import JSON, Replicas
from perfslo.core.steps import TargetRef
from perfslo.edges.kube import projections
from perfslo.edges.kube.projections import Workload
from perfslo.edges.kube.replicas import is_rolling_out, replicas
from perfslo.edges.kube.scalers import ScalerIndex
from tests.edges import kube_objects as objects
from tests.edges.kube_objects import NOW

WEB = TargetRef("apps", "Deployment", "web")


def seen(*items: JSON, version: str = "a", rolling_out: bool = False) -> Replicas:
    pods = [pod for item in items if (pod := projections.pod(item))]
    return replicas(5, pods, version=version, rolling_out=rolling_out, startup_seconds=None, now=NOW)


def pod(name: str, **how: object) -> JSON:
    return objects.pod(name, **{"version": "a", **how})  # type: ignore[arg-type]


def test_ready_starting_and_pending_are_told_apart() -> None:
    counted = seen(
        pod("ready", ready_changed=-90),
        pod("just-ready", ready_changed=-3),
        pod("starting", ready=False),
        pod("no-room", created=-60, taken_on=None),
        pod("just-created", created=-1, taken_on=None),
        pod("leaving", deleting=True, ready_changed=-1),
    )
    assert (counted.ready, counted.starting, counted.pending) == (2, 2, 1)
    assert counted.youngest_ready_age_seconds == 3


def test_without_pods_nothing_is_known_and_nothing_invented() -> None:
    counted = seen(version="")
    assert (counted.desired, counted.ready, counted.starting, counted.pending) == (5, 0, 0, 0)
    assert counted.youngest_ready_age_seconds is None
    assert counted.cpu_request_cores is None
    assert (counted.version, counted.rolling_out) == ("", False)


def test_an_age_is_never_negative_though_clocks_differ() -> None:
    assert seen(pod("a", ready_changed=+2)).youngest_ready_age_seconds == 0


def test_two_living_versions_are_a_rollout_but_one_that_is_leaving_is_not() -> None:
    assert seen(pod("a"), pod("b", version="b")).rolling_out
    assert not seen(pod("a"), pod("b", version="b", deleting=True)).rolling_out
    assert seen(pod("a"), rolling_out=True).rolling_out


def test_pods_may_be_in_the_network_of_their_node() -> None:
    assert not seen(pod("a")).host_network
    assert seen(pod("a", spec={"hostNetwork": True})).host_network
    assert not seen().host_network


def test_resources_are_those_of_the_newest_version() -> None:
    def asking(cpu: str) -> JSON:
        return {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}

    old, new = pod("old", version="b", created=-1, spec=asking("1")), pod("new", version="a", spec=asking("2"))
    assert seen(old, new, version="a").cpu_request_cores == 2
    assert seen(old, version="a").cpu_request_cores == 1


def test_a_kind_that_names_no_version_has_that_of_its_youngest_pod() -> None:
    assert seen(pod("a", created=-50), pod("b", created=-10, version="b"), version="").version == "b"


SETTLED = Workload(uid="d-1", desired=3, generation=4, observed_generation=4, existing=3, updated=3)


@pytest.mark.parametrize(
    ("workload", "rolling_out"),
    [
        (SETTLED, False),
        (replace(SETTLED, desired=6), False),  # scaled, its new pods still to be made
        (replace(SETTLED, generation=5), True),
        (replace(SETTLED, updated=1), True),
    ],
)
def test_a_workload_is_rolling_out_while_old_pods_exist(workload: Workload, rolling_out: bool) -> None:
    assert is_rolling_out(workload) is rolling_out


def test_an_autoscaler_is_named_with_what_to_run() -> None:
    index = ScalerIndex()
    hpa = projections.horizontal_pod_autoscaler(objects.hpa("front", _target("web")))
    index.hpa_changed(("shop", "front"), None, hpa)
    (writer,) = index.writers("shop", WEB)
    assert (writer.kind, writer.name) == ("HorizontalPodAutoscaler", "front")
    assert writer.fix == "run `kubectl delete hpa front -n shop`, or set mode: Recommend in this PerformanceSLO"
    assert index.writers("elsewhere", WEB) == ()
    index.hpa_changed(("shop", "front"), hpa, projections.horizontal_pod_autoscaler(objects.hpa("front", _target("x"))))
    assert index.writers("shop", WEB) == ()


def test_a_scaled_object_is_named_once_and_instead_of_its_hpa() -> None:
    index = ScalerIndex()
    made = objects.hpa("keda-hpa-web", _target("web"), objects.owner("ScaledObject", "web", "so-1"))
    hpa, scaled = (
        projections.horizontal_pod_autoscaler(made),
        projections.scaled_object(objects.hpa("web", _target("web"))),
    )
    index.hpa_changed(("shop", "keda-hpa-web"), None, hpa)
    index.scaled_object_changed(("shop", "web"), None, scaled)
    (writer,) = index.writers("shop", WEB)
    assert (writer.kind, writer.name) == ("ScaledObject", "web")
    assert "kubectl delete scaledobject web -n shop" in writer.fix
    index.hpa_changed(("shop", "keda-hpa-web"), hpa, None)
    assert len(index.writers("shop", WEB)) == 1
    index.scaled_object_changed(("shop", "web"), scaled, None)
    assert index.writers("shop", WEB) == ()


def _target(name: str) -> JSON:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
