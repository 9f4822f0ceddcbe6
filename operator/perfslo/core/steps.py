"""The moves that a plan is made of, one kind for each kind of lever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from perfslo.core.frozen import dataclass


@dataclass(frozen=True, slots=True)
class TargetRef:
    """A scale target or a route; its namespace is the SLO's own."""

    group: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class _Move:
    """What every step can say of itself."""

    __slots__ = ()
    lever: str
    subject: str
    current: object
    wanted: object

    @property
    def values(self) -> tuple[str, str]:
        """Before and after, as text."""
        return str(self.current), str(self.wanted)

    def __str__(self) -> str:
        before, after = self.values
        return f"{self.lever} {self.subject + ' ' if self.subject else ''}{before}->{after}"


@dataclass(frozen=True, slots=True)
class Scale(_Move):
    """Replicas of a workload: the SLO's own target, unless `target` names another."""

    current: int
    wanted: int
    lever: str = "replicas"
    subject: str = ""
    """Whose workload it is: name of the backend or the tier; empty for the SLO's own."""
    target: TargetRef | None = None

    @property
    def action(self) -> str:
        """What is done, as one word in CamelCase."""
        return "ScaleUp" if self.wanted > self.current else "ScaleDown"


@dataclass(frozen=True, slots=True)
class Switch(_Move):
    """A key of a ConfigMap that the application follows at run time."""

    lever: str
    subject: str
    """Name of the tier; empty when the lever has but one key."""
    config_map: str
    key: str
    current: str
    wanted: str

    @property
    def action(self) -> str:
        """What is done, as one word in CamelCase."""
        return "Switch"


@dataclass(frozen=True, slots=True)
class Call(_Move):
    """What an administrator's HTTP hook turns on and off."""

    hook: str
    """The administrator's name for it."""
    current: str
    wanted: str
    lever: str
    subject: str = ""

    @property
    def action(self) -> str:
        """What is done, as one word in CamelCase."""
        return "Switch"


@dataclass(frozen=True, slots=True)
class Weigh(_Move):
    """Weights of a route's backends, in the route's own unit; of the listed backends only, and their sum stays."""

    route: TargetRef
    current: Mapping[str, int]
    wanted: Mapping[str, int]
    rule: str = ""
    """Name of the route's rule; "" when it needs none."""
    lever: str = "traffic"
    subject: str = field(init=False, default="")
    """Name of the route."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", self.route.name)

    @property
    def values(self) -> tuple[str, str]:
        """Before and after, as text such as a=60,b=40."""
        return _weights(self.current), _weights(self.wanted)

    @property
    def action(self) -> str:
        """What is done, as one word in CamelCase."""
        return "ShiftTraffic"


@dataclass(frozen=True, slots=True)
class Balance(_Move):
    """The balancing policy of a proxy, in the words of its own kind."""

    policy: TargetRef
    current: str
    wanted: str
    lever: str = "traffic"
    subject: str = "policy"

    @property
    def action(self) -> str:
        """What is done, as one word in CamelCase."""
        return "SetPolicy"


def _weights(by_backend: Mapping[str, int]) -> str:
    return ",".join(f"{name}={weight}" for name, weight in by_backend.items())


Step = Scale | Switch | Call | Weigh | Balance
"""One move of one lever. An actuator carries out one kind of step."""
