"""Follows the lines of a running load."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from types import TracebackType
from typing import Any, Self

FIRST_LINE_SECONDS = 60
ATTEMPTS = 5


class LoadError(Exception):
    """The load ended early or never began."""


class Follower:
    """Runs a command that prints what `python -m demo.load` prints, and keeps what it said last; a context manager.

    A command that ends before the summary (a log stream may break) is started again.
    """

    def __init__(self, command: list[str]) -> None:
        self.latest: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self._ended = False
        self._last_words = ""
        self._command = command
        self._closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        if self._process:
            self._process.kill()
        self._thread.join()

    @property
    def start_unix(self) -> int:
        """When the load's second 0 began."""
        return int(self.latest["unix"]) - int(self.latest["t"])

    def wait_for_line(self) -> None:
        """Returns when the first second was reported; LoadError says what came instead."""
        deadline = time.monotonic() + FIRST_LINE_SECONDS
        while not self.latest:
            self.check()
            if time.monotonic() > deadline:
                raise LoadError(f"no line from the load within {FIRST_LINE_SECONDS} s: {self._last_words}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raises LoadError when no summary will come."""
        if self._ended and not self.summary:
            raise LoadError(f"the load ended early: {self._last_words}")

    def _follow(self) -> None:
        for _ in range(ATTEMPTS):
            with subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                self._process = process
                for line in process.stdout or ():
                    self._take(line)
            if self.summary or self._closing.wait(1):
                break
        self._ended = True

    def _take(self, line: str) -> None:
        if not line.startswith("{"):
            self._last_words = line.strip()
            return
        said = json.loads(line)
        if "summary" in said:
            self.summary = said["summary"]
        elif said["t"] >= self.latest.get("t", 0):
            self.latest = said
