"""Metrics of the error budgets, made at scrape time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perfslo.core import budget
from perfslo.core.turn import Turn

_SLO = ("namespace", "name")


class Budgets(Collector):
    """Good and bad requests of each latency objective, and what they leave of its error budget."""

    def __init__(self, turns: Callable[[], Iterable[Turn]]) -> None:
        self._turns = turns

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        labels = [*_SLO, "objective"]
        requests = CounterMetricFamily("perfslo_requests", "Requests counted.", labels=labels)
        bad = CounterMetricFamily("perfslo_bad_requests", "Those that were slow or failed.", labels=labels)
        allowed = GaugeMetricFamily(
            "perfslo_objective_allowed_bad_ratio", "Share of requests that may be bad.", labels=labels
        )
        window = GaugeMetricFamily("perfslo_window_seconds", "Window of the error budget.", labels=_SLO)
        remaining = GaugeMetricFamily(
            "perfslo_error_budget_remaining_ratio", "1 untouched, 0 spent, negative when overspent.", labels=labels
        )
        covered = GaugeMetricFamily(
            "perfslo_error_budget_covered_ratio", "Part of the window that was counted.", labels=labels
        )
        burn = GaugeMetricFamily(
            "perfslo_burn_rate", "1 spends the budget exactly within its window.", labels=[*labels, "window"]
        )
        for turn in self._turns():
            window.add_metric([turn.namespace, turn.name], turn.spec.window_seconds)
            for objective, latency in ((o, o.latency) for o in turn.spec.latency_objectives if o.latency):
                of = [turn.namespace, turn.name, objective.name]
                allowed.add_metric(of, latency.allowed_bad_ratio)
                if counted := turn.memory.counts.get(budget.key(turn.spec, latency)):
                    requests.add_metric(of, counted.total)
                    bad.add_metric(of, counted.bad)
                if account := turn.books.accounts.get(objective.name):
                    remaining.add_metric(of, account.remaining_ratio)
                    covered.add_metric(of, account.covered_ratio)
                    for name, rate in (("1h", account.burn_rate_1h), ("6h", account.burn_rate_6h)):
                        if rate is not None:
                            burn.add_metric([*of, name], rate)
        return [requests, bad, allowed, window, remaining, covered, burn]
