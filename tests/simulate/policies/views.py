"""A view whose every number is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perfslo.core.model import Histogram
from perfslo.simulate.model import Load, PodView, Scenario

FLAT = Load((0.0, 86400.0), (100.0, 100.0))
SCENARIO = Scenario("flat", FLAT)


@dataclass
class FakeView:
    now_seconds: float = 1000.0
    desired: int = 1
    pods: Sequence[PodView] = ()
    scenario: Scenario = SCENARIO
    latency: Histogram | None = None
    rps: float | None = None
    concurrencies: dict[float, float] = field(default_factory=dict)

    def histogram(self, window_seconds: float) -> Histogram | None:
        return self.latency

    def requests_per_second(self, window_seconds: float) -> float | None:
        return self.rps

    def in_flight(self) -> float | None:
        return None

    def concurrency(self, window_seconds: float) -> float | None:
        return self.concurrencies.get(window_seconds)


def ready(cores: float | None, now: float = 1000.0) -> PodView:
    """A pod of an hour ago, measured just now, or not at all."""
    return PodView(now - 3600.0, now - 3570.0, cores, None if cores is None else now)


def ready_pods(count: int, cores: float | None = 0.5) -> list[PodView]:
    return [ready(cores) for _ in range(count)]


def unready(cores: float | None, now: float = 1000.0) -> PodView:
    return PodView(now - 20.0, None, cores, None if cores is None else now)


PENDING = PodView(900.0, None, None, None, pending=True)
