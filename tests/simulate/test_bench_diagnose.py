"""The faults of the diagnosis benchmark, and how its verdicts are counted."""

from __future__ import annotations

import random

import pytest

from bench.diagnose.__main__ import NOTHING, summary, table, verdict
from bench.diagnose.faults import BEGIN_SECONDS, END_SECONDS, FAULTS, SEVERITIES
from perfslo.core.model import Bottleneck


def test_the_cause_that_was_named_most_often_is_the_verdict() -> None:
    said = [Bottleneck.HEALTHY] * 9 + [Bottleneck.SATURATED] + [Bottleneck.CACHE_COLD] * 2
    assert verdict(said) == "CacheCold"
    assert verdict([Bottleneck.HEALTHY, Bottleneck.WARMING_UP]) == NOTHING


def test_mild_faults_are_not_asked_for_and_only_load_may_be_blamed_where_nothing_is_the_matter() -> None:
    rows = [
        ("slow database", "mild", NOTHING),
        ("slow database", "medium", "DependencyBound"),
        ("cold cache", "severe", "Saturated"),
        ("quiet", "mild", NOTHING),
        ("wandering load", "mild", "Saturated"),
        ("busy neighbour", "mild", "DependencyBound"),
    ]
    assert summary(rows) == {"right": 0.5, "false": pytest.approx(1 / 3)}
    assert "| cold cache | severe |  | 1 |  |" in table(rows)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_begins_and_ends_and_depends_on_chance_alone(fault: str) -> None:
    for severity in range(len(SEVERITIES)):
        one, same = (FAULTS[fault].build(random.Random(7), severity) for _ in range(2))
        assert one == same
        assert BEGIN_SECONDS < END_SECONDS < one.load.duration_seconds
        changes = {shift.at_seconds for shift in one.shifts}
        assert changes <= {BEGIN_SECONDS, END_SECONDS}
