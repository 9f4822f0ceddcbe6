"""The figures of a comparison: what was asked for, and what came out, misses too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from perfslo.core import text
from perfslo.simulate.report import ORACLE, PERFSLO, Comparison, Ratio, Result, bootstrap, interpolated

SUITED_TO_CPU = {"diurnal", "noisy", "bursty", "flash-crowd", "step", "ramp", "on-off", "metrics-outage", "slow-start"}
"""With traces, those in which the service is CPU-bound and stays as it is: HPA on CPU was made for them."""
CPU = "hpa-cpu"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    asked: str
    found: str


def complete(rows: Sequence[Result]) -> tuple[Comparison, list[str]]:
    """Settings that met every cell that ours met, and those that have not yet."""
    cells = {(row.scenario, row.seed) for row in rows if row.policy == PERFSLO}
    cells &= {(row.scenario, row.seed) for row in rows if row.policy == ORACLE}
    met: dict[str, set[tuple[str, int]]] = {}
    for row in rows:
        met.setdefault(row.policy, set()).add((row.scenario, row.seed))
    missing = [policy for policy, its in met.items() if not cells <= its]
    return Comparison(row for row in rows if row.policy not in missing), missing


def figures(comparison: Comparison, known: set[str]) -> list[Figure]:
    """`known`: the named scenarios; any other is a trace."""
    fair = comparison.fair()
    rivals = [policy for its in fair.families().values() for policy in its]
    cpu = fair.within(lambda cell: cell[0] in SUITED_TO_CPU or cell[0] not in known)
    return [
        Figure("runs of perfslo that failed where the oracle did not", "0", _failed(comparison)),
        Figure("replica-minutes, in those of the oracle", "≤ 1.15", str(fair.ratio(PERFSLO, ORACLE))),
        Figure("in those of the cheapest setting of a rival without a failed run", "≤ 0.70", _clean(fair, rivals)),
        Figure(
            "in those of HPA on CPU, tuned in hindsight for each run, at no more violation minutes, where it is suited",
            "≤ 0.95",
            _said(hindsight(cpu)),
        ),
        Figure("a decision, P99 (median and highest of the runs)", "≤ 1 ms", _decisions(comparison)),
    ]


def hindsight(comparison: Comparison) -> Ratio | None:
    """Over HPA's cost at our violation minutes, run by run. None where there is no such run."""
    settings = comparison.families().get(CPU, [])
    pairs = {}
    for cell, ours in comparison.of(PERFSLO).items() if comparison.cells else ():
        theirs = [comparison.of(setting)[cell] for setting in settings]
        equal = interpolated([(row.violation_minutes, row.replica_minutes) for row in theirs], ours.violation_minutes)
        if equal:
            pairs[cell] = (ours.replica_minutes, equal.replica_minutes)
    return bootstrap(pairs) if pairs else None


def _failed(comparison: Comparison) -> str:
    oracle = comparison.of(ORACLE)
    failed = [cell for cell, row in comparison.of(PERFSLO).items() if row.failed and not oracle[cell].failed]
    fair = sum(not row.failed for row in oracle.values())
    where = ", ".join(dict.fromkeys(scenario for scenario, _ in failed))
    return f"{len(failed)} of {fair}{f' ({where})' if where else ''}"


def _clean(fair: Comparison, rivals: Sequence[str]) -> str:
    if best := fair.cheapest_clean(rivals):
        return f"{fair.ratio(PERFSLO, best)} of {best}"
    ours = fair.total(PERFSLO)
    equals = {
        family: equal
        for family, settings in fair.families().items()
        if (equal := fair.at_equal_violations(settings, ours.violation_minutes))
    }
    if not equals:
        return "no rival was run"
    family, equal = min(equals.items(), key=lambda item: item[1].replica_minutes)
    return (
        f"each has failed runs; at equal violation minutes {ours.replica_minutes / equal.replica_minutes:.2f} "
        f"of {family} ({equal.how})"
    )


def _said(ratio: Ratio | None) -> str:
    return str(ratio) if ratio else "no such run"


def _decisions(comparison: Comparison) -> str:
    found = [row.decision_p99_seconds for row in comparison.of(PERFSLO).values() if row.decision_p99_seconds]
    return f"{median(found) * 1000:.2f} and {max(found) * 1000:.2f} ms" if found else "not measured"


def by_scenario(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """A line for each scenario: ours, the oracle's, and the best rival that hindsight finds for this scenario alone."""
    rivals = [policy for its in comparison.families().values() for policy in its]
    yield (
        "scenario",
        "oracle: replicas",
        "bad",
        "perfslo: × oracle",
        "bad",
        "failed",
        "broken min",
        "cheapest clean rival in hindsight",
        "perfslo over it",
    )
    for scenario in comparison.scenarios:
        its = comparison.within(lambda cell, scenario=scenario: cell[0] == scenario)  # type: ignore[misc]
        oracle, ours = its.total(ORACLE), its.total(PERFSLO)
        best = its.cheapest_clean(rivals)
        yield (
            scenario,
            f"{sum(row.mean_replicas for row in its.of(ORACLE).values()) / oracle.runs:.1f}",
            text.percent(oracle.bad_ratio),
            str(its.ratio(PERFSLO, ORACLE)),
            text.percent(ours.bad_ratio),
            f"{ours.failed} of {ours.runs}",
            f"{ours.violation_minutes:.1f}",
            best or "none",
            str(its.ratio(PERFSLO, best)) if best else "",
        )


def by_family(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """A line for each rival: its cheapest setting without a failed run, or else the one that failed least."""
    yield (
        "rival",
        "settings",
        "best single setting",
        "its failed runs",
        "its × oracle",
        "broken min",
        "perfslo over it",
    )
    fair = comparison.fair()
    for family, settings in fair.families().items():
        best = fair.cheapest_clean(settings) or min(
            settings, key=lambda setting: (fair.total(setting).failed, fair.total(setting).replica_minutes)
        )
        total = fair.total(best)
        yield (
            family,
            str(len(settings)),
            best,
            f"{total.failed} of {total.runs}",
            f"{fair.ratio(best, ORACLE).value:.2f}",
            f"{total.violation_minutes:.1f}",
            str(fair.ratio(PERFSLO, best)),
        )
