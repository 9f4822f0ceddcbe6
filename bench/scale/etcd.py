"""Fills the store of an API server that has not started yet.

Creating 60,000 objects one request at a time takes minutes and is not what is measured here.
"""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

BATCH = 100
"""etcd allows 128 operations in a transaction, and 1.5 MiB."""


def fill(port: int, pki: Path, objects: Iterable[tuple[str, Any]]) -> int:
    """Put every object at its key, as JSON, which the API server reads as well as what it writes itself."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "etcd.crt", pki / "etcd.key")
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
    count = 0
    left = iter(objects)
    while batch := list(islice(left, BATCH)):
        puts = [{"requestPut": {"key": _text(key), "value": _text(json.dumps(item))}} for key, item in batch]
        connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"etcd answered {answer.status}: {body[:300]!r}")
        count += len(puts)
    connection.close()
    return count


def _text(text: str) -> str:
    return b64encode(text.encode()).decode()
