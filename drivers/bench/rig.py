"""The world with all of its wires, without the station: what a test of a driver or of a rig needs."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.board import Board
from drivers.bench.ems import Systems
from drivers.bench.far_end import FarEnd
from drivers.bench.physics import animate
from drivers.bench.refusals import CannotStart
from drivers.bench.world import World

if TYPE_CHECKING:
    from drivers.trace_file import Recording

TICK = 0.1
"""Seconds between two steps of the physics."""


def _modbus_rtu(world: World, bus: str, folder: Path) -> FarEnd:  # noqa: ARG001  # all are made alike
    from drivers.bench.modbus import RtuEnd

    return RtuEnd(world, bus, world.board.buses[bus])  # type: ignore[arg-type]


def _modbus_tcp(world: World, bus: str, folder: Path) -> FarEnd:  # noqa: ARG001
    from drivers.bench.modbus import TcpEnd

    return TcpEnd(world, bus, world.board.buses[bus])  # type: ignore[arg-type]


def _p1(world: World, bus: str, folder: Path) -> FarEnd:  # noqa: ARG001
    from drivers.bench.p1 import P1End

    return P1End(world, bus, world.board.buses[bus])  # type: ignore[arg-type]


def _gpio(world: World, bus: str, folder: Path) -> FarEnd:
    from drivers.bench.pins import PinsEnd

    return PinsEnd(world, bus, world.board.buses[bus], folder)  # type: ignore[arg-type]


def _sysfs(world: World, bus: str, folder: Path) -> FarEnd:
    from drivers.bench.files import FilesEnd

    return FilesEnd(world, bus, world.board.buses[bus], folder)  # type: ignore[arg-type]


def _reader(world: World, bus: str, folder: Path) -> FarEnd:
    from drivers.bench.readers import ReaderEnd

    return ReaderEnd(world, bus, world.board.buses[bus], folder)  # type: ignore[arg-type]


def _pilot(world: World, bus: str, folder: Path) -> FarEnd:  # noqa: ARG001
    from drivers.bench.pilot import PilotEnd

    return PilotEnd(world, bus, world.board.buses[bus])  # type: ignore[arg-type]


_FAR_ENDS: dict[str, Callable[[World, str, Path], FarEnd]] = {
    "modbus-rtu": _modbus_rtu,
    "modbus-tcp": _modbus_tcp,
    "dsmr-p1": _p1,
    "gpio": _gpio,
    "sysfs": _sysfs,
    "serial-reader": _reader,
    "evdev-reader": _reader,
    "pilot-uart": _pilot,
}
"""The far end of each driver's wire; what a board does not use is not imported."""


def check_wires(board: Board) -> None:
    """Raises `CannotStart` for a board with a wire that the bench has no far end for."""
    for bus, settings in board.buses.items():
        if settings.driver not in _FAR_ENDS:
            raise CannotStart(f"bus {bus}: the bench has nothing to put at the far end of a {settings.driver} wire")


class Rig:
    """The world of `board`, and the far end of each of its buses, with sockets and files in `folder`."""

    def __init__(self, board: Board, folder: Path) -> None:
        """Raises `CannotStart`, as `check_wires` does."""
        check_wires(board)
        self.world = World(board)
        animate(self.world)
        self.far_ends = {
            bus: _FAR_ENDS[settings.driver](self.world, bus, folder) for bus, settings in board.buses.items()
        }
        self.world.fault_kinds = {bus: end.faults for bus, end in self.far_ends.items()}
        self.ems = Systems(self.world)
        self._folder = folder
        self.overlay: dict[str, Any] = {"buses": {}, "ems": {}}
        """What leads the agent to the far ends: settings of its buses and of its control systems."""
        self._started: list[FarEnd] = []
        self._turning: asyncio.Task[None] | None = None

    def replay(self, recording: "Recording") -> None:
        """Before the start: let the bus that was recorded answer as it did. Raises `CannotStart`."""
        from drivers.bench.replay import far_end

        end = far_end(recording, self.world, self._folder)
        self.far_ends[recording.bus] = end
        self.world.fault_kinds = {**self.world.fault_kinds, recording.bus: end.faults}

    async def start(self) -> None:
        """Open every wire and let time pass."""
        self.world.switch_on()
        for bus, end in self.far_ends.items():
            self.overlay["buses"][bus] = await end.start()
            self._started.append(end)
        self.overlay["ems"] = await self.ems.start(self._folder)
        self.world.on_touch = [*(end.touched for end in self.far_ends.values()), self.ems.touched]
        self._turning = asyncio.create_task(self._turn())

    async def stop(self) -> None:
        """Close every wire."""
        if self._turning is not None:
            self._turning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._turning
        await self.ems.close()
        while self._started:
            await self._started.pop().close()

    async def _turn(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            self.world.step(now - last)
            last = now
            for end in self.far_ends.values():
                end.refresh()
