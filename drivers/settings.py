"""What a board file may say of buses, devices and device profiles: pydantic models, no I/O, no heavy imports."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drivers import PointInfo
from drivers.settings_base import Duration as Duration
from drivers.settings_base import PositiveDuration as PositiveDuration
from drivers.settings_base import Strict as Strict
from drivers.settings_modbus import ModbusIdentity as ModbusIdentity
from drivers.settings_modbus import ModbusPoint as ModbusPoint
from drivers.settings_modbus import ModbusProfile as ModbusProfile
from drivers.settings_modbus import RegisterType as RegisterType

# --- buses -------------------------------------------------------------------------------------------------


class ModbusTcpSettings(Strict):
    """A Modbus TCP connection. Devices behind one gateway share it."""

    driver: Literal["modbus-tcp"]
    host: str
    port: int = Field(default=502, ge=1, le=65535)
    timeout: PositiveDuration = 1.0
    gap: Duration = 0.0
    """Pause between two requests."""
    pause_after_connect: Duration = 0.0


class ModbusRtuSettings(Strict):
    """An RS-485 line with Modbus RTU on it."""

    driver: Literal["modbus-rtu"]
    port: str
    baudrate: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout: PositiveDuration = 0.4
    gap: Duration = 0.005
    quiet: Duration = 0.6
    """Silence kept after any failure, long enough for the slowest device's late reply to pass by unread."""


class P1Settings(Strict):
    """The P1 port of a smart meter (DSMR 4/5): telegrams pushed every second or ten."""

    driver: Literal["dsmr-p1"]
    port: str
    baudrate: int = Field(default=115200, ge=300)
    timeout: PositiveDuration = 15.0
    """Silence after which the meter counts as gone."""


class GpioSettings(Strict):
    """The pins of the computer. `link` reaches the pins of a bench over the Unix socket `socket`."""

    driver: Literal["gpio"]
    factory: Literal["lgpio", "link"] = "lgpio"
    chip: int | None = Field(default=None, ge=0)
    """N of /dev/gpiochipN; left out, the one with the header's pins (4 on a Pi 5 with an older kernel, else 0)."""
    socket: str | None = None

    @model_validator(mode="after")
    def _link_has_socket(self) -> "GpioSettings":
        if (self.factory == "link") != (self.socket is not None):
            raise ValueError("socket is needed with factory: link, and only there")
        return self


class SysfsSettings(Strict):
    """Files of the kernel: hwmon, 1-wire, IIO, PWM. `root` is / on a real board."""

    driver: Literal["sysfs"]
    root: str = "/"
    poll: PositiveDuration = 1.0
    timeout: PositiveDuration = 2.0


class SerialReaderSettings(Strict):
    """A card reader that says a line for each card, over a serial port."""

    driver: Literal["serial-reader"]
    port: str
    baudrate: int = Field(default=9600, ge=300)
    parity: Literal["N", "E", "O"] = "N"


class EvdevReaderSettings(Strict):
    """A card reader that types like a USB keyboard (evdev); grabbed, so that nobody else hears it."""

    driver: Literal["evdev-reader"]
    port: str
    """Such as /dev/input/by-id/usb-…-event-kbd."""


class PilotUartSettings(Strict):
    """A pilot controller that speaks OpenEVSE's RAPI over a serial line."""

    driver: Literal["pilot-uart"]
    port: str
    baudrate: int = Field(default=115200, ge=300)
    poll: PositiveDuration = 0.5
    timeout: PositiveDuration = 0.5
    watchdog: Annotated[Duration, Field(ge=3, le=3600)] = 10.0
    """Whole seconds without a sign of life after which the controller limits itself to `fallback_current`."""
    fallback_current: int = Field(default=6, ge=0, le=80)
    """A."""


BusSettings = Annotated[
    ModbusTcpSettings
    | ModbusRtuSettings
    | P1Settings
    | GpioSettings
    | SysfsSettings
    | SerialReaderSettings
    | EvdevReaderSettings
    | PilotUartSettings,
    Field(discriminator="driver"),
]

# --- device profiles (boards/profiles/*.yaml) -----------------------------------------------------------------

ObisCode = Annotated[str, Field(pattern=r"^\d+-\d+:\d+\.\d+\.\d+$")]


class P1Point(Strict):
    """One line of a telegram, or the sum of several (tariffs): value = number × scale, in `unit`."""

    obis: ObisCode | Annotated[tuple[ObisCode, ...], Field(min_length=1)]
    scale: float = 1.0
    unit: str = ""
    text: bool = False

    @model_validator(mode="after")
    def _text_is_one_line(self) -> "P1Point":
        if self.text and not isinstance(self.obis, str):
            raise ValueError("a text point has one OBIS code: texts cannot be summed")
        return self


class P1Profile(Strict):
    """What a smart meter's telegrams carry."""

    schema_version: Literal[1] = Field(alias="schema")
    kind: Literal["p1"]
    vendor: str
    model: str
    source: str
    points: dict[str, P1Point]


Profile = Annotated[ModbusProfile | P1Profile, Field(discriminator="kind")]

# --- devices --------------------------------------------------------------------------------------------------


class ProfileDevice(Strict):
    """A device that a profile describes: a Modbus unit or a smart meter (then without `unit`)."""

    bus: str
    profile: str
    unit: int | None = Field(default=None, ge=0, le=255)
    poll: PositiveDuration | None = None


