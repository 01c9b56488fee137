"""What all parts of a board file have in common: durations with a unit, and no unknown keys."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)", value.strip())
        if match is None:
            raise ValueError("expected a duration such as 500ms, 3s, 2min or 1h")
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a duration such as 500ms, 3s, 2min or 1h")
    raise ValueError(f"expected a duration with its unit, such as {value}s")


_Written = Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*(ms|s|min|h)$", examples=["500ms", "3s"])]
"""For editors, which check a file against the JSON Schema."""

Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=_Written), Field(ge=0)]
"""Seconds, written in a board file with a unit: 500ms, 3s, 2min, 1h."""

PositiveDuration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=_Written), Field(gt=0)]


class Strict(BaseModel):
    """A part of a board file: unknown keys are mistakes."""

    # Built as part of what a board file is checked against, not each part on its own as well.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
