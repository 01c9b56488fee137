"""What an energy management system may read of the station, whichever interface it reads through.

Currents in A, voltages in V, power in W, energy in Wh; None is "not measured", or "no limit".
"""

from dataclasses import dataclass

Phases = tuple[float | None, float | None, float | None]
"""L1, L2, L3."""

UNKNOWN: Phases = (None, None, None)


@dataclass(frozen=True, slots=True)
class EvseTelemetry:
    """One EVSE. `status` is the state of IEC 61851, "A" to "F", "" while the pilot is not heard; `limit_a` is the
    limit in force per phase and `reason` the name of the source that it comes from.
    """

    id: int
    status: str
    connected: bool
    charging: bool
    enabled: bool
    offered_a: float | None
    limit_a: float | None
    min_a: float | None
    max_a: float | None
    voltage_v: Phases = UNKNOWN
    current_a: Phases = UNKNOWN
    power_w: float | None = None
    energy_wh: float | None = None
    session_wh: float | None = None
    phases: int | None = None
    token: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The station as a whole: `limit_a` per phase is in force for it, and comes from `source`."""

    power_w: float | None
    current_a: Phases
    limit_a: float | None
    source: str
    evses: tuple[EvseTelemetry, ...]
