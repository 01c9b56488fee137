"""What a board file may say of limits: the fuse, the cabinet's heat, the interfaces of external control systems."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drivers.settings_base import PositiveDuration, Strict


class Failsafe(Strict):
    """What holds while a control system is silent (EEBUS LPC's semantics); `limit` in W of the whole station."""

    limit: float = Field(default=4200.0, ge=0)
    after: PositiveDuration = 120.0
    """Seconds of silence after which it holds."""
    hold: PositiveDuration = 7200.0
    """Seconds after which a control system that stays silent may be done without (`then`)."""
    then: Literal["failsafe", "unlimited"] = "failsafe"
    """What holds after `hold`."""
    start: Literal["failsafe", "unlimited"] = "failsafe"
    """What holds from the start until the control system is heard, or for `after` at most if it never is."""


class ModbusEms(Strict):
    """A Modbus TCP server on which an energy management system writes limits; Modbus has no passwords, so `listen`
    and `allow` (addresses or networks) say who may.
    """

    kind: Literal["modbus-tcp"]
    listen: str = "127.0.0.1"
    port: int = Field(default=1502, ge=0, le=65535)
    allow: tuple[str, ...] = ("127.0.0.1",)
    source: Literal["EMS", "SO"] = "EMS"
    failsafe: Failsafe = Failsafe()


class MqttEms(Strict):
    """A broker through which an energy management system sends limits; one without a time of its own lasts `ttl`."""

    kind: Literal["mqtt"]
    host: str
    port: int = Field(default=8883, ge=1, le=65535)
    topic: str = Field(default="station", min_length=1, max_length=200)
    """The prefix of all topics."""
    username: str | None = None
    password_file: str | None = None
    tls: bool = True
    trust: str | None = None
    """A file of certificates to trust, instead of the system's."""
    ttl: PositiveDuration = 60.0
    source: Literal["EMS", "SO"] = "EMS"
    failsafe: Failsafe = Failsafe()


class ContactEms(Strict):
    """A potential-free contact: DEVICE.POINT `from` is true while the signal is given. Wire it normally closed and
    declare the input so that an open contact, or a broken wire, is true.
    """

    kind: Literal["contact"]
    signal: str = Field(alias="from")
    limit: float = Field(default=4200.0, ge=0)
    """W that the signal means."""
    source: Literal["EMS", "SO"] = "SO"
    max_age: PositiveDuration = 3.0
    settle: PositiveDuration = 0.1
    """Seconds that a new level must last."""


EmsSpec = Annotated[ModbusEms | MqttEms | ContactEms, Field(discriminator="kind")]


class FuseSpec(Strict):
    """The fuse of the grid connection, guarded by the meter there (the board's ElectricalFeed)."""

    rating: float = Field(gt=0)
    """A per phase."""
    margin: float = Field(default=0.0, ge=0)
    """A per phase that are left free."""
    safe_current: float = Field(default=0.0, ge=0)
    """A per phase for all EVSEs while the meter is not heard."""
    window: PositiveDuration = 3.0
    rise: float = Field(default=2.0, gt=0)
    """A per second at most by which the limit grows again."""


class ThermalSpec(Strict):
    """Less current when the cabinet is hot: `curve` of (°C, A per phase of each EVSE), `from` a component's name."""

    sensor: str = Field(default="TemperatureSensor", alias="from")
    curve: tuple[tuple[float, float], ...] = Field(min_length=2)
    safe_current: float = Field(default=6.0, ge=0)
    """A while the sensor is not heard."""

    @field_validator("curve")
    @classmethod
    def _falls(cls, curve: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        for (cold, more), (hot, less) in pairwise(curve):
            if hot <= cold or less > more:
                raise ValueError("expected rising temperatures with falling currents, such as [[60, 32], [75, 6]]")
        return curve


class LimitsSpec(Strict):
    """How the station limits itself."""

    fuse: FuseSpec | None = None
    thermal: ThermalSpec | None = None
    station: float | None = Field(default=None, gt=0)
    """A per phase for all EVSEs together, where that is less than their sum."""
    sharing: Literal["fair", "priority"] = "fair"
    rotate: PositiveDuration = 900.0
    """Seconds after which another EVSE is paused, where not all can charge at once."""
    pauses: int = Field(default=12, ge=1)
    """How often in an hour an EVSE may be paused and resumed because of limits."""
    obey: PositiveDuration = 10.0
    """Seconds that a car may take to draw no more than it is offered, before it is cut off."""
    tolerance: float = Field(default=2.0, gt=0)
    """A above the offer that are still obedience."""

    @model_validator(mode="after")
    def _sane(self) -> "LimitsSpec":
        if self.fuse is not None and self.fuse.margin >= self.fuse.rating:
            raise ValueError("fuse: expected a margin smaller than the rating")
        return self
