"""Pictures of runs. Needs matplotlib, which the extra `simulate` brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from perfslo.core import text
from perfslo.simulate.model import Run, Scenario
from perfslo.simulate.report import ORACLE, PERFSLO, Comparison, Total

INK, FAINT, GRID, ALARM = "#1f2933", "#7b8794", "#e4e7eb", "#d64545"
PERFSLO_COLOUR = "#0b69c7"
COLOURS = ("#e8871e", "#2f9e6e", "#9b51c9", "#c2517a", "#8a6d3b", "#17a2b8", "#6b7a1f", "#5c6370")
"""Of rivals, in their order."""
MARKERS = "osD^vPX*"
DPI = 120
LATENCY_TICKS_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
MINUTE_SECONDS, HOUR_SECONDS = 60.0, 3600.0
LONG_SECONDS = 4 * HOUR_SECONDS
"""From so long on an axis counts hours."""
CALM = 3.0
"""Latency over target up to which a linear axis shows more."""
VIOLATION_TICKS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def timeline(scenario: Scenario, runs: Sequence[Run], path: Path) -> None:
    """Load, replicas and latency over time: one seed of one scenario under several policies."""
    figure = Figure(figsize=(11, 8.8), layout="constrained", facecolor="white")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 2))
    styles = _lines([run.policy for run in runs])
    _load(panels[0], runs[0])
    handles = {run.policy: _replicas(panels[1], run, styles[run.policy]) for run in sorted(runs, key=_rank)}
    for run in sorted(runs, key=_rank):
        if run.policy != ORACLE:
            over_time = [minute.percentile_seconds or None for minute in run.minutes]
            thin = {"linewidth": 1.0} if _unit(run) == HOUR_SECONDS else {}
            panels[2].plot(_times(run), over_time, **styles[run.policy] | thin)
    panels[1].set_ylim(bottom=0)
    panels[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    _promise(panels[2], scenario)
    titles = ("requests a second", "replicas that are paid for", f"P{scenario.percentile:g} of each minute")
    for panel, title in zip(panels, titles, strict=True):
        _plain(panel, title)
        for shift in scenario.shifts:
            panel.axvline(shift.at_seconds / _unit(runs[0]), color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    panels[2].set_xlabel("minutes" if _unit(runs[0]) == MINUTE_SECONDS else "hours", color=INK)
    panels[2].set_xlim(_times(runs[0])[0], _times(runs[0])[-1])
    figure.suptitle(scenario.name, x=0.01, ha="left", fontsize=15, fontweight="bold", color=INK)
    reference = next((run for run in runs if run.policy == ORACLE), None)
    shown = sorted(runs, key=_rank, reverse=True)
    figure.legend(
        [handles[run.policy] for run in shown],
        [_told(run, reference) for run in shown],
        loc="outside lower center",
        ncols=2 if len(shown) > 2 else 1,
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
    )
    figure.savefig(path, dpi=DPI)


def pareto(comparison: Comparison, title: str, path: Path) -> None:
    """Violation minutes against replica-minutes, in means over the seeds: the lower left corner is the best.

    A filled marker is a setting under which no run failed.
    """
    figure = Figure(figsize=(9.5, 6.4), layout="constrained", facecolor="white")
    panel = figure.subplots()
    panel.margins(x=0.12)
    unit = comparison.total(ORACLE).replica_minutes if ORACLE in comparison.policies else 1.0
    for number, (family, settings) in enumerate(comparison.families().items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        totals = sorted(map(comparison.total, settings), key=lambda total: total.replica_minutes)
        spots = [_spot(panel, total, unit, colour, marker, 7) for total in totals]
        panel.plot(*zip(*spots, strict=True), color=colour, linewidth=1.2, alpha=0.6, zorder=2)
        for spot, total in {spots[0]: totals[0], spots[-1]: totals[-1]}.items():
            _label(panel, total.policy if len(totals) < 3 or total is totals[0] else _setting(total), spot, colour)
        panel.plot([], [], color=colour, marker=marker, label=family)
    for policy, colour, marker, size in ((ORACLE, INK, "P", 9), (PERFSLO, PERFSLO_COLOUR, "o", 13)):
        if policy in comparison.policies:
            spot = _spot(panel, comparison.total(policy), unit, colour, marker, size)
            _label(panel, policy, spot, colour, bold=True)
    _plain(panel, "minutes in which the promise was broken")
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=5, linscale=0.8)
    panel.set_ylim(-0.4, panel.get_ylim()[1] * 1.3)
    panel.set_yticks([tick for tick in VIOLATION_TICKS if tick <= panel.get_ylim()[1]])
    panel.set_xticks(_round_numbers(*panel.get_xlim()))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("replica-minutes" if unit == 1.0 else "replica-minutes, in those of the oracle", color=INK)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    panel.set_title("filled: no run failed    hollow: some run failed", loc="right", fontsize=9, color=FAINT)
    if comparison.families():
        panel.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right")
    figure.savefig(path, dpi=DPI)


def _load(panel: Any, run: Run) -> None:
    rates = [minute.requests / 60 for minute in run.minutes]
    panel.fill_between(_times(run), rates, color=FAINT, alpha=0.25, linewidth=0)
    panel.plot(_times(run), rates, color=FAINT, linewidth=1.4)
    panel.set_ylim(bottom=0)


def _replicas(panel: Any, run: Run, style: Mapping[str, Any]) -> Any:
    (handle,) = panel.step(_times(run), [minute.replicas for minute in run.minutes], where="post", **style)
    return handle


def _promise(panel: Any, scenario: Scenario) -> None:
    target = scenario.target_seconds
    low, high = 0.0, max(panel.get_ylim()[1], target * 1.2)
    if high > CALM * target:
        low = min([target / 2, *(value for line in panel.lines for value in line.get_ydata() if value)])
        panel.set_yscale("log")
        panel.set_yticks([tick for tick in LATENCY_TICKS_SECONDS if low <= tick <= high])
    panel.axhspan(target, high, color=ALARM, alpha=0.07, linewidth=0)
    panel.axhline(target, color=ALARM, linewidth=1.2)
    panel.set_ylim(low, high)
    panel.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms")
    )
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.annotate(
        f"promised: {text.seconds(target)}",
        (1, target),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        color=ALARM,
        fontsize=9,
    )


def _spot(panel: Any, total: Total, unit: float, colour: str, marker: str, size: int) -> tuple[float, float]:
    spot = (total.replica_minutes / unit, total.violation_minutes)
    panel.plot(
        *spot,
        marker=marker,
        markersize=size,
        color=colour,
        markerfacecolor="white" if total.failed else colour,
        markeredgewidth=1.6,
        zorder=4 if size > 7 else 3,
        clip_on=False,
    )
    return spot


def _setting(total: Total) -> str:
    return total.policy.partition("=")[2] or total.policy


def _label(panel: Any, policy: str, spot: tuple[float, float], colour: str, bold: bool = False) -> None:
    panel.annotate(
        policy,
        spot,
        xytext=(8, 6),
        textcoords="offset points",
        color=colour,
        fontsize=11 if bold else 9,
        fontweight="bold" if bold else "normal",
        zorder=5,
    )


def _plain(panel: Any, title: str) -> None:
    """Few lines, quiet ones: the data are what is looked at."""
    panel.set_title(title, loc="left", fontsize=10, color=FAINT)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(FAINT)
    panel.tick_params(which="both", colors=INK, length=0, labelsize=9)


def _lines(policies: Sequence[str]) -> dict[str, dict[str, Any]]:
    styles: dict[str, dict[str, Any]] = {
        ORACLE: {"color": INK, "linewidth": 1.5, "linestyle": (0, (4, 2)), "zorder": 4},
        PERFSLO: {"color": PERFSLO_COLOUR, "linewidth": 2.6, "zorder": 5},
    }
    for number, policy in enumerate(policy for policy in policies if policy not in styles):
        styles[policy] = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1.3, "alpha": 0.85}
    return styles


def _times(run: Run) -> list[float]:
    return [minute.at_seconds / _unit(run) for minute in run.minutes]


def _unit(run: Run) -> float:
    """Seconds of what the axis counts."""
    return MINUTE_SECONDS if run.minutes[-1].at_seconds < LONG_SECONDS else HOUR_SECONDS


def _rank(run: Run) -> int:
    """What is drawn later lies above."""
    return {PERFSLO: 2, ORACLE: 1}.get(run.policy, 0)


def _told(run: Run, reference: Run | None) -> str:
    words = f"{run.policy}: {text.percent(run.bad_ratio)} bad, {run.replica_minutes:,.0f} replica-minutes"
    if reference and run is not reference and reference.replica_minutes:
        words += f" ({run.replica_minutes / reference.replica_minutes:.2f} × the oracle)"
    return words


def _round_numbers(low: float, high: float) -> list[float]:
    """Between three and eight of them on a logarithmic axis."""
    for steps in ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), tuple(n / 10 for n in range(10, 100, 2))):
        found = [s * 10.0**power for power in range(12) for s in steps if low <= s * 10.0**power <= high]
        if len(found) >= 3:
            return found[:: len(found) // 8 + 1]
    return [low, high]
