"""The kinds that the administrator enabled for a lever, and where the API server serves their objects."""

from __future__ import annotations

from collections.abc import Iterable

from perfslo.edges.kube.client import Api
from perfslo.edges.kube.reference import Reference
from perfslo.errors import ConfigurationError, NotFound
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
        return f"{_base(kind)}/namespaces/{namespace}/{kind.resource}/{ref.name}"

    async def is_gone(self, api: Api, ref: Reference) -> str:
        """That an object which was not found does not exist, in words; for where a version is not served, nor is it.

        Raises:
            ConfigurationError: its kind is not served in that version, so nobody knows. ApiError.
        """
        kind = self._kinds[ref.group, ref.kind]
        if not await is_served(api, _base(kind), kind.resource):
            where = f"{kind.resource} of {kind.group}/{kind.version}"
            fix = "name a version that it serves in the chart's values, or delete the claim"
            raise ConfigurationError(f"{ref} was not found, and the API server does not serve {where}: {fix}")
        return f"{ref} is gone"


async def is_served(api: Api, base: str, resource: str) -> bool:
    """Whether the API server serves that resource; `base` is the path of its group and version.

    Raises:
        ApiError: nobody knows.
    """
    try:
        served = await api.request("GET", base)
    except NotFound:
        return False
    return any(each["name"] == resource for each in served["resources"])


def _base(kind: Kind) -> str:
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
