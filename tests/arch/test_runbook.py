"""Whoever is woken by a condition finds it in the runbook."""

from __future__ import annotations

import re

import pytest

from perfslo.core.conditions import CONDITIONS, LIMIT_FIXES, SOURCE_FIXES
from perfslo.core.model import Bottleneck
from tests.arch.repository import PACKAGE, ROOT, modules

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
_REASONS = [
    re.compile(r'(?:return|,)\s*\(?\s*"(?:True|False|Unknown)",\s*"(\w+)"'),  # conditions
    re.compile(r'\b(?:Missing|TargetProblem)\(\s*"(\w+)"'),  # why something is unknown
    re.compile(r'reason = "(Prometheus(?!Error)\w+)"'),  # why a source is unwell
]


def reasons() -> set[str]:
    """Every reason that the sources can put into a condition."""
    sources = [path.read_text() for path in modules(PACKAGE)]
    return {name for pattern in _REASONS for source in sources for name in pattern.findall(source)}


@pytest.mark.parametrize("condition", [kind for kind, _ in CONDITIONS])
def test_each_condition_has_a_section(condition: str) -> None:
    assert f"\n## {condition}\n" in RUNBOOK


def test_each_reason_has_a_line() -> None:
    found = reasons() | {bottleneck.value for bottleneck in Bottleneck} | {*LIMIT_FIXES} | {*SOURCE_FIXES}
    assert {"MetricsStale", "TargetNotFound", "SeriesMissing", "PrometheusUnwell"} <= found, "the patterns miss some"
    assert not sorted(name for name in found if f"`{name}`" not in RUNBOOK)
