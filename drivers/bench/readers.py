"""The far end of card readers: a line for each card on a pseudo-terminal, or a keyboard's events in a pipe."""

import asyncio
import contextlib
import os
import random
import re
import struct
import time
import tty
from functools import partial
from pathlib import Path
from typing import Any

from drivers.bench.world import World
from drivers.settings import EvdevReaderSettings, Reader, SerialReaderSettings

LATE = 1.5
"""Seconds by which a slow reader says a card late: nobody asked it, so there is no time-out to answer after."""

AGAIN = 0.5
"""Seconds after which a reader says a card again that is held to it (a point that is held)."""

_NOISE = random.Random(4)  # the same noise in each run

_EVENT = struct.Struct("@llHHi")  # struct input_event of linux/input.h
_SYN, _KEY = 0, 1
_ENTER, _SHIFT = 28, 42
_KEYS = {char: 2 + n for n, char in enumerate("1234567890-=")}
_KEYS |= {char: 16 + n for n, char in enumerate("qwertyuiop[]")}
_KEYS |= {char: 30 + n for n, char in enumerate("asdfghjkl;'`")}
_KEYS |= {char: 43 + n for n, char in enumerate("\\zxcvbnm,./")}
_KEYS[" "] = 57
_SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))
"""Where a character is on a US keyboard (linux/input-event-codes.h)."""


def line_of(reader: Reader, token: str, kind: str) -> str:
    """What such a reader says of a card: its type and the token, in the form that its board expects if it can."""
    both, bare = f"{kind}:{token}", token
    if reader.pattern is None:
        return both
    pattern = re.compile(reader.pattern)
    return next((line for line in (both, bare) if pattern.fullmatch(line)), bare)


def typed(line: str) -> bytes:
    """The key events of a keyboard that types `line` and Enter; a character that it has no key for is left out."""
    events: list[tuple[int, int]] = []
    for char in line:
        shifted = char.isupper() or char in _SHIFTED
        code = _KEYS.get(_SHIFTED.get(char, char.lower()))
        if code is not None:
            stroke = [(code, 1), (code, 0)]
            events += [(_SHIFT, 1), *stroke, (_SHIFT, 0)] if shifted else stroke
    events += [(_ENTER, 1), (_ENTER, 0)]
    return b"".join(_packed(code, value) for code, value in events)


def _packed(code: int, value: int) -> bytes:
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return _EVENT.pack(seconds, micros, _KEY, code, value) + _EVENT.pack(seconds, micros, _SYN, 0, 0)


class ReaderEnd:
    """The reader of one bus. It keeps the far end open itself, so that the agent's death does not hang it up."""

    faults = frozenset({"offline", "garbage", "slow"})

    def __init__(
        self, world: World, bus: str, settings: SerialReaderSettings | EvdevReaderSettings, folder: Path
    ) -> None:
        self._world = world
        self._path = folder / f"{bus}.events" if isinstance(settings, EvdevReaderSettings) else None
        self._timers: set[asyncio.TimerHandle] = set()
        self._said: dict[str, float] = {}
        """When each reader said the card that is held to it."""
        self._readers = {
            name: device
            for name, device in world.board.devices.items()
            if device.bus == bus and isinstance(device, Reader)
        }
        for reader in world.places.readers.values():
            if reader.device in self._readers:
                reader.tells = partial(self._swiped, reader.device)

    async def start(self) -> dict[str, Any]:
        if self._path is not None:
            os.mkfifo(self._path)
            self._fd = self._agents = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            return {"port": str(self._path)}
        self._fd, self._agents = os.openpty()
        tty.setraw(self._agents)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._swallow)
        return {"port": os.ttyname(self._agents), "parity": "N"}

    def refresh(self) -> None:
        now = time.monotonic()
        for name in self._readers:
            points = self._world.devices[name].points
            token = points["token"].held
            if not token:
                self._said.pop(name, None)
            elif now - self._said.get(name, -AGAIN) >= AGAIN:
                self._said[name] = now
                self._swiped(name, str(token), str(points["token_type"].value))

    def touched(self, device: str) -> None:
        if device in self._readers:
            self.refresh()

    async def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._path is None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._agents)
        os.close(self._fd)

    def _swiped(self, name: str, token: str, kind: str) -> None:
        """The reader sees a card, and says so as its fault allows; without a supply it sees nothing."""
        fault = self._world.devices[name].fault
        if fault == "offline" or not self._world.powered:
            return
        line = line_of(self._readers[name], token, kind)
        if fault == "slow":
            self._later(partial(self._say, line))
        else:
            self._say(line, noise=fault == "garbage")

    def _say(self, line: str, noise: bool = False) -> None:
        if self._path is not None:
            data = typed(line)
            if noise:
                # Keys that no keyboard has.
                data = b"".join(_packed(200 + code % 40, value) for code in line.encode() for value in (1, 0))
                data += typed("")
        elif noise:
            # No byte of a line that was spoilt is a character.
            data = bytes(byte | 0x80 for byte in _NOISE.randbytes(_NOISE.randint(4, 40))) + b"\r\n"
        else:
            data = line.encode() + b"\r\n"
        with contextlib.suppress(BlockingIOError):  # nobody listens, and the wire keeps no more
            os.write(self._fd, data)

    def _later(self, call: "partial[None]") -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(LATE, fire)
        self._timers.add(timer)

    def _swallow(self) -> None:
        """A reader does not listen."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 4096)
