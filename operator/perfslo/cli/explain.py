"""Tell how one SLO stands, why, and what was decided last, with the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from perfslo.api.v1alpha1 import (
    BackendStatus,
    BudgetStatus,
    Decision,
    LeverStatus,
    ObjectiveStatus,
    PerformanceSLOStatus,
    SignalStatus,
    UtilizationStatus,
)
from perfslo.cli import _cluster
from perfslo.core.model import JSON
from perfslo.edges.kube.client import Api

_TROUBLE = {
    "Ready": "False",
    "TargetResolved": "False",
    "MetricsAvailable": "False",
    "ScalingLimited": "True",
    "WriteConflict": "True",
    "Fallback": "True",
    "Suspended": "True",
    "LeverDisabled": "True",
}
"""Conditions worth telling, and the status in which they are."""


def run(argv: list[str]) -> int:
    """0 when there was something to tell, 1 when the SLO could not be read, 2 for a wrong command line."""
    arguments = _cluster.slo_parser("explain", __doc__).parse_args(argv)

    async def work(api: Api) -> int:
        slo = await _cluster.get_slo(api, await _cluster.namespace_of(arguments), arguments.name)
        print("\n".join(story(slo, datetime.now(UTC))))
        return 0

    return _cluster.main(arguments, work)


def story(slo: JSON, now: datetime) -> Iterator[str]:
    """The lines of the story, from the status alone."""
    metadata, spec = slo["metadata"], slo["spec"]
    status = PerformanceSLOStatus.model_validate(slo.get("status") or {})
    summary = status.summary
    title = f"{metadata['name']} in {metadata['namespace']}"
    if summary.state is None:
        yield f"{title}: nothing was measured yet."
        yield "If that stays so, see whether the operator runs: kubectl get pods -A -l app.kubernetes.io/name=perfslo"
        return
    seen = f" (seen {_ago(summary.observed_time, now)})" if summary.observed_time else ""
    yield f"{title}: {summary.state}{seen}"
    yield (
        f"  {summary.target or 'no target'}: {summary.replicas or '?'} replicas ready, "
        f"between {spec.get('minReplicas', '?')} and {spec.get('maxReplicas', '?')}, mode {spec.get('mode', 'Auto')}"
    )
    for told in (_measured(status), _used(status)):
        if words := ", ".join(told):
            yield f"  {words}"
    if why := _why(status):
        yield f"  Why: {why}"
    if status.objectives:
        yield "Promises:"
        yield from (f"  {_promise(objective)}" for objective in status.objectives)
    if status.budget:
        yield f"Error budget: {_budget(status.budget)}"
    if status.signals:
        yield "Signals:"
        yield from (f"  {_signal(signal)}" for signal in status.signals)
    if status.backends:
        yield "Backends:"
        yield from (f"  {_backend(backend)}" for backend in status.backends)
    if levers := [lever for lever in status.levers if lever.name not in ("replicas", "traffic")]:
        yield "Other levers:"
        for lever in levers:
            yield f"  {_lever(lever)}"
            yield from (f"      Look at: {words}." for words in lever.recommendations)
    if trouble := [c for c in status.conditions if _TROUBLE.get(c.type) == c.status]:
        yield "To look at:"
        yield from (f"  {condition.reason}: {condition.message}" for condition in trouble)
    if decisions := status.history or ((status.last_decision,) if status.last_decision else ()):
        yield "Last decisions, newest first:"
        for decision in decisions:
            yield from _decision(decision, now)
        if status.last_decision and status.last_decision.alternatives:
            yield "Considered besides, for the last one:"
            yield from (f"  {words}" for words in status.last_decision.alternatives)
    else:
        yield "Nothing was changed yet."


def _measured(status: PerformanceSLOStatus) -> Iterator[str]:
    summary = status.summary
    shown = {
        "P50 {}": summary.p50,
        "P95 {}": summary.p95,
        "P99 {}": summary.p99,
        "promised {}": summary.objective,
        "{} requests/s": summary.requests_per_second,
        "{} failed": summary.errors,
        "bottleneck {}": summary.bottleneck,
        "{} of the error budget left": summary.budget,
    }
    return _said(shown)


def _used(status: PerformanceSLOStatus) -> Iterator[str]:
    used = status.utilization or UtilizationStatus()
    shown = {
        "CPU {}": used.cpu,
        "{} of requests": used.cpu_of_request,
        "{} throttled": used.cpu_throttled,
        "memory {}": used.memory,
        "{} of limits": used.memory_of_limit,
        "disks {} read": used.disk_read,
        "{} written": used.disk_write,
        "network {} received": used.network_receive,
        "{} sent": used.network_transmit,
    }
    return _said(shown)


def _said(shown: Mapping[str, str | None]) -> Iterator[str]:
    return (words.format(value) for words, value in shown.items() if value)


def _why(status: PerformanceSLOStatus) -> str | None:
    """The cycle's one sentence, which the Actuating condition carries."""
    carriers = [c.message for c in status.conditions if c.type == "Actuating"]
    return carriers[0] if carriers else None


