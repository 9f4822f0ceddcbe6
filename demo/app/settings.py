"""How the service behaves: what is read once from the environment, and what a mounted file changes at run time."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Server:
    """Fixed for the life of a process.

    `workers` requests are served at a time, others queue in order of arrival; beyond `queue_limit` waiting they are
    refused (503). On SIGTERM the service goes on accepting for `drain_seconds`, while it is taken off the endpoints.
    Without a `database_url` nothing is looked up; without a `redis_url` there is neither cache nor queue.
    """

    port: int = 8080
    workers: int = 2
    queue_limit: int = 5000
    drain_seconds: float = 3.0
    behaviour_file: Path | None = None
    flags_directory: Path | None = None
    database_url: str = ""
    pool_size: int = 4
    """Connections to the database, while no flag says otherwise."""
    redis_url: str = ""
    cache_ttl_seconds: float = 120.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Server:
        """Reads the fields' names in capitals; a wrong number is named in a ValueError."""
        return cls(
            port=int(_number(environ, "PORT", cls.port, at_least=1)),
            workers=int(_number(environ, "WORKERS", cls.workers, at_least=1)),
            queue_limit=int(_number(environ, "QUEUE_LIMIT", cls.queue_limit, at_least=0)),
            drain_seconds=_number(environ, "DRAIN_SECONDS", cls.drain_seconds, at_least=0),
            behaviour_file=_path(environ, "BEHAVIOUR_FILE"),
            flags_directory=_path(environ, "FLAGS_DIRECTORY"),
            database_url=environ.get("DATABASE_URL", ""),
            pool_size=int(_number(environ, "POOL_SIZE", cls.pool_size, at_least=1)),
            redis_url=environ.get("REDIS_URL", ""),
            cache_ttl_seconds=_number(environ, "CACHE_TTL_SECONDS", cls.cache_ttl_seconds, at_least=0.001),
        )


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What one request costs; may change while the service runs.

    A request burns `cpu_ms` and then waits `wait_ms` (means), both multiplied by one lognormal factor of mean 1 and
    coefficient of variation `cv` (0: constant). A share `fail_ratio` of requests is answered with 500 at once.
    Each request looks one of `keys` keys up, on which the database works for `query_ms` (mean, with such a factor of
    its own; 0: no look-up). A share `heavy_ratio` then has heavy work of `heavy_ms` (waiting). A share `static_ratio`
    is for assets and nothing of all that: it waits `static_ms`.
    """

    cpu_ms: float = 1.0
    wait_ms: float = 60.0
    cv: float = 1.0
    fail_ratio: float = 0.0
    query_ms: float = 0.0
    keys: float = 50
    heavy_ratio: float = 0.0
    heavy_ms: float = 0.0
    static_ratio: float = 0.0
    static_ms: float = 0.0

    @property
    def heavy(self) -> Behaviour:
        """What one piece of heavy work costs, wherever it is done."""
        return Behaviour(cpu_ms=0.0, wait_ms=self.heavy_ms, cv=self.cv)

    @property
    def asset(self) -> Behaviour:
        """What one static asset costs."""
        return Behaviour(cpu_ms=0.0, wait_ms=self.static_ms, cv=self.cv)

    @classmethod
    def from_json(cls, text: str) -> Behaviour:
        """Reads one JSON object with any of the fields; ValueError says which field is unknown or out of range."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError('behaviour must be a JSON object such as {"wait_ms": 60}')
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown {', '.join(unknown)}: write one of {', '.join(sorted(known))}")
        numbers = {name: _number(values, name, 0.0, at_least=0) for name in values}
        if above := [name for name, number in numbers.items() if name.endswith("_ratio") and number > 1]:
            raise ValueError(f"{above[0]} must be between 0 and 1")
        return cls(**numbers)


class BehaviourFile:
    """The behaviour in force: follows a mounted file and keeps the last good one while the file is wrong."""

    def __init__(self, path: Path | None) -> None:
        self.current = Behaviour()
        self._path = path
        self._text: str | None = None

    def refresh(self) -> None:
        """Reads the file again; a wrong or missing file is logged once for each content and changes nothing."""
        if self._path is None:
            return
        try:
            text = self._path.read_text()
        except OSError as error:
            text = f"unreadable: {error}"
        if text == self._text:
            return
        self._text = text
        try:
            self.current = Behaviour.from_json(text)
        except ValueError as error:
            log.error("keeping %s: %s: %s", self.current, self._path, error)
        else:
            log.info("now %s", self.current)


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _number(values: Mapping[str, object], name: str, default: float, *, at_least: float) -> float:
    raw = values.get(name, default)
    try:
        number = float(raw)  # type: ignore[arg-type]  # whatever float() refuses is what the message is for
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < at_least:
        raise ValueError(f"{name} must be a number of at least {at_least:g}, not {raw!r}")
    return number
