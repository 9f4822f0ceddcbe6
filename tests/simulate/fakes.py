"""Runs made by hand: what reports and pictures are about, without simulating."""

from __future__ import annotations

from collections.abc import Sequence

from perfslo.simulate.model import Minute, Run


def minute(number: int, bad: int = 0, replicas: float = 10.0, requests: int = 1000) -> Minute:
    seconds = 0.9 if bad > 0.05 * requests else 0.12
    return Minute(60.0 * number, requests, bad, seconds, replicas, replicas, round(replicas))


def run(
    policy: str,
    *,
    scenario: str = "made",
    seed: int = 0,
    bad: Sequence[int] = (0,) * 10,
    replicas: float = 10.0,
    requests: int = 1000,
) -> Run:
    """A run with so many bad requests in each minute."""
    minutes = tuple(minute(number, its, replicas, requests) for number, its in enumerate(bad))
    return Run(scenario, policy, seed, 0.05, minutes, actions=3, reversals=1, decision_seconds=(0.001, 0.002))
