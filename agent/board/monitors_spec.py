"""What a board file may say of monitors: those that the station has before any CSMS sets one (N03)."""

from typing import Literal

from pydantic import Field, field_validator

from agent.model.address import parse_place
from agent.monitoring import Kind, Monitor, MonitorType
from drivers.settings_base import Strict


class MonitorSpec(Strict):
    """One monitor. The CSMS may replace or clear it, unless it is `hard_wired`."""

    id: int = Field(ge=1, le=999)
    """The CSMS knows it by this number, and what the CSMS made of it is kept under it: never give one again."""
    variable: str
    """`Component[instance]@evse,connector.Variable[instance]`, without what there is not."""
    type: Literal["UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned"]
    value: float = Field(default=1.0, allow_inf_nan=False)
    """In the variable's unit; of the periodic ones the interval in s. A Delta of what is no number needs none."""
    severity: int = Field(ge=0, le=9)
    hard_wired: bool = False
    transaction: bool = False
    """Whether it counts only while a transaction runs there."""
    hysteresis: float | None = Field(default=None, ge=0, lt=200)
    """Of a threshold: the width of the dead band around it, in percent of it."""

    @field_validator("variable")
    @classmethod
    def _is_a_place(cls, text: str) -> str:
        try:
            parse_place(text)
        except ValueError:
            raise ValueError("expected Component[instance]@evse,connector.Variable[instance]") from None
        return text

    def monitor(self) -> Monitor:
        component, name = parse_place(self.variable)
        return Monitor(
            self.id,
            component,
            name,
            MonitorType(self.type),
            self.value,
            self.severity,
            Kind.HARD_WIRED_MONITOR if self.hard_wired else Kind.PRECONFIGURED_MONITOR,
            self.transaction,
            self.hysteresis,
        )
