"""What a mounted ConfigMap says while the service runs: one file a key, as the kubelet writes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)

CACHE_TIER, CDN, OFFLOAD, POOL_SIZE = "CACHE_TIER", "CDN", "OFFLOAD", "POOL_SIZE"
ON = {CACHE_TIER: "redis", CDN: "on", OFFLOAD: "queue"}
"""The value that turns each switch on; any other leaves it off."""


class Flags:
    """The values in force. A file that is missing or unreadable changes nothing."""

    def __init__(self, directory: Path | None, values: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._values = dict(values or {})

    def refresh(self) -> None:
        """Reads the files again."""
        for key in (*ON, POOL_SIZE):
            if (value := self._read(key)) is not None and value != self._values.get(key):
                self._values[key] = value
                log.info("now %s=%s", key, value)

    def is_on(self, key: str) -> bool:
        return self._values.get(key) == ON[key]

    @property
    def pool_size(self) -> int | None:
        """Connections; None when nothing sensible is written."""
        text = self._values.get(POOL_SIZE, "")
        return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None

    def _read(self, key: str) -> str | None:
        if self._directory is None:
            return None
        try:
            return (self._directory / key).read_text().strip()
        except OSError:
            return None
