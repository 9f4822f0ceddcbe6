"""Hands this machine's pip settings and certificate authorities to a build, without naming either in an image."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian keeps the bundle, and so where programs in the image look for it."""

_VARIABLE = ":env:."


def mounts(private: Path) -> list[str]:
    """Volume options for a build: a pip.conf equal to this machine's settings, and the files that it names.

    The pip.conf is written to `private`, a directory that others may not read: it can hold a password.
    """
    settings = _settings()
    bundle = settings.get("global.cert") or os.environ.get("SSL_CERT_FILE")
    options: list[str] = []
    if bundle and Path(bundle).is_file():
        options += _volume(Path(bundle).resolve(), _CA_BUNDLE)
        settings["global.cert"] = _CA_BUNDLE
    for key, value in settings.items():
        if key != "global.cert" and value.startswith("/") and Path(value).exists():
            options += _volume(Path(value).resolve(), value)
    if settings:
        options += _volume(_write(settings, private / "pip.conf"), "/etc/pip.conf")
    return options


def _settings() -> dict[str, str]:
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True)
    return parse(done.stdout)


def parse(listing: str) -> dict[str, str]:
    """What `pip config list` prints, as settings of a pip.conf; variables (`:env:`) win over files, as in pip."""
    settings = dict(line.split("=", 1) for line in listing.splitlines() if "=" in line)
    from_files = {key: value for key, value in settings.items() if not key.startswith(_VARIABLE)}
    from_variables = {
        f"global.{key.removeprefix(_VARIABLE)}": value for key, value in settings.items() if key.startswith(_VARIABLE)
    }
    return {key: str(ast.literal_eval(value)) for key, value in (from_files | from_variables).items()}


def _write(settings: dict[str, str], path: Path) -> Path:
    config = configparser.RawConfigParser()
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, name, value)
    with path.open("w") as file:
        config.write(file)
    return path


def _volume(source: Path, target: str) -> list[str]:
    return ["--volume", f"{source}:{target}:ro"]
