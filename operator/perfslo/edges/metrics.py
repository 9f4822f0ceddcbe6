"""The operator's own metrics. Series of an SLO are made at scrape time, so they go when the SLO goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perfslo import __version__
from perfslo.core import objectives
from perfslo.core.model import ChangeResult, Observation, Target, Value
from perfslo.core.turn import Turn
from perfslo.edges.budget_metrics import Budgets
from perfslo.edges.decision_metrics import Decisions
from perfslo.edges.prometheus.source import Sources
from perfslo.errors import LostRace, WriteConflict

_SLO = ("namespace", "name")
_CONFLICTS = (WriteConflict.reason, LostRace.reason)
"""How a refusal begins that is another writer's doing."""


_DIRECTIONS = {"ScaleUp": "up", "ScaleDown": "down"}
"""By action; a step to the side has none."""


class Metrics:
    """docs/metrics.md lists them."""

    def __init__(self, turns: Callable[[], Iterable[Turn]], sources: Sources) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Turns(turns))
        self.registry.register(Decisions(turns))
        self.registry.register(Budgets(turns))
        self.registry.register(_Sources(sources))
        self._counted: set[tuple[str, str]] = set()
        build = Gauge(
            "perfslo_build_info", "Always 1; the version is in the label.", ["version"], registry=self.registry
        )
        build.labels(__version__).set(1)
        self.leading = Gauge("perfslo_leader", "1 while this process holds the Lease.", registry=self.registry)
        self.actions = Counter(
            "perfslo_actions_total",
            "Changes decided, by lever, direction and what became of them.",
            [*_SLO, "lever", "direction", "result"],
            registry=self.registry,
        )
        self.limited = Counter(
            "perfslo_actions_limited_total",
            "Cycles in which a limit changed what was asked for, by the limit.",
            [*_SLO, "reason"],
            registry=self.registry,
        )
        self.verdicts = Counter(
            "perfslo_action_verdicts_total",
            "Verdicts on what was done.",
            [*_SLO, "lever", "verdict"],
            registry=self.registry,
        )
        self.write_conflicts = Counter(
            "perfslo_write_conflicts_total",
            "Changes not made because somebody else writes the same field.",
            _SLO,
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "perfslo_loop_lag_seconds",
            "How much later than planned the last cycle began.",
            registry=self.registry,
        )
        self.cycle_seconds = Histogram(
            "perfslo_cycle_duration_seconds",
            "How long one cycle over all SLOs took.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
            registry=self.registry,
        )
        self.cycle_finished = Gauge(
            "perfslo_cycle_finished_timestamp_seconds",
            "When the last cycle ended, in Unix seconds; 0 before the first.",
            registry=self.registry,
        )
        self.cycle_errors = Counter(
            "perfslo_cycle_errors_total", "SLOs whose turn failed by a fault of ours.", registry=self.registry
        )
        self.status_writes = Counter("perfslo_status_writes_total", "Statuses written.", registry=self.registry)

    def count(self, turn: Turn) -> None:
        """Count what a turn that decided something came to."""
        slo = (turn.namespace, turn.name)
        if change := turn.change:
            direction = _DIRECTIONS.get(change.step.action, "")
            self.actions.labels(*slo, change.step.lever, direction, change.result.value).inc()
            if change.result is ChangeResult.REFUSED and change.why.startswith(_CONFLICTS):
                self.write_conflicts.labels(*slo).inc()
        for reason in turn.plan.limited_by if turn.plan else ():
            self.limited.labels(*slo, reason).inc()
        if turn.verdict:
            self.verdicts.labels(*slo, turn.verdict.lever, turn.verdict.outcome.value).inc()
        self._counted.add(slo)

    def forget_others(self, living: Set[tuple[str, str]]) -> None:
        """Drop the series of SLOs that are gone."""
        for namespace, name in self._counted - living:
            for counter in (self.actions, self.limited, self.verdicts, self.write_conflicts):
                counter.remove_by_labels({"namespace": namespace, "name": name})
        self._counted &= living


_OF_QUERIES = (
    ("perfslo_query", "Queries sent.", "queries"),
    ("perfslo_query_empty", "Answers without a row.", "empty"),
    ("perfslo_query_rows", "Rows answered.", "rows"),
    ("perfslo_query_body_bytes", "Size of the answers, decompressed.", "body_bytes"),
    ("perfslo_query_remarks", "Remarks of the source about a query.", "remarks"),
    ("perfslo_query_duration_seconds", "Time spent on all queries.", "duration_seconds"),
)
"""Of each source: name, what it is, and the total of its Stats."""
_FAILED_QUERIES = ("perfslo_query_errors", "Queries that failed.")
"""The same by reason."""


