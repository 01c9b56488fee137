"""What a board file may say of the station and its components, and the `Board` that comes of it."""

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from agent.board.limits_spec import EmsSpec, LimitsSpec
from agent.board.monitors_spec import MonitorSpec
from agent.model import DataType
from agent.monitoring import Monitor
from drivers.settings import (
    BusSettings,
    DeviceSettings,
    Duration,
    ModbusProfile,
    P1Profile,
    PilotUart,
    Pins,
    PositiveDuration,
    ProfileDevice,
    PwmFan,
    Reader,
    Strict,
    Sysfs,
)


class StationInfo(Strict):
    """Who the station is (part 2, ChargingStationType). `serial: from:/path` reads it from a file of the computer."""

    vendor: str = Field(min_length=1, max_length=50)
    model: str = Field(min_length=1, max_length=20)
    serial: str | None = None
    firmware: str | None = Field(default=None, max_length=50)
    supply_phases: Literal[0, 1, 3] | None = None
    message_timeout: PositiveDuration = 30.0
    """OCPPCommCtrlr.MessageTimeout[Default], in whole seconds: how long a request waits for the CSMS's answer."""

    @field_validator("message_timeout")
    @classmethod
    def _whole_seconds(cls, seconds: float) -> float:
        if seconds < 1 or seconds != int(seconds):
            raise ValueError("expected whole seconds, at least 1s")
        return seconds

    @field_validator("serial")
    @classmethod
    def _serial_fits(cls, serial: str | None) -> str | None:
        if serial is not None and not serial.startswith("from:") and not 1 <= len(serial) <= 25:
            raise ValueError("expected at most 25 characters, or from:/path of a file that holds them")
        return serial


class StatusLed(Strict):
    """A status indicator: the DEVICE.POINT of each of `LED_PARTS` that it has.

    Three lamps, `red`, `green` and `blue`, or one point that takes the colour as a number. Without `blink`, which
    lets the hardware blink by itself, the agent switches it on and off.
    """

    red: str | None = None
    green: str | None = None
    blue: str | None = None
    color: str | None = None
    blink: str | None = None

    def points(self) -> dict[str, str]:
        """Part → DEVICE.POINT."""
        return {part: source for part in LED_PARTS if (source := getattr(self, part)) is not None}


class Connector(Strict):
    """One connector; `type` is one of ConnectorEnumType (part 2), such as sType2 (socket) or cType2 (fixed cable).

    `controller` is the device that holds the pilot, its points named as in `ROLES`; `hardware` says role by role
    which DEVICE.POINT it is, for what another device does or another name is used for.
    """

    type: str = Field(min_length=1, max_length=20)
    controller: str | None = None
    hardware: dict[str, str] = {}
    max_age: PositiveDuration = 3.0
    """Past this age what the controller told no longer counts, and nothing is energised."""
    status_led: StatusLed | None = None

    @property
    def is_socket(self) -> bool:
        return self.type.startswith("s")

    def points(self, has: Container[str]) -> dict[str, str]:
        """Role → DEVICE.POINT: what `hardware` says, else the point of that name that the controller `has`.

        Of a fixed cable, what a controller has for a socket's lock and plug does not count.
        """
        roles = [role for role in ROLES if role in has and (self.is_socket or role not in SOCKET_ROLES)]
        return {role: f"{self.controller}.{role}" for role in roles} | self.hardware


@dataclass(frozen=True, slots=True)
class Role:
    """What a point of a connector's hardware is for: `kind` and `unit` of the point, and whether it is written."""

    kind: Literal["number", "boolean", "text"]
    written: bool
    unit: str = ""


ROLES: dict[str, Role] = {
    # read
    "pilot": Role("text", written=False),  # IEC 61851-1: A, B, C, D, E or F
    "plugged": Role("boolean", written=False),  # a plug is in the socket, or the fixed cable is in a car
    "cable_current": Role("number", written=False, unit="A"),  # what the plug's proximity resistor allows
    "contactor_closed": Role("boolean", written=False),  # feedback by an auxiliary contact
    "locked": Role("boolean", written=False),  # feedback of the plug retention lock
    "fault": Role("number", written=False),  # the controller's own error code, 0 for none
    # written
    "offered_current": Role("number", written=True, unit="A"),  # by the pilot's duty; 0: no duty, no charging
    "enable": Role("boolean", written=True),  # the contactor may close (in state C or D), or must be open
    "lock": Role("boolean", written=True),  # the plug retention lock
}
"""What a connector's hardware may have; `pilot` and `offered_current` it must have, and `enable` to end a charge."""

LED_PARTS: dict[str, Role] = {
    "red": Role("boolean", written=True),
    "green": Role("boolean", written=True),
    "blue": Role("boolean", written=True),
    "color": Role("number", written=True),  # 0xRRGGBB
    "blink": Role("boolean", written=True),
}
"""What a status indicator may have: its three lamps, or `color`."""

