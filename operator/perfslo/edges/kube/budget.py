"""Which statuses are written now: a token bucket for the whole operator, changes of state first, then the stalest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """A status that differs from what was written last."""

    key: str
    state_changed: bool
    written_at: float
    """When this SLO's status was written last, by the clock that `grant` is given; 0 for never."""


class StatusBudget:
    """Grants at most `per_second` writes in the long run and `burst` at once (give it a cycle's worth)."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self.burst = max(1, int(burst))
        self._tokens = float(self.burst)
        self._filled_at: float | None = None

    def grant(self, wishes: Iterable[Wish], now: float) -> tuple[str, ...]:
        """The keys that may be written now, most urgent first; they count as spent."""
        if self._filled_at is not None:
            grown = self._tokens + self._per_second * max(0.0, now - self._filled_at)
            self._tokens = min(self.burst, grown)
        self._filled_at = now
        urgent_first = sorted(wishes, key=lambda wish: (not wish.state_changed, wish.written_at, wish.key))
        granted = urgent_first[: int(self._tokens)]
        self._tokens -= len(granted)
        return tuple(wish.key for wish in granted)
