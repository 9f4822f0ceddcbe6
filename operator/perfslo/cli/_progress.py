"""A bar on the terminal while something takes long; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

WIDTH = 30
REDRAW_SECONDS = 0.1


class Progress:
    """Used with `with`; called with how much of `total` is done."""

    def __init__(self, total: float, unit: str, stream: TextIO | None = None) -> None:
        self._total, self._unit = total, unit
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._begun = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        self(0.0)
        return self

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._drawn < REDRAW_SECONDS and 0 < done < self._total):
            return
        self._drawn = now
        filled = round(WIDTH * done / self._total) if self._total else WIDTH
        left = f", {_clock((now - self._begun) * (self._total / done - 1))} left" if done > 0 else ""
        bar = "█" * filled + "·" * (WIDTH - filled)
        self._stream.write(f"\r\x1b[K{bar} {int(done)} of {self._total:g} {self._unit}{left}")
        self._stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _clock(seconds: float) -> str:
    """5 s, 3:07 min, 1:02 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    small, unit = (60, "min") if seconds < 3600 else (3600, "h")
    return f"{int(seconds // small)}:{int(seconds % small * 60 / small):02d} {unit}"
