"""Who else scales a target: autoscalers by what they point at."""

from __future__ import annotations

from perfslo.core.model import OtherWriter
from perfslo.core.steps import TargetRef
from perfslo.edges.kube.multimap import MultiMap
from perfslo.edges.kube.projections import Scaler
from perfslo.edges.kube.reflector import Key

HPA = "HorizontalPodAutoscaler"
SCALED_OBJECT = "ScaledObject"
_KUBECTL_NAMES = {HPA: "hpa", SCALED_OBJECT: "scaledobject"}


class ScalerIndex:
    """Fed by the reflectors of HPAs and ScaledObjects."""

    def __init__(self) -> None:
        self._hpas: MultiMap[tuple[str, TargetRef], tuple[str, str]] = MultiMap()
        self._scaled_objects: MultiMap[tuple[str, TargetRef], tuple[str, str]] = MultiMap()

    def hpa_changed(self, key: Key, old: Scaler | None, new: Scaler | None) -> None:
        if old:
            self._hpas.remove((key[0], old.target), _author(key[1], old))
        if new:
            self._hpas.add((key[0], new.target), _author(key[1], new))

    def scaled_object_changed(self, key: Key, old: Scaler | None, new: Scaler | None) -> None:
        if old:
            self._scaled_objects.remove((key[0], old.target), (SCALED_OBJECT, key[1]))
        if new:
            self._scaled_objects.add((key[0], new.target), (SCALED_OBJECT, key[1]))

    def writers(self, namespace: str, target: TargetRef) -> tuple[OtherWriter, ...]:
        found = self._hpas[namespace, target] | self._scaled_objects[namespace, target]
        return tuple(OtherWriter(kind, name, _fix(namespace, kind, name)) for kind, name in sorted(found))


def _author(name: str, hpa: Scaler) -> tuple[str, str]:
    """A ScaledObject's own HPA stands for the ScaledObject: deleting the HPA would only bring it back."""
    return (SCALED_OBJECT, hpa.scaled_object) if hpa.scaled_object else (HPA, name)


def _fix(namespace: str, kind: str, name: str) -> str:
    return (
        f"run `kubectl delete {_KUBECTL_NAMES[kind]} {name} -n {namespace}`, "
        "or set mode: Recommend in this PerformanceSLO"
    )
