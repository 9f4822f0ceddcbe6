"""The API models -> docs/reference/api.md. `python -m perfslo.api.reference --write|--check`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perfslo.api.crd import leverclaims, performanceslos
from perfslo.api.generated import write_or_check

_INTRODUCTION = """\
# API reference

Generated from the models by `make generate`. Do not edit. `kubectl explain perfslo.spec --recursive` says the same.

Numbers with a fraction are text in quotes, since the API has no floats. A field that is unknown in `status` is absent.
"""


def render() -> dict[Path, str]:
    """Text of the reference, by its path from the repository's root."""
    sections = "\n".join(_resource(crd) for crd in (performanceslos(), leverclaims()))
    return {Path("docs/reference/api.md"): f"{_INTRODUCTION}\n{sections}"}


def _resource(crd: dict[str, Any]) -> str:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [f"## {names['kind']}", "", schema["description"], ""]
    lines += [f"`apiVersion: {crd['spec']['group']}/{version['name']}`, `kind: {names['kind']}`", ""]
    lines += ["| Field | Type | Meaning |", "| --- | --- | --- |"]
    for part in ("spec", "status"):
        if part in schema["properties"]:
            lines += _rows(part, schema["properties"][part])
    lines += ["", f"What `kubectl apply` and `perfslo validate` refuse in a {names['kind']}:", ""]
    lines += [f"- `{path}`: {rule['message']}" for path, rule in _rules(names["kind"], schema)]
    return "\n".join(lines) + "\n"


def _rows(path: str, schema: dict[str, Any]) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        field = f"{path}.{name}"
        required = " **Required.**" if name in schema.get("required", ()) else ""
        yield f"| `{field}` | {_type(part)} | {_escaped(part.get('description', ''))}{required} |"
        yield from _rows(field, part)
        yield from _rows(f"{field}[]", part.get("items", {}))


def _type(schema: dict[str, Any]) -> str:
    kind = "int or string" if "x-kubernetes-int-or-string" in schema else schema["type"]
    notes = [kind]
    if "enum" in schema:
        notes.append(_escaped(", ".join(f"`{choice}`" for choice in schema["enum"])))
    if "minimum" in schema and "maximum" in schema:
        notes.append(f"{schema['minimum']} to {schema['maximum']}")
    if "maxItems" in schema:
        notes.append(f"{schema.get('minItems', 0)} to {schema['maxItems']} items")
    if schema.get("default", {}) != {}:
        notes.append(f"default `{str(schema['default']).lower() if kind == 'boolean' else schema['default']}`")
    return "; ".join(notes)


def _rules(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rules between fields; a rule of one text is part of what its field means."""
    if schema.get("type") == "object":
        for rule in schema.get("x-kubernetes-validations", ()):
            yield path, rule
    for name, part in schema.get("properties", {}).items():
        inner = name if path[0].isupper() else f"{path}.{name}"
        yield from _rules(inner, part)
        yield from _rules(f"{inner}[]", part.get("items", {}))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(write_or_check(render(), sys.argv[1:]))
