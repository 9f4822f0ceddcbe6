"""llm-d's SLO-aware recipe: KEDA with a formula over how close latency is to its target.

The law is that of llm-d/llm-d guides/workload-autoscaling/README.slo-aware.md. Its signal is the 90th percentile, for
promises about the 90th percentile, and its guide says to match the promise: here it is the promised percentile.
"""

from __future__ import annotations

import math
from collections import deque

from perfslo.core.behavior import Limits, Policy, Rules
from perfslo.simulate.model import View
from perfslo.simulate.policies import hpa, keda
from perfslo.simulate.policies.promql import histogram_quantile

UP, DOWN = 0.55, 0.40
"""Shares of the target: above the one it adds pods, below the other it removes some."""
CLAMP = 2.0
SMOOTHED_SAMPLES = 3
"""avg_over_time([45s]) of a recording rule that is evaluated each 15 s, as often as the HPA asks."""
LIMITS = Limits(
    up=Rules(30.0, (Policy("Percent", 100, 60.0), Policy("Pods", 4, 60.0))),
    down=Rules(180.0, (Policy("Pods", 1, 120.0),)),
)


class Saturation:
    """The metric of the HPA that KEDA makes: what the formula asks for, of type AverageValue with a target of 1."""

    def __init__(self, up: float = UP, down: float = DOWN) -> None:
        self._up, self._down = up, down
        self._samples: deque[float] = deque(maxlen=SMOOTHED_SAMPLES)

    def __call__(self, view: View) -> hpa.Proposal | None:
        histogram = view.histogram(keda.QUERY_WINDOW_SECONDS)
        if histogram is None:
            self._samples.clear()  # the recording rule leaves a gap, and KEDA's query fails
            return None
        seconds = keda.without_null(histogram_quantile(view.scenario.percentile / 100, histogram))
        self._samples.append(min(seconds / view.scenario.target_seconds, CLAMP))
        saturation = sum(self._samples) / len(self._samples)
        ready = sum(pod.ready_seconds is not None for pod in view.pods)
        asked = formula(saturation, view.desired, ready, self._up, self._down)
        return hpa.Proposal(hpa.average_value_proposal(asked, 1.0, len(view.pods)), {"saturation": saturation})


def formula(saturation: float, provisioned: int, ready: int, up: float = UP, down: float = DOWN) -> int:
    """Replicas for a saturation (latency over target). Pods that still warm up are credited on the way up only."""
    if saturation > up:
        credit = ready / provisioned if 0 < ready < provisioned else 1.0
        return provisioned + math.ceil(provisioned * (saturation * credit / up - 1))
    if saturation < down:
        return provisioned - math.floor(provisioned * (1 - saturation / down))
    return provisioned


def policy(name: str, up: float = UP, down: float = DOWN) -> hpa.Hpa:
    return hpa.Hpa(name, Saturation(up, down), LIMITS)
