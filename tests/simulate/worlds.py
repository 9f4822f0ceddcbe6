"""Small worlds for tests."""

from __future__ import annotations

from typing import Any

from perfslo.simulate.engine import Engine
from perfslo.simulate.model import Load, Service


def steady(rps: float, seconds: float) -> Load:
    return Load((0.0, seconds), (rps, rps))


def engine(service: Service, rps: float, seconds: float, *, pods: int = 1, seed: int = 4, **options: Any) -> Engine:
    """With pods that are ready; no time has passed yet."""
    made = Engine(service, steady(rps, seconds), seed=seed, **{"target_seconds": 0.25, **options})
    for _ in range(pods):
        made.open(made.add())
    return made


def ended(service: Service, rps: float, seconds: float, **options: Any) -> Engine:
    """The same when nothing is in flight any more."""
    made = engine(service, rps, seconds, **options)
    made.finish()
    return made


def mean_seconds(made: Engine) -> float:
    """Of a request's stay, by Little's law."""
    return float(made.state.in_flight_seconds / made.state.arrived)


def bad_ratio(made: Engine) -> float:
    return float(made.minutes.bad.sum() / made.state.arrived)
