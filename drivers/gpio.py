"""The pins of the computer, through gpiozero: digital inputs and outputs, fans with PWM and tacho.

The pin factory is always named (lgpio, or the link to a bench), never gpiozero's own choice, which falls back without
a word. What one pin does is in `drivers.gpio_parts`.
"""

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drivers import DriverError, NoAnswer, Reading, Refused, Sink, Value
from drivers.gpio_parts import DutyPart, Emit, InputPart, OutputPart, Part, TachoPart, asked, bad
from drivers.settings import (
    BusSettings,
    DeviceSettings,
    GpioSettings,
    InputPin,
    OutputPin,
    Pins,
    Profile,
    PwmFan,
    points_of,
)
from drivers.trace import BusTrace

_log = logging.getLogger(__name__)

_Parts = dict[tuple[str, str], Part]

HEARTBEAT = 0.4
"""Seconds after which every point is emitted again, changed or not: more than twice a second."""


class GpioBus:
    """The pins that the devices of one board use."""

    def __init__(
        self,
        name: str,
        settings: GpioSettings,
        devices: Mapping[str, PwmFan | Pins],
        monotonic: Callable[[], float],
    ) -> None:
        """Raises `DriverError` when two points want the same pin."""
        self.name = name
        self._settings = settings
        self._devices = devices
        self._monotonic = monotonic
        self._units = {
            (device, point): info.unit
            for device, told in devices.items()
            for point, info in points_of(told, {}).items()
        }
        self._inputs, self._outputs = _pins_of(devices)
        self._parts: _Parts = {}
        self.trace = BusTrace(settings.driver, devices, monotonic)
        self._sink: Sink = _nowhere

    async def run(self, sink: Sink) -> None:
        """Hold the pins until cancelled; outputs are safe before the first read, and again at the end.

        Raises `DriverError` when the pins cannot be had, or the bench at the other end of a link is gone.
        """
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()

        def fail(reason: str) -> None:
            if not lost.done():
                lost.set_exception(DriverError(f"{self.name}: {reason}"))

        def lost_in_thread(reason: str) -> None:
            loop.call_soon_threadsafe(fail, reason)

        self._sink = sink
        factory = await self._open(lost_in_thread)
        try:
            while True:
                self._emit_all()
                done, _ = await asyncio.wait({lost}, timeout=HEARTBEAT)
                if done:
                    lost.result()
        except DriverError as error:
            self.trace.failed(error)
            for (device, point), unit in self._units.items():
                sink(device, point, bad(unit, self._monotonic(), str(error)))
            raise
        finally:
            self._close(factory)

    async def write(self, device: str, point: str, value: Value) -> None:
        part = self._part(device, point)
        counters = self.trace.devices[device]
        counters.asked()
        self.trace.sent(f"{device}.{point} = {value}\n".encode())
        try:
            asked(lambda: part.write(value))
            reading = asked(part.current)
        except DriverError as error:
            counters.failed(error.kind, str(error))
            raise type(error)(f"{device}.{point}: {error}") from error
        counters.answered()
        if reading is not None:
            self._sink(device, point, reading)

    async def read(self, device: str, point: str) -> Reading:
        part = self._part(device, point)
        try:
            reading = asked(part.current)
        except DriverError as error:
            raise type(error)(f"{device}.{point}: {error}") from error
        if reading is None:
            raise NoAnswer(f"{device}.{point}: not known yet")
        return reading

    def _part(self, device: str, point: str) -> Part:
        if (device, point) not in self._units:
            raise Refused(f"{device}.{point}: no such point on {self.name}")
        part = self._parts.get((device, point))
        if part is None:
            raise NoAnswer(f"{device}.{point}: {self.name} is not open")
        return part

    def _emit_all(self) -> None:
        for (device, point), part in self._parts.items():
            try:
                reading = asked(part.current)
            except DriverError as error:
                self.trace.devices[device].failed(error.kind, str(error))
                reading = bad(self._units[device, point], self._monotonic(), str(error))
            if reading is not None:
                self._sink(device, point, reading)

    async def _open(self, lost: Callable[[str], None]) -> Any:
        """The factory, with all parts on it. In a thread: importing and connecting take a while."""
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, thread_name_prefix=f"open-{self.name}")
        opening = loop.run_in_executor(executor, self._open_blocking, loop, lost)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            if opening.exception() is None:
                self._close(opening.result())
            raise
        finally:
            executor.shutdown(wait=False)

    def _open_blocking(self, loop: asyncio.AbstractEventLoop, lost: Callable[[str], None]) -> Any:
        try:
            factory = self._make_factory(lost)
        except ImportError as error:
            raise DriverError(f"{self.name}: {error}; install station-agent[pi]") from error
        except Exception as error:
            raise DriverError(f"{self.name}: the pins cannot be had: {error}") from error
        parts: _Parts = {}
        try:
            # Outputs first: the sooner they are safe, the better.
            self._open_outputs(parts, factory, loop)
            self._open_inputs(parts, factory, loop)
        except Exception as error:
            _let_go(parts, factory)
            raise DriverError(f"{self.name}: the pins cannot be opened: {error}") from error
        self._parts = parts
        return factory

    def _make_factory(self, lost: Callable[[str], None]) -> Any:
        if self._settings.socket is not None:
            from drivers.gpio_link import connect

            return connect(self._settings.socket, self._inputs, self._outputs, lost)
        return _lgpio_factory(self._settings.chip)

    def _open_outputs(self, parts: _Parts, factory: Any, loop: asyncio.AbstractEventLoop) -> None:
        for device, told in self._devices.items():
            if isinstance(told, PwmFan):
                parts[device, "duty"] = DutyPart(told, factory, self._monotonic)
                continue
            for point, pin in told.points.items():
                if isinstance(pin, OutputPin):
                    emit = self._emitter(device, point)
                    parts[device, point] = OutputPart(pin, factory, emit, loop, self._monotonic)

    def _open_inputs(self, parts: _Parts, factory: Any, loop: asyncio.AbstractEventLoop) -> None:
        for device, told in self._devices.items():
            if isinstance(told, PwmFan):
                parts[device, "rpm"] = TachoPart(told, factory.pin(told.tacho), self._monotonic)
                continue
            for point, pin in told.points.items():
                if isinstance(pin, InputPin):
                    emit = self._emitter(device, point)
                    parts[device, point] = InputPart(pin, factory.pin(pin.input), emit, loop, self._monotonic)

    def _emitter(self, device: str, point: str) -> Emit:
        """Takes what an edge makes of a point, and no heartbeat."""

        def emit(reading: Reading) -> None:
            self.trace.heard(f"{device}.{point} = {reading.value}\n".encode())
            self._sink(device, point, reading)

        return emit

    def _close(self, factory: Any) -> None:
        parts, self._parts = self._parts, {}
        self._sink = _nowhere
        _let_go(parts, factory)


