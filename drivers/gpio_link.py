"""Both ends of the wire that stands in for GPIO pins on a bench: JSON lines on a Unix socket.

The agent connects and says which pins it uses; the bench answers with the level of every input and then `ready`, so
that no read comes before the levels are there. After that each side sends what changes:

    agent → bench   {"hello": {"inputs": [24], "outputs": [18]}}
    bench → agent   {"pin": 24, "level": 1}       0, 1, or null for a pin that nothing drives: its pull decides
    bench → agent   {"ready": true}
    agent → bench   {"pin": 18, "function": "output"}, {"pin": 18, "value": 0.45}      on each write, repeated or not
    bench → agent   {"pin": 24, "level": 0}       each edge of a tacho too; the agent notes the time when it arrives

`connect` makes the agent's end, a gpiozero pin factory; `LinkServer` is the bench's end.
"""

import asyncio
import contextlib
import json
import logging
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPWMPin

from drivers import DriverError

_log = logging.getLogger(__name__)

_TIMEOUT = 2.0
"""Seconds that the handshake may take, and that a send may block."""

_BOARD = "a02082"
"""The revision code of a Pi 3 B: GPIO 0 to 27, pull-up resistors on 2 and 3."""


# --- the agent's end ----------------------------------------------------------------------------------------------


class LinkPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """A mock pin whose input level comes from the bench and whose output state goes there."""

    def __init__(self, factory: "LinkFactory", info: Any) -> None:
        super().__init__(factory, info)
        self._driven: bool | None = factory.levels.get(self._number)
        self._state = self._resting()

    def close(self) -> None:
        try:
            super().close()
        except DriverError as error:
            _log.debug("%r: %s", self, error)  # the bench was first: nobody has to be told

    def drive(self, level: bool | None) -> None:
        """The bench drives the pin to `level`, or lets go of it. Calls `when_changed` if that is an edge."""
        with self.factory.mutex:
            self._driven = level
            if self._function == "input":
                self._drive_to_rest()

    def _resting(self) -> bool:
        return bool(self._pull == "up") if self._driven is None else self._driven

    def _drive_to_rest(self) -> None:
        (self.drive_high if self._resting() else self.drive_low)()

    def _set_pull(self, value: str) -> None:
        # Unlike the mock's: a pull resistor gives way to a level that is driven from outside.
        if value not in ("up", "down", "floating"):
            raise ValueError(f"{self!r}: pull must be up, down or floating")
        with self.factory.mutex:
            self._pull = value
            self._drive_to_rest()

    def _set_function(self, value: str) -> None:
        super()._set_function(value)
        self.factory.send({"pin": self._number, "function": value})

    def _set_state(self, value: float) -> None:
        super()._set_state(value)
        self.factory.send({"pin": self._number, "value": float(value)})