def _promise(objective: ObjectiveStatus) -> str:
    words = f"{objective.name}: {objective.state}"
    if objective.current:
        words += f", {objective.current} against {objective.target or '?'}"
    between = ""
    if objective.bad_percent_low and objective.bad_percent_high:
        between = f" ({objective.bad_percent_low} to {objective.bad_percent_high} with 90 % confidence)"
    if objective.bad_percent and objective.allowed_bad_percent:
        requests = f" of {objective.requests} requests" if objective.requests is not None else ""
        words += f"; {objective.bad_percent} %{requests} were bad{between}, {objective.allowed_bad_percent} % may be"
    elif between:
        words += between
    return f"{words} ({objective.message})" if objective.message else words


def _budget(budget: BudgetStatus) -> str:
    words = f"{budget.remaining_percent} % of {budget.window} left ({budget.covered_percent} % of it counted)"
    rates = {"1 h": budget.burn_rate1h, "6 h": budget.burn_rate6h}
    if told := [f"{rate} over {hours}" for hours, rate in rates.items() if rate is not None]:
        words += f"; burn rate {', '.join(told)}"
    return f"{words}; spent by {budget.exhausts_at} at that rate" if budget.exhausts_at else words


def _signal(signal: SignalStatus) -> str:
    words = f"{signal.name} ({signal.kind}): {signal.value or signal.state}"
    return f"{words} ({signal.message})" if signal.message else words


def _backend(backend: BackendStatus) -> str:
    shown = {
        "weight {} %": backend.weight_percent,
        "{} % of the requests seen": backend.observed_percent,
        "P95 {}": backend.p95,
        "{} pods ready": None if backend.ready_replicas is None else str(backend.ready_replicas),
    }
    words = f"{backend.name}: {', '.join(_said(shown)) or 'nothing is known'}"
    return f"{words} ({backend.message})" if backend.message else words


def _lever(lever: LeverStatus) -> str:
    words = f"{lever.name}: {lever.state}" + (f", set to {lever.observed}" if lever.observed else "")
    return f"{words} ({lever.message})" if lever.message else words


def _decision(decision: Decision, now: datetime) -> Iterator[str]:
    change = f" {decision.lever or ''} {decision.from_}->{decision.to}" if decision.to else ""
    limits = f", {decision.proposed} before {' and '.join(decision.limited_by)}" if decision.limited_by else ""
    outcome = ", ".join(word for word in (decision.result, decision.verdict) if word) or "no result yet"
    yield f"  {_ago(decision.time, now)}: {decision.action}{change}{limits}: {outcome} [{decision.id}]"
    if decision.why:
        yield f"      {decision.why}"
    if decision.predicted:
        yield f"      Expected: {decision.predicted}."
    if decision.judgement:
        yield f"      Seen: {decision.judgement}."


def _ago(timestamp: str, now: datetime) -> str:
    seconds = max(0, round((now - datetime.fromisoformat(timestamp)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
