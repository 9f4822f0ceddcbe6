"""What would have happened: a recorded range, played again with perfslo deciding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.simulate.model import Balancing, Load, Minute, Policy, Run, Scenario, Service, View
from perfslo.simulate.past import MINUTE_SECONDS, Past
from perfslo.simulate.policies import registry
from perfslo.simulate.policies.perfslo import Perfslo
from perfslo.simulate.report import ORACLE, PERFSLO
from perfslo.simulate.run import simulate

OBSERVED, AS_IT_WAS = "observed", "as-it-was"
"""What Prometheus says happened; and the same numbers of pods in the simulator, to see how far to trust it."""
MOST_SETTLE_SECONDS = 600.0


class AsItWas:
    """Has as many pods ready at each time as there were."""

    name = AS_IT_WAS
    period_seconds = 15.0

    def __init__(self, past: Past) -> None:
        self._pods = [moment.pods for moment in past.moments]

    def decide(self, view: View) -> int:
        ready_by = view.now_seconds + view.scenario.service.startup_seconds
        return self._pods[min(len(self._pods) - 1, int(ready_by // MINUTE_SECONDS))]

    def explain(self) -> Mapping[str, float | str]:
        return {}


def scenario(past: Past, service: Service, spec: PerformanceSLOSpec, name: str, balancing: Balancing) -> Scenario:
    """The range, as something to simulate."""
    times = [moment.at_seconds for moment in past.moments]
    rates = [moment.rps for moment in past.moments]
    load = Load((*times, times[-1] + MINUTE_SECONDS), (*rates, rates[-1]))
    return Scenario(
        name,
        load,
        service,
        target_seconds=past.target_seconds,
        percentile=round(past.percentile, 6),
        balancing=balancing,
        min_replicas=min(spec.min_replicas, *(moment.pods for moment in past.moments)),
        max_replicas=max(spec.max_replicas, *(moment.pods for moment in past.moments)),
        initial_replicas=past.moments[0].pods,
        judged_from_seconds=min(MOST_SETTLE_SECONDS, load.duration_seconds / 6 // MINUTE_SECONDS * MINUTE_SECONDS),
    )


def runs(past: Past, played: Scenario, spec: PerformanceSLOSpec, policies: Sequence[str]) -> Iterator[Run]:
    """What happened, the same in the simulator, perfslo with this very SLO, any `policies`, and the oracle."""
    yield observed(past, played)
    yield simulate(played, AsItWas(past), 0)
    acting = spec.model_copy(update={"mode": "Auto", "suspend": False, "objectives": spec.latency_objectives})
    yield simulate(played, Perfslo(played, spec=acting), 0)
    for name in dict.fromkeys([*(policy for policy in policies if policy not in (PERFSLO, ORACLE)), ORACLE]):
        policy: Policy = registry.parse(name)(played)
        yield simulate(played, policy, 0)


def observed(past: Past, played: Scenario) -> Run:
    """The range itself, counted as a run is. Requests are those that were completed."""
    judged = [moment for moment in past.moments if moment.at_seconds >= played.judged_from_seconds]
    minutes = tuple(
        Minute(
            at_seconds=moment.at_seconds,
            requests=round(moment.rps * MINUTE_SECONDS),
            bad=round(moment.bad_ratio * moment.rps * MINUTE_SECONDS),
            percentile_seconds=moment.percentile_seconds,
            replicas=moment.pods,
            ready=moment.pods,
            desired=moment.pods,
        )
        for moment in judged
    )
    pods = [moment.pods for moment in past.moments]
    moves = [math.copysign(1, after - before) for before, after in pairwise(pods) if after != before]
    reversals = sum(one != other for one, other in pairwise(moves))
    return Run(played.name, OBSERVED, 0, played.allowed_bad_ratio, minutes, len(moves), reversals)
