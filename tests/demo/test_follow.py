"""A follower knows the latest second, gets the summary, and says why there is none."""

import sys
import time

import pytest

from demo.follow import Follower, LoadError

LINE = '{"unix": 1007, "t": 7, "p95_ms": 50}'
SUMMARY = '{"summary": {"start_unix": 1000}}'


def printing(*lines: str, then: str = "") -> list[str]:
    text = "\n".join(lines)
    return [sys.executable, "-c", f"print({text!r}, flush=True);{then}"]


def wait_for_summary(follower: Follower) -> None:
    while not follower.summary:
        follower.check()
        time.sleep(0.02)


def test_the_latest_second_and_the_summary() -> None:
    with Follower(printing('{"unix": 1006, "t": 6}', LINE, SUMMARY)) as follower:
        follower.wait_for_line()
        wait_for_summary(follower)
    assert (follower.latest["t"], follower.start_unix, follower.summary) == (7, 1000, {"start_unix": 1000})


def test_a_command_that_ends_early_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.follow.ATTEMPTS", 1)
    with Follower(printing(LINE, "vegeta ended with status 1")) as follower:
        follower.wait_for_line()
        with pytest.raises(LoadError, match="vegeta ended with status 1"):
            wait_for_summary(follower)


def test_leaving_ends_the_command() -> None:
    with Follower(printing(LINE, then="import time; time.sleep(600)")) as follower:
        follower.wait_for_line()
    assert follower._process is not None
    assert follower._process.poll() is not None
