"""One of three backends becomes slower, or fails, for a while: what weights, equal ones, and a proxy make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from bench.traffic.fleet import NAMES, Fleet, Mode
from perfslo.simulate import scenarios
from perfslo.simulate.model import Balancing, Load, Minute, Scenario, Shift
from perfslo.simulate.policies.perfslo import Perfslo
from perfslo.simulate.run import simulate

REPLICAS = 12.0
"""Carry the mean load, about, while all are well."""
STEADY_SECONDS = 60 * 60.0
SLOWER = (3.0, 5.0)
"""Times what requests took before; the smaller for traces."""
SLOW_FROM, SLOW_UNTIL = 0.4, 0.8
"""Parts of the play, with the peak of a trace between them."""


@dataclass(frozen=True, slots=True)
class Play:
    """A load, and how much slower one backend is for a while; None when it fails each request at once instead."""

    name: str
    scenario: Scenario
    slower: float | None

    @property
    def begins_seconds(self) -> float:
        return SLOW_FROM * self.scenario.load.duration_seconds

    @property
    def ends_seconds(self) -> float:
        return SLOW_UNTIL * self.scenario.load.duration_seconds

    @property
    def befalls(self) -> Mapping[str, tuple[Shift, ...]]:
        """What happens to which backend."""
        if self.slower is None:
            return {"b": (Shift(self.begins_seconds, failing_ratio=1.0), Shift(self.ends_seconds, failing_ratio=0.0))}
        slow = Shift(self.begins_seconds, service_factor=self.slower)
        return {"b": (slow, Shift(self.ends_seconds, service_factor=1.0))}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a play."""

    play: str
    under: str
    seed: int
    violation_minutes: int
    bad_ratio: float
    replica_minutes: float
    turns_an_hour: float
    """Changes of direction of the weight, or the replicas, that changed it most often."""


def plays(loads: Mapping[str, Load]) -> Iterator[Play]:
    """Steady load first, then `loads`."""
    rps = REPLICAS * scenarios.CAPACITY_RPS
    steady = scenarios.of_trace("steady", Load((0.0, STEADY_SECONDS), (rps, rps)), replicas=REPLICAS)
    yield from (Play(f"steady, {slower:g} x", steady, slower) for slower in SLOWER)
    yield Play("steady, fails at once", replace(steady, balancing=Balancing.LEAST_REQUEST), None)
    for name, load in loads.items():
        yield Play(name, scenarios.of_trace(name, load, replicas=REPLICAS), SLOWER[0])


def moved(play: Play, seed: int) -> Came:
    """The operator moves weights and replicas."""
    return _fleet(play, seed, "weights that move", automatic=True)


def equal(play: Play, seed: int) -> Came:
    """The operator moves replicas only."""
    return _fleet(play, seed, "equal weights", automatic=False)


def least_request(play: Play, seed: int) -> Came:
    """A proxy that knows all outstanding requests, over the pods of all backends; the operator moves replicas."""
    if play.slower is None:
        return _fleet(play, seed, "least-request", automatic=False, least_request=True)
    slow = Shift(play.begins_seconds, slow_pods_share=1 / len(NAMES), slow_pods_factor=play.slower)
    well = Shift(play.ends_seconds, slow_pods_share=0.0)
    scenario = replace(play.scenario, balancing=Balancing.LEAST_REQUEST, shifts=(slow, well))
    run = simulate(scenario, Perfslo(scenario), seed)
    return _came(play, "least-request", seed, run.minutes, run.reversals)


UNDER: tuple[Callable[[Play, int], Came], ...] = (moved, equal, least_request)


def _fleet(play: Play, seed: int, under: str, *, automatic: bool, least_request: bool = False) -> Came:
    weights: Mode = "Auto" if automatic else "Recommend"
    came = Fleet(play.scenario, play.befalls, weights, seed, least_request=least_request).play()
    return _came(play, under, seed, came.minutes, came.turned)


def _came(play: Play, under: str, seed: int, minutes: tuple[Minute, ...], turned: int) -> Came:
    allowed, requests = play.scenario.allowed_bad_ratio, sum(minute.requests for minute in minutes)
    return Came(
        play=play.name,
        under=under,
        seed=seed,
        violation_minutes=sum(m.requests >= 20 and m.bad > allowed * m.requests for m in minutes),
        bad_ratio=sum(minute.bad for minute in minutes) / max(1, requests),
        replica_minutes=sum(minute.replicas for minute in minutes),
        turns_an_hour=turned * 3600 / play.scenario.load.duration_seconds,
    )
