"""What each SLO's turn came to, as metrics: its conditions, its lever, what is wanted of it and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perfslo.core import shares
from perfslo.core.conditions import statuses
from perfslo.core.lever_states import levers
from perfslo.core.members import route_ref
from perfslo.core.model import NoTraffic, Stale, Target, Value
from perfslo.core.turn import Turn

_SLO = ("namespace", "name")
_Sample = tuple[list[str], float]
"""Further labels, and the number."""


class Decisions(Collector):
    """Made at scrape time from the last turns. What is unknown has no series."""

    def __init__(self, turns: Callable[[], Iterable[Turn]]) -> None:
        self._turns = turns

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        turns = tuple(self._turns())
        for name, help_text, labels, samples in _FAMILIES:
            family = GaugeMetricFamily(name, help_text, labels=[*_SLO, *labels])
            for turn in turns:
                for further, number in samples(turn):
                    family.add_metric([turn.namespace, turn.name, *further], number)
            yield family


def _objective_ratio(turn: Turn) -> Iterator[_Sample]:
    for _, reading in turn.readings:
        if reading and reading.current is not None and reading.threshold > 0:
            yield [reading.name], reading.current / reading.threshold


def _condition(turn: Turn) -> Iterator[_Sample]:
    return (([kind, status], 1.0) for kind, status in statuses(turn))


def _lever_state(turn: Turn) -> Iterator[_Sample]:
    return (([lever.name, lever.state], 1.0) for lever in levers(turn))


def _query_age(turn: Turn) -> Iterator[_Sample]:
    match turn.observation and turn.observation.completions_per_second:
        case Value(age_seconds=age) | NoTraffic(age_seconds=age) | Stale(age_seconds=age):
            yield [], age


def _desired_replicas(turn: Turn) -> Iterator[_Sample]:
    if turn.plan and turn.plan.final_replicas is not None:
        yield [], float(turn.plan.final_replicas)


def _desired_ratio(turn: Turn) -> Iterator[_Sample]:
    if turn.plan and turn.plan.final_replicas is not None and isinstance(turn.target, Target):
        current = turn.target.replicas.desired
        if current > 0:
            yield [], turn.plan.final_replicas / current


def _hourly_cost(turn: Turn) -> Iterator[_Sample]:
    price = turn.spec.cost.replica_hourly
    if price is not None and isinstance(turn.target, Target):
        yield [], float(price * turn.target.replicas.desired)


def _weight(turn: Turn) -> Iterator[_Sample]:
    return (([_route(turn), name], share) for name, share in shares.asked(turn).items())


def _observed_share(turn: Turn) -> Iterator[_Sample]:
    return (([_route(turn), name], share) for name, share in shares.seen(turn).items())


def _route(turn: Turn) -> str:
    return route_ref(turn.spec).name


_FAMILIES: tuple[tuple[str, str, tuple[str, ...], Callable[[Turn], Iterator[_Sample]]], ...] = (
    (
        "perfslo_objective_ratio",
        "Measured over promised: above 1 is worse than promised, for throughput below 1.",
        ("objective",),
        _objective_ratio,
    ),
    ("perfslo_condition", "1 for the status in force of each condition.", ("type", "status"), _condition),
    ("perfslo_lever_state", "1 for the state in force of each lever.", ("lever", "state"), _lever_state),
    ("perfslo_query_age_seconds", "Age of the newest sample of the request series.", (), _query_age),
    ("perfslo_desired_replicas", "Replicas wanted, for another autoscaler to follow.", (), _desired_replicas),
    ("perfslo_desired_ratio", "Replicas wanted over those that exist.", (), _desired_ratio),
    (
        "perfslo_backend_weight_ratio",
        "Share of the traffic that a backend's weight asks for.",
        ("route", "backend"),
        _weight,
    ),
    (
        "perfslo_backend_observed_share_ratio",
        "Share of the requests that a backend got, by its own counts.",
        ("route", "backend"),
        _observed_share,
    ),
    ("perfslo_hourly_cost", "What the replicas that exist cost an hour, in the unit of spec.cost.", (), _hourly_cost),
)
