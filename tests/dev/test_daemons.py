"""A process is found again by who it is, not by its number alone, and nothing else is ever stopped."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import daemons
import pytest
from shell import wait_until

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(daemons, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(daemons, "_RECORDS", tmp_path / "processes")
    yield tmp_path
    daemons.stop(daemons.recorded())


def test_a_started_process_runs_until_it_is_stopped(state: Path) -> None:
    daemons.start("sleeper", SLEEP)
    assert daemons.running("sleeper")
    daemons.stop(["sleeper"])
    assert not daemons.running("sleeper")
    assert daemons.recorded() == []


def test_a_process_that_ends_by_itself_is_not_running_and_its_log_is_kept(state: Path) -> None:
    daemons.start("brief", [sys.executable, "-c", "print('my last words')"])
    wait_until("The end", lambda: not daemons.running("brief"), timeout_seconds=30)
    assert "my last words" in daemons.log_tail("brief")


def test_a_stranger_that_got_the_number_of_an_ended_process_is_left_alone(state: Path) -> None:
    daemons.start("sleeper", SLEEP)
    record_path = state / "processes" / "sleeper.json"
    record = json.loads(record_path.read_text())
    daemons.stop(["sleeper"])
    with subprocess.Popen(SLEEP) as stranger:
        record_path.write_text(json.dumps(record | {"pid": stranger.pid}))
        assert not daemons.running("sleeper")
        daemons.stop(["sleeper"])
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_ignores_sigterm_is_ended_all_the_same() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        daemons.end_all([process.pid], patience_seconds=0.2)
        assert process.poll() is not None
