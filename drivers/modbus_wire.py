"""The wire under the Modbus driver: one request and its answer at a time, and never anybody else's answer.

The one place that knows pymodbus (frames, checksum) and pyserial (the port). pymodbus's own clients are not used:
on RTU, which has no transaction id, they take any frame of the right device for the answer, a late one included,
and they keep to themselves why a port or a connection failed.
"""

import asyncio
import os
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import serial
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from drivers import DriverError, Garbled, NoAnswer, Refused
from drivers.modbus_exceptions import exception_text
from drivers.modbus_request import Request
from drivers.settings import ModbusRtuSettings, ModbusTcpSettings
from drivers.trace import BusTrace

STRAY_SILENCE = 0.03
"""Silence wanted after bytes that nobody asked for; more than the latency of a USB converter (16 ms)."""
SILENT_LIMIT = 2
"""Requests in a row without an answer after which a TCP connection counts as dead, and is made anew."""


class ExceptionReply(Refused):
    """The device answered with a Modbus exception; `code` is its number."""

    kind = "exception"

    def __init__(self, code: int) -> None:
        super().__init__(exception_text(code))
        self.code = code


class WireLost(DriverError):
    """The connection or the port is gone, for all devices on it."""


class Wire(Protocol):
    """One Modbus line. Exchanges never overlap: its owner makes sure."""

    ready_at: float
    """Monotonic time before which nothing may be sent."""
    sent_at: float
    """Monotonic time at which the last request was sent."""
    answered_at: float
    """Monotonic time at which the last answer was complete."""

    async def open(self) -> None:
        """Raises WireLost, with the reason."""

    async def exchange(self, request: Request) -> bytes:
        """The answer, from its function code on. Raises ExceptionReply, NoAnswer, WireLost."""

    def close(self) -> None: ...


