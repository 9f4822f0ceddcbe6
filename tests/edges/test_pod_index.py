from __future__ import annotations

from perfslo.core.model import JSON
from perfslo.edges.kube import projections
from perfslo.edges.kube.podindex import PodIndex
from perfslo.edges.kube.projections import Pod, ReplicaSet
from perfslo.edges.kube.starts import REMEMBERED, WORKLOADS, Starts
from tests.edges import kube_objects as objects


class Mirrors:
    """What the two reflectors would tell an index."""

    def __init__(self) -> None:
        self.starts = Starts()
        self.index = PodIndex(self.starts)
        self._pods: dict[str, Pod] = {}
        self._sets: dict[str, ReplicaSet] = {}

    def pod(self, item: JSON, *, gone: bool = False) -> None:
        name = item["metadata"]["name"]
        new = None if gone else projections.pod(item, keep_labels=True)
        self.index.pod_changed(("shop", name), self._pods.get(name), new)
        if new:
            self._pods[name] = new
        else:
            self._pods.pop(name, None)

    def replica_set(self, item: JSON, *, gone: bool = False) -> None:
        name = item["metadata"]["name"]
        new = None if gone else projections.replica_set(item)
        self.index.replica_set_changed(("shop", name), self._sets.get(name), new)
        if new:
            self._sets[name] = new


def test_pods_are_found_in_whichever_order_things_are_learnt() -> None:
    early, late = Mirrors(), Mirrors()
    early.replica_set(objects.replica_set("rs-1", "d-1", 1, "a"))
    early.pod(objects.pod("web-a-1", owner_uid="rs-1"))
    late.pod(objects.pod("web-a-1", owner_uid="rs-1"))
    assert not late.index.owned("d-1")
    late.replica_set(objects.replica_set("rs-1", "d-1", 1, "a"))
    assert set(early.index.owned("d-1")) == set(late.index.owned("d-1")) == {"web-a-1"}


def test_pods_of_all_replica_sets_and_of_no_other_workload() -> None:
    mirrors = Mirrors()
    mirrors.replica_set(objects.replica_set("rs-1", "d-1", 1, "a"))
    mirrors.replica_set(objects.replica_set("rs-2", "d-1", 2, "b"))
    for name, owner in (("a-1", "rs-1"), ("b-1", "rs-2"), ("other", "rs-3"), ("db-0", "sts-1")):
        mirrors.pod(objects.pod(name, owner_uid=owner))
    assert set(mirrors.index.owned("d-1")) == {"a-1", "b-1"}
    assert set(mirrors.index.owned("sts-1")) == {"db-0"}
    mirrors.pod(objects.pod("a-1"), gone=True)
    assert set(mirrors.index.owned("d-1")) == {"b-1"}


def test_the_newest_version_is_that_of_the_highest_revision() -> None:
    mirrors = Mirrors()
    assert mirrors.index.newest_version("d-1") == ""
    mirrors.replica_set(objects.replica_set("rs-2", "d-1", 10, "b"))
    mirrors.replica_set(objects.replica_set("rs-1", "d-1", 9, "a"))
    assert mirrors.index.newest_version("d-1") == "b"
    mirrors.replica_set(objects.replica_set("rs-1", "d-1", 11, "a"))  # rolled back
    assert mirrors.index.newest_version("d-1") == "a"


def test_pods_by_selector_in_their_namespace() -> None:
    mirrors = Mirrors()
    mirrors.pod(objects.pod("a", labels={"app": "web", "tier": "x"}))
    mirrors.pod(objects.pod("b", labels={"app": "web", "tier": "y"}))
    mirrors.pod(objects.pod("c", labels={"app": "db"}))
    assert set(mirrors.index.selected("shop", "app=web")) == {"a", "b"}
    assert set(mirrors.index.selected("shop", "app=web,tier!=y")) == {"a"}
    assert set(mirrors.index.selected("shop", "app in (db)")) == {"c"}
    assert not mirrors.index.selected("elsewhere", "app=web")
    assert not mirrors.index.selected("shop", "")
    mirrors.pod(objects.pod("a", labels={"app": "moved"}))
    assert set(mirrors.index.selected("shop", "app=web")) == {"b"}


def test_a_start_is_timed_from_created_to_ready() -> None:
    mirrors = Mirrors()
    mirrors.replica_set(objects.replica_set("rs-1", "d-1", 1, "a"))
    mirrors.pod(objects.pod(taken_on=None, created=-100))
    mirrors.pod(objects.pod(ready=False, created=-100, taken_on=-80, ready_changed=-80))
    assert mirrors.starts.seconds("d-1") is None
    mirrors.pod(objects.pod(created=-100, taken_on=-80, ready_changed=-58))
    assert mirrors.starts.seconds("d-1") == 42


def test_a_pod_that_was_ready_before_teaches_nothing_about_starting() -> None:
    mirrors = Mirrors()
    mirrors.pod(objects.pod(created=-9000, taken_on=-9000, ready_changed=-8990))
    mirrors.pod(objects.pod(created=-9000, taken_on=-9000, ready=False, ready_changed=-50))
    mirrors.pod(objects.pod(created=-9000, taken_on=-9000, ready_changed=-10))
    assert mirrors.starts.seconds("rs-1") is None


def test_a_pod_first_seen_ready_teaches_nothing_either() -> None:
    mirrors = Mirrors()
    mirrors.pod(objects.pod())
    assert mirrors.starts.seconds("rs-1") is None


def test_starts_follow_the_last_ones_and_say_their_90th_percentile() -> None:
    starts = Starts()
    for seconds in range(1, 11):
        starts.saw("d-1", seconds)
    assert starts.seconds("d-1") == 9
    for _ in range(REMEMBERED):
        starts.saw("d-1", 3)
    assert starts.seconds("d-1") == 3
    starts.forget("d-1")
    assert starts.seconds("d-1") is None


def test_owners_that_come_and_go_do_not_pile_up() -> None:
    starts = Starts()
    starts.saw("kept", 1)
    for number in range(WORKLOADS):
        starts.saw(f"job-{number}", 1)
        if number == WORKLOADS // 2:
            starts.saw("kept", 1)
    assert starts.seconds("job-0") is None
    assert starts.seconds("kept") == 1
