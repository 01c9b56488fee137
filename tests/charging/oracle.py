"""What profiles allow, evaluated at every single second with exact fractions: slow, plain, and not the agent's way.

It shares with the agent only the dataclasses of what a profile is. Sources: part 2 §K.3.2 to §K.3.5, K01, K02.FR.08,
K08, with the errata of 2025-09 (K01.FR.49, FR.50).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor

from agent.charging.profiles import Period, Profile

REPEATS = {"Daily": timedelta(days=1), "Weekly": timedelta(weeks=1)}


@dataclass(frozen=True)
class House:
    """The station: EVSEs with their phases, and what is installed as (EVSE, profile)."""

    evses: Mapping[int, int]
    voltage: Fraction
    installed: Sequence[tuple[int, Profile]]
    outside: Sequence[tuple[int, Profile]] = ()


@dataclass(frozen=True)
class Guest:
    """What goes on at an EVSE."""

    local: Fraction
    transaction: str | None = None
    began: datetime | None = None


def period_at(profile: Profile, when: datetime, began: datetime | None) -> Period | None:
    """The period of a profile at a moment; `began` None: a Relative one stands at its start."""
    if profile.valid_from is not None and when < profile.valid_from:
        return None
    if profile.valid_to is not None and not when < profile.valid_to:
        return None
    schedule = profile.schedules[0]
    start = began if profile.kind == "Relative" else schedule.start
    if start is None:
        start = when
    if when < start:
        return None
    passed = when - start
    if profile.kind == "Recurring":
        assert profile.recurrency is not None
        passed %= REPEATS[profile.recurrency]
    if schedule.duration is not None and passed >= timedelta(seconds=schedule.duration):
        return None
    begun = [period for period in schedule.periods if timedelta(seconds=period.start) <= passed]
    return begun[-1] if begun else None


def lead(profiles: Sequence[Profile], when: datetime, began: datetime | None) -> tuple[Profile, Period] | None:
    """The profile with the highest stack level among those that have a period then."""
    best = None
    for profile in profiles:
        period = period_at(profile, when, began)
        if period is not None and (best is None or profile.stack > best[0].stack):
            best = profile, period
    return best


def transaction_lead(
    house: House, evse: int, guest: Guest, when: datetime, began: datetime | None
) -> tuple[Profile, Period] | None:
    """TxProfile, and where none has a period, TxDefaultProfile."""
    running = [
        one
        for place, one in house.installed
        if one.purpose == "TxProfile" and place == evse and one.transaction == guest.transaction
    ]
    default = [one for place, one in house.installed if one.purpose == "TxDefaultProfile" and place in (0, evse)]
    return lead(running, when, began) or lead(default, when, began)


def station_lead(house: House, when: datetime) -> tuple[Profile, Period] | None:
    return lead([one for _, one in house.installed if one.purpose == "ChargingStationMaxProfile"], when, None)


def amps(house: House, found: tuple[Profile, Period], phases: int) -> tuple[Fraction, int]:
    """A per phase, and the phases."""
    profile, period = found
    used = min(phases, 3 if period.phases is None else period.phases)
    limit = Fraction(str(period.limit))
    return (limit if profile.schedules[0].unit == "A" else limit / (house.voltage * used)), used


def evse_second(house: House, evse: int, guest: Guest, asked: datetime, when: datetime) -> tuple[Fraction, int]:
    """A per phase and phases that EVSE `evse` may use at `when`, in a schedule that was asked for at `asked`."""
    began = guest.began if guest.transaction is not None and guest.began is not None else asked
    phases = house.evses[evse]
    found = [station_lead(house, when), transaction_lead(house, evse, guest, when, began)]
    found += [lead([one], when, asked) for place, one in house.outside if place in (0, evse)]
    values = [(guest.local, phases), *(amps(house, one, phases) for one in found if one is not None)]
    return min(value for value, _ in values), min(used for _, used in values)


def station_second(
    house: House, guests: Mapping[int, Guest], asked: datetime, when: datetime, unit: str
) -> tuple[Fraction, int]:
    """What all EVSEs together are expected to use, in `unit`, and the phases."""
    phases = max(house.evses.values())
    found = [station_lead(house, when), *(lead([one], when, asked) for place, one in house.outside if place == 0)]
    caps = [amps(house, one, phases) for one in found if one is not None]
    used = min([phases, *(one for _, one in caps)])
    each = [evse_second(house, evse, guest, asked, when) for evse, guest in guests.items()]
    if unit == "A":
        return min([sum((value for value, _ in each), Fraction(0)), *(value for value, _ in caps)]), used
    total = sum((value * many * house.voltage for value, many in each), Fraction(0))
    if not caps:
        return total, used
    return min(total, min(value for value, _ in caps) * used * house.voltage), used


def every_second(
    house: House, evse: int, guests: Mapping[int, Guest], asked: datetime, seconds: int, unit: str
) -> list[tuple[float, int | None]]:
    """(limit with one decimal place, numberPhases; None for 3) of each second of a composite schedule."""
    told: list[tuple[float, int | None]] = []
    for second in range(seconds):
        when = asked + timedelta(seconds=second)
        if evse == 0:
            value, phases = station_second(house, guests, asked, when, unit)
        else:
            value, phases = evse_second(house, evse, guests[evse], asked, when)
            if unit == "W":
                value = value * phases * house.voltage
        told.append((floor(value * 10) / 10, None if phases == 3 else phases))
    return told
