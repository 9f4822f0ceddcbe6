"""As much of JSON Patch (RFC 6902) as an API server does with our writes: test and add."""

from copy import deepcopy
from typing import Any

from perfslo.core.model import JSON


class TestFailed(Exception):
    """What an API server answers with 422."""

    __test__ = False


def applied(patch: list[JSON], document: JSON) -> JSON:
    """A changed copy of the document. Raises TestFailed."""
    changed = deepcopy(document)
    for operation in patch:
        holder, key = _find(changed, operation["path"])
        if operation["op"] == "test":
            if _get(holder, key) != operation["value"]:
                raise TestFailed(operation["path"])
        else:
            assert operation["op"] == "add"
            assert isinstance(holder, dict), "an element would be inserted"
            holder[key] = operation["value"]
    return changed


def _find(document: Any, pointer: str) -> tuple[Any, str]:
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    for part in parents:
        document = _get(document, part)
    return document, last


def _get(holder: Any, key: str) -> Any:
    try:
        return holder[int(key)] if isinstance(holder, list) else holder[key]
    except (LookupError, ValueError):
        raise TestFailed(key) from None
