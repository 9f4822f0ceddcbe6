"""How the series of proxies say whose they are: by labels, or by one label that joins namespace and name.

Their pods live in the proxy's namespace, and what a label says could be written by any pod that is scraped. A preset
of these therefore names where the proxy runs (its matchers), which Prometheus itself writes on every series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perfslo.core.frozen import dataclass
from perfslo.core.promql import WORKLOAD, Key, Matcher, in_namespaces, label_name, label_replace, literally, one_of

_OBJECT = "perfslo_object"
"""Label for the one that is meant, of several that may have it."""
_NAMESPACE, _NAME = "{namespace}", "{name}"


@dataclass(frozen=True, slots=True)
class Labels:
    """Namespace and name have a label each."""

    namespace_label: str
    name_labels: tuple[str, ...]
    """The first of them that a series has is meant."""
    pod_label: str = "pod"
    """Tells the proxy's pods apart."""

    def __post_init__(self) -> None:
        for label in (self.namespace_label, *self.name_labels, self.pod_label):
            label_name(label)

    @property
    def rows(self) -> tuple[str, ...]:
        return self.namespace_label, WORKLOAD

    def where(self, namespaces: Sequence[str]) -> tuple[Matcher, ...]:
        return Matcher(self.pod_label, "!=", ""), in_namespaces(self.namespace_label, namespaces)

    def named(self, series: str) -> str:
        return _first(series, WORKLOAD, self.name_labels)

    def key(self, labels: Mapping[str, str]) -> Key:
        return labels.get(self.namespace_label, ""), labels.get(WORKLOAD, "")

    def keys(self, namespace: str, pod_workloads: Iterable[str], name: str) -> tuple[Key, ...]:
        return ((namespace, name),)


@dataclass(frozen=True, slots=True)
class Joined:
    """Namespace and name are written together, such as `httproute/shop/checkout/rule/0`.

    What stands for an object is built from both names and compared as a whole. It is never taken apart: where names are
    joined by a character that they may contain, a part of one could be taken for the other.
    """

    labels: tuple[str, ...]
    """The first of them that a series has is meant."""
    join: str
    """Text with {namespace} and {name} in it: how a value begins."""
    rest: str
    """Regular expression (RE2) for what follows."""
    pod_label: str = "pod"

    def __post_init__(self) -> None:
        for label in (*self.labels, self.pod_label):
            label_name(label)
        if self.join.count(_NAMESPACE) != 1 or self.join.count(_NAME) != 1:
            raise ValueError(f"write {_NAMESPACE} and {_NAME} once each, such as httproute/{_NAMESPACE}/{_NAME}")

    @property
    def rows(self) -> tuple[str, ...]:
        return (WORKLOAD,)

    def where(self, namespaces: Sequence[str]) -> tuple[Matcher, ...]:
        pod = Matcher(self.pod_label, "!=", "")
        if len(self.labels) > 1:
            return (pod,)  # no one matcher speaks of two labels: rows of others are left aside afterwards
        begin = self._begin(one_of(namespaces) if namespaces else ".+")
        return pod, Matcher(self.labels[0], "=~", f"{begin}(?:{self.rest})")

    def named(self, series: str) -> str:
        label = self.labels[0]
        if len(self.labels) > 1:
            label, series = _OBJECT, _first(series, _OBJECT, self.labels)
        return label_replace(series, WORKLOAD, "$1", label, f"({self._begin('.+')})(?:{self.rest})")

    def key(self, labels: Mapping[str, str]) -> Key:
        return "", labels.get(WORKLOAD, "")

    def keys(self, namespace: str, pod_workloads: Iterable[str], name: str) -> tuple[Key, ...]:
        return (("", self._filled(namespace, name)),)

    def _begin(self, namespaces: str) -> str:
        """Regular expression for how a value of one of these namespaces begins."""
        text = literally(self.join)
        return text.replace(literally(_NAMESPACE), f"(?:{namespaces})").replace(literally(_NAME), ".+")

    def _filled(self, namespace: str, name: str) -> str:
        before, _, after = self.join.partition(_NAME)
        return before.replace(_NAMESPACE, namespace) + name + after.replace(_NAMESPACE, namespace)


def _first(series: str, to: str, labels: Sequence[str]) -> str:
    for label in reversed(labels):
        series = label_replace(series, to, "$1", label, "(.+)")
    return series
