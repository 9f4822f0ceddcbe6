"""Runs commands, tells how long steps take, and says what went wrong."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_HEARTBEAT_SECONDS = 30.0


class ClusterError(Exception):
    """What went wrong and what to do about it, for a person to read."""


def say(message: str) -> None:
    """Print progress. Standard output is kept for answers that scripts read."""
    print(message, file=sys.stderr, flush=True)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, or a word that there is none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return f"  (no {log})"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def output(*command: str | Path, stdin: str | None = None) -> str:
    """The standard output of a command that is expected to be quick. Raises ClusterError with what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        text=True,
        capture_output=True,
        **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
    )
    if done.returncode:
        printed = (done.stdout + done.stderr).strip()
        raise ClusterError(f"{' '.join(map(str, command))}\nexited {done.returncode}:\n{printed}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether a quick command exists and exits 0."""
    try:
        output(*command)
    except (ClusterError, FileNotFoundError):
        return False
    return True


def run_logged(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a long command with its output in `log`, one line on the screen when it ends and one every 30 s before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("w") as sink:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
        )
        try:
            while True:
                try:
                    code = process.wait(_HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  {title}: still going, {time.monotonic() - begun:.0f} s")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        raise ClusterError(f"{title} failed (exit {code}). The end of {log}:\n{tail(log)}")
    say(f"  {title}: {time.monotonic() - begun:.0f} s")


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    begun = time.monotonic()
    yield
    say(f"  {title}: {time.monotonic() - begun:.1f} s")


def wait_until(
    what: str, ready: Callable[[], bool], *, timeout_seconds: float, on_timeout: Callable[[], str] = lambda: ""
) -> None:
    """Poll `ready` until it is true. Raises ClusterError with `on_timeout`'s text when it takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout_seconds:.0f} s.\n{on_timeout()}".rstrip())
        time.sleep(0.2)
