"""A model's complaint -> the field, and what to write there instead."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from perfslo.api.structural import Schema, structural
from perfslo.cli._yaml import Path


@dataclass(frozen=True)
class Problem:
    """What is wrong with the field at `path`, and how to put it right."""

    path: Path
    advice: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.advice}" if self.path else self.advice


def dotted(path: Path) -> str:
    """A path as the API server prints it: spec.objectives[0].name."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def problems(model: type[BaseModel], errors: list[ErrorDetails]) -> list[Problem]:
    """What is wrong, without the echoes: a list is not too short because an item of it is wrong."""
    wrong = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [
        problem
        for error in errors
        if error["type"] != "too_short" or error["loc"] not in wrong
        for problem in _problems(_schema(model), error)
    ]


_schema = cache(structural)


def _problems(root: Schema, error: ErrorDetails) -> Iterator[Problem]:
    path = error["loc"]
    if error["type"] != "rule":
        yield Problem(path, _advice(root, path, error))
        return
    for rule in error["ctx"]["rules"]:
        yield Problem((*path, *(rule.field.split(".") if rule.field else ())), rule.message)


def _advice(root: Schema, path: Path, error: ErrorDetails) -> str:
    schema, found = _at(root, path), error["input"]
    match error["type"]:
        case "duplicate" | "tolerance":
            return error["msg"]
        case "missing":
            return f"missing: write {_wanted(schema)}"
        case "extra_forbidden":
            return _unknown(str(path[-1]), _at(root, path[:-1]))
        case "string_type" if _is_number(found) and re.search(schema.get("pattern", ""), str(found)):
            return f'write it in quotes: "{found}"'
        case "too_short" | "too_long" | "string_too_short" | "string_too_long":
            return f"write {_wanted(schema)}"
        case _:
            return f"{_shown(found)} will not do: write {_wanted(schema)}"


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _shown(found: Any) -> str:
    match found:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return str(found).lower()
        case _:
            return repr(found)


def _at(schema: Schema, path: Path) -> Schema:
    for part in path:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return schema


def _unknown(name: str, parent: Schema) -> str:
    known = list(parent.get("properties", {}))
    lowered = {field.lower(): field for field in known}
    close = get_close_matches(name.lower(), lowered, n=1) or [
        field for field in lowered if field.startswith(name.lower())
    ]
    if close:
        return f"unknown field: did you mean {lowered[close[0]]}?"
    return f"unknown field: remove it, or write one of {', '.join(known)}"


def _wanted(schema: Schema) -> str:
    """What a schema wants, in words; its description says what for."""
    meaning = f" ({schema['description'].rstrip('.')})" if "description" in schema else ""
    return f"{_form(schema)}{meaning}"


def _form(schema: Schema) -> str:
    match schema:
        case {"enum": [*choices]}:
            return f"one of {', '.join(map(str, choices))}"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"a whole number from {low} to {high} without quotes"
        case {"type": "boolean"}:
            return "true or false without quotes"
        case {"type": "string", "x-kubernetes-validations": [rule, *_]}:
            return str(rule["message"]).removeprefix("write ")
        case {"type": "string", "maxLength": longest}:
            return f"text of {schema.get('minLength', 0)} to {longest} characters"
        case {"type": "array"}:
            return f"a list of {schema.get('minItems', 0)} to {schema.get('maxItems', 'any number of')} items"
        case {"type": "object"}:
            return "a mapping"
        case _:
            return "a value"
