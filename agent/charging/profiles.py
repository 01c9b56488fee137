"""Charging profiles (part 2 §K.3, ChargingProfileType): what they are, and how they are kept as text.

Purposes and kinds are OCPP's own enumeration values. A limit in A is per phase (K01.FR.51), one in W the sum of all
phases. Times are in UTC; seconds are whole.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from agent.charging.limits import Unit

STATION_MAX = "ChargingStationMaxProfile"
TX_DEFAULT = "TxDefaultProfile"
TX = "TxProfile"
EXTERNAL = "ChargingStationExternalConstraints"

ABSOLUTE = "Absolute"
RECURRING = "Recurring"
RELATIVE = "Relative"

CYCLES = {"Daily": 86_400, "Weekly": 7 * 86_400}
"""Seconds of each recurrencyKind; in UTC no day is longer than another."""

PHASES = 3
"""What a period without `phases` means (K01.FR.49)."""


@dataclass(frozen=True, slots=True)
class Period:
    """At most `limit` from `start` (s) on; `phases` is numberPhases, `phase` is phaseToUse."""

    start: int
    limit: float
    phases: int | None = None
    phase: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Limits over time; `duration` in s, `min_rate` (minChargingRate) in `unit`."""

    id: int
    unit: Unit
    periods: tuple[Period, ...]
    start: datetime | None = None
    duration: int | None = None
    min_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile. `transaction` belongs to a TxProfile."""

    id: int
    purpose: str
    kind: str
    stack: int
    schedules: tuple[Schedule, ...]
    recurrency: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: str | None = None


def overlap(one: Profile, other: Profile) -> bool:
    """Whether there is a time at which both are valid (K01.FR.36, FR.37)."""
    return _before(one.valid_from, other.valid_to) and _before(other.valid_from, one.valid_to)


def _before(start: datetime | None, end: datetime | None) -> bool:
    return start is None or end is None or start < end


def profile_fault(profile: Profile) -> str | None:
    """What is wrong with the profile's own elements, whichever station gets it."""
    if profile.purpose not in (STATION_MAX, TX_DEFAULT, TX, EXTERNAL):
        return f"chargingProfilePurpose {profile.purpose} is unknown"
    if profile.kind not in (ABSOLUTE, RECURRING, RELATIVE):
        return f"chargingProfileKind {profile.kind} is unknown"
    if profile.kind == RECURRING and profile.recurrency not in CYCLES:
        return "Recurring needs a recurrencyKind, Daily or Weekly"
    if profile.purpose == STATION_MAX and profile.kind == RELATIVE:
        return "a ChargingStationMaxProfile cannot be Relative"
    if profile.purpose != TX and profile.transaction is not None:
        return "a transactionId belongs to a TxProfile only"
    if not _before(profile.valid_from, profile.valid_to):
        return "validTo is not after validFrom"
    if len(profile.schedules) != 1:
        return "exactly one chargingSchedule is expected"
    return None


def schedule_fault(profile: Profile) -> str | None:
    """What is wrong with the schedule of a profile (K01.FR.19, FR.31, FR.35, FR.40, FR.41)."""
    schedule = profile.schedules[0]
    if profile.kind == RELATIVE and schedule.start is not None:
        return "a Relative profile has no startSchedule"
    if profile.kind != RELATIVE and schedule.start is None:
        return f"startSchedule is missing; {profile.kind} needs it"
    if schedule.duration is not None and schedule.duration <= 0:
        return "duration is not above 0"
    if schedule.min_rate is not None and not _amount(schedule.min_rate):
        return "minChargingRate is negative or no number"
    if not schedule.periods or schedule.periods[0].start != 0:
        return "the first startPeriod is not 0"
    if any(late.start <= early.start for early, late in zip(schedule.periods, schedule.periods[1:], strict=False)):
        return "startPeriod does not rise from period to period"
    return next((fault for fault in map(_period_fault, schedule.periods) if fault is not None), None)


def _period_fault(period: Period) -> str | None:
    where = f"period at {period.start} s: "
    if not _amount(period.limit):
        return where + "limit is negative or no number"
    if period.phases is not None and not 1 <= period.phases <= PHASES:
        return where + "numberPhases is not 1 to 3"
    if period.phase is not None and not 1 <= period.phase <= PHASES:
        return where + "phaseToUse is not 1 to 3"
    if period.phase is not None and period.phases != 1:
        return where + "phaseToUse needs numberPhases 1"
    return None


def _amount(value: float) -> bool:
    return math.isfinite(value) and value >= 0


# --- as text -------------------------------------------------------------------------------------------------------


def plain(profile: Profile) -> dict[str, Any]:
    """As values that JSON has; what is not set is left out."""
    told = _told(asdict(profile))
    told["schedules"] = [
        _told(asdict(schedule)) | {"periods": [_told(asdict(period)) for period in schedule.periods]}
        for schedule in profile.schedules
    ]
    return told


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def profile_from(told: Mapping[str, Any]) -> Profile:
    """What `plain` gave. ValueError: it is not a profile, or one that could not be followed."""
    try:
        profile = Profile(
            _whole(told["id"]),
            _text(told["purpose"]),
            _text(told["kind"]),
            _whole(told["stack"]),
            tuple(_schedule(one) for one in told["schedules"]),
            _maybe(_text, told.get("recurrency")),
            _maybe(_time, told.get("valid_from")),
            _maybe(_time, told.get("valid_to")),
            _maybe(_text, told.get("transaction")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no charging profile: {error!r}") from error
    fault = profile_fault(profile) or schedule_fault(profile)
    if fault is not None:
        raise ValueError(fault)
    return profile


def _schedule(told: Mapping[str, Any]) -> Schedule:
    unit = told["unit"]
    if unit not in ("A", "W"):
        raise ValueError(f"unit {unit!r} is neither A nor W")
    periods = tuple(
        Period(
            _whole(one["start"]),
            _number(one["limit"]),
            _maybe(_whole, one.get("phases")),
            _maybe(_whole, one.get("phase")),
        )
        for one in told["periods"]
    )
    return Schedule(
        _whole(told["id"]),
        unit,
        periods,
        _maybe(_time, told.get("start")),
        _maybe(_whole, told.get("duration")),
        _maybe(_number, told.get("min_rate")),
    )


def _maybe(read: Any, value: Any) -> Any:
    return None if value is None else read(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return time.astimezone(UTC)
