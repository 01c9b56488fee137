"""Which charging profiles are refused, and with which reason code of the appendices (K01, K05)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from agent.charging.limits import Unit
from agent.charging.profiles import (
    EXTERNAL,
    STATION_MAX,
    TX,
    TX_DEFAULT,
    Period,
    Profile,
    overlap,
    profile_fault,
    schedule_fault,
)

DUPLICATE = "DuplicateProfile"
INVALID_PROFILE = "InvalidProfile"
INVALID_SCHEDULE = "InvalidSchedule"
INVALID_STACK = "InvalidStackLevel"
MISSING = "MissingParam"
TOO_MANY = "TooManyElements"
NO_TRANSACTION = "TxNotFound"
UNKNOWN_EVSE = "UnknownEvse"
UNSUPPORTED_UNIT = "UnsupportedRateUnit"

MOST_INFO = 512
"""Characters of StatusInfoType.additionalInfo."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a profile is not taken: `reason_code` and `info` for StatusInfoType."""

    reason_code: str
    info: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "info", self.info[:MOST_INFO])


@dataclass(frozen=True, slots=True)
class Rules:
    """What a station can do. `evses` maps the EVSEs (AC all of them) to their phases, `voltage` is the nominal one
    between phase and neutral (K01.FR.50); `usable` are the phases that can be used alone, for phaseToUse.
    """

    evses: Mapping[int, int]
    voltage: float
    max_stack: int
    max_periods: int
    max_profiles: int
    units: tuple[Unit, ...] = ("A", "W")
    phase_switching: bool = False
    usable: tuple[int, ...] = (1,)


def refusal(evse: int, profile: Profile, rules: Rules, transactions: Mapping[int, str | None]) -> Refused | None:
    """Why the CSMS may not set `profile` on `evse`, whatever else is installed; None: it may.

    `transactions` maps EVSEs to the id of the transaction that runs there.
    """
    if profile.purpose == EXTERNAL:
        return Refused(INVALID_PROFILE, f"{EXTERNAL} cannot be set by the CSMS")
    if evse != 0 and evse not in rules.evses:
        return Refused(UNKNOWN_EVSE, f"there is no EVSE {evse}")
    if profile.purpose == STATION_MAX and evse != 0:
        return Refused(INVALID_PROFILE, f"{STATION_MAX} belongs to EVSE 0")
    if profile.purpose == TX:
        if evse == 0:
            return Refused(INVALID_PROFILE, f"{TX} needs an EVSE above 0")
        if profile.transaction is None:
            return Refused(MISSING, f"{TX} needs a transactionId")
        if transactions.get(evse) != profile.transaction:
            return Refused(NO_TRANSACTION, f"transaction {profile.transaction} does not run on EVSE {evse}")
    return _unfit(evse, profile, rules)


def start_refusal(evse: int | None, profile: Profile, rules: Rules) -> Refused | None:
    """Why a remote start may not bring `profile` (K05.FR.02, FR.05, F01.FR.09, FR.11); it has no transaction yet."""
    if profile.purpose != TX:
        return Refused(INVALID_PROFILE, f"a start takes a {TX} only")
    if profile.transaction is not None:
        return Refused(INVALID_PROFILE, "a start has no transactionId yet")
    return _unfit(evse or 0, profile, rules)


def _unfit(evse: int, profile: Profile, rules: Rules) -> Refused | None:
    """What the station cannot do, or nobody could."""
    fault = profile_fault(profile)
    if fault is not None:
        return Refused(INVALID_PROFILE, fault)
    if not 0 <= profile.stack <= rules.max_stack:
        return Refused(INVALID_STACK, f"stackLevel is 0 to {rules.max_stack}")
    schedule = profile.schedules[0]
    if schedule.unit not in rules.units:
        return Refused(UNSUPPORTED_UNIT, f"chargingRateUnit is one of {', '.join(rules.units)}")
    if len(schedule.periods) > rules.max_periods:
        return Refused(TOO_MANY, f"at most {rules.max_periods} periods are taken")
    fault = schedule_fault(profile)
    if fault is None:
        concerned = [phases for id, phases in rules.evses.items() if evse in (0, id)]
        fault = next((why for why in (_phases(one, concerned, rules) for one in schedule.periods) if why), None)
    return None if fault is None else Refused(INVALID_SCHEDULE, fault)


def _phases(period: Period, concerned: Collection[int], rules: Rules) -> str | None:
    """What of `period` EVSEs with so many phases as in `concerned` cannot do (K01.FR.43, FR.45, FR.48)."""
    if period.phases is not None and not rules.phase_switching and any(period.phases < one for one in concerned):
        return f"period at {period.start} s: an EVSE cannot keep to {period.phases} of its phases"
    if period.phase is not None and period.phase not in rules.usable:
        return f"period at {period.start} s: phase {period.phase} cannot be used alone"
    return None


def duplicate(evse: int, profile: Profile, installed: Iterable[tuple[int, Profile]]) -> Refused | None:
    """Which profile with another id stands in the way of `profile` on `evse` (K01.FR.06, FR.39, FR.52, FR.53)."""
    for place, other in installed:
        if (other.purpose, other.stack) != (profile.purpose, profile.stack) or other.id == profile.id:
            continue
        if profile.purpose == TX:
            clash = other.transaction == profile.transaction
        elif place == evse:
            clash = overlap(profile, other)
        else:
            clash = profile.purpose == TX_DEFAULT and 0 in (evse, place)
        if clash:
            return Refused(DUPLICATE, f"profile {other.id} on EVSE {place} has stackLevel {other.stack} too")
    return None
