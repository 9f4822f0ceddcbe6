"""Frozen values that are cheap to make and to copy, which is much of what deciding for thousands of SLOs costs.

The standard library's frozen dataclasses set each field by a call. Those of here are assigned to as plain ones are, and
it is mypy alone that refuses whoever else assigns to them: for it, and for readers, they are the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:  # its plugin checks the names and types of fields, and who sets them
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:

    def dataclass(*, frozen: bool, **options: bool) -> Callable[[type], type]:
        """As `dataclasses.dataclass`: compared and hashed by value, or hashed as the class says where it does."""
        return lambda kind: dataclasses.dataclass(kind, unsafe_hash=frozen and "__hash__" not in vars(kind), **options)

    def replace(value: T, **changes: object) -> T:
        """As `dataclasses.replace`, of classes with at least two fields, all of which `__init__` takes by position.

        Raises:
            KeyError: there is no such field.
        """
        kind = type(value)
        read, places = _shape(kind)
        fields = list(read(value))
        for name, new in changes.items():
            fields[places[name]] = new
        return kind(*fields)


@cache
def _shape(kind: Any) -> tuple[attrgetter[tuple[object, ...]], dict[str, int]]:
    """What reads all fields at once, and where each is among them."""
    names = tuple(kind.__dataclass_fields__)
    return attrgetter(*names), {name: place for place, name in enumerate(names)}
