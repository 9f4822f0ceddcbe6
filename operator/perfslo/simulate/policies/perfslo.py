"""perfslo itself: the operator's own code, from what Prometheus and Kubernetes say to the number of replicas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import codec, measure, scrape
from perfslo.core.decide import Decision, conclude, decide
from perfslo.core.measure import FAILED, Row, Series
from perfslo.core.memory import Memory
from perfslo.core.model import Change, ChangeResult, Missing, Replicas
from perfslo.core.queries import resource_window_seconds
from perfslo.core.scrape import Rhythm
from perfslo.core.steps import Scale
from perfslo.core.timescale import TimeScale
from perfslo.edges.kube import replicas as kube
from perfslo.edges.kube.projections import Pod, Resources
from perfslo.edges.kube.starts import Starts
from perfslo.simulate import loop
from perfslo.simulate.model import Scenario, View
from perfslo.simulate.world import World

BEGIN = 1_800_000_000.0
"""Unix seconds at the start of a run: the operator's times are absolute. A whole hour."""
WORKLOAD = "simulated"
_NO_ANSWER = measure.missing(Missing("PrometheusUnreachable", "it does not answer"), common=True)


class Sight:
    """What the operator sees of one workload, by way of Kubernetes and Prometheus."""

    def __init__(self, spec: PerformanceSLOSpec, period_seconds: float = 15.0) -> None:
        self._spec = spec
        self._period_seconds = period_seconds
        self._rhythm: Rhythm | None = None
        self._starts = Starts()
        self._started: set[int] = set()

    def restart(self) -> None:
        """How often pods are scraped has to be found out anew."""
        self._rhythm = None

    def replicas(self, world: World) -> Replicas:
        """As the API server shows them."""
        service = world.scenario.service
        for pod in world.living:
            if pod.is_ready and pod.created >= 0 and pod.number not in self._started:
                self._started.add(pod.number)
                self._starts.saw(WORKLOAD, pod.ready - pod.created)
        resources = Resources(service.cpu_request_cores, service.cpu_limit_cores)
        pods = [
            Pod(
                uid=str(pod.number),
                owner_uid=WORKLOAD,
                version=world.version,
                scheduled=math.isfinite(pod.scheduled),
                ready_since=BEGIN + pod.ready if pod.is_ready else None,
                never_ready=not pod.is_ready,
                created=BEGIN + pod.created,
                deleting=False,
                resources=resources,
            )
            for pod in world.living
        ]
        return kube.replicas(
            world.desired,
            pods,
            version=world.version,
            rolling_out=False,
            startup_seconds=self._starts.seconds(WORKLOAD),
            now=BEGIN + world.now_seconds,
        )

    def series(self, world: World) -> Series:
        """What the queries would say: those of `core.queries`, one by one."""
        prometheus, service = world.prometheus, world.scenario.service
        if not prometheus.up:
            return _NO_ANSWER
        sampling = prometheus.sampling()
        if isinstance(sampling, Missing):
            return replace(measure.missing(sampling), scrape_seconds=scrape.DEFAULT_SECONDS)
        self._rhythm = scrape.follow(self._rhythm, sampling, world.now_seconds)
        scale = TimeScale(self._rhythm.seconds, self._period_seconds)
        increase = prometheus.increase(scale.window_seconds).tolist()
        counts, failed = increase[loop.BUCKETS :], increase[loop.FAILED]
        bounds = [f"{bound:g}" for bound in service.buckets_seconds]
        rows = tuple(Row({"le": bound}, count) for bound, count in zip(bounds, counts, strict=True))
        resource_window = resource_window_seconds(scale.scrape_seconds)
        used = prometheus.increase(resource_window)
        periods: tuple[Row, ...] = ()
        throttled: tuple[Row, ...] = ()
        if service.cpu_limit_cores is not None:
            periods, throttled = _row(used[loop.PERIODS]), _row(used[loop.THROTTLED_PERIODS])
        in_flight = world.in_flight()
        return Series(
            sampling=sampling,
            scrape_seconds=scale.scrape_seconds,
            histograms={objective.name: rows for objective in self._spec.latency_objectives},
            pods=_row(float(prometheus.pods(scale.stale_after_seconds))),
            completions=_row(prometheus.requests(scale.short_window_seconds)),
            requests=(Row({FAILED: "false"}, max(0.0, counts[-1] - failed)), Row({FAILED: "true"}, failed)),
            in_flight=_row(in_flight) if in_flight is not None else (),
            resource_sampling=sampling,
            resource_scrape_seconds=scale.scrape_seconds,
            resource_window_seconds=resource_window,
            cpu_seconds=_row(used[loop.CPU_SECONDS]),
            cfs_periods=periods,
            cfs_throttled_periods=throttled,
        )


class Perfslo:
    """One SLO and the operator's memory of it. With `restarts_seconds` it loses at these times what a restart loses."""

    name = "perfslo"

    def __init__(
        self,
        scenario: Scenario,
        period_seconds: float = 15.0,
        restarts_seconds: tuple[float, ...] = (),
        spec: PerformanceSLOSpec | None = None,
        sight: Sight | None = None,
    ) -> None:
        """`spec`: in place of the one that promises what the scenario is judged by, with default settings.

        `sight`: in place of one that sees no signals.
        """
        self.spec = spec or promised(scenario)
        self.memory = Memory()
        self.decision: Decision | None = None
        self._period_seconds = period_seconds
        self._restarts = list(restarts_seconds)
        self._sight = sight or Sight(self.spec, period_seconds)
        self._number = 0

    @property
    def period_seconds(self) -> float:
        return self._period_seconds

    def decide(self, view: View) -> int:
        if not isinstance(view, World):
            raise TypeError("perfslo looks at more than rivals do: run it in a simulate.world.World")
        while self._restarts and self._restarts[0] <= view.now_seconds:
            self._restarts.pop(0)
            self.restart()
        now, sight = BEGIN + view.now_seconds, self._sight
        observation = measure.observe(self.spec, sight.replicas(view), sight.series(view), self._period_seconds, now)
        self.decision = decision = decide(self.spec, self.memory, observation)
        step = decision.plan.steps[0] if decision.plan and decision.plan.steps else None
        change = None
        if step and decision.plan:
            self._number += 1
            change = Change(f"d{self._number}", now, step, ChangeResult.APPLIED, decision.plan.why)
        self.memory, _ = conclude(self.spec, decision, change)
        return step.wanted if isinstance(step, Scale) else view.desired

    def explain(self) -> Mapping[str, float | str]:
        if self.decision is None or self.decision.plan is None:
            return {}
        plan = self.decision.plan
        return {**plan.numbers, "why": plan.why, "bottleneck": self.decision.diagnosis.bottleneck.value}

    def restart(self) -> None:
        """Go on with what the status keeps."""
        self.memory = codec.decode(codec.encode(self.memory))
        self._sight.restart()


def promised(scenario: Scenario) -> PerformanceSLOSpec:
    """The promise that the scenario is judged by, and nothing else that is not a default."""
    percentile = scenario.percentile
    share = (
        {"percentile": int(percentile)} if percentile == int(percentile) else {"proportionPercent": f"{percentile:g}"}
    )
    return PerformanceSLOSpec.model_validate(
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD},
            "minReplicas": scenario.min_replicas,
            "maxReplicas": scenario.max_replicas,
            "objectives": [
                {
                    "name": f"p{percentile:g}".replace(".", "-"),
                    "latency": {**share, "threshold": f"{scenario.target_seconds * 1000:g}ms"},
                }
            ],
        }
    )


def _row(value: float) -> tuple[Row, ...]:
    return (Row({}, float(value)),)
