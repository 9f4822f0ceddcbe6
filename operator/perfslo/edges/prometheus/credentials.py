"""Who asks a source, and whom we trust to be it: read anew from files for each query.

Kubernetes exchanges the files of a mounted Secret when it is rotated. What they hold goes into one request or one TLS
context, and nowhere else: not into a message, a log line or the text of an object.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from perfslo.errors import SourceUnreachable
from perfslo.settings import Source

_POOLS = 2
"""The one in use, and the one before it, whose last answers may still be on their way."""


class Headers(requests.auth.AuthBase):
    """Puts the source's own headers on each request."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        source = self._source
        request.headers.update(source.headers)
        for name, path in source.header_files.items():
            request.headers[name] = _word(path, f"of the header {name}")
        if source.bearer_token_file:
            request.headers["Authorization"] = f"Bearer {_word(source.bearer_token_file, 'of the bearer token')}"
        if basic := source.basic_auth:
            user = _text(basic.username_file, "of the user's name") if basic.username_file else basic.username
            pair = f"{user}:{_text(basic.password_file, 'of the password')}"
            request.headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return request


class Tls(HTTPAdapter):
    """Connections made with the certificates that the files hold now; those made with others are not used again."""

    def __init__(self, source: Source) -> None:
        super().__init__(pool_connections=_POOLS, max_retries=0)
        self._ca = source.ca_file
        self._client = source.client_cert_file, source.client_key_file
        self._lock = threading.Lock()
        self._context: tuple[bytes, ssl.SSLContext] | None = None

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._current()} if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing more: the context says it all, and requests would add the usual authorities to it."""

    def _current(self) -> ssl.SSLContext:
        """The same context as long as the files are the same: connections are kept by it."""
        digest = self._digest()
        with self._lock:
            if self._context is None or self._context[0] != digest:
                self._context = digest, self._made()
            return self._context[1]

    def _digest(self) -> bytes:
        named = {"CA file": self._ca, "client certificate": self._client[0], "client key": self._client[1]}
        digest = hashlib.sha256()
        for name, path in named.items():
            try:
                digest.update(hashlib.sha256(path.read_bytes() if path else b"").digest())
            except OSError as error:
                raise SourceUnreachable(f"the {name} cannot be read ({type(error).__name__})") from None
        return digest.digest()

    def _made(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._ca or DEFAULT_CA_BUNDLE_PATH)
        except OSError as error:
            raise SourceUnreachable(f"the CA file does not hold certificates ({type(error).__name__})") from None
        certificate, key = self._client
        if certificate and key:
            try:
                context.load_cert_chain(certificate, key, password="")  # else a key that is encrypted asks the terminal
            except OSError as error:
                raise SourceUnreachable(
                    "the client certificate and its key cannot be used: are they a pair, in PEM, and the key not "
                    f"encrypted? ({type(error).__name__})"
                ) from None
        return context


def _text(path: Path, whose: str) -> str:
    """What the file holds, without the end of its line."""
    try:
        text = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceUnreachable(f"the file {whose} cannot be read ({type(error).__name__})") from None
    if not text:
        raise SourceUnreachable(f"the file {whose} is empty")
    return text


def _word(path: Path, whose: str) -> str:
    """What the file holds, as a header may carry it."""
    text = _text(path, whose).strip()
    if not text or not text.isascii() or not text.isprintable():
        raise SourceUnreachable(f"the file {whose} does not hold one line of plain text")
    return text
