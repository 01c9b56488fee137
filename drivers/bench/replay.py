"""A recorded wire at the far end of a bus: what happened in the field happens on the bench.

Where the agent asks (Modbus, pilot controllers) a recorded answer is found by what its request says, and comes as
late as it did, or not at all; several to the same request come in their order, and then anew. What was never asked in
the record is answered by the bench's device as ever. Where the wire speaks by itself (P1, card readers) the bytes
come at their times, from the moment at which the agent opens the port.
"""

import asyncio
import contextlib
import os
import re
import select
import struct
import time
import tty
from collections.abc import Callable
from functools import partial, reduce
from operator import xor
from pathlib import Path
from typing import Any

from drivers.bench.far_end import FarEnd
from drivers.bench.modbus import RtuEnd, TcpEnd, _Connection, crc16
from drivers.bench.pilot import PilotEnd
from drivers.bench.refusals import CannotStart
from drivers.bench.world import World
from drivers.settings import ModbusRtuSettings, ModbusTcpSettings, PilotUartSettings
from drivers.trace import IN, OUT
from drivers.trace_file import Recording

SETTLE = 0.2
"""Seconds between the opening of a port and the first byte: who opens a serial port empties it first."""

_SEQUENCE = re.compile(rb" :([0-9A-F]{2})\^[0-9A-F]{2}")

Pieces = list[tuple[float, bytes]]
"""(seconds after the request, bytes)."""


def far_end(recording: Recording, world: World, folder: Path) -> FarEnd:
    """The far end of the bus that was recorded. Raises `CannotStart` where it cannot be replayed on this board."""
    settings = world.board.buses.get(recording.bus)
    if settings is None:
        raise CannotStart(f"the record is of bus {recording.bus}, which the board has not")
    if settings.driver != recording.driver:
        raise CannotStart(f"bus {recording.bus} is {settings.driver}, and the record of a {recording.driver} wire")
    if isinstance(settings, ModbusRtuSettings):
        return ReplayedRtu(world, recording, settings)
    if isinstance(settings, ModbusTcpSettings):
        return ReplayedTcp(world, recording, settings)
    if isinstance(settings, PilotUartSettings):
        return ReplayedPilot(world, recording, settings)
    if settings.driver not in ("dsmr-p1", "serial-reader", "evdev-reader"):
        raise CannotStart(f"the record of a {recording.driver} wire cannot be replayed")
    for reader in world.places.readers.values():
        if world.board.devices[reader.device].bus == recording.bus:
            reader.tells = _unheard
    return Speaker(recording, folder)


def _unheard(*_: Any) -> None:
    """A card at a reader that says what was recorded."""


