"""The tables of manifests that the tests of this folder share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
EXAMPLES = sorted(HERE.parents[1].joinpath("examples").glob("*.yaml"))
WHOLE = {"full.yaml", "cdn.yaml", "httproute.yaml", "custom-names.yaml", "custom-queries.yaml"}
"""Examples that together have every field: some fields exclude others."""
BASE: dict[str, Any] = yaml.safe_load((HERE / "base.yaml").read_text())


def table(name: str) -> list[Any]:
    """Parameters of a table: each entry with its manifest."""
    entries = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    return [
        pytest.param(entry | {"manifest": text(merged(BASE, entry["patch"]))}, id=entry["name"]) for entry in entries
    ]


def merged(base: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def text(manifest: dict[str, Any]) -> str:
    """YAML of a manifest."""
    return yaml.safe_dump(manifest, sort_keys=False)
