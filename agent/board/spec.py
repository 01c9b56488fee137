"""What a board file may say of the station and its components, and the `Board` that comes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from drivers.settings import (
    BusSettings,
    DeviceSettings,
    Duration,
    ModbusProfile,
    P1Profile,
    Pins,
    PositiveDuration,
    ProfileDevice,
    PwmFan,
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

    @field_validator("serial")
    @classmethod
    def _serial_fits(cls, serial: str | None) -> str | None:
        if serial is not None and not serial.startswith("from:") and not 1 <= len(serial) <= 25:
            raise ValueError("expected at most 25 characters, or from:/path of a file that holds them")
        return serial


class Connector(Strict):
    """One connector; `type` is one of ConnectorEnumType (part 2), such as sType2 (socket) or cType2 (fixed cable)."""

    type: str = Field(min_length=1, max_length=20)

    @property
    def is_socket(self) -> bool:
        return self.type.startswith("s")


class Evse(Strict):
    """One EVSE: what it can offer, in A per phase, and its connectors by id."""

    phases: Literal[0, 1, 3]
    voltage: float = Field(default=230.0, gt=0)
    min_current: float = Field(default=6.0, ge=0)
    max_current: float = Field(gt=0)
    connectors: dict[int, Connector]

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
    devices: dict[str, ProfileDevice | PwmFan | Pins | Sysfs] = {}
    components: tuple[ComponentSpec, ...] = ()


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
    notes: list[str] = field(default_factory=list)

    serial: str | None = None
    """The serial number; of a `from:` file, what that holds on this computer."""
