from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from perfslo.core.frozen import dataclass, replace
from perfslo.core.memory import BudgetSlice, Curve, Memory, Sample
from perfslo.core.model import Plan


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Memory(), {"time": 1.0, "arrivals": (Sample(1.0, 2.0),), "fruitless": 3}),
        (Memory(ready=3), {}),
        (Curve(hint=2.0), {"low": 1.0, "hint": None}),
        (BudgetSlice(7, 1), {"total": 4.0}),
        (Plan("hold", numbers={"load": 1.0}), {"why": "scale out"}),
    ],
)
def test_a_copy_is_as_the_standard_library_makes_it(value: Any, changes: Mapping[str, Any]) -> None:
    before = dataclasses.replace(value)
    assert replace(value, **changes) == dataclasses.replace(value, **changes)
    assert value == before


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError, match="spead"):
        replace(Memory(), **{"spead": 1})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, order=True)
class _Plain:
    one: int
    other: str = ""


@dataclass(frozen=True, slots=True)
class _Hashed:
    one: int

    def __hash__(self) -> int:
        return 7


def test_values_are_compared_and_hashed_by_what_they_hold() -> None:
    assert _Plain(1, "a") == _Plain(1, "a") != _Plain(1, "b")
    assert _Plain(1) < _Plain(2)
    assert {_Plain(1): "found"}[_Plain(1)] == "found"
    assert not hasattr(_Plain(1), "__dict__")


def test_a_hash_of_ones_own_is_kept() -> None:
    assert hash(_Hashed(1)) == 7