class LinkFactory(MockFactory):  # type: ignore[misc]
    """A gpiozero pin factory at the agent's end of a link. It has one thread, as lgpio has, that brings the edges."""

    def __init__(
        self,
        connection: socket.socket,
        levels: Mapping[int, bool | None],
        unread: bytes,
        lost: Callable[[str], None],
    ) -> None:
        super().__init__(revision=_BOARD, pin_class=LinkPin)
        self.levels = dict(levels)
        self.mutex = threading.RLock()
        """Held where a pin takes a level, which the thread does as well as whoever sets the pins up."""
        self._connection = connection
        self._lost = lost
        self._closing = False
        self._thread = threading.Thread(target=self._listen, args=(unread,), name="gpio-link", daemon=True)
        self._thread.start()

    def pin(self, name: Any, pin_class: Any = None, **kwargs: Any) -> LinkPin:
        with self.mutex:
            made: LinkPin = super().pin(name, pin_class, **kwargs)
            return made

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one line. Raises `DriverError` when the bench is gone."""
        try:
            self._connection.sendall(_line(message))
        except OSError as error:
            raise DriverError(f"the bench's pins are gone: {error.strerror}") from error

    def close(self) -> None:
        """Let all pins go and hang up; the thread has ended when this returns."""
        self._closing = True
        super().close()
        with contextlib.suppress(OSError):  # the bench was first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _listen(self, unread: bytes) -> None:
        reason = "the bench hung up"
        try:
            while True:
                *lines, unread = unread.split(b"\n")
                for line in lines:
                    pin, level = _pin_level(json.loads(line))
                    self._deliver(pin, level)
                data = self._connection.recv(4096)
                if not data:
                    break
                unread += data
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = f"the bench's pins: {error}"
        if not self._closing:
            self._lost(reason)

    def _deliver(self, number: int, level: bool | None) -> None:
        with self.mutex:
            self.levels[number] = level
            pins = list(self.pins.values())
        for pin in pins:
            if pin._number == number:
                pin.drive(level)


def connect(path: str, inputs: Iterable[int], outputs: Iterable[int], lost: Callable[[str], None]) -> LinkFactory:
    """The pins of the bench that listens at `path`, every input level already in place. Blocks up to 2 s or so.

    `lost` is called once, in another thread, when the link breaks. Raises `DriverError` where nobody answers.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT)
        connection.connect(path)
        connection.sendall(_line({"hello": {"inputs": sorted(inputs), "outputs": sorted(outputs)}}))
        levels, unread = _levels(connection)
        # From here on the thread waits without end, while a send stays bounded (struct timeval).
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_TIMEOUT), 0))
    except (OSError, ValueError, TypeError, KeyError) as error:
        connection.close()
        raise DriverError(f"{path}: no bench answers: {error}") from error
    return LinkFactory(connection, levels, unread, lost)


def _levels(connection: socket.socket) -> tuple[dict[int, bool | None], bytes]:
    levels: dict[int, bool | None] = {}
    unread = b""
    while True:
        line, newline, rest = unread.partition(b"\n")
        if not newline:
            data = connection.recv(4096)
            if not data:
                raise ConnectionResetError("hung up before all levels were there")
            unread += data
            continue
        unread = rest
        message = json.loads(line)
        if message.get("ready"):
            return levels, unread
        pin, level = _pin_level(message)
        levels[pin] = level


def _pin_level(message: Any) -> tuple[int, bool | None]:
    level = message["level"]
    return int(message["pin"]), None if level is None else bool(level)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


# --- the bench's end ----------------------------------------------------------------------------------------------


