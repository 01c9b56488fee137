"""What block K needs beyond `parts`: charging profiles, composite schedules, and who else limits the station."""

from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.bench.csms import Payload
from tests.certification.parts import PATIENCE, Stand, until

DEVIATION = 5
"""Seconds: part 5's "configured max time deviation", by which schedules begin in the past."""

MULTIPLIER = {"A": 1, "W": 690}
"""Part 5's "limit multiplier" of three phases (errata 6.2.69)."""

LOCAL = 32
"""A per phase that each EVSE of bench-ac can offer."""

MAXIMUM, DEFAULT, TX = "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
EXTERNAL = "ChargingStationExternalConstraints"

RISEN = 20.0
"""Seconds for an offer to rise again: 5 after the last change, and what lies before that."""

TOLD = 25.0
"""Seconds for a notice of an external limit: the third change of one in a short time waits for its turn."""

Periods = dict[int, float]
"""startPeriod: limit."""


# --- charging profiles -------------------------------------------------------------------------------------------


def at(seconds: float = 0.0) -> datetime:
    """That many seconds from now, to the second."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of(told: str) -> datetime:
    return datetime.fromisoformat(told)


def profile(
    periods: Periods,
    *,
    id: int = 1,
    purpose: str = DEFAULT,
    kind: str = "Absolute",
    stack: int = 0,
    unit: str = "A",
    start: datetime | None = None,
    duration: int | None = 400 + DEVIATION,
    **more: Any,
) -> dict[str, Any]:
    """A ChargingProfileType with the limits of `periods` in A, in `unit`. An Absolute one starts at `start`, else
    `DEVIATION` ago; `more` are the profile's other fields.
    """
    schedule: dict[str, Any] = {
        "id": id,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": second, "limit": limit * MULTIPLIER[unit], "numberPhases": 3}
            for second, limit in periods.items()
        ],
    }
    if duration is not None:
        schedule["duration"] = duration
    if kind != "Relative":
        schedule["startSchedule"] = text(at(-DEVIATION) if start is None else start)
    return {
        "id": id,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
        **more,
    }


async def send(stand: Stand, evse: int, what: dict[str, Any]) -> Payload:
    """SetChargingProfile; its response."""
    return await stand.call("SetChargingProfile", {"evseId": evse, "chargingProfile": what})


async def install(stand: Stand, evse: int, what: dict[str, Any]) -> None:
    """SetChargingProfile that must be accepted."""
    answer = await send(stand, evse, what)
    assert answer["status"] == "Accepted", answer


async def refused(stand: Stand, evse: int, what: dict[str, Any], reason: str) -> None:
    """SetChargingProfile that must be rejected with that reason code, and leave nothing behind."""
    answer = await send(stand, evse, what)
    assert answer["status"] == "Rejected", answer
    assert answer["statusInfo"]["reasonCode"] == reason
    assert await reported(stand, chargingProfileId=[what["id"]]) == []


async def clear(stand: Stand, id: int | None = None, **criteria: Any) -> str:
    """ClearChargingProfile by id or by `criteria`; the response's status."""
    request = {"chargingProfileId": id} if id is not None else {"chargingProfileCriteria": criteria}
    return str((await stand.call("ClearChargingProfile", request))["status"])


Reported = tuple[int, str, dict[str, Any]]
"""EVSE id, chargingLimitSource, ChargingProfileType."""


