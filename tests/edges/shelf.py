"""A small API server in memory: objects by path, with versions and guarded patches. tests/cluster has the real one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from itertools import count
from typing import Any

from perfslo.core.model import JSON
from perfslo.edges.kube.client import JSON_PATCH
from perfslo.errors import LostRace, NotFound
from tests.edges.json_patch import TestFailed, applied


class Shelf:
    def __init__(self, objects: Mapping[str, JSON]) -> None:
        self.objects = {path: deepcopy(item) for path, item in objects.items()}
        self.asked: list[tuple[str, str]] = []
        """Method and path of everything but reads."""
        self.trouble: Exception | None = None
        """What the next write is answered with."""
        self._versions = count(100)

    async def request(
        self, method: str, path: str, *, body: Any = None, content_type: str = "application/json", **_: Any
    ) -> JSON:
        if method == "GET" and path in self.objects:
            return deepcopy(self.objects[path])
        if method == "GET" and (items := [item for key, item in self.objects.items() if key.startswith(f"{path}/")]):
            return {"metadata": {}, "items": deepcopy(items)}
        self.asked.append((method, path))
        if self.trouble:
            trouble, self.trouble = self.trouble, None
            raise trouble
        match method:
            case "POST":
                metadata = {"namespace": "shop", "uid": f"uid-{body['metadata']['name']}", **body["metadata"]}
                return self.put(f"{path}/{metadata['name']}", {**body, "metadata": metadata})
            case "PATCH" if content_type == JSON_PATCH:
                try:
                    return self.put(path, applied(body, self._found(path)))
                except TestFailed as error:
                    raise LostRace(str(error)) from error
            case "PATCH":
                found = self._found(path)
                self._check(found, body["metadata"])
                return self.put(path, {**found, "spec": {**found["spec"], **body["spec"]}})
            case _:
                self._check(self._found(path), body["preconditions"])
                return self.objects.pop(path)

    def serve(self, version: str, *resources: str) -> None:
        """From now on these, and no others, are what discovery says of that version."""
        self.objects[f"/apis/{version}"] = {"resources": [{"name": name} for name in resources]}

    def put(self, path: str, item: JSON) -> JSON:
        """As somebody else would write it."""
        changed = deepcopy(item)
        changed["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = changed
        return deepcopy(changed)

    def _found(self, path: str) -> JSON:
        if path not in self.objects:
            raise NotFound(path)
        return self.objects[path]

    def _check(self, found: JSON, wanted: Mapping[str, str]) -> None:
        if any(found["metadata"].get(key) != value for key, value in wanted.items()):
            raise LostRace("it had changed")
