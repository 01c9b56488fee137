"""Card readers: those that say a line for each card over a serial port, and those that type like a USB keyboard.

The event loop waits on the file descriptor: no thread is needed. A keyboard is *grabbed* (EVIOCGRAB), so that no
card number ends up in a console. The grab and a real event device are not exercised by the tests, which have no
keyboard: they write recorded input events into a pipe.
"""

import asyncio
import errno
import fcntl
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

from drivers import DriverError, Garbled, NoAnswer, Quality, Reading, Refused, Sink, Value
from drivers.listening import listen, open_port
from drivers.reader_keys import KeyReader
from drivers.reader_lines import Garbage, LineReader, Presence, Token, token_of
from drivers.settings import (
    BusSettings,
    DeviceSettings,
    EvdevReaderSettings,
    Profile,
    Reader,
    SerialReaderSettings,
)
from drivers.trace import BusTrace

HEARTBEAT = 0.4
"""Seconds after which what is on the reader is told again: it is measured, and must not go stale."""
BURST = 10.0
"""Seconds for which garbage that goes on is told once."""

EVIOCGVERSION = 0x80044501
EVIOCGRAB = 0x40044590

_POINTS = ("token_type", "token")
_log = logging.getLogger(__name__)


class Port(ABC):
    """Where the lines come from: opened when made, raises `DriverError` where that cannot be."""

    fd: int

    @abstractmethod
    def feed(self, data: bytes, time: float) -> Iterator[str | Garbage]:
        """What `data`, read from `fd` at `time`, completes: lines, and what is none."""

    @abstractmethod
    def close(self) -> None: ...


class SerialPort(Port):
    """A serial port, locked against a second agent and against `board probe`."""

    def __init__(self, settings: SerialReaderSettings) -> None:
        self._port = open_port(settings.port, settings.baudrate, settings.parity)
        self.fd = self._port.fileno()
        self._lines = LineReader()

    def feed(self, data: bytes, time: float) -> Iterator[str | Garbage]:
        yield from self._lines.feed(data, time)

    def close(self) -> None:
        self._port.close()


