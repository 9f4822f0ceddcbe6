"""References to objects in an SLO's own namespace."""

from __future__ import annotations

from typing import Protocol


class Reference(Protocol):
    """An author's scaleTargetRef, or our own TargetRef."""

    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


class RouteReference(Reference, Protocol):
    """An author's routeRef."""

    @property
    def rule_name(self) -> str | None: ...
