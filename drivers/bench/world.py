"""The bench's small physical world: what every point of every device *is*, whatever a wire makes of it.

Values come from the physics (`drivers.bench.physics`), from the agent's writes (`write`), or from whoever holds a
point (`hold`). The far ends of the wires read them here and say here what the agent wrote.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.board import Board
from drivers import PointInfo, Value
from drivers.bench.log import Log, wall_time
from drivers.bench.refusals import NoSuchPlace, Unusable
from drivers.settings import points_of

FAULTS = ("none", "offline", "garbage", "slow", "exception")

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


@dataclass
class Device:
    """One device: its points, and what is wrong with its wire."""

    name: str
    bus: str
    points: dict[str, Point]
    fault: str = "none"


@dataclass
class Grid:
    """What the rest of the building draws at the grid connection, in W per phase; negative where it feeds in."""

    phases: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass
class World:
    """Everything that the bench simulates, and the log of what the agent did to it."""

    board: Board
    log: Log = field(default_factory=Log)
    grid: Grid = field(default_factory=Grid)
    powered: bool = False
    """Whether the station's own supply is on: its controllers answer only then."""

    def __post_init__(self) -> None:
        self.devices = {
            name: Device(
                name,
                settings.bus,
                {p: Point(info, _at_rest(info)) for p, info in points_of(settings, self.board.profiles).items()},
            )
            for name, settings in self.board.devices.items()
        }
        self.processes: list[Callable[[float, float], None]] = []
        """The physics: each takes (seconds since the last step, monotonic time)."""
        self.fault_kinds: Mapping[str, frozenset[str]] = {}
        """Per bus, the kinds of fault that its wire can show."""
        self.on_touch: list[Callable[[str], None]] = []
        """Called with a device's name when somebody changed it from outside, for wires that must follow at once."""

    # --- physics -------------------------------------------------------------------------------------------------

    def step(self, seconds: float) -> None:
        """Let `seconds` pass."""
        now = time.monotonic()
        for process in self.processes:
            process(seconds, now)

    # --- the agent -----------------------------------------------------------------------------------------------

    def accepts(self, device: str, point: str, value: Value) -> bool:  # noqa: ARG002  # devices may differ
        """Whether the device takes such a write: a duty is a number from 0 to 1."""
        return point != "duty" or (not isinstance(value, str) and 0 <= value <= 1)

    def write(self, device: str, point: str, value: Value) -> None:
        """The agent wrote `value` to a point; logged, also when it repeats the old value."""
        self.devices[device].points[point].natural = value
        self.log.add("write", device=device, point=point, value=value)

    def let_go(self, device: str, point: str) -> None:
        """Nothing drives the point any more: it falls back to rest."""
        found = self.devices[device].points[point]
        found.natural = _at_rest(found.info)

    def cut_power(self) -> None:
        """The controllers lose their supply: what was written to them is gone; counters stay."""
        self.powered = False
        for device in self.devices.values():
            for name, point in device.points.items():
                if point.info.writable:
                    self.let_go(device.name, name)

    # --- whoever stands at the bench -------------------------------------------------------------------------------

    def device(self, name: str) -> Device:
        """Raises `NoSuchPlace`."""
        try:
            return self.devices[name]
        except KeyError:
            raise NoSuchPlace(f"no device {name!r}; there are {', '.join(self.devices)}") from None

    def point(self, device: str, name: str) -> Point:
        """Raises `NoSuchPlace`."""
        found = self.device(device)
        try:
            return found.points[name]
        except KeyError:
            raise NoSuchPlace(f"{device} has no point {name!r}; it has {', '.join(found.points)}") from None

    def hold(self, device: str, name: str, value: Any) -> dict[str, Any]:
        """The point is `value` from now on, whatever the physics say. Raises `NoSuchPlace`, `Unusable`."""
        point = self.point(device, name)
        point.held = _checked(point.info, value)
        self._touched(device)
        return point_state(point)

    def release(self, device: str, name: str) -> dict[str, Any]:
        """The physics have the point back. Raises `NoSuchPlace`."""
        point = self.point(device, name)
        point.held = None
        self._touched(device)
        return point_state(point)

    def set_fault(self, name: str, kind: str) -> dict[str, Any]:
        """Make the device fail on its wire, or heal. Raises `NoSuchPlace`, `Unusable`."""
        device = self.device(name)
        if kind not in FAULTS:
            raise Unusable(f"no fault {kind!r}; expected {', '.join(FAULTS)}")
        kinds = self.fault_kinds.get(device.bus, frozenset(FAULTS))
        if kind != "none" and kind not in kinds:
            raise Unusable(f"the wire of {name} cannot show {kind!r}; it can {', '.join(sorted(kinds))}")
        device.fault = kind
        self.log.add("fault", device=name, kind=kind)
        self._touched(name)
        return device_state(device)

    def set_grid(self, import_w: float | None, phases: tuple[float, float, float] | None) -> dict[str, Any]:
        """What the building draws: in total (shared evenly by the phases), per phase, or both. Raises `Unusable`."""
        if phases is None:
            if import_w is None:
                raise Unusable("expected import_w, phases or both")
            third = import_w / 3
            phases = (third, third, third)
        elif import_w is not None and abs(sum(phases) - import_w) > 1:
            raise Unusable(f"the phases add up to {sum(phases):g} W, import_w is {import_w:g} W")
        self.grid.phases = phases
        self._touched(None)
        return grid_state(self.grid)

    def _touched(self, device: str | None) -> None:
        self.step(0.0)
        for name in self.devices if device is None else (device,):
            for listener in self.on_touch:
                listener(name)

    # --- what it looks like ----------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The world in the form of `GET /bench`, without what belongs to the agent and the network."""
        idle: dict[str, Any] = {
            "plugged": False,
            "ev": None,
            "pilot": "A",
            "locked": False,
            "jammed": False,
            "contactor": False,
            "offered_a": 0.0,
            "current_a": [0.0, 0.0, 0.0],
            "power_w": 0.0,
        }
        return {
            "power": "on" if self.powered else "off",
            "time": wall_time(),
            "evse": {
                str(number): {
                    "bay": {"occupied": False},
                    "connector": {str(connector): dict(idle) for connector in evse.connectors},
                }
                for number, evse in self.board.evses.items()
            },
            "device": {name: device_state(device) for name, device in self.devices.items()},
            "ems": {name: {"limit_w": None} for name in ("modbus", "mqtt", "relay")},
            "grid": grid_state(self.grid),
        }


def point_state(point: Point) -> dict[str, Any]:
    """A point in the form of `GET /bench`."""
    value = point.value
    return {"value": round(value, 6) if isinstance(value, float) else value, "held": point.held is not None}


def device_state(device: Device) -> dict[str, Any]:
    """A device in the form of `GET /bench`."""
    return {"fault": device.fault, "point": {name: point_state(point) for name, point in device.points.items()}}


def grid_state(grid: Grid) -> dict[str, Any]:
    """The grid in the form of `GET /bench`."""
    return {"import_w": round(sum(grid.phases), 6), "phases": [round(phase, 6) for phase in grid.phases]}


def _at_rest(info: PointInfo) -> Value:
    if info.kind == "boolean":
        return False
    if info.kind == "text":
        return "BENCH"
    return 0.0 if info.writable else _TYPICAL.get(info.unit, 0.0)


def _checked(info: PointInfo, value: Any) -> Value:
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
