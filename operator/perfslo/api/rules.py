"""One rule, two enforcers: the API server evaluates `cel`, pydantic evaluates `holds`.

Both stand side by side so that `perfslo validate` refuses offline exactly what the API server refuses.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

JsonSchema = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over a value; in `Annotated` over a scalar, in `Model.rules` over an object.

    `message` says what to write. `field` (camelCase, dotted) is where a model's rule is reported.
    `pattern`, for strings, is published in the schema for editors; `cel` and `holds` must cover it.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    field: str | None = None
    pattern: str | None = None

    def check(self, value: Any) -> Any:
        """Return `value`, or raise the error that pydantic reports."""
        if not self.holds(value):
            raise broken([self])
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return self.published(handler(schema))

    def published(self, schema: JsonSchema) -> JsonSchema:
        """The schema with this rule added to it."""
        pattern = {"pattern": self.pattern} if self.pattern else {}
        return schema | pattern | {"x-kubernetes-validations": [self.as_cel()]}

    def as_cel(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        return entry


def broken(rules: list[Rule]) -> PydanticCustomError:
    """The one error that pydantic allows for all rules of a value that do not hold; `rules` in its context has them."""
    message = "; ".join(rule.message for rule in rules)
    return PydanticCustomError("rule", "{message}", {"message": message, "rules": rules})


@dataclass(frozen=True)
class ListMap:
    """A list whose items are told apart by one key (`x-kubernetes-list-type: map`)."""

    key: str

    def check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return `items`, or raise when two share a key."""
        for value, count in Counter(getattr(item, self.key) for item in items).items():
            if count > 1:
                raise PydanticCustomError(
                    "duplicate",
                    "{count} items share the {key} {value}: give each its own",
                    {"count": count, "key": self.key, "value": value},
                )
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        published = handler(schema)
        published["x-kubernetes-list-type"] = "map"
        published["x-kubernetes-list-map-keys"] = [self.key]
        return published
