"""One client of the Modbus TCP server: its requests taken apart, and answered in their order."""

import asyncio
import ipaddress
import struct
from dataclasses import dataclass
from typing import Protocol

from agent.ems import registers
from agent.ems.registers import BadValue, NoSuchRegister, Value

BUDGET = 32
"""Requests of one connection that are looked at before the others have their turn."""
BACKLOG = 256
"""Unanswered writes of one connection after which nothing more is read from it."""

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, BUSY, NO_SUCH_UNIT = 1, 2, 3, 6, 11

_HEADER = struct.Struct(">HHHB")


@dataclass(slots=True)
class Write:
    """A write that waits for its answer; `refused` is an exception code, 0 for none."""

    connection: "Connection"
    transaction: int
    unit: int
    echo: bytes
    scope: int
    values: dict[str, Value]
    refused: int = 0


class Served(Protocol):
    """What a connection needs of the server."""

    def admit(self, connection: "Connection") -> bool:
        """Whether to keep it."""
        ...

    def left(self, connection: "Connection") -> None:
        """It is no more."""
        ...

    def scope(self, unit: int) -> int | None:
        """What a unit id stands for: 0 the station, n an EVSE; None where there is no such unit."""
        ...

    def read(self, scope: int, master: str, address: int, count: int) -> list[int]:
        """What `master` reads there. Raises NoSuchRegister."""
        ...

    def take(self, write: Write) -> None:
        """Act on it soon, and answer it."""
        ...


class Connection(asyncio.Protocol):
    """One client. Its requests are answered in their order."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self._buffer = bytearray()
        self._waiting = 0
        self._soon: asyncio.Handle | None = None
        self._full = False
        self.heard = 0.0
        self.master = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.heard = self._loop.time()
        peer = transport.get_extra_info("peername")  # None: it has left before it was here
        self.master = plain(str(peer[0])) if peer else ""
        if not peer or not self._server.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.left(self)
        self._buffer.clear()

    def drop(self) -> None:
        """Close it, whatever is under way."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self.heard = self._loop.time()
        self.work()

    def pause_writing(self) -> None:
        """The client does not fetch its answers: then it is not asked for more."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self.work()

    def work(self) -> None:
        """Go through the requests that are there; the rest later, so that nobody waits for this client."""
        done = 0
        while self._next():
            done += 1
            if done >= BUDGET:
                if self._soon is None:
                    self._soon = self._loop.call_soon(self._later)
                break
        if self._transport.is_closing():
            return
        if self._full or self._soon is not None or self._waiting >= BACKLOG or self._holds_a_request():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def answer(self, write: Write) -> None:
        """Answer a write after it was acted on."""
        self._waiting -= 1
        if write.refused:
            self._send(write.transaction, write.unit, bytes((write.echo[0] | 0x80, write.refused)))
        else:
            self._send(write.transaction, write.unit, write.echo)

    def _later(self) -> None:
        self._soon = None
        self.work()

    def _holds_a_request(self) -> bool:
        return len(self._buffer) >= 8 and len(self._buffer) >= 6 + int.from_bytes(self._buffer[4:6], "big")

    def _next(self) -> bool:
        """Take one request from the buffer; False when there is none, or when it has to wait."""
        if self._full or self._waiting >= BACKLOG or len(self._buffer) < 8 or self._transport.is_closing():
            return False
        transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
        if protocol or not 2 <= length <= 254:
            self._transport.abort()  # this is no Modbus: where the next request begins cannot be told
            return False
        if len(self._buffer) < 6 + length:
            return False
        pdu = bytes(self._buffer[7 : 6 + length])
        if self._waiting and pdu[0] not in (WRITE_ONE, WRITE_MANY):
            return False
        del self._buffer[: 6 + length]
        self._request(transaction, unit, pdu)
        return True

    def _request(self, transaction: int, unit: int, pdu: bytes) -> None:
        write = Write(self, transaction, unit, pdu[:5], 0, {})
        try:
            scope = self._server.scope(unit)
            if pdu[0] in (READ_HOLDING, READ_INPUT):
                address, count = _fixed(pdu)
                if not 1 <= count <= 125:
                    raise BadValue("count")
                if scope is not None:
                    words = self._server.read(scope, self.master, address, count)
                    body = struct.pack(f">BB{count}H", pdu[0], 2 * count, *words)
                    self._send(transaction, unit, body)
                    return
            elif pdu[0] == WRITE_ONE:
                address, word = _fixed(pdu)
                write.values = registers.written(address, (word,))
            elif pdu[0] == WRITE_MANY:
                write.values = registers.written(*_many(pdu))
            else:
                write.refused = ILLEGAL_FUNCTION
            if scope is None and not write.refused:
                write.refused = NO_SUCH_UNIT
            write.scope = scope or 0
        except NoSuchRegister:
            write.refused = ILLEGAL_ADDRESS
        except BadValue:
            write.refused = ILLEGAL_VALUE
        self._waiting += 1
        if write.refused and self._waiting == 1:
            self.answer(write)
        else:
            self._server.take(write)

    def _send(self, transaction: int, unit: int, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEADER.pack(transaction, 0, 1 + len(body), unit) + body)


def _fixed(pdu: bytes) -> tuple[int, int]:
    """Address and count, or address and value; raises BadValue for a request of another length."""
    if len(pdu) != 5:
        raise BadValue("length")
    address, number = struct.unpack_from(">HH", pdu, 1)
    return address, number


def _many(pdu: bytes) -> tuple[int, tuple[int, ...]]:
    """Address and values of a write of several registers; raises BadValue where its lengths contradict each other."""
    if len(pdu) < 6:
        raise BadValue("length")
    address, count, size = struct.unpack_from(">HHB", pdu, 1)
    if not 1 <= count <= 123 or size != 2 * count or len(pdu) != 6 + size:
        raise BadValue("length")
    return address, struct.unpack_from(f">{count}H", pdu, 6)


def plain(host: str) -> str:
    """An address as it is written in the list: without a zone, and IPv4 also where it came over an IPv6 socket."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
