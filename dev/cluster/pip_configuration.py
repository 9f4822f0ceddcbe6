"""Hands this machine's pip settings and certificate authorities to a build, without naming either in an image."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian keeps the bundle, and so where programs in the image look for it."""


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
    """What `pip config list` says, files and PIP_* variables together; nothing where there is no pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True)
    settings = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        settings[f"{'global' if section == ':env:' else section}.{name}"] = value.strip("'")
    return settings


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