class _Wire(ABC):
    """What both wires share: the one request under way, its time-out, and when the next may follow."""

    @abstractmethod
    def _send(self, frame: bytes) -> None:
        """Give all of `frame` to the system, at once."""

    def __init__(self, timeout: float, gap: float, monotonic: Callable[[], float], trace: BusTrace) -> None:
        self._trace = trace
        self._timeout, self._gap, self._monotonic = timeout, gap, monotonic
        self._request: Request | None = None
        self._reply: asyncio.Future[bytes] | None = None
        self._buffer = b""
        self.ready_at = monotonic()
        self.sent_at = self.answered_at = self.ready_at

    async def _answer(self, request: Request, frame: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        self._request, self._reply = request, loop.create_future()
        timer = loop.call_later(self._timeout, self._expire)
        try:
            self.sent_at = self._monotonic()
            self._trace.sent(frame)
            self._send(frame)
            reply = await self._reply
        finally:
            timer.cancel()
            self._request = self._reply = None
            self.ready_at = max(self.ready_at, self._monotonic() + self._gap)
        if len(reply) == 2 and reply[0] & 0x80:
            raise ExceptionReply(reply[1])
        return reply

    def _resolve(self, reply: bytes) -> None:
        if self._reply is not None and not self._reply.done():
            self.answered_at = self._monotonic()
            self._reply.set_result(reply)

    def _fail(self, error: DriverError) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    def _expire(self) -> None:
        if self._buffer:
            said = f"no valid answer within {self._timeout:g} s, but {len(self._buffer)} bytes of something else"
            self._fail(Garbled(said))
        else:
            self._fail(NoAnswer(f"no answer within {self._timeout:g} s"))


class _Stream(asyncio.Protocol):
    """One TCP connection; a wire has several in its life, and listens to the last."""

    def __init__(self, wire: "TcpWire") -> None:
        self._wire = wire

    def data_received(self, data: bytes) -> None:
        self._wire.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.lost(self, exc)


class TcpWire(_Wire):
    """Modbus TCP: a transaction id tells a late answer from the right one."""

    def __init__(self, settings: ModbusTcpSettings, monotonic: Callable[[], float], trace: BusTrace) -> None:
        super().__init__(settings.timeout, settings.gap, monotonic, trace)
        self._settings = settings
        self._framer = FramerSocket(DecodePDU(False))
        self._transport: asyncio.Transport | None = None
        self._stream: _Stream | None = None
        self._transaction = 0
        self._silent = 0

    async def open(self) -> None:
        host, port = self._settings.host, self._settings.port
        loop = asyncio.get_running_loop()
        self._stream = stream = _Stream(self)
        try:
            async with asyncio.timeout(self._timeout):
                self._transport, _ = await loop.create_connection(lambda: stream, host, port)
        except TimeoutError:
            raise WireLost(f"no connection to {host}:{port} within {self._timeout:g} s") from None
        except OSError as error:
            raise WireLost(f"no connection to {host}:{port}: {error.strerror or error}") from error
        self._silent, self._buffer = 0, b""
        self.ready_at = self._monotonic() + self._settings.pause_after_connect

    def close(self) -> None:
        transport, self._transport, self._stream = self._transport, None, None
        if transport is not None:
            transport.abort()

    async def exchange(self, request: Request) -> bytes:
        if self._silent >= SILENT_LIMIT:
            self.close()
            await self.open()
            await asyncio.sleep(self._settings.pause_after_connect)
        if self._transport is None:
            raise WireLost(f"the connection to {self._settings.host}:{self._settings.port} was closed")
        self._transaction = self._transaction % 65535 + 1
        frame = self._framer.encode(request.pdu, request.unit, self._transaction)
        try:
            reply = await self._answer(request, frame)
        except NoAnswer:
            # a stream with noise in it never falls into step again
            self._silent = SILENT_LIMIT if self._buffer else self._silent + 1
            raise
        except ExceptionReply:
            self._silent = 0
            raise
        self._silent = 0
        return reply

    def _send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)

    def received(self, stream: _Stream, data: bytes) -> None:
        if stream is not self._stream:
            return
        self._trace.heard(data)
        self._buffer += data
        while self._buffer:
            used, unit, transaction, pdu = self._framer.decode(self._buffer)
            if not used:
                # waits for the rest; more than a frame may have is noise, and ends in a time-out
                self._buffer = self._buffer[: FramerSocket.MAX_SIZE]
                return
            if transaction == self._transaction and self._request is not None:
                self._take(self._request, unit, pdu)
            self._buffer = self._buffer[used:]

    def _take(self, request: Request, unit: int, pdu: bytes) -> None:
        # units 0 and 255 mean "the device itself" on TCP; some answer with another number then
        if unit != request.unit and request.unit not in (0, 255):
            self._fail(Garbled(f"unit {unit} answered instead of unit {request.unit}"))
            return
        refusal = len(pdu) == 2 and pdu[0] == request.pdu[0] | 0x80
        if refusal or (len(pdu) == request.length and pdu.startswith(request.head)):
            self._resolve(pdu)
        else:
            self._fail(Garbled("the answer does not fit the request"))

    def lost(self, stream: _Stream, exc: Exception | None) -> None:
        if stream is not self._stream:
            return  # closed by ourselves
        self._transport = None
        reason = f": {exc}" if exc else ""
        self._fail(WireLost(f"the connection to {self._settings.host}:{self._settings.port} was lost{reason}"))


