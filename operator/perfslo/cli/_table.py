"""Runs as aligned columns, a line for each policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfslo.core import text
from perfslo.simulate.report import ORACLE, Comparison, Result

HEADER = ("policy", "bad", "broken min", "replica-min", "× oracle", "actions", "worst min", "failed")


def tables(rows: Sequence[Result]) -> Iterable[str]:
    whole = Comparison(rows)
    for scenario in whole.scenarios:
        its = [row for row in rows if row.scenario == scenario]
        seeds = len({row.seed for row in its})
        yield f"{scenario}{f', mean of {seeds} seeds' if seeds > 1 else ''}\n{table(Comparison(its), its)}"
    if len(whole.scenarios) > 1 and len(whole.policies) > 1:
        yield f"all {len(whole.scenarios)} scenarios, sums\n{table(whole, rows)}"


def table(comparison: Comparison, rows: Sequence[Result]) -> str:
    """Aligned columns, a line for each policy."""
    lines = [HEADER]
    for policy in comparison.policies:
        total = comparison.total(policy)
        several = total.runs > len(comparison.scenarios)
        ratio = comparison.ratio(policy, ORACLE)
        lines.append(
            (
                policy,
                text.percent(total.bad_ratio),
                f"{total.violation_minutes:g}",
                f"{total.replica_minutes:,.0f}",
                str(ratio) if several else f"{ratio.value:.2f}",
                f"{total.actions:.0f}",
                text.percent(max(row.worst_bad_ratio for row in rows if row.policy == policy)),
                f"{total.failed} of {total.runs}" if total.runs > 1 else ("yes" if total.failed else "no"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
