"""What is remembered of the weights of a route: after a restart, too, if the route still shows the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from perfslo.core.frozen import dataclass, replace


@dataclass(frozen=True, slots=True)
class Trim:
    """How far a backend is trusted with its share of the traffic (see `trust`)."""

    factor: float = 1.0
    """Times the share that its capacity gives it, 0..1."""
    gain: float = 0.5
    direction: int = 0
    """Of the newest change of the factor: -1, 1, or 0 before any."""
    found: float = 0.0
    """Its share of the traffic, 0..1, as somebody else wrote it last."""
    requests: float = 0.0
    """The newest few hundred, since weights moved last."""
    bad: float = 0.0
    """How many of these were slow or failed, over the share that is allowed."""
    allowed: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """The newest move of weights by us, with what is needed to judge it."""

    decision_id: str
    time: float
    slow_ratio: float | None
    """Of all backends together, before it; None without requests."""
    replicas: int
    """That were ordered when it was made."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is remembered of the weights of a route."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """As they were seen or written last."""
    before: Mapping[str, int] = field(default_factory=dict)
    """As they were before we wrote them: a watch that lags still shows these."""
    moved_at: float | None = None
    """When they changed last, by whomever; None when they were never seen to."""
    judged_at: float | None = None
    """When trust in some backend changed last."""
    trims: Mapping[str, Trim] = field(default_factory=dict)
    aims: Mapping[str, int] = field(default_factory=dict)
    """Where weights are going, step by step."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why each moved, when they did last."""
    served: Mapping[str, float] = field(default_factory=dict)
    """Requests of each backend that were answered since the weights showed their effect."""
    behind: frozenset[str] = frozenset()
    """Backends that broke the promise while these were counted: such may leave requests unanswered."""
    move: Move | None = None
    """None once it is judged."""


def lasting(traffic: Traffic) -> Traffic:
    """What outlives a restart: what is being counted does not."""
    trims = {name: replace(trim, requests=0.0, bad=0.0) for name, trim in traffic.trims.items()}
    return replace(traffic, trims=trims, judged_at=None, aims={}, served={}, behind=frozenset())
