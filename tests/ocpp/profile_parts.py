"""What the tests of charging profiles on the line share: profiles as JSON, and a line to a fake `SmartCharging`."""

from typing import Any

from agent.charging.profiles import EXTERNAL, Period, Profile, Schedule
from tests.ocpp.charging import BEGIN, FakeCharging
from tests.ocpp.parts import Line


def profile(**more: Any) -> dict[str, Any]:
    """A TxDefaultProfile of 16 A from BEGIN on; fields of its schedule and its period go by their names."""
    period = {key: more.pop(key) for key in ("startPeriod", "limit", "numberPhases", "phaseToUse") if key in more}
    schedule: dict[str, Any] = {
        "id": 1,
        "startSchedule": "2026-01-31T12:00:00.000Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0, **period}],
    }
    names = ("startSchedule", "duration", "chargingRateUnit", "chargingSchedulePeriod", "minChargingRate")
    schedule |= {key: more.pop(key) for key in names if key in more}
    whole = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [{key: value for key, value in schedule.items() if value is not None}],
        **more,
    }
    return {key: value for key, value in whole.items() if value is not None}


def of_transaction(**more: Any) -> dict[str, Any]:
    return profile(chargingProfilePurpose="TxProfile", chargingProfileKind="Relative", startSchedule=None, **more)


FULL = profile(
    stackLevel=3,
    chargingProfileKind="Recurring",
    recurrencyKind="Weekly",
    validFrom="2026-01-01T00:00:00.000Z",
    validTo="2027-01-01T00:00:00.000Z",
    duration=3600,
    minChargingRate=6.5,
    chargingSchedulePeriod=[
        {"startPeriod": 0, "limit": 16.1, "numberPhases": 3},
        {"startPeriod": 60, "limit": 0.0},
    ],
)


def external(number: int = -1, source: str = "EMS", evse: int = 0) -> tuple[int, str, Profile]:
    schedule = Schedule(1, "W", (Period(0, 4200.0),), BEGIN)
    return evse, source, Profile(number, EXTERNAL, "Absolute", 0, (schedule,))


def opened(charging: FakeCharging | None, status: str = "Accepted") -> Line:
    line = Line(charging=charging).open()
    line.boot(status, 1000)
    line.settle()
    return line


async def put(line: Line, evse: int, what: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await line.ask("SetChargingProfile", {"evseId": evse, "chargingProfile": what})
    return answer
