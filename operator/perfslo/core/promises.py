"""How each promise stands, as the status shows it."""

from __future__ import annotations

import math
from collections.abc import Callable

from perfslo.api.v1alpha1 import Objective, ObjectiveState, ObjectiveStatus
from perfslo.core import objectives, quantile, text
from perfslo.core.model import Histogram, LatencyReading, Missing, NoTraffic, ObjectiveReading, Signal, Value
from perfslo.core.turn import Turn

MAX_MESSAGE = 1024


def objective_status(turn: Turn, objective: Objective, reading: ObjectiveReading) -> ObjectiveStatus:
    """How one promise stands. What is unknown is absent."""
    unit: Callable[[float], str] = (
        text.seconds if objective.latency else text.rate if objective.throughput else text.percent
    )
    evidence = _evidence(turn, objective)
    to_add = _bucket_to_add(objective, evidence)
    account = turn.books.accounts.get(objective.name)
    return ObjectiveStatus(
        name=objective.name,
        state=_objective_state(objective, reading, evidence),
        current=unit(reading.current) if reading.current is not None and math.isfinite(reading.current) else None,
        target=unit(reading.threshold),
        bad_percent=_percent_number(reading.bad_ratio),
        bad_percent_low=_percent_number(reading.bad_ratio_low),
        bad_percent_high=_percent_number(reading.bad_ratio_high),
        allowed_bad_percent=_percent_number(reading.allowed_bad_ratio),
        budget_remaining_percent=text.percent_number(account.remaining_ratio) if account else None,
        requests=_requests(objective, reading, evidence),
        age_seconds=None if isinstance(evidence, Missing) else round(evidence.age_seconds),
        interpolated=_interpolated(objective, evidence),
        add_bucket=None if to_add is None else f"{to_add:g}",
        message=text.clipped(reading.note, MAX_MESSAGE) or None,
    )


def _evidence(turn: Turn, objective: Objective) -> Signal | LatencyReading:
    """What the objective is judged by."""
    observation = turn.observation
    if observation is None:
        return Missing("NotMeasured")
    if objective.latency:
        return observation.latency.get(objective.name, Missing("NotMeasured"))
    if objective.error_rate:
        return objectives.requests_of(objective, observation).error_ratio
    if objective.throughput:
        return objectives.requests_of(objective, observation).completions_per_second
    by_cpu = objective.utilization is not None and objective.utilization.resource == "cpu"
    return observation.cpu_cores if by_cpu else observation.memory_bytes


def _objective_state(
    objective: Objective, reading: ObjectiveReading, evidence: Signal | LatencyReading
) -> ObjectiveState:
    if reading.met is not None:
        return "Met" if reading.met else "Missed"
    match evidence:
        case NoTraffic():
            return "NoTraffic"
        case Histogram():
            return "InsufficientData"
        case Value() if objective.error_rate:
            return "InsufficientData"
    return "Unknown"


def _requests(objective: Objective, reading: ObjectiveReading, evidence: Signal | LatencyReading) -> int | None:
    match evidence:
        case Histogram():
            return round(evidence.total)
        case Value() if objective.error_rate and reading.samples:
            return round(reading.samples)
        case NoTraffic() if objective.latency or objective.error_rate:
            return 0
    return None


def _bucket_to_add(objective: Objective, evidence: Signal | LatencyReading) -> float | None:
    if objective.latency is None or not isinstance(evidence, Histogram):
        return None
    return quantile.bucket_to_add(evidence, objective.latency.threshold_seconds)


def _interpolated(objective: Objective, evidence: Signal | LatencyReading) -> bool | None:
    if not isinstance(evidence, Histogram):
        return None
    low, high = quantile.bracket(evidence, objective.latency.threshold_seconds) if objective.latency else (0.0, 0.0)
    return low < high


def _percent_number(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio * 100:.3g}"
