"""Knative's autoscaler (KPA) on concurrency.

The rule is Scale in knative/serving pkg/autoscaler/scaling/autoscaler.go, with the defaults of
config/core/configmaps/autoscaler.yaml. It is the rule, not the product: Knative's activator also holds back requests
in a burst, and its queue-proxy limits how many a pod works on at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from perfslo.simulate.model import View

TICK_SECONDS = 2.0
STABLE_WINDOW_SECONDS = 60.0
PANIC_WINDOW_SECONDS = 6.0
"""panic-window-percentage: 10."""
PANIC_THRESHOLD = 2.0
"""panic-threshold-percentage: 200."""
MAX_SCALE_UP_RATE = 1000.0
MAX_SCALE_DOWN_RATE = 2.0


class Kpa:
    """One autoscaler of one revision. scale-down-delay is 0, as by default."""

    period_seconds = TICK_SECONDS

    def __init__(self, name: str, target: float) -> None:
        """`target`: requests in flight per pod, after Knative's target utilization."""
        self.name = name
        self._target = target
        self._panicking_since: float | None = None
        self._most_in_panic = 0
        self._started = False
        self._numbers: Mapping[str, float] = {}

    def decide(self, view: View) -> int:
        now, desired = view.now_seconds, view.desired
        seen = sum(pod.ready_seconds is not None for pod in view.pods)
        if not self._started:
            # newAutoscaler: with more than one pod it begins in panic, for it has no history yet.
            self._started, self._most_in_panic = True, seen
            self._panicking_since = now if seen > 1 else None
        stable, panic = view.concurrency(STABLE_WINDOW_SECONDS), view.concurrency(PANIC_WINDOW_SECONDS)
        if stable is None or panic is None:
            return desired
        wanted = self._scaled(now, max(1, seen), stable, panic)
        self._numbers = {"stable": stable, "panic": panic, "panicking": float(self._panicking_since is not None)}
        return min(max(wanted, view.scenario.min_replicas), view.scenario.max_replicas)

    def explain(self) -> Mapping[str, float | str]:
        return dict(self._numbers)

    def _scaled(self, now: float, ready: int, stable: float, panic: float) -> int:
        most, least = math.ceil(MAX_SCALE_UP_RATE * ready), math.floor(ready / MAX_SCALE_DOWN_RATE)
        for_stable, for_panic = math.ceil(stable / self._target), math.ceil(panic / self._target)
        over = for_panic / ready >= PANIC_THRESHOLD
        if over:
            self._panicking_since = now
        elif self._panicking_since is not None and self._panicking_since + STABLE_WINDOW_SECONDS < now:
            self._panicking_since, self._most_in_panic = None, 0
        wanted = min(max(for_stable, least), most)
        if self._panicking_since is None:
            return wanted
        # No scale-down while it panics.
        self._most_in_panic = max(self._most_in_panic, wanted, min(max(for_panic, least), most))
        return self._most_in_panic
