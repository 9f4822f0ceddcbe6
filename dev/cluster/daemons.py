"""Starts and stops the cluster's long-running processes, each with a log and a record of who it is."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from paths import LOGS, STATE
from shell import tail

_RECORDS = STATE / "processes"


def start(name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Start a process that outlives this one."""
    LOGS.mkdir(parents=True, exist_ok=True)
    _RECORDS.mkdir(parents=True, exist_ok=True)
    log, appended = str(LOGS / f"{name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        [str(part) for part in command],
        {**os.environ, **(env or {})},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, appended, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    record = {"pid": pid, "started": _start_time(pid)}
    (_RECORDS / f"{name}.json").write_text(json.dumps(record))


def running(name: str) -> bool:
    """Whether the process that was started under this name is still there."""
    return pid_of(name) is not None


def pid_of(name: str) -> int | None:
    """The process that was started under this name; None when it has ended."""
    try:
        record = json.loads((_RECORDS / f"{name}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    pid, started = record["pid"], record["started"]
    return pid if isinstance(pid, int) and started is not None and _start_time(pid) == started else None


def recorded() -> list[str]:
    """The names of everything that was started."""
    return sorted(path.stem for path in _RECORDS.glob("*.json"))


def log_tail(name: str) -> str:
    """The end of a process's log, with the log's path."""
    log = LOGS / f"{name}.log"
    return f"The end of {log}:\n{tail(log)}"


def listens(unix_socket: Path) -> bool:
    """Whether a process answers on a socket (a crash leaves its file behind)."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(unix_socket))
        except OSError:
            return False
    return True


def stop(names: Iterable[str]) -> None:
    """Stop processes that were started under these names, by the pid recorded, and forget them."""
    names = list(names)
    end_all(pid for name in names if (pid := pid_of(name)) is not None)
    for name in names:
        (_RECORDS / f"{name}.json").unlink(missing_ok=True)


def end_all(pids: Iterable[int], patience_seconds: float = 5.0) -> None:
    """Ask processes to end; after a while, end them."""
    waiting = set(pids)
    _signal(waiting, signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        waiting = {pid for pid in waiting if _start_time(pid) is not None}
    _signal(waiting, signal.SIGKILL)
    while waiting:
        time.sleep(0.02)
        waiting = {pid for pid in waiting if _start_time(pid) is not None}


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _start_time(pid: int) -> str | None:
    """When a live process began, with the boot it began in: pids are used again, this pair is not."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}"
