"""Certificates for servers and clients on 127.0.0.1, made with openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_LEAF = "subjectAltName=IP:127.0.0.1"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Signs certificates, each with its key, in PEM."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.file = directory / f"{name}.crt"
        self._key = directory / f"{name}.key"
        _openssl(f"/CN={name}", self.file, self._key)

    def leaf(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of somebody, for both ends of a connection."""
        certificate, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        signed = ("-CA", str(self.file), "-CAkey", str(self._key), "-addext", _LEAF)
        _openssl(f"/CN={name}", certificate, key, *signed, "-addext", "basicConstraints=critical,CA:FALSE")
        return certificate, key


def encrypted(key: Path) -> Path:
    """A copy of a key that wants a password."""
    copy = key.with_suffix(".encrypted")
    _run("pkey", "-in", str(key), "-aes256", "-passout", "pass:password", "-out", str(copy))
    return copy


def _openssl(subject: str, certificate: Path, key: Path, *more: str) -> None:
    _run(
        "req", "-x509", *_NEW_KEY, "-subj", subject, "-days", "2", "-keyout", str(key), "-out", str(certificate), *more
    )


def _run(*arguments: str) -> None:
    if not (openssl := shutil.which("openssl")):
        pytest.fail("these tests need the program `openssl` (3.x) in PATH")
    done = subprocess.run([openssl, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