class RtuWire(_Wire):
    """Modbus RTU on a serial port.

    RTU answers carry no transaction id, so silence keeps requests apart. After anything but a valid answer
    nothing is sent for `quiet`, and what arrives meanwhile is thrown away; so it is right after opening, for the
    sake of a request that the process before us made. Before each request the line must be empty. An answer is
    taken only if unit, function code, byte count (or the echo of a write) and checksum are right.

    What remains: a device that answers later than `timeout` + `quiet`, or twice with more than `gap` between, can
    still be taken for the next answer of the same shape. `quiet` must cover the slowest device on the line.
    """

    def __init__(self, settings: ModbusRtuSettings, monotonic: Callable[[], float], trace: BusTrace) -> None:
        super().__init__(settings.timeout, settings.gap, monotonic, trace)
        self._settings = settings
        self._framer = FramerRTU(DecodePDU(False))
        self._port: serial.Serial | None = None
        self._fd = -1
        self._empty_reads = 0
        self._stray_limit = 0.0

    async def open(self) -> None:
        s = self._settings
        try:
            self._port = serial.Serial(
                s.port, s.baudrate, parity=s.parity, stopbits=s.stopbits, timeout=0, exclusive=True
            )
        except (OSError, termios.error, ValueError) as error:
            raise WireLost(f"cannot open {s.port}: {error}") from error
        self._fd = self._port.fileno()
        self._empty_reads = 0
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        self.ready_at = self._monotonic() + s.quiet
        self._stray_limit = 0.0

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            port.close()

    async def exchange(self, request: Request) -> bytes:
        if self._port is None:
            raise WireLost(f"{self._settings.port} is gone")
        self._discard()
        self._buffer, self._stray_limit = b"", 0.0
        body = bytes((request.unit,)) + request.pdu
        try:
            return await self._answer(request, body + self._framer.compute_CRC(body).to_bytes(2, "big"))
        except ExceptionReply:
            raise
        except BaseException:  # a cancelled exchange leaves an answer under way as a time-out does
            self.ready_at = self._monotonic() + self._settings.quiet
            self._stray_limit = self.ready_at
            raise

    def _discard(self) -> None:
        try:
            while data := os.read(self._fd, 4096):
                self._trace.heard(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error)
            raise WireLost(f"{self._settings.port} is gone: {error.strerror}") from error

    def _send(self, frame: bytes) -> None:
        try:
            sent = os.write(self._fd, frame)
        except OSError as error:
            self._lost(error)
            return
        if sent != len(frame):
            self._fail(NoAnswer(f"{self._settings.port} takes no more bytes"))

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if not data:
            # nothing to read though ready: once when somebody else emptied the buffer, always on a hung-up line
            self._empty_reads += 1
            if self._empty_reads > 3:
                self._lost(OSError("hung up"))
            return
        self._empty_reads = 0
        self._trace.heard(data)
        if self._reply is None or self._reply.done():
            self._stray()
            return
        self._buffer += data
        found = self._find(self._buffer)
        if found is not None:
            reply, end = found
            self._resolve(reply)
            if end < len(self._buffer):
                self._stray()

    def _stray(self) -> None:
        # bounded: a line with noise on it must still carry a stop
        now = self._monotonic()
        if not self._stray_limit:
            self._stray_limit = max(self.ready_at, now) + self._settings.quiet
        self.ready_at = max(self.ready_at, min(now + STRAY_SILENCE, self._stray_limit))

    def _find(self, data: bytes) -> tuple[bytes, int] | None:
        """The answer to the request under way, and where it ends in `data`.

        It may stand behind noise: RS-485 drivers that switch late make some.
        """
        request = self._request
        if request is None:
            return None
        fine = bytes((request.unit,)) + request.head
        refusal = bytes((request.unit, request.pdu[0] | 0x80))
        for head, length in ((fine, request.length + 1), (refusal, 3)):
            at = data.find(head)
            while at >= 0:
                frame = data[at : at + length + 2]
                if len(frame) == length + 2 and self._framer.check_CRC(
                    frame[:length], int.from_bytes(frame[length:], "big")
                ):
                    return frame[1:length], at + length + 2
                at = data.find(head, at + 1)
        return None

    def _lost(self, error: OSError) -> None:
        self.close()
        self._fail(WireLost(f"{self._settings.port} is gone: {error.strerror or error}"))


def wire_for(
    settings: ModbusTcpSettings | ModbusRtuSettings, monotonic: Callable[[], float], trace: BusTrace
) -> Wire:
    """The wire that `settings` describe, closed yet."""
    if isinstance(settings, ModbusTcpSettings):
        return TcpWire(settings, monotonic, trace)
    return RtuWire(settings, monotonic, trace)