class _Sources(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterator[Metric]:
        """So that they can be asked for alone."""
        yield from (CounterMetricFamily(name, help_text) for name, help_text, _ in _OF_QUERIES)
        yield CounterMetricFamily(*_FAILED_QUERIES)

    def collect(self) -> Iterator[Metric]:
        stats, opened = self._sources.stats, self._sources.open_breakers
        for name, help_text, total in _OF_QUERIES:
            family = CounterMetricFamily(name, help_text, labels=["source"])
            for source, of in stats.items():
                family.add_metric([source], getattr(of, total))
            yield family
        errors = CounterMetricFamily(*_FAILED_QUERIES, labels=["source", "reason"])
        is_open = GaugeMetricFamily(
            "perfslo_source_open", "1 while the source gets one query a cycle, for it keeps failing.", labels=["source"]
        )
        for source, of in stats.items():
            is_open.add_metric([source], float(source in opened))
            for reason, count in of.errors.copy().items():
                errors.add_metric([source, reason], count)
        yield from (errors, is_open)


class _Turns(Collector):
    def __init__(self, turns: Callable[[], Iterable[Turn]]) -> None:
        self._turns = turns

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        met = GaugeMetricFamily(
            "perfslo_objective_met", "1 met, 0 missed; absent when unknown.", labels=[*_SLO, "objective"]
        )
        value = GaugeMetricFamily(
            "perfslo_objective_value", "Measured, in the objective's unit.", labels=[*_SLO, "objective"]
        )
        threshold = GaugeMetricFamily(
            "perfslo_objective_threshold", "Promised, in the same unit.", labels=[*_SLO, "objective"]
        )
        bad = GaugeMetricFamily(
            "perfslo_objective_bad_ratio", "Share of slow or failed requests.", labels=[*_SLO, "objective"]
        )
        current = GaugeMetricFamily("perfslo_replicas_current", "Replicas that exist.", labels=_SLO)
        proposed = GaugeMetricFamily("perfslo_replicas_proposed", "Replicas before limits.", labels=_SLO)
        effective = GaugeMetricFamily("perfslo_replicas_effective", "Replicas after limits.", labels=_SLO)
        paused = GaugeMetricFamily("perfslo_paused", "1 while spec.suspend is true.", labels=_SLO)
        bottleneck = GaugeMetricFamily("perfslo_bottleneck", "1 for the verdict in force.", labels=[*_SLO, "type"])
        signal = GaugeMetricFamily(
            "perfslo_signal_value", "A named signal: seconds, a ratio or a count.", labels=[*_SLO, "signal"]
        )
        used = _Used()
        for turn in self._turns():
            slo = [turn.namespace, turn.name]
            if turn.observation:
                used.add(slo, turn.observation)
                for name, seen in turn.observation.signals.items():
                    if isinstance(seen, Value):
                        signal.add_metric([*slo, name], seen.value)
            paused.add_metric(slo, float(turn.spec.suspend))
            if isinstance(turn.target, Target):
                current.add_metric(slo, turn.target.replicas.desired)
            if turn.plan and turn.plan.proposed_replicas is not None:
                proposed.add_metric(slo, turn.plan.proposed_replicas)
            if turn.plan and turn.plan.final_replicas is not None:
                effective.add_metric(slo, turn.plan.final_replicas)
            if not turn.diagnosis:
                continue
            bottleneck.add_metric([*slo, turn.diagnosis.bottleneck.value], 1)
            for objective in turn.diagnosis.objectives:
                labels = [*slo, objective.name]
                threshold.add_metric(labels, objective.threshold)
                if objective.met is not None:
                    met.add_metric(labels, float(objective.met))
                if objective.current is not None:
                    value.add_metric(labels, objective.current)
                if objective.bad_ratio is not None:
                    bad.add_metric(labels, objective.bad_ratio)
        return [met, value, threshold, bad, current, proposed, effective, paused, bottleneck, signal, *used.families]


class _Used:
    """What the pods use."""

    def __init__(self) -> None:
        self._ratio = GaugeMetricFamily(
            "perfslo_utilization_ratio",
            "Used by all pods, as a share of what the ready ones request or are limited to.",
            labels=[*_SLO, "resource", "of"],
        )
        self._throttled = GaugeMetricFamily(
            "perfslo_cpu_throttled_ratio", "Share of CPU periods in which the limit stopped the pods.", labels=_SLO
        )
        self._disk = GaugeMetricFamily(
            "perfslo_disk_bytes_per_second", "Read from and written to disks.", labels=[*_SLO, "direction"]
        )
        self._network = GaugeMetricFamily(
            "perfslo_network_bytes_per_second", "Received and sent.", labels=[*_SLO, "direction"]
        )

    @property
    def families(self) -> list[GaugeMetricFamily]:
        return [self._ratio, self._throttled, self._disk, self._network]

    def add(self, slo: list[str], seen: Observation) -> None:
        """An SLO's numbers; what is unknown has no series."""
        for family, labels, number in (
            (self._ratio, ["cpu", "request"], objectives.cpu_ratio(seen)),
            (self._ratio, ["memory", "request"], objectives.memory_ratio(seen)),
            (self._ratio, ["memory", "limit"], objectives.memory_limit_ratio(seen)),
            (self._throttled, [], objectives.number(seen.cpu_throttled_ratio)),
            (self._disk, ["read"], objectives.number(seen.disk_read_bytes_per_second)),
            (self._disk, ["write"], objectives.number(seen.disk_write_bytes_per_second)),
            (self._network, ["receive"], objectives.number(seen.network_receive_bytes_per_second)),
            (self._network, ["transmit"], objectives.number(seen.network_transmit_bytes_per_second)),
        ):
            if number is not None:
                family.add_metric([*slo, *labels], number)