def _let_go(parts: _Parts, factory: Any) -> None:
    """Make every output safe, whatever happens to the others, then let the pins go."""
    for step in ("make_safe", "close"):
        for (device, point), part in parts.items():
            try:
                asked(getattr(part, step))
            except DriverError as error:
                _log.warning("%s.%s: %s: %s", device, point, step, error)
    factory.close()


def _pins_of(devices: Mapping[str, PwmFan | Pins]) -> tuple[list[int], list[int]]:
    """The numbers of input and of output pins. Raises `DriverError` for one that is used twice."""
    uses: dict[int, str] = {}
    inputs: list[int] = []
    outputs: list[int] = []

    def use(number: int, where: str, pins: list[int]) -> None:
        if number in uses:
            raise DriverError(f"GPIO{number} is used by {uses[number]} and by {where}")
        uses[number] = where
        pins.append(number)

    for device, told in devices.items():
        if isinstance(told, PwmFan):
            use(told.pwm, f"{device}.duty", outputs)
            use(told.tacho, f"{device}.rpm", inputs)
            continue
        for point, pin in told.points.items():
            if isinstance(pin, InputPin):
                use(pin.input, f"{device}.{point}", inputs)
            else:
                use(pin.output, f"{device}.{point}", outputs)
    return inputs, outputs


def _lgpio_factory(chip: int | None) -> Any:
    # lgpio makes a named pipe when it is imported: in LG_WD, which it makes the working directory of the process.
    # Two processes must not share that folder.
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    os.environ.setdefault("LG_WD", runtime or tempfile.mkdtemp(prefix="station-agent-"))
    here = Path.cwd()
    try:
        from gpiozero.pins.lgpio import LGPIOFactory
    finally:
        os.chdir(here)
    return LGPIOFactory(chip=chip)


def _nowhere(device: str, point: str, reading: Reading) -> None:
    """Where readings go while nobody listens."""


def open_bus(
    name: str,
    settings: BusSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],  # noqa: ARG001  # every driver is opened alike
    monotonic: Callable[[], float],
) -> GpioBus:
    """The bus that `drivers.open_bus` asks for. Raises `DriverError` for a device that has no pins."""
    if not isinstance(settings, GpioSettings):
        raise DriverError(f"{name}: the settings are not those of pins")
    told: dict[str, PwmFan | Pins] = {}
    for device, given in devices.items():
        if not isinstance(given, PwmFan | Pins):
            raise DriverError(f"{device}: a device on {name} needs kind: pwm-fan or kind: pins")
        told[device] = given
    return GpioBus(name, settings, told, monotonic)
