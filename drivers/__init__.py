"""What a driver is to the rest of the agent: points that can be read and written, on a bus that runs.

A *bus* is one wire (a serial line, a TCP connection, a set of pins, a sysfs tree) with one owner. It holds
*devices*, and a device has *points*: typed values with a unit. Readings leave a bus through a `Sink`; intentions
enter it through `write`. A driver knows neither OCPP nor the Device Model.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from drivers.settings import BusSettings, DeviceSettings, Profile

Value = bool | int | float | str


class Quality(enum.Enum):
    """How far a reading can be trusted."""

    GOOD = "good"
    BAD = "bad"  # the wire answered nothing, noise or an error: `value` is None and `reason` says which


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one point: `value` in `unit`, taken at `time` (seconds of the monotonic clock)."""

    value: Value | None
    unit: str
    time: float
    quality: Quality = Quality.GOOD
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PointInfo:
    """What a device's point can do. `kind` is "number", "boolean" or "text"; `unit` is "" where there is none."""

    name: str
    unit: str = ""
    kind: str = "number"
    readable: bool = True
    writable: bool = False


Sink = Callable[[str, str, Reading], None]
"""Takes (device, point, reading). Called in the event loop's thread; never blocks, never raises."""


class DriverError(Exception):
    """Something on a wire went wrong; the message says what, in words for an engineer."""

    kind = "lost"
    """What it is counted as."""


class Refused(DriverError):
    """The device answered that it will not: nothing has changed there."""

    kind = "refused"


class NoAnswer(DriverError):
    """Nothing valid came back in time: a write that was not answered may have happened."""

    kind = "timeout"


class Garbled(NoAnswer):
    """Something came back, but it was no valid answer."""

    kind = "garbage"


class Bus(Protocol):
    """One wire and its one owner. One that lets others look at its wire has a `trace` (drivers.trace.BusTrace)."""

    name: str

    async def run(self, sink: Sink) -> None:
        """Open the wire and poll or listen until cancelled; closes the wire on the way out.

        A device that fails alone is reported as a BAD reading of each of its points and tried again with
        back-off. An error that takes the whole wire down is raised as `DriverError`; the supervisor starts
        `run` again, with back-off.
        """
        ...

    async def write(self, device: str, point: str, value: Value) -> None:
        """Hand `value` (in the point's unit) to the device, before any poll; return when it acknowledged.

        Raises `Refused` or `NoAnswer`; bounded in time by the bus's own time-outs.
        """
        ...

    async def read(self, device: str, point: str) -> Reading:
        """Read one point now, before any poll. Raises `Refused` or `NoAnswer`."""
        ...


_OPENERS = {
    "modbus-tcp": "drivers.modbus:open_bus",
    "modbus-rtu": "drivers.modbus:open_bus",
    "dsmr-p1": "drivers.p1:open_bus",
    "gpio": "drivers.gpio:open_bus",
    "sysfs": "drivers.sysfs:open_bus",
    "serial-reader": "drivers.readers:open_bus",
    "evdev-reader": "drivers.readers:open_bus",
    "pilot-uart": "drivers.pilot_uart:open_bus",
}


def open_bus(
    name: str,
    settings: "BusSettings",
    devices: Mapping[str, "DeviceSettings"],
    profiles: Mapping[str, "Profile"],
    monotonic: Callable[[], float],
) -> Bus:
    """The bus that `settings` describe, with its `devices` (name → settings); nothing is opened before `run`.

    `profiles` maps profile names to what they hold. The driver's module, and with it pymodbus, pyserial or
    gpiozero, is imported here and nowhere else.
    """
    module, _, attribute = _OPENERS[settings.driver].partition(":")
    opener: Any = getattr(import_module(module), attribute)
    bus: Bus = opener(name, settings, devices, profiles, monotonic)
    return bus


__all__ = [
    "Bus",
    "DriverError",
    "Garbled",
    "NoAnswer",
    "PointInfo",
    "Quality",
    "Reading",
    "Refused",
    "Sink",
    "Value",
    "open_bus",
]
