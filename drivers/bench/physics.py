"""How the bench's quantities move by themselves: fans with inertia, meters that count, a cabinet that warms up.

Which physics a device gets follows from its points' names and from what the board hangs on it; a point that none of
them knows keeps the value it has. Nothing here is random: the same world does the same again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from agent.board import Board
from drivers.bench.ev import NOTHING, Phases
from drivers.bench.places import total
from drivers.bench.points import Device, Point
from drivers.bench.world import World
from drivers.settings import P1Profile, ProfileDevice

INERTIA = 1.5
"""Time constant of a fan, in s."""

FULL_SPEED = 1000.0
"""RPM of a fan at full duty, where the board does not say."""

AMBIENT = 25.0
"""Degrees Celsius around the cabinet."""

SELF_HEATING = 10.0
"""Degrees by which an uncooled cabinet is warmer than what is around it."""

WARMING = 60.0
"""Time constant of the cabinet, in s."""

_SNAP = 0.05
"""A speed this near to its end point is there."""


class Fan:
    """Follows its duty with inertia."""

    def __init__(self, rpm: Point, duty: Point, full_speed: float) -> None:
        self.rpm, self._duty, self.full_speed = rpm, duty, full_speed

    def step(self, seconds: float, now: float) -> None:  # noqa: ARG002
        target = self._duty.number * self.full_speed
        speed = _natural(self.rpm)
        speed += (target - speed) * (1 - math.exp(-seconds / INERTIA))
        self.rpm.natural = target if abs(target - speed) < _SNAP else speed

    @property
    def share(self) -> float:
        """Of its full speed, 0 to 1."""
        return min(1.0, max(0.0, self.rpm.number / self.full_speed))


class Cabinet:
    """A temperature that rises without, and falls with, the fans."""

    def __init__(self, temperature: Point, fans: Sequence[Fan]) -> None:
        self._temperature, self._fans = temperature, fans

    def step(self, seconds: float, now: float) -> None:  # noqa: ARG002
        cooling = sum(fan.share for fan in self._fans)
        target = AMBIENT + SELF_HEATING / (1 + 3 * cooling)
        warmth = _natural(self._temperature)
        self._temperature.natural = warmth + (target - warmth) * (1 - math.exp(-seconds / WARMING))


class Meter:
    """Measures `load` (W per phase, negative for feeding in) and counts it.

    A quantity that is held counts in those that follow from it: held currents make power, held power makes energy.
    """

    def __init__(self, points: Mapping[str, Point], load: Callable[[], Phases], phase_shift: float) -> None:
        self._points, self._load, self._shift = points, load, phase_shift
        self._ends = ("_l1", "_l2", "_l3") if "voltage_l1" in points or "current_l1" in points else ("",)

    def step(self, seconds: float, now: float) -> None:
        load = self._load()
        loads = load if len(self._ends) == 3 else (sum(load),)
        total = 0.0
        for index, (end, wanted) in enumerate(zip(self._ends, loads, strict=True)):
            total += self._phase(index, end, wanted, now)
        if len(self._ends) == 3:
            self._set("power", total)
        power = self.power(total)
        self._set("power_import", max(0.0, power))
        self._set("power_export", max(0.0, -power))
        self._count("energy_import", self._flow("power_import", max(0.0, power)) * seconds)
        self._count("energy_export", self._flow("power_export", max(0.0, -power)) * seconds)

    def power(self, measured: float) -> float:
        """The total in W: what is held, else what was measured."""
        held = self._held("power")
        return measured if held is None else held

    def phase_loads(self) -> Phases:
        """What flows through the meter, in W per phase."""
        held = self._held("power")
        if held is not None or len(self._ends) != 3:
            total = self._points["power"].number if "power" in self._points else 0.0
            return (total / 3, total / 3, total / 3)
        one, two, three = (self._phase_power(end) for end in self._ends)
        return (one, two, three)

    def _phase(self, index: int, end: str, wanted: float, now: float) -> float:
        """One phase at a time; its power in W."""
        wave = math.sin(2 * math.pi * (now / 120 + index / 3) + self._shift)
        self._set(f"voltage{end}", 230 + 1.5 * wave)
        self._set(f"current{end}", abs(wanted) / (self._voltage(end) or 230))
        power = wanted if self._held(f"current{end}") is None else self._phase_power(end)
        self._set(f"power{end}", power)
        held = self._held(f"power{end}")
        return power if held is None else held

    def _voltage(self, end: str) -> float:
        point = self._points.get(f"voltage{end}")
        return 230.0 if point is None else point.number

    def _phase_power(self, end: str) -> float:
        held = self._held(f"power{end}")
        current = self._points.get(f"current{end}")
        if held is not None:
            return held
        return 0.0 if current is None else current.number * self._voltage(end)

    def _flow(self, name: str, otherwise: float) -> float:
        held = self._held(name)
        return otherwise if held is None else held

    def _held(self, name: str) -> float | None:
        point = self._points.get(name)
        return None if point is None or point.held is None else point.number

    def _set(self, name: str, value: float) -> None:
        point = self._points.get(name)
        if point is not None:
            point.natural = value

    def _count(self, name: str, watt_seconds: float) -> None:
        point = self._points.get(name)
        if point is not None:
            point.natural = _natural(point) + watt_seconds / 3600


def _natural(point: Point) -> float:
    return 0.0 if isinstance(point.natural, str) else float(point.natural)


def animate(world: World) -> None:
    """Give each device of `world` the physics that fit it."""
    board = world.board
    fans: list[Fan] = []
    meters: list[Meter] = []
    counted: list[Meter] = []
    grid_meters: list[Meter] = []

    places = world.places

    def at_the_grid() -> Phases:
        return total([world.grid.phases, places.unmetered(), *(meter.phase_loads() for meter in counted)])

    def through(name: str) -> Phases:
        return places.flow(name) or NOTHING

    for number, (name, device) in enumerate(world.devices.items()):
        points = device.points
        if "rpm" in points and "duty" in points:
            fans.append(Fan(points["rpm"], points["duty"], full_speed(board, name)))
        elif _is_meter(device):
            if _at_the_grid(board, name):
                grid_meters.append(Meter(points, at_the_grid, number))
            else:
                meters.append(Meter(points, partial(through, name), number))
                # What flows through an EVSE's meter, and through another one behind it, flows once.
                if name in places.meters or places.flow(name) is None:
                    counted.append(meters[-1])
    cabinets = [
        Cabinet(point, fans)
        for device in world.devices.values()
        for name, point in device.points.items()
        if name == "temperature" and point.info.unit == "Celsius" and not point.info.writable
    ]
    # The meters at the grid last: they see what flows through the others.
    for group in (fans, cabinets, meters, grid_meters):
        world.processes += [one.step for one in group]


def full_speed(board: Board, device: str) -> float:
    """RPM at full duty: where the board's own curve for that duty ends."""
    for component in board.components:
        for spec in component.variables.values():
            if spec.target is not None and spec.target.to == f"{device}.duty":
                if spec.target.curve is not None:
                    speed, duty = max(spec.target.curve, key=lambda pair: pair[1])
                    return speed / duty if duty else FULL_SPEED
                if spec.limits is not None:
                    return spec.limits[1]
    return FULL_SPEED


def _is_meter(device: Device) -> bool:
    return any(name.startswith(("voltage", "current", "power", "energy_")) for name in device.points)


def _at_the_grid(board: Board, name: str) -> bool:
    settings = board.devices[name]
    if isinstance(settings, ProfileDevice) and isinstance(board.profiles[settings.profile], P1Profile):
        return True
    return any(
        component.name == "ElectricalFeed"
        and spec.actual is not None
        and spec.actual.source.partition(".")[0] == name
        for component in board.components
        for spec in component.variables.values()
    )
