"""How the kernel hands out CPU time to a pod with a limit: a quota for each period, in compiled code (see `heap`).

All that run get a core each until the period's quota is used up; then all wait for the next one. A period begins when
the one before has ended and something runs.
"""

from __future__ import annotations

from typing import Any

from perfslo.simulate.heap import compiled

PERIOD_SECONDS = 0.1
"""Of CFS quotas: the kernel's and Kubernetes' default."""
LEAST_SECONDS = 1e-7
"""A quota below it is used up: split among many, it would be no time at all beside that since the run began."""


@compiled
def use(pod: Any, quota: float, now: float) -> None:
    """Hand out a pod's CPU time until now, period by period."""
    while pod.at < now:
        if pod.running == 0:
            pod.at = now
            break
        if pod.period_end <= pod.at:
            pod.period_end, pod.quota, pod.throttled = pod.at + PERIOD_SECONDS, quota, False
            pod.periods += 1
        until = min(now, pod.period_end)
        if pod.throttled:
            pod.at = until
            continue
        until = min(until, pod.at + pod.quota / pod.running)
        ran = until - pod.at
        pod.virtual += ran
        pod.cpu_seconds += ran * pod.running
        pod.quota -= ran * pod.running
        pod.at = until
        if pod.quota <= LEAST_SECONDS and until < pod.period_end:
            pod.throttled = True
            pod.throttled_periods += 1


@compiled
def due(pod: Any, quota: float, need: float) -> float:
    """When one of those that run will have had so many more seconds of CPU, if nobody comes or goes."""
    at: float = pod.at
    left, end, throttled = pod.quota, pod.period_end, pod.throttled
    while True:
        if end <= at:
            left, end, throttled = quota, at + PERIOD_SECONDS, False
        if not throttled:
            most = min(left / pod.running, end - at)
            if need <= most:
                return at + need
            need -= most
        at = end
