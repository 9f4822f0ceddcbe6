"""Scaling limits, spelled as in autoscaling/v2 so that they can be pasted from a HorizontalPodAutoscaler."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from perfslo.api.rules import JsonSchema
from perfslo.api.v1alpha1.common import SpecModel

_QUANTITY = re.compile(r"(?:[0-9]{1,9}(?:[.][0-9]{0,9})?|[.][0-9]{1,9})(m|k)?", re.ASCII)
_ANCHORED = f"^{_QUANTITY.pattern.replace('(?:', '(')}$"
_SCALE = {None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000)}
_MESSAGE = 'write a tolerance of at least 0 as a quoted decimal or a quantity in milli, such as "0.05" or 50m'


class _Quantity:
    """resource.Quantity, not negative: an integer or a string; a float is refused as everywhere in this API."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 20,
            "x-kubernetes-validations": [
                {
                    "rule": f"type(self) == int ? self >= 0 : self.matches('{_ANCHORED}')",
                    "message": _MESSAGE,
                }
            ],
        }

    @staticmethod
    def _check(value: Any) -> int | str:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if isinstance(value, str) and _QUANTITY.fullmatch(value):
            return value
        raise PydanticCustomError("tolerance", _MESSAGE)


class ScalingPolicy(SpecModel):
    """How much may change within a period."""

    type: Literal["Pods", "Percent"]
    """Whether value counts pods or percent of the current replicas."""
    value: Annotated[int, Field(ge=1, le=1_000_000)]
    """Largest change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the period in seconds, at most 30 minutes."""


class ScalingRules(SpecModel):
    """Limits in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """Seconds of past recommendations that are considered, so that replicas do not flap. 0 considers none."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which policy counts when there are several; Disabled forbids this direction. Max when unset."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(strict=False, min_length=1, max_length=16)] | None = None
    """Policies that limit the change."""
    tolerance: Annotated[int | str, _Quantity()] | None = None
    """Relative difference below which nothing is changed, as a quantity: "0.05" is five percent."""

    @property
    def tolerance_ratio(self) -> Decimal | None:
        """Tolerance as a share, at least 0; None when unset."""
        if self.tolerance is None:
            return None
        if not (match := _QUANTITY.fullmatch(str(self.tolerance))):
            raise ValueError(f"not a quantity: {self.tolerance!r}")
        number, suffix = str(self.tolerance), match[1]
        return Decimal(number.removesuffix(suffix or "")) * _SCALE[suffix]


class Behavior(SpecModel):
    """Limits of both directions, as in autoscaling/v2. Unset, the documented limits of this operator apply."""

    scale_up: ScalingRules | None = None
    """Limits for adding replicas."""
    scale_down: ScalingRules | None = None
    """Limits for taking replicas away."""
