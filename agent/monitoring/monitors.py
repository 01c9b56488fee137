"""A monitor, what asks for one, and what one tells when it triggers: plain data (part 1 §4.4, part 2 N04, N07)."""

import enum
from dataclasses import dataclass
from datetime import datetime

from agent.model import Component, VariableName

Change = tuple[str, str | None]
"""A key of the store's room and what is to be kept there; None: nothing any more."""


class MonitorType(enum.StrEnum):
    """MonitorEnumType (part 2 §3.55)."""

    UPPER_THRESHOLD = "UpperThreshold"
    LOWER_THRESHOLD = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    PERIODIC_CLOCK_ALIGNED = "PeriodicClockAligned"

    @property
    def is_threshold(self) -> bool:
        return self in (MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD)

    @property
    def is_periodic(self) -> bool:
        return self in (MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED)


class Kind(enum.StrEnum):
    """EventNotificationEnumType (part 2 §3.31): who made the monitor. A notification comes without one."""

    HARD_WIRED_NOTIFICATION = "HardWiredNotification"
    HARD_WIRED_MONITOR = "HardWiredMonitor"
    PRECONFIGURED_MONITOR = "PreconfiguredMonitor"
    CUSTOM_MONITOR = "CustomMonitor"


class Trigger(enum.StrEnum):
    """EventTriggerEnumType (part 2 §3.32)."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor. `value` is in the variable's unit, of periodic ones the interval in s.

    `severity` is 0 (danger) to 9 (debug); with `transaction` it counts only while a transaction runs at its place.
    `hysteresis` is the width of the dead band around a threshold, in percent of it, as the appendix's variable
    `Hysteresis` has it; None: what that variable of the component says.
    """

    id: int
    component: Component
    variable: VariableName
    type: MonitorType
    value: float
    severity: int
    kind: Kind
    transaction: bool = False
    hysteresis: float | None = None


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """SetMonitoringDataType (part 2 §2.41); with an `id` it replaces that monitor (N04.FR.12)."""

    component: Component
    variable: VariableName
    type: MonitorType
    value: float
    severity: int
    id: int | None = None
    transaction: bool = False


@dataclass(frozen=True, slots=True)
class SetResult:
    """SetMonitoringResultType: `status` as SetMonitoringStatusEnumType has it; `id` only with Accepted."""

    status: str
    id: int | None = None
    reason_code: str | None = None
    info: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status == "Accepted"


@dataclass(frozen=True, slots=True)
class Fired:
    """One thing to tell the CSMS. `cleared` is True for a return to normal, else None.

    `actual` is the text of the Actual at that moment, "" of a write-only variable (N07.FR.10). `monitor` is None for
    what the station tells by itself.
    """

    monitor: Monitor | None
    component: Component
    variable: VariableName
    trigger: Trigger
    actual: str
    cleared: bool | None
    severity: int
    time: datetime
    kind: Kind
    cause: int | None = None
    tech_code: str | None = None
    tech_info: str | None = None
    transaction_id: str | None = None
