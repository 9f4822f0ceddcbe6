"""A fixed number of replicas."""

from __future__ import annotations

from collections.abc import Mapping

from perfslo.simulate.model import View


class Static:
    period_seconds = 60.0

    def __init__(self, name: str, replicas: int) -> None:
        self.name = name
        self._replicas = replicas

    def decide(self, view: View) -> int:
        return min(max(self._replicas, view.scenario.min_replicas), view.scenario.max_replicas)

    def explain(self) -> Mapping[str, float | str]:
        return {}
