"""Files of the kernel as points: hwmon chips, 1-wire sensors, IIO, PWM.

A read can take long (a DS18B20 measures for 750 ms) or never end, so each happens in a thread of this bus. A file
that hangs keeps its thread to itself until it comes back, and the others go on in a new one.
"""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from drivers import DriverError, NoAnswer, Quality, Reading, Refused, Sink, Value
from drivers.decimals import decimal_of, scaled, unscaled
from drivers.settings import BusSettings, DeviceSettings, Profile, Sysfs, SysfsPoint, SysfsSettings
from drivers.trace import BusTrace

T = TypeVar("T")
_Jobs = queue.SimpleQueue[Callable[[], None] | None]

_HWMON = "sys/class/hwmon"
_MOST = 4096  # bytes; the kernel's files hold one page at most


class SysfsBus:
    """Kernel files below one root, read one after the other; writes go before reads."""

    def __init__(
        self,
        name: str,
        settings: SysfsSettings,
        devices: Mapping[str, Sysfs],
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self._settings = settings
        self._points = {
            (device, name): point for device, told in devices.items() for name, point in told.points.items()
        }
        self._monotonic = monotonic
        self.trace = BusTrace(settings.driver, devices, monotonic)
        self._worker = _Worker(name)
        self._turn = asyncio.Lock()  # fair: whoever waits comes before the next poll
        self._hanging: dict[tuple[str, str], asyncio.Future[Any]] = {}

    async def run(self, sink: Sink) -> None:
        """Read every readable point each `poll` until cancelled. A file that fails makes its own point BAD only."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                due = loop.time() + self._settings.poll
                for (device, name), point in self._points.items():
                    if "r" in point.access:
                        sink(device, name, await self._polled(device, name, point.unit))
                await asyncio.sleep(due - loop.time())
        finally:
            self._worker.stop()

    async def read(self, device: str, point: str) -> Reading:
        told = self._point(device, point, "r")
        value = await self._in_thread(device, point, lambda: _read(_path(self._settings.root, told), told))
        self.trace.heard(f"{device}.{point} = {value}\n".encode())
        return Reading(value, told.unit, self._monotonic())

    async def write(self, device: str, point: str, value: Value) -> None:
        """Acknowledged when the kernel took it. The file gets a whole number, the one nearest to `value`."""
        told = self._point(device, point, "w")
        if isinstance(value, bool | str):
            raise Refused(f"{device}.{point}: not a number: {value!r}")
        try:
            raw = unscaled(value, told.scale, told.offset)
        except (ArithmeticError, ValueError):
            raise Refused(f"{device}.{point}: not a finite number: {value!r}") from None
        self.trace.sent(f"{device}.{point} = {raw}\n".encode())
        await self._in_thread(device, point, lambda: _write(_path(self._settings.root, told), raw))

    async def _polled(self, device: str, name: str, unit: str) -> Reading:
        try:
            return await self.read(device, name)
        except DriverError as error:
            return Reading(None, unit, self._monotonic(), Quality.BAD, str(error))

    def _point(self, device: str, point: str, access: str) -> SysfsPoint:
        told = self._points.get((device, point))
        if told is None:
            raise Refused(f"{device}.{point}: no such point on {self.name}")
        if access not in told.access:
            raise Refused(f"{device}.{point}: {'not readable' if access == 'r' else 'read only'}")
        return told

    async def _in_thread(self, device: str, point: str, job: Callable[[], T]) -> T:
        counters, start = self.trace.devices[device], self._monotonic()
        counters.asked()
        try:
            result = await self._done(device, point, job)
        except DriverError as error:
            counters.failed(error.kind, str(error))
            raise
        counters.answered(self._monotonic() - start)
        return result

    async def _done(self, device: str, point: str, job: Callable[[], T]) -> T:
        """The result of `job`, within the time-out. A point that still hangs from before gets no second thread."""
        async with self._turn:
            hanging = self._hanging.get((device, point))
            if hanging is not None:
                if not hanging.done():
                    raise NoAnswer(f"{device}.{point}: its file still hangs")
                del self._hanging[device, point]
            working = self._worker.do(job)
            done, _ = await asyncio.wait({working}, timeout=self._settings.timeout)
            if not done:
                self._hanging[device, point] = working
                self._worker.stop()
                self._worker = _Worker(self.name)
                raise NoAnswer(f"{device}.{point}: its file hangs, no answer in {self._settings.timeout:g} s")
        try:
            return working.result()
        except DriverError as error:
            raise type(error)(f"{device}.{point}: {error}") from error


class _Worker:
    """One thread that does one job after the other, started by the first.

    It is a daemon, which a thread of an executor is not: a file that never answers must not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: _Jobs | None = None

    def do(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]  # a T where there is no error
            else:
                future.set_exception(error)
                future.exception()  # looked at: nobody may be waiting any more

        def work() -> None:
            result, error = None, None
            try:
                result = job()
            except Exception as raised:  # noqa: BLE001  # handed to whoever waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, result, error)

        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=f"sysfs-{self._name}", daemon=True).start()
        self._jobs.put(work)
        return future

    def stop(self) -> None:
        """End the thread once it has done what it was given."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        job()


def _path(root: str, point: SysfsPoint) -> Path:
    """The one file that `point` means. Raises `NoAnswer` where there is none, or more than one."""
    folder = Path(root)
    if point.hwmon is not None:
        # By name: the number behind hwmon changes with the order in which the chips come up.
        names = folder.glob(f"{_HWMON}/*/name")
        chips = [name.parent for name in names if _text(name) == point.hwmon]
        folder = _only(chips, f"hwmon chip {point.hwmon}")
    file = point.file.lstrip("/")
    return _only(list(folder.glob(file)), str(folder / file)) if "*" in file else folder / file


def _only(found: list[Path], what: str) -> Path:
    if not found:
        raise NoAnswer(f"{what}: no such file")
    if len(found) > 1:
        raise NoAnswer(f"{what}: there are {len(found)}, {', '.join(sorted(map(str, found)))}")
    return found[0]


def _read(path: Path, point: SysfsPoint) -> int | float:
    text = _text(path)
    number = decimal_of(text)
    if number is None:
        raise NoAnswer(f"{path}: not a number: {text[:40]!r}")
    if any(number == rejected for rejected in point.reject):
        raise NoAnswer(f"{path}: {text} means that there is no measurement")
    return scaled(number, point.scale, point.offset)


def _text(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return (file.read(_MOST) or b"").decode("latin-1").strip()
    except OSError as error:
        raise NoAnswer(f"{path}: {_why(error)}") from error


def _write(path: Path, raw: int) -> None:
    try:
        # Not "w": it would make a file where the kernel has none.
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except FileNotFoundError as error:
        raise NoAnswer(f"{path}: {_why(error)}") from error
    except OSError as error:
        raise Refused(f"{path}: {_why(error)}") from error
    try:
        os.write(descriptor, f"{raw}\n".encode())
    except OSError as error:
        raise Refused(f"{path}: {raw}: {_why(error)}") from error
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))


def open_bus(
    name: str,
    settings: BusSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],  # noqa: ARG001  # every driver is opened alike
    monotonic: Callable[[], float],
) -> SysfsBus:
    """The bus that `drivers.open_bus` asks for. Raises `DriverError` for a device that is not made of files."""
    if not isinstance(settings, SysfsSettings):
        raise DriverError(f"{name}: the settings are not those of kernel files")
    told: dict[str, Sysfs] = {}
    for device, given in devices.items():
        if not isinstance(given, Sysfs):
            raise DriverError(f"{device}: a device on {name} needs kind: files")
        told[device] = given
    return SysfsBus(name, settings, told, monotonic)
