"""The far end of kernel files: a folder with the files that the kernel would have.

A file is replaced as a whole, so that no reader sees half of it. What the agent writes is found by the file's time,
ten times a second; of two writes within a tenth of a second the last one counts.
"""

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.bench.world import World
from drivers.settings import Sysfs, SysfsPoint, SysfsSettings

INTERVAL = 1.0
"""Seconds after which a quantity that drifts is written again."""

SLOWNESS = 1.5
"""A slow file answers after this many times the bus's time-out."""


@dataclass
class _File:
    device: str
    point: str
    told: SysfsPoint
    path: Path
    text: str = ""
    stamp: int = 0
    """The time of the file as the bench wrote it; another one means that the agent wrote."""
    written: float = field(default=-INTERVAL)
    writer: int = -1
    """The bench's end of a pipe that stands in for a slow file, and since when it is open."""
    opened: float = 0.0


class FilesEnd:
    """The files of one sysfs bus, below a folder of the bench."""

    faults = frozenset({"offline", "garbage", "slow"})

    def __init__(self, world: World, bus: str, settings: SysfsSettings, folder: Path) -> None:
        self._world = world
        self.root = folder / bus
        self._slow = settings.timeout * SLOWNESS
        self._chips: dict[str, Path] = {}
        self._files: list[_File] = []
        self._retired: list[int] = []
        for name, device in world.board.devices.items():
            if device.bus == bus and isinstance(device, Sysfs):
                self._files += [_File(name, p, told, self._path(told)) for p, told in device.points.items()]

    def _path(self, told: SysfsPoint) -> Path:
        folder = self.root
        if told.hwmon is not None:
            number = len(self._chips)
            folder = self._chips.setdefault(told.hwmon, self.root / f"sys/class/hwmon/hwmon{number}")
        return folder / told.file.lstrip("/").replace("*", "0")

    async def start(self) -> dict[str, Any]:
        self.root.mkdir(parents=True, exist_ok=True)
        for chip, folder in self._chips.items():
            folder.mkdir(parents=True)
            (folder / "name").write_text(f"{chip}\n")
        for file in self._files:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            self._show(file)
        return {"root": str(self.root)}

    def refresh(self) -> None:
        self._free_readers()
        now = time.monotonic()
        for file in self._files:
            fault = self._fault(file)
            if fault == "slow":
                self._answer_slowly(file, now)
            elif fault == "none":
                if "w" in file.told.access:
                    self._look(file)
                if now - file.written >= INTERVAL and file.text != self._text(file):
                    self._show(file)

    def touched(self, device: str) -> None:
        for file in self._files:
            if file.device == device:
                self._show(file)

    async def close(self) -> None:
        for file in self._files:
            self._retire_pipe(file)
        self._free_readers()

    def _retire_pipe(self, file: _File) -> None:
        """The pipe of a slow file is about to be replaced: whoever waits at it, or comes until then, is freed later.

        Freed at once, a reader could be back before the pipe is gone, and would wait at it for ever.
        """
        if file.path.is_fifo():
            self._retired.append(os.open(file.path, os.O_RDWR))
        if file.writer >= 0:
            self._retired.append(file.writer)
            file.writer = -1

    def _free_readers(self) -> None:
        while self._retired:
            os.close(self._retired.pop())

    def _fault(self, file: _File) -> str:
        return self._world.devices[file.device].fault

    def _text(self, file: _File) -> str:
        value = self._world.devices[file.device].points[file.point].number
        return f"{round((value - file.told.offset) / file.told.scale)}\n"

    def _show(self, file: _File) -> None:
        """Make the file what the world, or its fault, says."""
        fault = self._fault(file)
        file.written = time.monotonic()
        if fault == "slow":
            if not file.path.is_fifo():
                pipe = file.path.with_name(f".{file.path.name}")
                os.mkfifo(pipe, 0o644)
                pipe.replace(file.path)
            return
        self._retire_pipe(file)
        if fault == "offline":
            file.path.unlink(missing_ok=True)
            file.text = ""
            return
        file.text = "\x00#?\x7f\n" if fault == "garbage" else self._text(file)
        new = file.path.with_name(f".{file.path.name}")
        new.write_text(file.text)
        file.stamp = new.stat().st_mtime_ns
        new.replace(file.path)

    def _look(self, file: _File) -> None:
        """Take over what the agent wrote into the file."""
        try:
            stamp = file.path.stat().st_mtime_ns
            text = file.path.read_text()
        except OSError:
            return
        if stamp == file.stamp or not text.strip():
            return
        file.stamp, file.text = stamp, text
        with contextlib.suppress(ValueError):
            value = round(float(text) * file.told.scale + file.told.offset, 6)
            self._world.write(file.device, file.point, value)

    def _answer_slowly(self, file: _File, now: float) -> None:
        """A pipe has no writer until somebody reads, and keeps its reader waiting until the bench writes."""
        if file.writer < 0:
            with contextlib.suppress(OSError):  # nobody reads
                file.writer = os.open(file.path, os.O_WRONLY | os.O_NONBLOCK)
                file.opened = now
        elif now - file.opened >= self._slow:
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(file.writer, self._text(file).encode())
            os.close(file.writer)
            file.writer = -1