class LinkServer:
    """The bench's end: drives the agent's inputs, and sees its outputs. One agent at a time; a new one takes over.

    All methods are for the event loop's thread. The callbacks, which may be replaced at any time:
    `on_output(pin, value)` for each write (0 or 1; a duty from 0 to 1 on a PWM pin), `on_release(pin)` when a pin
    that was an output is one no longer, because the agent let it go or died: what the wiring pulls it to counts then.
    """

    def __init__(
        self,
        path: str | Path,
        on_output: Callable[[int, float], None] | None = None,
        on_release: Callable[[int], None] | None = None,
    ) -> None:
        self.path = str(path)
        self.on_output = on_output
        self.on_release = on_release
        self._levels: dict[int, bool | None] = {}
        self._outputs: set[int] = set()
        self._tachos: dict[int, _Tacho] = {}
        self._noises: dict[int, _Noise] = {}
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether an agent holds the other end and has been told every level."""
        return self._writer is not None

    async def start(self) -> None:
        """Listen at `path`. Raises OSError where that cannot be."""
        self._server = await asyncio.start_unix_server(self._session, self.path)

    async def close(self) -> None:
        """Stop listening, hang up, stop every tacho and all noise."""
        for tacho in self._tachos.values():
            tacho.stop()
        for noise in self._noises.values():
            noise.stop()
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def level(self, pin: int) -> bool | None:
        """What drives input `pin` now; None when nothing does."""
        return self._levels.get(pin)

    def set_level(self, pin: int, level: bool | int | None) -> None:
        """Drive input `pin`, whether or not an agent is there to see it; None lets go of it."""
        self._levels[pin] = None if level is None else bool(level)
        self._send(pin)

    def set_tacho(self, pin: int, hz: float) -> None:
        """Let `pin` carry `hz` pulses a second, high and low for the same time; 0 leaves it as it is."""
        self._tachos.setdefault(pin, _Tacho(lambda: self._toggle(pin))).run_at(hz)

    def set_noise(self, pin: int, hz: float) -> None:
        """Let `pin` carry `hz` short pulses a second at random times; 0 leaves it as it is."""
        self._noises.setdefault(pin, _Noise(lambda: self._spike(pin))).run_at(hz)

    def _spike(self, pin: int) -> None:
        self._toggle(pin)
        self._toggle(pin)

    def _toggle(self, pin: int) -> None:
        self.set_level(pin, not self._levels.get(pin))

    def _send(self, pin: int) -> None:
        if self._writer is not None:
            level = self._levels[pin]
            self._writer.write(_line({"pin": pin, "level": None if level is None else int(level)}))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            hello = json.loads(await reader.readline())["hello"]
            if self._writer is not None:
                self._writer.close()
            self._release(list(self._outputs))
            for pin in hello["inputs"]:
                self._levels.setdefault(int(pin), None)
            self._writer = writer
            for pin in self._levels:
                self._send(pin)
            writer.write(_line({"ready": True}))
            while line := await reader.readline():
                if self._writer is writer:
                    self._hear(json.loads(line))
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("gpio link %s: %s", self.path, error)
        except asyncio.CancelledError:
            pass  # close() asked for it; asyncio's streams would log it as an error
        finally:
            self._sessions.discard(task)
            if self._writer is writer:
                self._writer = None
                self._release(list(self._outputs))
            writer.close()

    def _hear(self, message: Mapping[str, Any]) -> None:
        pin = int(message["pin"])
        if "value" in message:
            self._outputs.add(pin)
            if self.on_output is not None:
                self.on_output(pin, float(message["value"]))
        elif message["function"] == "input":
            self._release([pin])

    def _release(self, pins: Iterable[int]) -> None:
        for pin in pins:
            if pin in self._outputs:
                self._outputs.discard(pin)
                if self.on_release is not None:
                    self.on_release(pin)


class _Tacho:
    """Calls `toggle` twice per pulse, on a schedule that does not drift; a change of speed keeps the phase."""

    _LATE = 0.25
    """Seconds behind the schedule after which it starts anew, instead of catching up in a burst."""

    def __init__(self, toggle: Callable[[], None]) -> None:
        self._toggle = toggle
        self._half = 0.0
        self._last: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def run_at(self, hz: float) -> None:
        half = 0.5 / hz if hz > 0 else 0.0
        if half == self._half:
            return
        self.stop()
        self._half = half
        if half:
            now = asyncio.get_running_loop().time()
            self._schedule(max(now, (self._last or now) + half))

    def stop(self) -> None:
        self._half = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, due: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(due, self._edge, due)

    def _edge(self, due: float) -> None:
        now = asyncio.get_running_loop().time()
        self._last = due if now - due < self._LATE else now
        self._toggle()
        self._schedule(self._last + self._half)


class _Noise:
    """Calls `spike` at random times; after each call the line is as it was before."""

    def __init__(self, spike: Callable[[], None]) -> None:
        self._spike = spike
        self._hz = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._random = random.Random(3)  # the same noise in each run

    def run_at(self, hz: float) -> None:
        if hz != self._hz:
            self.stop()
            self._hz = hz
            if hz:
                self._again()

    def stop(self) -> None:
        self._hz = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._random.expovariate(self._hz), self._fire)

    def _fire(self) -> None:
        self._spike()
        self._again()
