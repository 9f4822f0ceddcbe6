"""What `perfslo simulate` and `perfslo backtest` need beyond the operator itself, and values of their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec

from perfslo.api.v1alpha1.common import duration_seconds
from perfslo.errors import ConfigurationError, PerfsloError

PACKAGES = ("numpy", "numba", "matplotlib")
_HOURS = {"h": 3600.0, "d": 86400.0}


def main(command: str, work: Callable[[], int]) -> int:
    """Do a command's work, if the extra is installed; our own errors become one line and exit code 1."""
    try:
        _require()
        return work()
    except PerfsloError as error:
        print(f"perfslo {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _require() -> None:
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ConfigurationError(
            f"this needs {', '.join(missing)}, which the operator itself does not: "
            "pip install 'perfslo-operator[simulate]'"
        )


def duration(text: str) -> float:
    """Seconds of an option's value: 250ms, 1.5s, 90m, 2h, 1d. Raises ArgumentTypeError."""
    try:
        if (unit := text[-1:]) in _HOURS:
            return duration_seconds(f"{text[:-1]}s") * _HOURS[unit]
        return duration_seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"write a duration with its unit, such as 250ms, 90m or 1d: {text!r}"
        ) from None


def above_zero(text: str) -> float:
    """A number above 0. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"write a number above 0: {text!r}")
    return number


def count(text: str) -> int:
    """A whole number from 1. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"write a whole number from 1: {text!r}")
    return int(text)
