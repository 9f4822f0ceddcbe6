"""Pods by who owns them and, where needed, by label, in whichever order the mirrors learn of things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from perfslo.edges.kube.multimap import MultiMap
from perfslo.edges.kube.projections import Pod, ReplicaSet
from perfslo.edges.kube.reflector import Key
from perfslo.edges.kube.selector import Selector, parse
from perfslo.edges.kube.starts import Starts


class PodIndex:
    """Fed by the reflectors of pods and ReplicaSets; a workload's pods are found without looking at others'."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._pods: dict[Key, Pod] = {}
        self._by_owner: MultiMap[str, Key] = MultiMap()
        self._by_label: MultiMap[tuple[str, str, str], Key] = MultiMap()
        self._replica_sets: dict[str, ReplicaSet] = {}
        self._by_deployment: MultiMap[str, str] = MultiMap()

    def pod_changed(self, key: Key, old: Pod | None, new: Pod | None) -> None:
        if old:
            del self._pods[key]
            self._by_owner.remove(old.owner_uid, key)
            for name, value in old.labels:
                self._by_label.remove((key[0], name, value), key)
        if new:
            self._pods[key] = new
            self._by_owner.add(new.owner_uid, key)
            for name, value in new.labels:
                self._by_label.add((key[0], name, value), key)
        if old and new and old.uid == new.uid and old.never_ready and new.ready_since is not None:
            self._starts.saw(self.workload_uid(new), new.ready_since - new.created)

    def replica_set_changed(self, _: Key, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        if old:
            del self._replica_sets[old.uid]
            self._by_deployment.remove(old.owner_uid, old.uid)
        if new:
            self._replica_sets[new.uid] = new
            self._by_deployment.add(new.owner_uid, new.uid)

    def workload_uid(self, pod: Pod) -> str:
        """What the pod's owner belongs to, if that is a ReplicaSet with an owner; else the owner."""
        replica_set = self._replica_sets.get(pod.owner_uid)
        return replica_set.owner_uid if replica_set else pod.owner_uid

    def owned(self, uid: str) -> Mapping[str, Pod]:
        """Pods by name, owned directly or through a ReplicaSet."""
        owners = chain((uid,), self._by_deployment[uid])
        return {key[1]: self._pods[key] for owner in owners for key in self._by_owner[owner]}

    def selected(self, namespace: str, selector: str) -> Mapping[str, Pod]:
        """Pods by name, of those whose labels are kept."""
        wanted = parse(selector)
        found = ((key[1], self._pods[key]) for key in self._candidates(namespace, wanted))
        return {name: pod for name, pod in found if wanted.matches(dict(pod.labels))}

    def newest_version(self, deployment_uid: str) -> str:
        """The template hash of the Deployment's newest ReplicaSet; "" when there is none."""
        sets = [self._replica_sets[uid] for uid in self._by_deployment[deployment_uid]]
        return max(sets, key=lambda s: s.revision).version if sets else ""

    def _candidates(self, namespace: str, wanted: Selector) -> Iterable[Key]:
        if wanted.equal:
            return min((self._by_label[namespace, *label] for label in wanted.equal), key=len)
        return [key for key in self._pods if key[0] == namespace]
