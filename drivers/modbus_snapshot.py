"""What a Modbus device puts aside when it is told to, such as a signed meter value: trigger, wait, read. No I/O.

One request at a time, so that everything else on the line goes on between them. What is read is what the device held
when it took the trigger, or later: its readings carry that time. A text longer than one request is read in pieces;
it stands still, as nobody else is on the line to trigger the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers import Value
from drivers.modbus_plan import Block, Point, block_of
from drivers.modbus_request import Request, read_request, write_registers
from drivers.settings_modbus import Snapshot

ASK_AGAIN = 0.2
"""Seconds after which a device that is not ready is asked again."""


class NotReady(Exception):
    """There is no snapshot this time; the message says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot's values, None where the device says "not available", and the time when it took the trigger."""

    time: float
    values: tuple[tuple[Point, Value | None], ...]


class SnapshotTaker:
    """The snapshots of one device. `request` at `due` is what is next to be asked; `answered` takes what came."""

    def __init__(self, unit: int, settings: Snapshot, points: Mapping[str, Point], max_block: int) -> None:
        self._unit, self._settings, self._max_block = unit, settings, max_block
        self._states = tuple(points[name] for name in settings.states)
        self.points = tuple(points[name] for name in settings.points)
        self.due = 0.0
        self._start(0.0)

    def _start(self, due: float) -> None:
        self.due = due
        self._taken_at: float | None = None
        """When the trigger was acknowledged."""
        self._ready = 0
        """How many of the states are valid."""
        self._values: list[tuple[Point, Value | None]] = []
        self._raw = b""
        """The first pieces of the point that is next."""

    def reset(self, now: float) -> None:
        """From the beginning: the device was not there, or a run begins."""
        self._start(now)

    def failed(self, now: float) -> None:
        """The device refused a request: again with the next snapshot."""
        self._start(now + self._settings.every)

    # --- the next request and its answer ---------------------------------------------------------------------------

    def request(self) -> Request:
        if self._taken_at is None:
            return write_registers(self._unit, self._states[0], self._states[0].codec.encode(self._settings.trigger))
        return read_request(self._unit, self._block())

    def _block(self) -> Block:
        if self._ready < len(self._states):
            return block_of([self._states[self._ready]])
        point = self.points[len(self._values)]
        if point.end - point.start <= self._max_block:
            return block_of([point])
        start = point.at + len(self._raw) // 2
        return Block(point.table, start, min(self._max_block, point.end - start), (point,))

    def answered(self, reply: bytes, at: float) -> Taken | None:
        """`reply` (from the function code on) came at the monotonic time `at`; what it completes.

        Raises NotReady when there will be no snapshot this time.
        """
        if self._taken_at is None:
            self._taken_at = self.due = at
        elif self._ready < len(self._states):
            self._heard_state(reply[2:], at)
        else:
            self._heard_point(reply[2:])
        if len(self._values) < len(self.points):
            return None
        taken = Taken(self._taken_at, tuple(self._values))
        self._start(max(at, taken.time + self._settings.every))
        return taken

    def _heard_state(self, raw: bytes, at: float) -> None:
        assert self._taken_at is not None
        point = self._states[self._ready]
        state = point.codec.decode(raw)
        if state in self._settings.valid:
            self._ready += 1
            return
        if state not in self._settings.pending:
            self.failed(self._taken_at)
            raise NotReady(f"{point.name} is {state}")
        waited = at - self._taken_at
        if waited >= self._settings.within:
            self._start(max(at, self._taken_at + self._settings.every))
            raise NotReady(f"{point.name} is {state} after {waited:.1f} s")
        self.due = at + ASK_AGAIN

    def _heard_point(self, raw: bytes) -> None:
        point = self.points[len(self._values)]
        whole = self._block()
        self._raw += raw
        if whole.count == point.end - point.start:
            self._values += whole.values(self._raw)
        elif b"\0" in raw or len(self._raw) == 2 * (point.end - point.start):
            self._values.append((point, point.codec.decode(self._raw)))
        else:
            return
        self._raw = b""


def taker(unit: int, settings: Snapshot | None, points: Mapping[str, Point], max_block: int) -> SnapshotTaker | None:
    """None for a device without snapshots."""
    return None if settings is None else SnapshotTaker(unit, settings, points, max_block)
