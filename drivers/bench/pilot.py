"""The far end of a pilot controller's serial line: a chip (`rapi.py`) on a pseudo-terminal, sound or faulty."""

import asyncio
import contextlib
import os
import random
import time
import tty
from collections.abc import Callable
from functools import partial
from typing import Any

from agent.board import Board
from drivers import Value
from drivers.bench.rapi import LEAST, REFUSED, Chip, command_of
from drivers.bench.world import World
from drivers.settings import PilotUart, PilotUartSettings

SLOWNESS = 1.5
"""A slow controller answers after this many times the bus's time-out."""

LONGEST = 128
"""Characters of a command that the controller has room for."""

_MOST = 32
"""A of a controller that no connector has."""

_NOISE = random.Random(5)  # the same noise in each run


class PilotEnd:
    """The controller of one bus. Both ends are kept open, so that an agent that dies does not hang the line up.

    Its faults are of the line: the controller itself goes on, and falls back when it hears nothing.
    """

    faults = frozenset({"offline", "garbage", "slow", "exception"})

    def __init__(self, world: World, bus: str, settings: PilotUartSettings) -> None:
        self._world, self._delay = world, settings.timeout * SLOWNESS
        self._timers: set[asyncio.TimerHandle] = set()
        self._name = next(
            name for name, told in world.board.devices.items() if told.bus == bus and isinstance(told, PilotUart)
        )
        self._device = world.devices[self._name]
        self._chip = Chip(self._device.points, self._wrote, _most(world.board, self._name))
        self._starts = 0
        """How often its supply had come when it last started."""
        self._news: tuple[int, ...] = ()
        self._buffer = b""

    async def start(self) -> dict[str, Any]:
        self._fd, self._agents = os.openpty()
        tty.setraw(self._agents)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return {"port": os.ttyname(self._agents)}

    def refresh(self) -> None:
        if not self._world.powered:
            return
        now = time.monotonic()
        if self._world.starts != self._starts:
            self._starts, self._buffer, self._news = self._world.starts, b"", ()
            self._forget()
            self._chip.switch_on(now)
            self._say(self._chip.boot)
        self._chip.step(now)
        self._follow(now)

    def touched(self, device: str) -> None:
        if device == self._name:
            self.refresh()

    async def close(self) -> None:
        self._forget()
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        os.close(self._agents)

    def _follow(self, now: float) -> None:
        """The physics follow what the chip does; what is new then, it tells."""
        self._world.places.written(self._name, False, now, self._world.powered)
        if self._chip.news != self._news:
            self._news = self._chip.news
            self._say(self._chip.told)

    def _wrote(self, point: str, value: Value) -> None:
        self._world.log.add("write", device=self._name, point=point, value=value)

    # --- the line --------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._buffer += os.read(self._fd, 4096)
        self.refresh()  # in case that it has just started: then it has heard nothing
        *lines, rest = self._buffer.split(b"\r")
        self._buffer = rest[-LONGEST:]
        for raw in lines:
            if raw:
                self._heard(raw)

    def _heard(self, raw: bytes) -> None:
        fault = self._device.fault if self._world.powered else "offline"
        if fault == "offline":
            return
        if fault == "garbage":
            self._write(_NOISE.randbytes(_NOISE.randint(4, 40)))
            return
        command, now = command_of(raw), time.monotonic()
        if command is None:  # damaged: it cannot say which one
            self._say(b"$NK^21\r")
            return
        # A late one has done what it was told all the same.
        answer = REFUSED if fault == "exception" else self._chip.obey(command.words, now)
        self._say(command.answer(answer))
        self._follow(now)

    def _say(self, data: bytes) -> None:
        """As the fault of the line allows."""
        if self._device.fault in ("none", "exception"):
            self._write(data)
        elif self._device.fault == "slow":
            self._later(partial(self._write, data))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody listens, and the wire keeps no more
            os.write(self._fd, data)

    def _forget(self) -> None:
        """What is not said yet is never said."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _later(self, call: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(self._delay, fire)
        self._timers.add(timer)


def _most(board: Board, device: str) -> int:
    """A that an installer set the controller of an EVSE to: whole ones, as it takes no others."""
    limits = [
        evse.max_current
        for evse in board.evses.values()
        if any(connector.controller == device for connector in evse.connectors.values())
    ]
    return max(LEAST, int(min(limits, default=_MOST)))
