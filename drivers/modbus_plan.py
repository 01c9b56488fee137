"""Which registers to ask for, in how few requests: points of a device grouped into block reads. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers import Value
from drivers.modbus_codec import Codec, sunssf
from drivers.settings import DeviceSettings, ModbusProfile, ModbusRtuSettings, ModbusTcpSettings, ProfileDevice
from drivers.settings import Profile as AnyProfile

BIT_TABLES = frozenset({"coil", "discrete"})
TURNAROUND = 0.010
"""Seconds that a usual RTU device takes before it answers; a TCP device the same, with the network."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a device, ready to be read and written. `period` is in seconds."""

    name: str
    table: str
    at: int
    codec: Codec
    period: float
    unit: str = ""
    scale_at: int | None = None
    bit: int | None = None
    access: str = "r"
    multiple: bool = False
    """Written with function code 15 or 16, even where 5 or 6 would do."""
    names: Mapping[int, str] | None = None
    """What raw numbers mean; the point is then a text, and a number without a name is no value."""

    @property
    def start(self) -> int:
        return self.at if self.scale_at is None else min(self.at, self.scale_at)

    @property
    def end(self) -> int:
        """First register behind the point and its scale factor."""
        end = self.at + self.codec.size
        return end if self.scale_at is None else max(end, self.scale_at + 1)


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: `count` registers (or bits) of `table` from `start`, and the points in them."""

    table: str
    start: int
    count: int
    points: tuple[Point, ...]

    @property
    def period(self) -> float:
        return self.points[0].period

    @property
    def reply_bytes(self) -> int:
        return (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count

    def values(self, data: bytes) -> list[tuple[Point, Value | None]]:
        """Each point's value in the reply's `data`; None where the device says "not available"."""
        if self.table in BIT_TABLES:
            offsets = [(point, point.at - self.start) for point in self.points]
            return [(point, bool(data[at // 8] >> (at % 8) & 1)) for point, at in offsets]
        return [(point, self._value(point, data)) for point in self.points]

    def _value(self, point: Point, data: bytes) -> Value | None:
        at = 2 * (point.at - self.start)
        raw = data[at : at + 2 * point.codec.size]
        if point.scale_at is None:
            return point.codec.decode(raw)
        scale_at = 2 * (point.scale_at - self.start)
        exponent = sunssf(data[scale_at : scale_at + 2])
        return None if exponent is None else point.codec.decode(raw, exponent)

    def halves(self) -> "tuple[Block, Block]":
        """The same points in two requests, each no longer than it must be."""
        middle = len(self.points) // 2
        return block_of(self.points[:middle]), block_of(self.points[middle:])


def block_of(points: Iterable[Point]) -> Block:
    """The shortest request that reads all these points of one table."""
    members = tuple(points)
    start = min(point.start for point in members)
    return Block(members[0].table, start, max(point.end for point in members) - start, members)


def points_of(profile: ModbusProfile, poll: float | None = None) -> dict[str, Point]:
    """The points of a device with this profile; `poll` is the device's own period, if it has one.

    Raises ValueError where one request cannot hold a point. A text of a snapshot may be longer: it holds still.
    """
    points = {}
    for name, p in profile.points.items():
        codec = Codec(p, p.word_order or profile.word_order)
        single = codec.size == 1 and p.write != "multiple"
        if p.write == "single" and codec.size > 1:
            raise ValueError(f"{name}: {codec.size} registers cannot be written with write: single")
        point = Point(
            name=name,
            table=p.table or profile.table,
            at=p.at,
            codec=codec,
            period=p.poll or poll or profile.poll,
            unit=p.unit,
            scale_at=p.scale_at,
            bit=p.bit,
            access=p.access,
            multiple=not single,
            names=p.names,
        )
        whole = profile.snapshot is None or name not in profile.snapshot.points or p.scale_at is not None
        if whole and point.end - point.start > profile.max_block:
            raise ValueError(f"{name}: does not fit, with its scale factor, into max_block: {profile.max_block}")
        if point.end > 65536:
            raise ValueError(f"{name}: ends behind register 65535")
        points[name] = point
    return points


def polled(profile: ModbusProfile, points: Mapping[str, Point]) -> list[Point]:
    """The points that are read by themselves: those of a snapshot are not."""
    aside = () if profile.snapshot is None else (*profile.snapshot.states, *profile.snapshot.points)
    return [point for name, point in points.items() if "r" in point.access and name not in aside]


def snapshot_blocks(profile: ModbusProfile, points: Mapping[str, Point]) -> list[Block]:
    """The reads of one snapshot, where the device is ready at once; its trigger counts as one of them."""
    if profile.snapshot is None:
        return []
    states, size = [points[name] for name in profile.snapshot.states], profile.max_block
    return [
        Block(point.table, start, min(size, point.end - start), (point,))
        for point in (states[0], *states, *(points[name] for name in profile.snapshot.points))
        for start in range(point.start, point.end, size)
    ]


def blocks_of(points: Iterable[Point], max_block: int, max_gap: int) -> list[Block]:
    """The fewest requests for `points`, of one table and one period each; reads over at most `max_gap` others."""
    groups: dict[tuple[str, float], list[Point]] = {}
    for point in points:
        groups.setdefault((point.table, point.period), []).append(point)
    blocks: list[Block] = []
    for members in groups.values():
        members.sort(key=lambda point: (point.start, point.end))
        run = [members[0]]
        start, end = members[0].start, members[0].end
        for point in members[1:]:
            if point.start - end <= max_gap and max(end, point.end) - start <= max_block:
                run.append(point)
                end = max(end, point.end)
            else:
                blocks.append(block_of(run))
                run, start, end = [point], point.start, point.end
        blocks.append(block_of(run))
    return blocks


_SIGN_OF_LIFE = Block("holding", 0, 2, ())
"""As long on the wire as a write of one register and its echo, within a character or two."""


def load(
    settings: ModbusTcpSettings | ModbusRtuSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, AnyProfile],
) -> float:
    """The share of its time that this bus needs for all polls; above 1 it is impossible to keep the periods."""
    total = 0.0
    for device in devices.values():
        if not isinstance(device, ProfileDevice):
            continue
        profile = profiles[device.profile]
        if not isinstance(profile, ModbusProfile):
            continue
        points = points_of(profile, device.poll)
        for block in blocks_of(polled(profile, points), profile.max_block, profile.max_gap):
            total += seconds_on_wire(settings, block) / block.period
        if profile.snapshot is not None:
            seconds = sum(seconds_on_wire(settings, block) for block in snapshot_blocks(profile, points))
            total += seconds / profile.snapshot.every
        if profile.alive is not None:
            total += seconds_on_wire(settings, _SIGN_OF_LIFE) / profile.alive.every
    return total


def seconds_on_wire(settings: ModbusTcpSettings | ModbusRtuSettings, block: Block) -> float:
    """How long the bus is busy with one read of `block`."""
    pause = settings.gap + TURNAROUND
    if isinstance(settings, ModbusTcpSettings):
        return pause
    bits = 1 + 8 + (settings.parity != "N") + settings.stopbits
    return pause + (8 + 5 + block.reply_bytes) * bits / settings.baudrate