class PwmFan(Strict):
    """A fan on pins: a PWM output (point `duty`, 0..1) and a tacho input (point `rpm`)."""

    bus: str
    kind: Literal["pwm-fan"]
    pwm: int = Field(ge=0)
    tacho: int = Field(ge=0)
    pull: Literal["up", "down", "none"] = "up"
    """Of the tacho input; a fan's tacho is an open collector."""
    pulses: int = Field(default=2, ge=1, le=8)
    """Per turn."""
    frequency: float = Field(default=100.0, gt=0, le=1000)
    """Hz; a software PWM is not for 25 kHz fans: those belong to the kernel's pwm-fan, see drivers/README.md."""
    initial_duty: float = Field(default=0.0, ge=0, le=1)
    exit_duty: float = Field(default=0.0, ge=0, le=1)
    """The last duty; then the pin becomes an input, and what the wiring pulls it to decides."""


class InputPin(Strict):
    """A digital input."""

    input: int = Field(ge=0)
    active: Literal["high", "low"] = "high"
    pull: Literal["up", "down", "none"] = "none"
    debounce: Duration = 0.0
    """Time for which the level must stand still before it counts; one that never does goes stale."""


class OutputPin(Strict):
    """A digital output; `safe` is its value (true/false of the point) at start, and at exit."""

    output: int = Field(ge=0)
    active: Literal["high", "low"] = "high"
    safe: bool = False
    pulse: PositiveDuration | None = None
    """An output that falls back to `safe` by itself after this time."""


class Pins(Strict):
    """A device made of digital pins."""

    bus: str
    kind: Literal["pins"]
    points: dict[str, InputPin | OutputPin]


class SysfsPoint(Strict):
    """A kernel file: value = number × scale + offset, in `unit`. `hwmon` names the chip whose folder holds it."""

    file: str
    """Below the bus's root, or below the chip's folder; `*` stands for a part that only one file has."""
    hwmon: str | None = None
    """What the chip's `name` file says, such as cpu_thermal or pwmfan."""
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    reject: tuple[float, ...] = ()
    """Raw numbers that mean "no measurement", such as a DS18B20's 85000 after power-on."""
    access: Literal["r", "w", "rw"] = "r"

    @model_validator(mode="after")
    def _scale_can_be_undone(self) -> "SysfsPoint":
        if self.scale == 0:
            raise ValueError("scale must not be 0")
        return self


class Sysfs(Strict):
    """A device made of kernel files."""

    bus: str
    kind: Literal["files"]
    points: dict[str, SysfsPoint]


class Reader(Strict):
    """A card reader: points `token` (what is on the reader now, "" when there is no card) and `token_type`."""

    bus: str
    kind: Literal["reader"]
    token_type: Literal["ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "Central"] = "ISO14443"
    """One of IdTokenEnumType, for a reader that does not tell the type itself."""
    pattern: str | None = None
    """A regular expression that a line must match as a whole, with a group `token` and perhaps a group `type`; left
    out, the line is the token, or `TYPE:TOKEN`."""
    hold: PositiveDuration = 1.0
    """How long a card counts as there after its line: a reader that repeats itself tells one token."""

    @model_validator(mode="after")
    def _pattern_compiles(self) -> "Reader":
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groupindex
            except re.error as error:
                raise ValueError(f"pattern: {error}") from None
            if "token" not in groups:
                raise ValueError("pattern: expected a group (?P<token>…)")
        return self


class PilotUart(Strict):
    """The controller behind a `pilot-uart` bus: one connector's pilot and contactor and, with `lock`, its lock."""

    bus: str
    kind: Literal["pilot-uart"]
    lock: bool = False
    """It drives a lock and tells whether that is closed."""


DeviceSettings = ProfileDevice | PwmFan | Pins | Sysfs | Reader | PilotUart


def points_of(device: DeviceSettings, profiles: Mapping[str, ModbusProfile | P1Profile]) -> dict[str, PointInfo]:
    """The points that `device` has, by name. Raises KeyError for a profile that is not in `profiles`."""
    if isinstance(device, PwmFan):
        return {
            "rpm": PointInfo("rpm", "RPM"),
            "duty": PointInfo("duty", writable=True),
        }
    if isinstance(device, Pins):
        return {
            name: PointInfo(name, kind="boolean", readable=True, writable=isinstance(pin, OutputPin))
            for name, pin in device.points.items()
        }
    if isinstance(device, Reader):
        return {
            "token": PointInfo("token", kind="text"),
            "token_type": PointInfo("token_type", kind="text"),
        }
    if isinstance(device, PilotUart):
        points = [
            PointInfo("pilot", kind="text"),
            PointInfo("plugged", kind="boolean"),
            PointInfo("contactor_closed", kind="boolean"),
            PointInfo("fault"),
            PointInfo("offered_current", "A", writable=True),
            PointInfo("enable", kind="boolean", readable=False, writable=True),
        ]
        if device.lock:
            points.append(PointInfo("locked", kind="boolean"))
            points.append(PointInfo("lock", kind="boolean", readable=False, writable=True))
        return {point.name: point for point in points}
    if isinstance(device, Sysfs):
        return {
            name: PointInfo(name, p.unit, readable="r" in p.access, writable="w" in p.access)
            for name, p in device.points.items()
        }
    profile = profiles[device.profile]
    if isinstance(profile, P1Profile):
        return {name: PointInfo(name, p.unit, "text" if p.text else "number") for name, p in profile.points.items()}
    kinds = {"bit": "boolean", "string": "text"}
    return {
        name: PointInfo(
            name,
            p.unit,
            "text" if p.names is not None else kinds.get(p.type, "number"),
            "r" in p.access,
            "w" in p.access,
        )
        for name, p in profile.points.items()
    }
