"""What the owner of a Modbus line knows of each device on it: points, polls and duties, and whether it answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers import DriverError, Value
from drivers.modbus_plan import Block, Point, blocks_of, points_of, polled
from drivers.modbus_request import Request, read_request
from drivers.modbus_snapshot import SnapshotTaker, taker
from drivers.settings import DeviceSettings, ModbusProfile, Profile, ProfileDevice


@dataclass(slots=True)
class Poll:
    """A block read that comes round: due at the start of the run plus a whole number of periods."""

    device: "Device"
    block: Block
    request: Request
    due: float


@dataclass(slots=True)
class Device:
    """One device of a bus.

    It is `armed` once its profile's `arm` and first sign of life were acknowledged, and no longer when it was silent.
    """

    name: str
    unit: int
    profile: ModbusProfile
    points: dict[str, Point]
    snapshot: SnapshotTaker | None = None
    polls: list[Poll] = field(default_factory=list)
    unsupported: set[str] = field(default_factory=set)
    retry_unsupported_at: float = math.inf
    failures: int = 0
    retry_at: float = 0.0
    armed: bool = False
    alive_at: float = 0.0
    _turn: int = 0
    _repeated: float | None = None

    def readable(self) -> list[Point]:
        return [point for point in self.points.values() if "r" in point.access]

    def start(self, now: float) -> None:
        """A new run: nothing is known of the device."""
        self.failures, self._repeated = 0, None
        if self.snapshot is not None:
            self.snapshot.reset(now)
        self.disarm()
        self.plan(now)

    def plan(self, due: float) -> None:
        """All polled points in as few polls as can be, the first time at `due`."""
        self.unsupported.clear()
        self.retry_unsupported_at = math.inf
        blocks = blocks_of(polled(self.profile, self.points), self.profile.max_block, self.profile.max_gap)
        self.polls = [self.poll(block, due) for block in blocks]

    def poll(self, block: Block, due: float) -> Poll:
        return Poll(self, block, read_request(self.unit, block), due)

    # --- duties: arm, alive ----------------------------------------------------------------------------------

    @property
    def has_duties(self) -> bool:
        return bool(self.profile.arm) or self.profile.alive is not None

    def disarm(self) -> None:
        """The device may have forgotten what it was told, if there is anything to tell it."""
        self.armed = not self.has_duties

    def duty_at(self) -> float:
        """When to arm the device or to give it its sign of life; never while it is silent and polls look after it."""
        if self.failures:
            return math.inf if self.polls or self.armed else self.retry_at
        if not self.armed:
            return -math.inf
        return self.alive_at if self.profile.alive is not None else math.inf

    def sign_of_life(self) -> tuple[Point, Value] | None:
        """What is next to be written to whom; None while there is nothing to repeat."""
        alive = self.profile.alive
        if alive is None:
            return None
        value = alive.value
        if isinstance(value, tuple):
            value = value[self._turn % len(value)]
        elif value is None:
            value = self._repeated
        point = self.points[alive.point]
        return None if value is None else (point, setting(point, value))

    def lived(self, now: float) -> None:
        """The sign of life was acknowledged, or there was none to give."""
        self._turn += 1
        alive = self.profile.alive
        self.alive_at = math.inf if alive is None else now + alive.every

    def remember(self, point: Point, value: Value) -> float | None:
        """`value` goes to `point`, which is perhaps to be repeated; returns what was there, to be put back."""
        before = self._repeated
        alive = self.profile.alive
        if alive is not None and alive.value is None and alive.point == point.name and not isinstance(value, str):
            self._repeated = float(value)
        return before

    def put_back(self, before: float | None) -> None:
        self._repeated = before


def setting(point: Point, value: float) -> Value:
    """A number of a profile as what `point` takes: bits are true or false."""
    return bool(value) if point.codec.kind == "bit" else value


def device_of(name: str, device: DeviceSettings, profiles: Mapping[str, Profile], rtu: bool) -> Device:
    """The device that the settings describe. Raises `DriverError` for one that cannot be on this kind of line."""
    if not isinstance(device, ProfileDevice):
        raise DriverError(f"{name}: a device on a Modbus bus needs a profile")
    profile = profiles.get(device.profile)
    if not isinstance(profile, ModbusProfile):
        raise DriverError(f"{name}: {device.profile} is no Modbus profile")
    unit = device.unit if device.unit is not None else (None if rtu else 1)
    if unit is None or (rtu and unit == 0):
        raise DriverError(f"{name}: a device on an RTU bus needs a unit from 1 to 247 (0 is for broadcasts)")
    try:
        points = points_of(profile, device.poll)
        for key, value in profile.arm.items():
            if points[key].codec.kind != "bit":
                points[key].codec.encode(value)
    except ValueError as error:
        raise DriverError(f"profile {device.profile}: {error}") from error
    return Device(name, unit, profile, points, taker(unit, profile.snapshot, points, profile.max_block))