class Answers:
    """What was answered, by what was asked."""

    def __init__(self, recording: Recording) -> None:
        self._key, self._fit = _MATCHERS[recording.driver]
        self._kept: dict[bytes, list[tuple[bytes, Pieces]]] = {}
        self._next: dict[bytes, int] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        asked, at, pieces = b"", 0.0, Pieces()
        for seconds, direction, data in recording.records:
            if direction == OUT:
                self._keep(asked, pieces)
                asked, at, pieces = data, seconds, []
            else:
                pieces.append((max(0.0, seconds - at), data))
        if pieces:  # a last request without an answer may have been cut off by the end of the record
            self._keep(asked, pieces)

    def _keep(self, asked: bytes, pieces: Pieces) -> None:
        if asked:  # what came before the first request belongs to none
            self._kept.setdefault(self._key(asked), []).append((asked, pieces))

    def answer(self, frame: bytes, send: Callable[[bytes], None]) -> bool:
        """Send what was answered to a request like `frame`; False where there was none in the record."""
        key = self._key(frame)
        kept = self._kept.get(key)
        if kept is None:
            return False
        number = self._next.get(key, 0)
        self._next[key] = (number + 1) % len(kept)
        asked, pieces = kept[number]
        for seconds, data in pieces:
            self._later(seconds, partial(send, self._fit(data, asked, frame)))
        return True

    def close(self) -> None:
        """Nothing late comes any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)


def _same(data: bytes, asked: bytes, frame: bytes) -> bytes:  # noqa: ARG001 - all are called alike
    return data


def _with_transaction(data: bytes, asked: bytes, frame: bytes) -> bytes:
    """An answer that had its request's transaction id gets the new one's; any other was, and stays, a stranger."""
    return frame[:2] + data[2:] if data[:2] == asked[:2] and data[2:4] == b"\0\0" else data


def _without_sequence(frame: bytes) -> bytes:
    return _SEQUENCE.sub(b"", frame).strip(b"\r\n")


def _with_sequence(data: bytes, asked: bytes, frame: bytes) -> bytes:
    """As the transaction id of Modbus; with it goes the checksum."""
    before, now = _SEQUENCE.search(asked), _SEQUENCE.search(frame)
    if before is None or now is None:
        return data

    def renew(match: re.Match[bytes]) -> bytes:
        body, old = match[1] + b" :" + now[1], match[1] + b" :" + before[1]
        if int(match[2], 16) != reduce(xor, old):
            return match[0]  # it was damaged, and stays so
        return body + b"^%02X" % reduce(xor, body)

    return re.sub(rb"(\$[^$\r\n^]*) :" + before[1] + rb"\^([0-9A-Fa-f]{2})", renew, data)


_MATCHERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes, bytes, bytes], bytes]]] = {
    "modbus-rtu": (lambda frame: frame[:-2], _same),
    "modbus-tcp": (lambda frame: frame[6:], _with_transaction),
    "pilot-uart": (_without_sequence, _with_sequence),
}


class ReplayedRtu(RtuEnd):
    """An RS-485 line that answers as recorded."""

    def __init__(self, world: World, recording: Recording, settings: ModbusRtuSettings) -> None:
        super().__init__(world, recording.bus, settings)
        self._answers = Answers(recording)

    async def close(self) -> None:
        self._answers.close()
        await super().close()

    def _request(self, unit: int, pdu: bytes) -> None:
        body = bytes((unit,)) + pdu
        if not self._answers.answer(body + crc16(body), self._send):
            super()._request(unit, pdu)


class ReplayedTcp(TcpEnd):
    """A Modbus TCP address that answers as recorded."""

    def __init__(self, world: World, recording: Recording, settings: ModbusTcpSettings) -> None:
        super().__init__(world, recording.bus, settings)
        self.answers = Answers(recording)

    async def start(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ReplayedConnection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return {"host": host, "port": port}

    async def close(self) -> None:
        self.answers.close()
        await super().close()


class _ReplayedConnection(_Connection):
    def __init__(self, end: ReplayedTcp) -> None:
        super().__init__(end)
        self._answers = end.answers

    def _request(self, transaction: int, unit: int, pdu: bytes) -> None:
        frame = struct.pack(">HHHB", transaction, 0, 1 + len(pdu), unit) + pdu
        if not self._answers.answer(frame, self._send):
            super()._request(transaction, unit, pdu)


class ReplayedPilot(PilotEnd):
    """A pilot controller's line that answers as recorded; unasked, the bench's controller speaks too."""

    def __init__(self, world: World, recording: Recording, settings: PilotUartSettings) -> None:
        super().__init__(world, recording.bus, settings)
        self._answers = Answers(recording)

    async def close(self) -> None:
        self._answers.close()
        await super().close()

    def _heard(self, raw: bytes) -> None:
        if not self._world.powered or not self._answers.answer(raw, self._write):
            super()._heard(raw)


class Speaker:
    """The far end of a wire that speaks by itself: a record that begins each time that the port is opened."""

    faults = frozenset[str]()

    def __init__(self, recording: Recording, folder: Path) -> None:
        heard = [(seconds, data) for seconds, direction, data in recording.records if direction == IN and data]
        start = heard[0][0] if heard else 0.0
        self._heard = [(seconds - start, data) for seconds, data in heard]
        self._path = folder / f"{recording.bus}.events" if recording.driver == "evdev-reader" else None
        self._has_parity = recording.driver == "serial-reader"
        self._fd: int | None = None
        self._since: float | None = None
        self._said = 0

    async def start(self) -> dict[str, Any]:
        if self._path is not None:
            os.mkfifo(self._path)
            return {"port": str(self._path)}
        self._fd, agents = os.openpty()
        tty.setraw(agents)
        name = os.ttyname(agents)
        os.close(agents)  # so that this end sees when the agent opens it
        os.set_blocking(self._fd, False)
        # A pty has no parity bit.
        return {"port": name, "parity": "N"} if self._has_parity else {"port": name}

    def refresh(self) -> None:
        if not self._opened():
            self._since, self._said = None, 0
            return
        now = time.monotonic()
        if self._since is None:
            self._since = now + SETTLE
        while self._said < len(self._heard) and self._heard[self._said][0] <= now - self._since:
            self._say(self._heard[self._said][1])
            self._said += 1

    def touched(self, device: str) -> None:
        """Nothing on this wire comes from the world."""

    async def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self) -> bool:
        if self._path is not None:
            if self._fd is None:
                with contextlib.suppress(OSError):  # ENXIO: nobody reads
                    self._fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            return self._fd is not None
        if self._fd is None:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        events = dict(poll.poll(0)).get(self._fd, 0)
        return not events & select.POLLHUP

    def _say(self, data: bytes) -> None:
        assert self._fd is not None
        try:
            os.write(self._fd, data)
        except BlockingIOError:
            pass  # nobody reads, and the wire keeps no more
        except BrokenPipeError:
            os.close(self._fd)
            self._fd = self._since = None
            self._said = len(self._heard)  # until the next look, which finds it closed
