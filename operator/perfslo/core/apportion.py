"""Shares as whole weights, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole weights that add up to exactly `total`, in proportion to `shares` (any unit, not negative, not all 0).

    By the largest remainders (Hamilton's method): each is within one of its exact part. Of equal remainders the earlier
    share wins, so the same shares always give the same weights.

    Raises:
        ValueError: no share is positive, or one is negative or not finite.
    """
    whole = math.fsum(shares.values())
    if not (0.0 < whole < math.inf) or min(shares.values()) < 0.0:
        raise ValueError("shares must be finite and not negative, and one of them positive")
    exact = {name: total * (share / whole) for name, share in shares.items()}
    weights = {name: math.floor(part) for name, part in exact.items()}
    missing = total - sum(weights.values())
    for name in sorted(exact, key=lambda name: weights[name] - exact[name])[:missing]:
        weights[name] += 1
    return weights


def shares_of(parts: Mapping[str, float]) -> Mapping[str, float]:
    """Each part's share of the whole; nothing where there is none."""
    whole = sum(parts.values())
    return {name: part / whole for name, part in parts.items()} if whole > 0 else {}
