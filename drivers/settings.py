"""What a board file may say of buses, devices and device profiles: pydantic models, no I/O, no heavy imports."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from drivers import PointInfo

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)", value.strip())
        if match is None:
            raise ValueError("expected a duration such as 500ms, 3s, 2min or 1h")
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a duration such as 500ms, 3s, 2min or 1h")
    raise ValueError(f"expected a duration with its unit, such as {value}s")


_Written = Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*(ms|s|min|h)$", examples=["500ms", "3s"])]
"""For editors, which check a file against the JSON Schema."""

Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=_Written), Field(ge=0)]
"""Seconds, written in a board file with a unit: 500ms, 3s, 2min, 1h."""

PositiveDuration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=_Written), Field(gt=0)]


class Strict(BaseModel):
    """A part of a board file: unknown keys are mistakes."""

    # Built as part of what a board file is checked against, not each part on its own as well.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


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


BusSettings = Annotated[
    ModbusTcpSettings | ModbusRtuSettings | P1Settings | GpioSettings | SysfsSettings,
    Field(discriminator="driver"),
]

# --- device profiles (boards/profiles/*.yaml) -----------------------------------------------------------------

RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bit", "string"]


class ModbusPoint(Strict):
    """One point of a Modbus device: where its registers are and what they mean.

    value = raw × scale (× 10^register at `scale_at`, SunSpec) + offset, in `unit`.
    """

    at: int = Field(ge=0, le=65535)
    """Address on the wire, from 0."""
    type: RegisterType
    table: Literal["input", "holding", "coil", "discrete"] | None = None
    word_order: Literal["big", "little"] | None = None
    length: int | None = Field(default=None, ge=1, le=60)
    """Registers of a string."""
    bit: int | None = Field(default=None, ge=0, le=15)
    """The bit of a register that a `bit` point in a register table is."""
    scale: float = 1.0
    offset: float = 0.0
    scale_at: int | None = Field(default=None, ge=0, le=65535)
    """Address of a register that holds the power of ten (SunSpec sunssf)."""
    unit: str = ""
    na: tuple[int, ...] = ()
    """Raw values that mean "not available"."""
    access: Literal["r", "w", "rw"] = "r"
    write: Literal["single", "multiple"] | None = None
    """Function code for writes: 5/6 or 15/16; by default single where one register is enough."""
    poll: PositiveDuration | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "ModbusPoint":
        if (self.type == "string") != (self.length is not None):
            raise ValueError("length is needed with type: string, and only there")
        if self.bit is not None and self.type != "bit":
            raise ValueError("bit is only for type: bit")
        if self.scale == 0:
            raise ValueError("a scale of 0 loses the value")
        if self.scale_at is not None and self.type not in ("int16", "uint16", "int32", "uint32", "int64", "uint64"):
            raise ValueError("scale_at is only for whole numbers")
        return self


class ModbusIdentity(Strict):
    """Registers that tell that the right device is connected; `board probe` reads them."""

    at: int = Field(ge=0, le=65535)
    type: RegisterType
    table: Literal["input", "holding"] = "holding"
    length: int | None = Field(default=None, ge=1, le=60)
    equals: tuple[int | str, ...]


class ModbusProfile(Strict):
    """The register map of a Modbus device, as its maker publishes it."""

    schema_version: Literal[1] = Field(alias="schema")
    kind: Literal["modbus"]
    vendor: str
    model: str
    source: str
    """The document the map was taken from."""
    table: Literal["input", "holding", "coil", "discrete"] = "holding"
    word_order: Literal["big", "little"] = "big"
    max_block: int = Field(default=60, ge=1, le=125)
    """Registers that one request may ask for."""
    max_gap: int = Field(default=8, ge=0, le=124)
    """Unused registers that one request may read over, to save another request."""
    poll: PositiveDuration = 1.0
    identity: ModbusIdentity | None = None
    points: dict[str, ModbusPoint]

    @model_validator(mode="after")
    def _points_fit_their_tables(self) -> "ModbusProfile":
        for name, point in self.points.items():
            table = point.table or self.table
            coil = table in ("coil", "discrete")
            if coil != (point.type == "bit" and point.bit is None):
                raise ValueError(
                    f"{name}: coils and discrete inputs are of type bit without bit:, a bit of a register needs bit:"
                )
            if "w" in point.access and table in ("input", "discrete"):
                raise ValueError(f"{name}: table {table} cannot be written")
        return self


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


DeviceSettings = ProfileDevice | PwmFan | Pins | Sysfs


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
        name: PointInfo(name, p.unit, kinds.get(p.type, "number"), "r" in p.access, "w" in p.access)
        for name, p in profile.points.items()
    }