class KeyboardPort(Port):
    """An event device of the kernel, grabbed; anything else that can be waited for is read as it is."""

    def __init__(self, settings: EvdevReaderSettings) -> None:
        self._keys, self._lines = KeyReader(), LineReader()
        try:
            self.fd = os.open(settings.port, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DriverError(f"{settings.port}: cannot be opened: {error.strerror}") from error
        try:
            if _is_event_device(self.fd):
                fcntl.ioctl(self.fd, EVIOCGRAB, 1)
        except OSError as error:
            os.close(self.fd)
            held = "another program holds it" if error.errno == errno.EBUSY else error.strerror
            raise DriverError(f"{settings.port}: cannot be grabbed: {held}") from error

    def feed(self, data: bytes, time: float) -> Iterator[str | Garbage]:
        for typed in self._keys.feed(data):
            if typed is None:
                self._lines.broken()
                yield Garbage("keys that the kernel had no room for")
            else:
                yield from self._lines.feed(typed, time)

    def close(self) -> None:
        os.close(self.fd)  # which also ends the grab


def _is_event_device(fd: int) -> bool:
    try:
        fcntl.ioctl(fd, EVIOCGVERSION, bytes(4))
    except OSError:
        return False
    return True


class ReaderBus:
    """One reader at its own port. It cannot be written; `token` is "" while there is no card."""

    def __init__(
        self,
        name: str,
        port: str,
        opener: Callable[[], Port],
        device: str,
        reader: Reader,
        clock: Callable[[], float],
        driver: str = "serial-reader",
    ) -> None:
        self.name = name
        self.trace = BusTrace(driver, (device,), clock)
        self._path = port
        self._opener = opener
        self._device, self._reader = device, reader
        self._pattern = None if reader.pattern is None else re.compile(reader.pattern)
        self._monotonic = clock
        self._card: Presence | None = None
        """What is on the reader; None while the port is closed."""
        self._gone: asyncio.TimerHandle | None = None
        self._told_until = 0.0

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled. Raises `DriverError` when the port cannot be opened, is held or hangs up."""
        port = self._opener()
        self._card, self._told_until = Presence(self._reader.hold, self._reader.token_type), 0.0
        try:
            try:
                ended = listen(port.fd, self._path, lambda data: self._take(port, data, sink))
            except OSError as error:
                raise DriverError(f"{self._path}: is no reader: {error.strerror}") from error
            await self._watch(self._card, ended, sink)
        finally:
            self._card = None
            if self._gone is not None:
                self._gone.cancel()
            asyncio.get_running_loop().remove_reader(port.fd)
            port.close()

    async def write(self, device: str, point: str, value: Value) -> None:
        raise Refused(f"{device}.{point}: a card reader cannot be written (tried {value!r})")

    async def read(self, device: str, point: str) -> Reading:
        """What is on the reader now."""
        if device != self._device or point not in _POINTS:
            raise Refused(f"{device}.{point}: no such point on {self.name}")
        if self._card is None:
            raise NoAnswer(f"{self._path}: not open")
        return Reading(dict(self._card.state())[point], "", self._monotonic())

    async def _watch(self, card: Presence, ended: "asyncio.Future[None]", sink: Sink) -> None:
        while True:
            self._tell(card.expire(self._monotonic()), sink)
            self._tell(card.state(), sink)
            done, _ = await asyncio.wait({ended}, timeout=HEARTBEAT)
            if done:
                now, reason = self._monotonic(), str(ended.exception())
                self.trace.failed(DriverError(reason))
                for point in _POINTS:
                    sink(self._device, point, Reading(None, "", now, Quality.BAD, reason))
                ended.result()

    def _take(self, port: Port, data: bytes, sink: Sink) -> None:
        now = self._monotonic()
        self.trace.heard(data)
        for line in port.feed(data, now):
            said = line if isinstance(line, Garbage) else token_of(line, self._pattern, self._reader.token_type)
            if isinstance(said, Token):
                self._told_until = 0.0
                self.trace.devices[self._device].answered()
                self._swiped(said, now, sink)
                continue
            self.trace.failed(Garbled(f"dropped {said.reason}"))
            if now >= self._told_until:  # never what it was: it may be part of a card's number
                self._told_until = now + BURST
                _log.warning("%s: dropped %s", self._path, said.reason)

    def _swiped(self, said: Token, now: float, sink: Sink) -> None:
        card = self._card
        if card is None:
            return
        self._tell(card.expire(now), sink)
        self._tell(card.swipe(said, now), sink)
        if self._gone is not None:
            self._gone.cancel()
        self._gone = asyncio.get_running_loop().call_later(card.hold, self._expire, card, sink)

    def _expire(self, card: Presence, sink: Sink) -> None:
        """After `hold`; a clock that says that it is not over yet leaves it to the next heartbeat."""
        self._tell(card.expire(self._monotonic()), sink)

    def _tell(self, values: list[tuple[str, str]], sink: Sink) -> None:
        now = self._monotonic()
        for point, value in values:
            sink(self._device, point, Reading(value, "", now))


def open_bus(
    name: str,
    settings: BusSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],  # noqa: ARG001  # every driver is opened alike
    monotonic: Callable[[], float],
) -> ReaderBus:
    """The bus that `drivers.open_bus` asks for. Raises `DriverError` unless its one device is a reader."""
    readers = {device: told for device, told in devices.items() if isinstance(told, Reader)}
    if len(readers) != 1 or len(devices) != 1:
        raise DriverError(f"{name}: a reader's port has one device with kind: reader, and no other")
    ((device, reader),) = readers.items()
    if isinstance(settings, SerialReaderSettings):
        serial_settings = settings
        return ReaderBus(name, settings.port, lambda: SerialPort(serial_settings), device, reader, monotonic)
    if isinstance(settings, EvdevReaderSettings):
        evdev_settings = settings
        driver = settings.driver
        return ReaderBus(name, settings.port, lambda: KeyboardPort(evdev_settings), device, reader, monotonic, driver)
    raise DriverError(f"{name}: the settings are not those of a card reader")