SOCKET_ROLES = ("cable_current", "lock", "locked")

MEASURED: dict[str, tuple[str, str, DataType]] = {
    "pilot": ("CPPWMController", "State", DataType.STRING),
    "plugged": ("Connector", "Plugged", DataType.BOOLEAN),
    "cable_current": ("Connector", "CableCurrent", DataType.DECIMAL),
    "contactor_closed": ("PowerContactor", "Active", DataType.BOOLEAN),
    "locked": ("ConnectorPlugRetentionLock", "Active", DataType.BOOLEAN),
    "fault": ("CPPWMController", "FaultCode", DataType.INTEGER),
}
"""Role that is read → the component and variable of the connector that say what was measured."""


class Evse(Strict):
    """One EVSE: what it can offer, in A per phase, and its connectors by id."""

    phases: Literal[0, 1, 3]
    voltage: float = Field(default=230.0, gt=0)
    min_current: float = Field(default=6.0, ge=0)
    max_current: float = Field(gt=0)
    connectors: dict[int, Connector]
    status_led: StatusLed | None = None
    on_power_loss: Literal["resume", "end"] = "resume"
    """What becomes of a transaction that a power cut interrupted: it goes on, or it ends with PowerLoss."""
    without_storage: Literal["refuse", "charge"] = "refuse"
    """What becomes of a new driver while nothing can be written to the disk. A charge that runs goes on."""

    @property
    def max_power(self) -> float:
        """W."""
        return (self.phases or 1) * self.voltage * self.max_current


class ActualFrom(Strict):
    """Where an Actual is measured: `from` is DEVICE.POINT."""

    source: str = Field(alias="from")
    max_age: PositiveDuration
    invert: bool = False


class TargetTo(Strict):
    """Where a Target goes: `to` is DEVICE.POINT, `curve` leads from the variable's value to the point's."""

    to: str
    min_set: float | None = None
    max_set: float | None = None
    initial: float | None = None
    curve: tuple[tuple[float, float], ...] | None = Field(default=None, min_length=2)
    settle: Duration = 10.0
    tolerance: str | float = "5%"

    @property
    def fraction(self) -> float:
        """The tolerance as a fraction of the Target."""
        if isinstance(self.tolerance, str):
            return float(self.tolerance.removesuffix("%")) / 100
        return self.tolerance


class VariableSpec(Strict):
    """One variable. What the catalogue of standard names knows (type, unit) may be left out."""

    type: str | None = None
    unit: str | None = Field(default=None, max_length=16)
    limits: tuple[float, float] | None = None
    values: tuple[str, ...] = ()
    access: Literal["ReadOnly", "ReadWrite"] | None = None
    """Of an Actual that is not measured: ReadWrite if the CSMS may set it."""
    value: bool | int | float | str | None = None
    actual: ActualFrom | None = None
    target: TargetTo | None = None
    monitoring: bool | None = None
    """Whether the CSMS may set monitors on it; left out, on everything but constants."""


class ComponentSpec(Strict):
    """One component, on the tier that `evse` and `connector` say."""

    name: str = Field(min_length=1, max_length=50)
    instance: str | None = Field(default=None, min_length=1, max_length=50)
    evse: int | None = Field(default=None, ge=1)
    connector: int | None = Field(default=None, ge=1)
    variables: dict[str, VariableSpec]


class BoardFile(Strict):
    """A board file as a whole."""

    station: StationInfo
    evses: dict[int, Evse] = {}
    buses: dict[str, BusSettings] = {}
    devices: dict[str, ProfileDevice | PwmFan | Pins | Sysfs | Reader | PilotUart] = {}
    components: tuple[ComponentSpec, ...] = ()
    limits: LimitsSpec | None = None
    ems: dict[str, EmsSpec] = {}
    """The external control systems by name."""
    monitors: tuple[MonitorSpec, ...] = ()


@dataclass(frozen=True)
class Board:
    """A board that was checked: every reference in it holds."""

    name: str
    path: Path
    station: StationInfo
    evses: dict[int, Evse]
    buses: dict[str, BusSettings]
    devices: dict[str, DeviceSettings]
    profiles: dict[str, ModbusProfile | P1Profile]
    components: tuple[ComponentSpec, ...]
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    ems: dict[str, EmsSpec] = field(default_factory=dict)
    monitors: tuple[MonitorSpec, ...] = ()
    notes: list[str] = field(default_factory=list)

    serial: str | None = None
    """The serial number; of a `from:` file, what that holds on this computer."""

    @property
    def hard_wired(self) -> tuple[Monitor, ...]:
        """The monitors that nobody can change."""
        return tuple(one.monitor() for one in self.monitors if one.hard_wired)

    @property
    def preconfigured(self) -> tuple[Monitor, ...]:
        """The monitors that the CSMS may replace or clear."""
        return tuple(one.monitor() for one in self.monitors if not one.hard_wired)
