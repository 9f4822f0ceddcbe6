"""The kinds that the administrator enabled for a lever, and where the API server serves their objects."""

from __future__ import annotations

from collections.abc import Iterable

from perfslo.edges.kube.reference import Reference
from perfslo.errors import ConfigurationError
from perfslo.settings import Kind


class EnabledKinds:
    """`otherwise` says of an object of any other kind what cannot be done, and what to do about it."""

    def __init__(self, kinds: Iterable[Kind], otherwise: str) -> None:
        self._kinds = {(kind.group, kind.kind): kind for kind in kinds}
        self._otherwise = otherwise

    def path(self, namespace: str, ref: Reference) -> str:
        """Of that object, for URLs.

        Raises:
            ConfigurationError: its kind is not enabled.
        """
        if not (kind := self._kinds.get((ref.group, ref.kind))):
            raise ConfigurationError(f"{ref} {self._otherwise}")
        base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return f"{base}/namespaces/{namespace}/{kind.resource}/{ref.name}"
