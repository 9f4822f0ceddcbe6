"""Binary heaps in arrays: what comes next, in compiled code.

numba's cache looks at the file of the outermost function only: after a change here, `make clean`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

P = ParamSpec("P")
R = TypeVar("R")
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Machine code from the first call on, kept on disk for the next process. It must make no objects.

    Inlined, and without counting references: together these make a simulation five times as fast, for what is passed on
    is a tuple of many arrays, and counting is atomic.
    """
    make: Any = numba.njit  # whose stubs do not know _nrt
    made: Callable[P, R] = make(cache=True, error_model="numpy", forceinline=True, _nrt=False)(function)
    return made


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """The same with counting, for what Python calls with a Generator: numba holds on to these while it runs."""
    made: Callable[P, R] = numba.njit(cache=True, error_model="numpy")(function)
    return made


@compiled
def push(times: Floats, whats: Integers, size: int, time: float, what: int) -> None:
    """Add to the first `size` entries, which are ordered by time, one more."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if times[parent] <= time:
            break
        times[at], whats[at] = times[parent], whats[parent]
        at = parent
    times[at], whats[at] = time, what


@compiled
def pop(times: Floats, whats: Integers, size: int) -> int:
    """Take the earliest of `size` entries out."""
    what: int = whats[0]
    size -= 1
    time, moved, at = times[size], whats[size], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= time:
            break
        times[at], whats[at] = times[child], whats[child]
        at = child
    times[at], whats[at] = time, moved
    return what


@compiled
def replace_first(times: Floats, time: float) -> None:
    """Put a later time in place of the earliest of all."""
    at, size = 0, len(times)
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= time:
            break
        times[at] = times[child]
        at = child
    times[at] = time
