"""What users are told about faults is what the tests of faults assert."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfslo.core.conditions import SOURCE_FIXES
from tests.faults.metrics.table import SCRAPES, SERIES, SOURCE, Expected

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize("rows", [SOURCE, SCRAPES, SERIES], ids=["source", "scrapes", "series"])
def test_the_page_has_these_rows_and_no_others(rows: tuple[Expected, ...]) -> None:
    table = "\n".join(expected.row for expected in rows)
    assert f"\n{table}\n\n" in PAGE.read_text(), f"docs/faults.md should have:\n{table}"


@pytest.mark.parametrize("expected", [*SOURCE, *SCRAPES, *SERIES], ids=lambda expected: expected.fault)
def test_each_says_what_to_do(expected: Expected) -> None:
    assert expected.condition in {*SOURCE_FIXES, "MetricsStale", "MetricsFound"}