async def reported(stand: Stand, evse: int | None = None, **criteria: Any) -> list[Reported]:
    """GetChargingProfiles, and all that is reported, by id: none is said with NoProfiles (K09.FR.01, FR.02)."""
    since = stand.station.last
    number = since + 1
    request: dict[str, Any] = {"requestId": number, "chargingProfile": criteria}
    if evse is not None:
        request["evseId"] = evse
    answer = await stand.call("GetChargingProfiles", request)
    if answer["status"] == "NoProfiles":
        return []
    assert answer["status"] == "Accepted", answer
    await stand.station.wait_for("ReportChargingProfiles", lambda told: not told.get("tbc", False), since, PATIENCE)
    reports = [one.payload for one in stand.station.calls("ReportChargingProfiles", since)]
    assert {one["requestId"] for one in reports} == {number}
    assert all(one["tbc"] for one in reports[:-1])
    found = [
        (one["evseId"], one["chargingLimitSource"], profile) for one in reports for profile in one["chargingProfile"]
    ]
    return sorted(found, key=lambda one: one[2]["id"])


async def ids(stand: Stand, evse: int | None = None, **criteria: Any) -> list[int]:
    """The ids of what is reported."""
    return [one["id"] for _, _, one in await reported(stand, evse, **criteria)]


# --- what holds --------------------------------------------------------------------------------------------------


async def composite(stand: Stand, evse: int, seconds: int, unit: str = "A") -> tuple[datetime, Periods]:
    """GetCompositeSchedule that must be accepted: its start, and its periods in A per phase of three."""
    request = {"evseId": evse, "duration": seconds, "chargingRateUnit": unit}
    asked = datetime.now(UTC)
    answer = await stand.call("GetCompositeSchedule", request)
    assert answer["status"] == "Accepted", answer
    found = answer["schedule"]
    assert (found["evseId"], found["duration"], found["chargingRateUnit"]) == (evse, seconds, unit)
    start = time_of(found["scheduleStart"])
    assert abs((start - asked).total_seconds()) < DEVIATION
    periods = found["chargingSchedulePeriod"]
    assert {one.get("numberPhases", 3) for one in periods} == {3}
    return start, {one["startPeriod"]: one["limit"] / MULTIPLIER[unit] for one in periods}


async def offered(stand: Stand, amps: float, evse: int | None = None, seconds: float = RISEN) -> None:
    """Wait until the pilot offers the car that much, to half an ampere."""
    await until(
        lambda: abs(stand.state(evse)["offered_a"] - amps) <= 0.5, f"{amps:g} A are offered at the plug", seconds
    )


async def rate_changed(stand: Stand, number: str, since: int) -> Payload:
    """The TransactionEvent that says that the car is offered more, or less (K11.FR.04, K13.FR.03)."""
    return await stand.event(
        since, RISEN, eventType="Updated", triggerReason="ChargingRateChanged", transactionId=number
    )


# --- external control systems ------------------------------------------------------------------------------------


async def impose(stand: Stand, system: str, watts: float) -> None:
    await stand.bench.rig.ems.impose(system, watts, "W", None)


async def release(stand: Stand, system: str) -> None:
    await stand.bench.rig.ems.release(system)


async def notice(stand: Stand, source: str, since: int) -> Payload:
    """NotifyChargingLimit of that chargingLimitSource."""
    return await stand.station.wait_for(
        "NotifyChargingLimit", lambda told: told["chargingLimit"]["chargingLimitSource"] == source, since, TOLD
    )


async def cleared(stand: Stand, source: str, since: int) -> Payload:
    """ClearedChargingLimit of that chargingLimitSource."""
    return await stand.station.wait_for(
        "ClearedChargingLimit", lambda told: told["chargingLimitSource"] == source, since, TOLD
    )


async def quiet(stand: Stand) -> None:
    """Nobody limits the station any more, and the CSMS knows."""
    for name in ("modbus", "relay"):
        await release(stand, name)

    def known() -> bool:
        last: dict[str, str] = {}
        for message in stand.station.messages:
            if message.kind == "call" and message.action == "NotifyChargingLimit":
                last[message.payload["chargingLimit"]["chargingLimitSource"]] = message.action
            elif message.kind == "call" and message.action == "ClearedChargingLimit":
                last[message.payload["chargingLimitSource"]] = message.action
        return "NotifyChargingLimit" not in last.values()

    await until(known, "every external limit is told to be gone", TOLD)
