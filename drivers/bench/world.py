"""The bench's small physical world: what every point of every device *is*, whatever a wire makes of it.

Values come from the physics (`drivers.bench.physics`), from the agent's writes (`write`), or from whoever holds a
point (`hold`). The far ends of the wires read them here and say here what the agent wrote.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.board import Board
from drivers import Value
from drivers.bench.log import Log, wall_time
from drivers.bench.places import Places
from drivers.bench.points import Device, Point, at_rest, checked, device_state, point_state
from drivers.bench.refusals import NoSuchPlace, Unusable
from drivers.settings import ModbusProfile, ProfileDevice, points_of

FAULTS = ("none", "offline", "garbage", "slow", "exception")


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
    starts: int = 0
    """How often it was switched on."""

    def __post_init__(self) -> None:
        self.devices = {
            name: Device(
                name,
                settings.bus,
                {p: Point(info, at_rest(info)) for p, info in points_of(settings, self.board.profiles).items()},
            )
            for name, settings in self.board.devices.items()
        }
        self.places = Places(self.board, self.devices, self.log.add)
        """Connectors with what is plugged into them, readers, buttons and bays."""
        self._alive = {name: alive for name in self.devices if (alive := _alive(self.board, name)) is not None}
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
        self.places.step(seconds, now, self.powered)
        for process in self.processes:
            process(seconds, now)

    # --- the agent -----------------------------------------------------------------------------------------------

    def accepts(self, device: str, point: str, value: Value) -> bool:  # noqa: ARG002  # devices may differ
        """Whether the device takes such a write: a duty is a number from 0 to 1."""
        return point != "duty" or (not isinstance(value, str) and 0 <= value <= 1)

    def write(self, device: str, point: str, value: Value) -> None:
        """The agent wrote `value` to a point; logged, also when it repeats the old value.

        A sign of life is not, unless it says something new: it is written all the time.
        """
        found = self.devices[device].points[point]
        alive = self._alive.get(device)
        if alive is None or alive[0] != point or (alive[1] and found.natural != value):
            self.log.add("write", device=device, point=point, value=value)
        found.natural = value
        self.places.written(device, alive is None or alive[0] == point, time.monotonic(), self.powered)

    def let_go(self, device: str, point: str) -> None:
        """Nothing drives the point any more: it falls back to rest."""
        found = self.devices[device].points[point]
        found.natural = at_rest(found.info)
        self.places.written(device, False, time.monotonic(), self.powered)

    def switch_on(self) -> None:
        """The controllers have their supply again."""
        self.powered = True
        self.starts += 1
        self.step(0.0)

    def cut_power(self) -> None:
        """The controllers lose their supply: what was written to them is gone; counters stay."""
        self.powered = False
        for device in self.devices.values():
            for name, point in device.points.items():
                if point.info.writable:
                    self.let_go(device.name, name)
        self.step(0.0)

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
        point.held = checked(point.info, value)
        self.touched(device)
        return point_state(point)

    def release(self, device: str, name: str) -> dict[str, Any]:
        """The physics have the point back. Raises `NoSuchPlace`."""
        point = self.point(device, name)
        point.held = None
        self.touched(device)
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
        self.touched(name)
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
        self.touched(None)
        return grid_state(self.grid)

    def touched(self, device: str | None) -> None:
        """Somebody changed `device`, or perhaps all of them, from outside: it shows at once."""
        self.step(0.0)
        for name in self.devices if device is None else (device,):
            for listener in self.on_touch:
                listener(name)

    # --- what it looks like ----------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The world in the form of `GET /bench`, without what belongs to the agent, the network and the
        control systems."""
        return {
            "power": "on" if self.powered else "off",
            "time": wall_time(),
            "evse": self.places.state(),
            "device": {name: device_state(device) for name, device in self.devices.items()},
            "grid": grid_state(self.grid),
        }


def grid_state(grid: Grid) -> dict[str, Any]:
    """The grid in the form of `GET /bench`."""
    return {"import_w": round(sum(grid.phases), 6), "phases": [round(phase, 6) for phase in grid.phases]}


def _alive(board: Board, device: str) -> tuple[str, bool] | None:
    """The point that takes the device's sign of life, and whether it means something besides."""
    settings = board.devices[device]
    profile = board.profiles.get(settings.profile) if isinstance(settings, ProfileDevice) else None
    alive = profile.alive if isinstance(profile, ModbusProfile) else None
    return None if alive is None else (alive.point, alive.value is None)
