"""The faults of the diagnosis benchmark, and how its verdicts are counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.diagnose import __main__ as diagnose
from bench.diagnose import cluster, picture
from bench.diagnose.faults import (
    BEGIN_SECONDS,
    DURATION_SECONDS,
    END_SECONDS,
    FAULTS,
    HIGHEST,
    RPS,
    SEVERITIES,
    calm,
    of_trace,
    steady,
)
from bench.diagnose.figures import by_class, missed_of_two, summary, table
from bench.diagnose.watched import NOTHING, QUEUE_SECONDS, Done, queue_age_seconds, run, verdict
from perfslo.core.model import Bottleneck
from perfslo.simulate.model import Load


def done(fault: str, severity: str, found: str, *others: str, seed: int = 0) -> Done:
    return Done((fault, *others), severity, "steady", seed, found)


def test_the_cause_that_was_named_most_often_is_the_verdict() -> None:
    said = [Bottleneck.HEALTHY] * 9 + [Bottleneck.SATURATED] + [Bottleneck.CACHE_COLD] * 2
    assert verdict(said) == "CacheCold"
    assert verdict([Bottleneck.HEALTHY, Bottleneck.WARMING_UP]) == NOTHING


def test_mild_faults_are_not_asked_for_and_only_load_may_be_blamed_where_nothing_is_the_matter() -> None:
    runs = [
        done("slow database", "mild", NOTHING),
        done("slow database", "medium", "DependencyBound"),
        done("cold cache", "severe", "Saturated"),
        done("quiet", "mild", NOTHING),
        done("wandering load", "mild", "Saturated"),
        done("busy neighbour", "mild", "DependencyBound"),
        done("slow database", "severe", "CacheCold", "cold cache"),
        done("slow database", "severe", "Saturated", "cold cache"),
    ]
    shares = summary(runs)
    assert shares["medium and severe, right"] == (1, 2)
    assert [shares[f"{severity}, right"] for severity in SEVERITIES] == [(0, 1), (1, 1), (0, 1)]
    assert shares["two at once, one of them"] == (1, 2)
    assert shares["quiet, false"] == (0, 2)
    assert shares["look-alikes, false"] == (1, 1)
    assert "| cold cache, severe |  | 1 |  |" in table(runs)
    assert missed_of_two(runs) == "- cold cache + slow database: Saturated (1)"


def test_each_fault_is_run_alone_and_with_another_under_each_load_in_turn() -> None:
    cells = list(diagnose.plan(range(100, 103), ["steady", "taxi"], [*FAULTS]))
    assert {cell.load for cell in cells if cell.seed == 100} == {"steady"}
    assert {cell.load for cell in cells if cell.seed == 101} == {"taxi"}
    alone = [cell.faults for cell in cells if cell.seed == 100 and len(cell.faults) == 1]
    assert alone == [(fault,) for fault in FAULTS]
    two = [cell.faults for cell in cells if len(cell.faults) == 2]
    assert all(FAULTS[one].expected and FAULTS[other].expected and one != other for one, other in two)
    assert {one for one, _ in two} == {name for name, fault in FAULTS.items() if fault.expected and fault.is_paired}
    assert len(two) == 3 * len({one for one, _ in two})
    assert all(FAULTS[other].is_paired for _, other in two)
    for faults in (1, 2):
        seeds = [cell.seed for cell in cells if len(cell.faults) == faults]
        assert seeds == sorted(seeds), "what is done early is a whole benchmark"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_begins_and_ends_and_depends_on_chance_alone(fault: str) -> None:
    for severity in range(len(SEVERITIES)):
        one, same = (FAULTS[fault].inject(calm(steady()), random.Random(7), severity) for _ in range(2))
        assert one == same
        assert BEGIN_SECONDS < END_SECONDS < one.scenario.load.duration_seconds
        changes = [shift.at_seconds for shift in one.scenario.shifts]
        assert {*changes} <= {BEGIN_SECONDS, END_SECONDS}
        assert changes == sorted(changes)


def test_two_at_once_are_both_there() -> None:
    chance = random.Random(1)
    both = FAULTS["slow release"].inject(FAULTS["overload"].inject(calm(steady()), chance, 1), chance, 1).scenario
    assert both.load.at(BEGIN_SECONDS - 1) == RPS == both.load.at(END_SECONDS + 1)
    assert both.load.at(BEGIN_SECONDS + 1) >= 2.0 * RPS
    assert both.shifts[0].new_version


def test_a_trace_is_made_as_high_as_the_pods_were_made_for_and_cut_off_above() -> None:
    trace = Load((0.0, 3000.0, 3060.0, 3120.0, 6000.0), (10.0, 10.0, 90.0, 10.0, 10.0))
    load = of_trace(trace)
    assert load.duration_seconds == pytest.approx(DURATION_SECONDS)
    assert BEGIN_SECONDS < load.times_seconds[load.rps.index(max(load.rps))] < END_SECONDS
    assert max(load.rps) == HIGHEST * RPS
    assert 0.5 * RPS < load.at(0.0) < RPS
    short = of_trace(replace(trace, times_seconds=tuple(t / 10 for t in trace.times_seconds)))
    assert short.duration_seconds == pytest.approx(DURATION_SECONDS)


def test_what_befalls_one_of_three_backends_is_heard_of_all_of_them() -> None:
    assert run(("slow backend",), "steady", steady(), 108).found == "BackendSkew"
    assert run(("quiet backends",), "steady", steady(), 108).found == NOTHING


def test_work_piles_up_only_where_too_few_workers_are_left_and_only_so_long() -> None:
    assert queue_age_seconds(1.0, BEGIN_SECONDS + 300.0) == QUEUE_SECONDS
    assert queue_age_seconds(0.25, BEGIN_SECONDS + 300.0) == pytest.approx(QUEUE_SECONDS + 150.0)
    assert queue_age_seconds(0.25, END_SECONDS) == QUEUE_SECONDS


def test_what_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "STORE", tmp_path / "runs.jsonl")
    cells = list(diagnose.plan(range(1), ["steady"], ["quiet"]))
    (first,) = diagnose.measure(cells, {"steady": steady()}, 1.0)
    assert first.found == NOTHING
    assert diagnose.measure(cells, {}, 1.0) == [first], "which needs no load to be run"


def test_real_plays_are_told_as_a_matrix_and_drawn_beside_the_simulated_one(tmp_path: Path) -> None:
    real = {"saturation": ["Saturated", "Overloaded", NOTHING], "pool exhausted": ["ConnectionPoolBound"] * 2}
    told = cluster.report(real)
    assert "| saturation |  | 1 | 1 | 1 |" in told
    assert "right: 4 of 5 (80.0%)" in told
    rows = {name: Counter(found) for name, found in real.items()}
    picture.draw({"simulated": by_class([done("cold cache", "mild", "CacheCold")]), "real": rows}, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
