"""How the backends of a route and their shares of the traffic stand, as status, conditions and metrics say it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from perfslo.api.v1alpha1 import BackendStatus
from perfslo.core import backends, identify, objectives, quantile, text
from perfslo.core.apportion import shares_of
from perfslo.core.model import Histogram, Route, TargetProblem
from perfslo.core.turn import Turn

MAX_MESSAGE = 1024
"""As the API's models have it."""


def asked(turn: Turn) -> Mapping[str, float]:
    """Shares that the route asks for, 0..1."""
    route = turn.observation.route if turn.observation else None
    return shares_of(route.weights) if isinstance(route, Route) else {}


def seen(turn: Turn) -> Mapping[str, float]:
    """Shares of the requests of the window, 0..1; nothing while those of some backend are not known."""
    counts = {name: objectives.number(part.observation.requests_counted) for name, part in turn.parts.items()}
    known = {name: count for name, count in counts.items() if count is not None}
    return shares_of(known) if known.keys() == counts.keys() else {}


def words(shares: Mapping[str, float]) -> str | None:
    """Such as a=60%,b=40%."""
    return ",".join(f"{name}={text.percent(share)}" for name, share in shares.items()) or None


def statuses(turn: Turn) -> tuple[BackendStatus, ...]:
    """Each backend, and why its weight moved last or is about to."""
    weights, observed = asked(turn), seen(turn)
    return tuple(
        BackendStatus(
            name=name,
            weight_percent=_percent(weights.get(name)),
            observed_percent=_percent(observed.get(name)),
            p95=_p95(turn, name),
            ready_replicas=part.observation.replicas.ready,
            message=_message(turn, name),
        )
        for name, part in turn.parts.items()
    )


def _percent(share: float | None) -> str | None:
    return None if share is None else text.percent_number(share)


def _p95(turn: Turn, name: str) -> str | None:
    reading = turn.parts[name].observation.latency.get(turn.spec.primary_objective.name)
    estimate = quantile.quantile(reading, 0.95) if isinstance(reading, Histogram) else None
    return text.seconds(estimate.value) if estimate and math.isfinite(estimate.value) else None


def _message(turn: Turn, name: str) -> str | None:
    part = turn.parts[name]
    said = [
        (turn.shift.reasons if turn.shift else {}).get(name) or turn.memory.traffic.reasons.get(name),
        identify.blindness(part.spec, part.observation),
    ]
    return text.clipped("; ".join(filter(None, said)), MAX_MESSAGE) or None


def hindrance(turn: Turn) -> tuple[str, str] | None:
    """Reason and message of why weights are not moved; None when nothing is in the way."""
    if not turn.spec.levers or not turn.spec.levers.traffic or not turn.observation:
        return None
    if not turn.parts:
        return (
            "BackendsAlike",
            "the backends have no workloads of their own, so nobody can tell what each of them makes of its requests: "
            "write levers.traffic.backends[].scaleTargetRef instead of spec.scaleTargetRef",
        )
    route = turn.observation.route
    if isinstance(route, TargetProblem):
        return route.reason, route.message
    if isinstance(route, Route) and (why := backends.not_followed(route, turn.memory.traffic, turn.observation)):
        return "NotFollowed", f"{why}: look at what serves {route.ref}, and whether something else splits its requests"
    return None
