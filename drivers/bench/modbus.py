"""The far ends of Modbus wires: devices on a pty (RTU) and behind a TCP port, sound or faulty.

Made by hand, because a fault is a thing of the wire: pymodbus's server stamps a late answer with the id of whatever
request came last, and can neither keep silent for one device nor talk noise.
"""

import asyncio
import contextlib
import os
import random
import struct
import time
import tty
from collections.abc import Callable
from functools import partial
from typing import Any

from drivers.bench.registers import GATEWAY_TARGET_FAILED, SERVER_DEVICE_FAILURE, Registers
from drivers.bench.world import World
from drivers.settings import ModbusProfile, ModbusRtuSettings, ModbusTcpSettings, ProfileDevice

SLOWNESS = 1.5
"""A slow device answers after this many times the bus's time-out."""

TORN = 0.05
"""Seconds after which the rest of a torn RTU request is not waited for."""

_FIXED_LENGTH = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8}
_NOISE = random.Random(1)  # the same noise in each run

Send = Callable[[bytes], None]


def crc16(data: bytes) -> bytes:
    """The checksum of an RTU frame, low byte first (Modbus over Serial Line V1.02, §6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class Units:
    """The devices of one bus by their unit ids."""

    faults = frozenset({"offline", "garbage", "slow", "exception"})

    def __init__(self, world: World, bus: str, timeout: float) -> None:
        self._world, self._delay = world, timeout * SLOWNESS
        self._timers: set[asyncio.TimerHandle] = set()
        self._units: dict[int, tuple[str, Registers]] = {}
        for name, settings in world.board.devices.items():
            if settings.bus == bus and isinstance(settings, ProfileDevice):
                profile = world.board.profiles[settings.profile]
                assert isinstance(profile, ModbusProfile)
                registers = Registers(
                    profile,
                    lambda point, name=name: world.point(name, point).value,  # type: ignore[misc]
                    partial(world.accepts, name),
                    partial(world.write, name),
                )
                self._units[1 if settings.unit is None else settings.unit] = (name, registers)

    def broadcast(self, pdu: bytes) -> None:
        """Every device that is sound takes `pdu`; none answers."""
        for name, registers in self._units.values():
            if self._world.powered and self._world.devices[name].fault == "none":
                registers.answer(pdu)

    def ask(self, unit: int, pdu: bytes, frame: Callable[[bytes], bytes], send: Send) -> bool:
        """Let `unit` answer `pdu` as its fault allows, framed by `frame`; False when there is no such unit."""
        if unit not in self._units:
            return False
        name, registers = self._units[unit]
        fault = self._world.devices[name].fault if self._world.powered else "offline"
        if fault == "garbage":
            send(_NOISE.randbytes(_NOISE.randint(4, 40)))
        elif fault == "exception":
            send(frame(bytes((pdu[0] | 0x80, SERVER_DEVICE_FAILURE))))
        elif fault == "slow":
            # A late device has done what it was told all the same.
            self._later(partial(send, frame(registers.answer(pdu))))
        elif fault == "none":
            send(frame(registers.answer(pdu)))
        return True

    def close(self) -> None:
        """Nothing late comes any more."""
        for timer in self._timers:
            timer.cancel()

    def _later(self, call: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(self._delay, fire)
        self._timers.add(timer)


class RtuEnd:
    """The devices on an RS-485 line, which is a pseudo-terminal here.

    Both of its ends are kept open, so that an agent that dies does not hang the line up.
    """

    faults = Units.faults

    def __init__(self, world: World, bus: str, settings: ModbusRtuSettings) -> None:
        self._units = Units(world, bus, settings.timeout)
        self._buffer = b""
        self._heard = 0.0

    async def start(self) -> dict[str, Any]:
        self._fd, self._agents = os.openpty()
        tty.setraw(self._agents)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        # A pty has no parity bit: asked for one a second time, it refuses to be opened (tcsetattr: EINVAL).
        return {"port": os.ttyname(self._agents), "parity": "N"}

    def refresh(self) -> None:
        """The devices speak only when they are asked."""

    def touched(self, device: str) -> None:
        """The next answer shows it."""

    async def close(self) -> None:
        self._units.close()
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        os.close(self._agents)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, 4096)
            now = time.monotonic()
            if now - self._heard > TORN:
                self._buffer = b""
            self._heard = now
            self._buffer += data
        while self._buffer and (length := self._length()) is not None and len(self._buffer) >= length:
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = b""  # out of step: the rest is not to be trusted either
                return
            self._request(frame[0], frame[1:-2])

    def _length(self) -> int | None:
        """How long the request at the start of the buffer is; None while that cannot be said."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        if buffer[1] in (15, 16):
            return 9 + buffer[6] if len(buffer) > 6 else None
        if buffer[1] in _FIXED_LENGTH:
            return _FIXED_LENGTH[buffer[1]]
        # An unknown function: it ends where the checksum fits.
        return len(buffer) if crc16(buffer[:-2]) == buffer[-2:] else None

    def _request(self, unit: int, pdu: bytes) -> None:
        if unit == 0:
            self._units.broadcast(pdu)
            return

        def frame(answer: bytes) -> bytes:
            body = bytes((unit,)) + answer
            return body + crc16(body)

        self._units.ask(unit, pdu, frame, self._send)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads, and the line keeps no more
            os.write(self._fd, data)


class TcpEnd:
    """The devices behind one Modbus TCP address."""

    faults = Units.faults

    def __init__(self, world: World, bus: str, settings: ModbusTcpSettings) -> None:
        self.units = Units(world, bus, settings.timeout)
        self.connections: set[asyncio.Transport] = set()

    async def start(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return {"host": host, "port": port}

    def refresh(self) -> None:
        """The devices speak only when they are asked."""

    def touched(self, device: str) -> None:
        """The next answer shows it."""

    async def close(self) -> None:
        self.units.close()
        self._server.close()
        for transport in list(self.connections):
            transport.abort()


class _Connection(asyncio.Protocol):
    """One client; an answer carries the transaction id of its own request, however late it is."""

    def __init__(self, end: TcpEnd) -> None:
        self._end = end
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._end.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._end.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            transaction, protocol, length, unit = struct.unpack(">HHHB", self._buffer[:7])
            if protocol or not 2 <= length <= 254:
                self._transport.abort()
                return
            if len(self._buffer) < 6 + length:
                return
            pdu, self._buffer = self._buffer[7 : 6 + length], self._buffer[6 + length :]
            self._request(transaction, unit, pdu)

    def _request(self, transaction: int, unit: int, pdu: bytes) -> None:
        def frame(answer: bytes) -> bytes:
            return struct.pack(">HHHB", transaction, 0, 1 + len(answer), unit) + answer

        if not self._end.units.ask(unit, pdu, frame, self._send):
            self._send(frame(bytes((pdu[0] | 0x80, GATEWAY_TARGET_FAILED))))

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
