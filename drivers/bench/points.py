"""The bench's quantities: points and the devices that have them, and what each looks like to whoever asks."""

import math
from dataclasses import dataclass
from typing import Any

from drivers import PointInfo, Value
from drivers.bench.refusals import Unusable

_TYPICAL = {"V": 230.0, "Hz": 50.0, "Celsius": 25.0, "Percent": 50.0, "%": 50.0}
"""What a point without physics of its own is, by its unit; else 0."""


@dataclass
class Point:
    """One physical quantity. `natural` is what physics, or the last write, makes of it; `held` overrides that."""

    info: PointInfo
    natural: Value
    held: Value | None = None

    @property
    def value(self) -> Value:
        return self.natural if self.held is None else self.held

    @property
    def number(self) -> float:
        return 0.0 if isinstance(self.value, str) else float(self.value)

    @property
    def true(self) -> bool:
        return bool(self.value)


@dataclass
class Device:
    """One device: its points, and what is wrong with its wire."""

    name: str
    bus: str
    points: dict[str, Point]
    fault: str = "none"


def at_rest(info: PointInfo) -> Value:
    """What a point is that nothing drives."""
    if info.kind == "boolean":
        return False
    if info.kind == "text":
        return "BENCH"
    return 0.0 if info.writable else _TYPICAL.get(info.unit, 0.0)


def point_state(point: Point) -> dict[str, Any]:
    """A point in the form of `GET /bench`."""
    value = point.value
    return {"value": round(value, 6) if isinstance(value, float) else value, "held": point.held is not None}


def device_state(device: Device) -> dict[str, Any]:
    """A device in the form of `GET /bench`."""
    return {"fault": device.fault, "point": {name: point_state(point) for name, point in device.points.items()}}


def checked(info: PointInfo, value: Any) -> Value:
    """`value` as what such a point can be. Raises `Unusable`."""
    result: Value | None = None
    if info.kind == "number":
        result = finite(value)
    elif isinstance(value, bool if info.kind == "boolean" else str):
        result = value
    if result is None:
        wanted = {"boolean": "true or false", "number": "a number", "text": "a text"}[info.kind]
        raise Unusable(f"{info.name} is {wanted}, found {value!r:.40}")
    return result


def finite(value: Any) -> float | None:
    """`value` as a number that can be measured; None where it is none, such as true, NaN or 10 to the 400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
