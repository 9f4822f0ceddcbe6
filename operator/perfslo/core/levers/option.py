"""What a lever could do now: the step, what it should bring and cost; or what forbids it."""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import experiment, text
from perfslo.core.frozen import dataclass
from perfslo.core.memory import Memory
from perfslo.core.model import Diagnosis, Knob, Observation, Prediction
from perfslo.core.steps import Step

SPREAD = 0.7
"""Of what a lever brings, as a logarithm, before it was tried: half as much or twice as much are usual."""
DOUBT = 0.25
"""Standard deviations taken off: of two levers, the one that was found to help goes first."""


@dataclass(frozen=True, slots=True)
class Case:
    """What strategies look at."""

    spec: PerformanceSLOSpec
    memory: Memory
    observation: Observation
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that a lever could do."""

    knob: Knob
    why: str
    """What it would bring, as part of a sentence; or why it is left."""
    step: Step | None = None
    """None when it is forbidden, or there is nothing to do."""
    prediction: Prediction | None = None
    score: float = 0.0
    """Expected relief that is fairly sure."""
    hourly_cost: float | None = None
    """What an hour costs more; less than 0 of a release."""

    def __str__(self) -> str:
        return f"{name(self.knob)}: {self.why}"


def name(knob: Knob) -> str:
    """As people say it: cache redis, cdn."""
    return " ".join(part for part in knob if part)


def expected(case: Case, knob: Knob, guess: float) -> tuple[float, float]:
    """Part of the slow requests (0..1) that pulling a lever should take away, and what of that is fairly sure.

    `guess` is the part before it was ever tried.
    """
    known = case.memory.trials.effect(knob, case.diagnosis.bottleneck)
    weight = experiment.decayed(known, case.observation.time) if known else 0.0
    prior = -math.log(1.0 - guess)
    mean = (prior + (known.relief if known else 0.0) * weight) / (1.0 + weight)
    sure = mean - DOUBT * SPREAD / math.sqrt(1.0 + weight)
    return 1.0 - math.exp(-max(0.0, mean)), 1.0 - math.exp(-max(0.0, sure))


def promised(part: float, hourly_cost: float | None) -> str:
    """What it should bring, in words."""
    price = "" if hourly_cost is None else f" for {hourly_cost:.2f} an hour"
    return f"should take away {text.percent(part)} of the slow requests{price}"
