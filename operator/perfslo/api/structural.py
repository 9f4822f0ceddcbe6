"""A pydantic JSON schema -> the structural OpenAPI schema that a CRD needs."""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_DROPPED = {"title", "additionalProperties", "$defs", "const"}


def structural(model: type[BaseModel]) -> Schema:
    """Schema without references, null alternatives and titles; defaults only where they say something."""
    published = model.model_json_schema(by_alias=True)
    return _plain(published, published.get("$defs", {}))


def _plain(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _dereferenced(schema, definitions)
    plain = {key: value for key, value in schema.items() if key not in _DROPPED and value is not None}
    if "description" in plain:
        plain["description"] = " ".join(plain["description"].split())
    if "properties" in plain:
        plain["properties"] = {name: _plain(part, definitions) for name, part in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain(plain["items"], definitions)
    return _with_default(plain)


def _dereferenced(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow `$ref` and the one alternative that is not null; what stands beside them has precedence."""
    alternatives = [part for part in schema.get("anyOf", []) if part.get("type") != "null"]
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
    elif len(alternatives) == 1:
        target = alternatives[0]
    else:
        return schema
    beside = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf"}}
    return _dereferenced(target | beside, definitions)


def _with_default(schema: Schema) -> Schema:
    """An object's default is `{}`, which its fields' own defaults fill; empty defaults are left out."""
    default = schema.pop("default", None)
    if schema.get("type") == "object":
        filled = any("default" in part for part in schema.get("properties", {}).values())
        default = {} if filled and default is not None else None
    elif default == []:
        default = None
    ordered = {key: schema.pop(key) for key in ("description", "type") if key in schema}
    return ordered | ({} if default is None else {"default": default}) | schema
