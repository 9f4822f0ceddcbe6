"""Services to try things out on: two by name, any other from a YAML file."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from perfslo.errors import ConfigurationError
from perfslo.simulate.model import Dependency, Service

PRESETS = {
    "cpu": Service(),
    "io": Service(cpu_share=0.3),
}
"""`cpu` computes all of its 40 ms; `io` waits for most of them, so that CPU utilization says little about it."""

_Service = TypeAdapter(Service)
_ABOVE_ZERO = {
    "mean_seconds",
    "static_seconds",
    "cpu_request_cores",
    "cpu_limit_cores",
    "timeout_seconds",
    "warmup_factor",
}
_AT_LEAST_ONE = {"workers", "servers"}


def named(name: str) -> Service:
    """A preset, or else the service in the file of that name. Raises ConfigurationError."""
    if (service := PRESETS.get(name)) is not None:
        return service
    path = Path(name)
    if not path.exists():
        raise ConfigurationError(
            f"there is no service {name!r}: write {', '.join(PRESETS)}, or the name of a YAML file"
        )
    return read(path)


def read(path: Path) -> Service:
    """The service in a YAML file, whose fields are those of `Service`; what is not written has its default.

    Raises ConfigurationError, which names the field and what to write there.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: write fields such as `mean_seconds: 0.04`; {_known(Service)}")
    _refuse_unknown(path, data, Service)
    if isinstance(data.get("dependency"), dict):
        _refuse_unknown(path, data["dependency"], Dependency)
    try:
        service = _Service.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{path}: {field}: {first['msg']}") from None
    if problems := [f"{field}: {problem}" for field, problem in _problems(asdict(service))]:
        raise ConfigurationError(f"{path}: {'; '.join(problems)}")
    return service


def _refuse_unknown(path: Path, data: dict[str, Any], of: type[Service | Dependency]) -> None:
    if unknown := sorted(map(str, set(data) - {field.name for field in fields(of)})):
        raise ConfigurationError(f"{path}: {', '.join(unknown)}: there is no such field; {_known(of)}")


def _known(of: type[Service | Dependency]) -> str:
    return f"the fields are {', '.join(field.name for field in fields(of))}"


def _problems(values: dict[str, Any], under: str = "") -> list[tuple[str, str]]:
    """What no service can have. A name says the unit, and with it the range."""
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _problems(value, f"{name}.")
        elif name == "buckets_seconds":
            if list(value) != sorted(set(value)) or not value or value[0] <= 0 or value[-1] != float("inf"):
                found.append((name, "write edges in rising order, the last one .inf"))
        elif value is not None and (problem := _problem(name, value)):
            found.append((under + name, problem))
    return found


def _problem(name: str, value: float) -> str | None:
    if name.endswith(("_share", "_ratio")) and not 0 <= value <= 1:
        return "write a share between 0 and 1"
    if name in _AT_LEAST_ONE and value < 1:
        return "write 1 or more"
    if name in _ABOVE_ZERO and not 0 < value < float("inf"):
        return "write a number above 0"
    return "write a number from 0" if not value >= 0 else None
