"""What all resources share: the base models, names, quantities as text, references."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from perfslo.api.rules import JsonSchema, Rule, broken

GROUP = "perfslo.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_REPLICAS = 100_000
"""A ceiling on replica counts, so that a slip of the keyboard is refused."""

Mode = Literal["Auto", "Recommend"]
"""`Auto` decides and acts; `Recommend` decides and records, and touches nothing."""


class Model(BaseModel):
    """A frozen part of a resource: snake_case here, camelCase in YAML."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        frozen=True,
        strict=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        # The API server prunes a null before it applies defaults.
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        if failed := [rule for rule in self.rules if not rule.holds(self)]:
            raise broken(failed)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        published = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            published["x-kubernetes-validations"] = [rule.as_cel() for rule in cls.rules]
        return published


class SpecModel(Model):
    """A part that people write: an unknown field is refused, as by kubectl."""

    model_config = ConfigDict(extra="forbid")


_DECIMAL = re.compile(r"[0-9]{1,9}([.][0-9]{1,6})?")
_DURATION = re.compile(r"([0-9]{1,7}(?:[.][0-9]{1,3})?)(ms|s|m)")
_WINDOW = re.compile(r"([0-9]{1,4})(h|d|w)")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_API_VERSION = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def duration_seconds(text: str) -> float:
    """Seconds of a duration such as `200ms`, `1.5s` or `2m`. Raises ValueError when it is not one."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError(f"not a duration with a unit: {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def window_seconds(text: str) -> int:
    """Seconds of a window such as `12h`, `28d` or `4w`. Raises ValueError when it is not one."""
    if not (match := _WINDOW.fullmatch(text)):
        raise ValueError(f"not a window with a unit: {text!r}")
    return int(match[1]) * int(_SECONDS[match[2]])


def _anchored(pattern: re.Pattern[str]) -> str:
    return f"^{pattern.pattern.replace('(?:', '(')}$"


def _matches(pattern: re.Pattern[str], message: str) -> Rule:
    anchored = _anchored(pattern)
    return Rule(
        cel=f"self.matches('{anchored}')",
        holds=lambda text: pattern.fullmatch(text) is not None,
        message=message,
        pattern=anchored,
    )


@dataclass(frozen=True)
class _DecimalText:
    """A decimal that is text in YAML (the API has no floats) and a Decimal here."""

    rule: Rule

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: format(value, "f") if isinstance(value, Decimal) else value,
            core_schema.no_info_after_validator_function(
                lambda text: Decimal(self.rule.check(text)), core_schema.str_schema(strict=True, max_length=16)
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda number: format(number, "f"), return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return self.rule.published({"type": "string", "minLength": 1, "maxLength": 16})


def _decimal(cel: str, holds: Callable[[Decimal], bool], message: str) -> _DecimalText:
    anchored = _anchored(_DECIMAL)
    return _DecimalText(
        Rule(
            cel=f"self.matches('{anchored}') && {cel}",
            holds=lambda text: _DECIMAL.fullmatch(text) is not None and holds(Decimal(text)),
            message=message,
            pattern=anchored,
        )
    )


Duration = Annotated[
    str,
    Field(min_length=2, max_length=16),
    Rule(
        cel=(
            f"self.matches('{_anchored(_DURATION)}') && "
            "duration(self) > duration('0s') && duration(self) <= duration('1h')"
        ),
        holds=lambda text: _DURATION.fullmatch(text) is not None and 0 < duration_seconds(text) <= 3600,
        message="write a duration above zero and up to 60m with its unit (ms, s or m), such as 200ms or 1.5s",
        pattern=_anchored(_DURATION),
    ),
]
Window = Annotated[
    str,
    Field(min_length=2, max_length=8),
    Rule(
        cel=(
            f"self.matches('{_anchored(_WINDOW)}') && "
            "int(self.substring(0, self.size() - 1)) >= 1 && int(self.substring(0, self.size() - 1)) * "
            "(self.endsWith('h') ? 1 : self.endsWith('d') ? 24 : 168) <= 2160"
        ),
        holds=lambda text: _WINDOW.fullmatch(text) is not None and 3600 <= window_seconds(text) <= 90 * 86400,
        message="write a window from 1h to 90d in whole hours, days or weeks (h, d or w), such as 28d",
        pattern=_anchored(_WINDOW),
    ),
]
Percent = Annotated[
    Decimal,
    _decimal(
        "double(self) > 0.0 && double(self) < 100.0",
        lambda number: 0 < number < 100,
        'write a percentage above 0 and below 100 as a quoted decimal without a sign or %, such as "99.9"',
    ),
]
Positive = Annotated[
    Decimal,
    _decimal(
        "double(self) > 0.0",
        lambda number: number > 0,
        'write a number above 0 as a quoted decimal without a unit, such as "0.04"',
    ),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=63),
    _matches(_NAME, "write a name of up to 63 lower-case letters, digits and dashes, such as pg-main"),
]
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    _matches(
        _OBJECT_NAME, "write the name of an object in this namespace: lower-case letters, digits, dashes and dots"
    ),
]
ApiVersion = Annotated[
    str,
    Field(min_length=1, max_length=128),
    _matches(_API_VERSION, "write group/version as kubectl api-resources prints it, such as apps/v1"),
]
Group = Annotated[
    str,
    Field(max_length=253),
    _matches(
        re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?"),
        "write an API group without its version, such as gateway.networking.k8s.io",
    ),
]
Kind = Annotated[
    str,
    Field(min_length=1, max_length=63),
    _matches(_KIND, "write the kind in CamelCase as kubectl api-resources prints it, such as Deployment"),
]
Text = Annotated[str, Field(max_length=256)]
LongText = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Replicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]


class ScaleTargetRef(SpecModel):
    """A workload in the same namespace, of any kind with a scale subresource that the administrator enabled."""

    api_version: ApiVersion
    """API version of the workload, such as apps/v1."""
    kind: Kind
    """Kind of the workload, such as Deployment or StatefulSet."""
    name: ObjectName
    """Name of the workload."""

    @cached_property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]


class ObjectMeta(Model):
    """The part of metav1.ObjectMeta that is read."""

    name: ObjectName
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
