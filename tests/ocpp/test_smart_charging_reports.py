"""What the CSMS asks of charging profiles (K08 to K10), and what it is told of external limits (K11 to K13)."""

import json
from typing import Any

import pytest

from agent.charging.notices import Notice
from agent.charging.profiles import EXTERNAL, Period, Profile, Schedule
from agent.ocpp.smart_charging import BYTES, limit_message, report
from tests.ocpp.charging import BEGIN, FakeCharging
from tests.ocpp.official import check_payload
from tests.ocpp.parts import FakeClock, Line
from tests.ocpp.profile_parts import FULL, external, opened, profile, put

NOTHING: dict[str, Any] = {}


@pytest.fixture
def charging() -> FakeCharging:
    return FakeCharging()


@pytest.fixture
def smart(charging):
    return charging.smart_charging


@pytest.fixture
def line(charging) -> Line:
    return opened(charging)


async def reported(line: Line, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The ReportChargingProfiles that follow."""
    assert await line.ask("GetChargingProfiles", request) == {"status": "Accepted"}
    messages = line.settle()
    assert {message[2] for message in messages} == {"ReportChargingProfiles"}
    return [message[3] for message in messages]


# --- K08: GetCompositeSchedule -----------------------------------------------------------------------------------


@pytest.mark.requirement("K08.FR.01", "K08.FR.02")
async def test_a_composite_schedule_is_told_from_now_on(line, smart):
    smart.schedule = (BEGIN, Schedule(1, "W", (Period(0, 11040.0), Period(30, 4140.5, 1)), duration=60))
    asked = {"evseId": 2, "duration": 60, "chargingRateUnit": "W"}
    assert await line.ask("GetCompositeSchedule", asked) == {
        "status": "Accepted",
        "schedule": {
            "evseId": 2,
            "duration": 60,
            "scheduleStart": "2026-01-31T12:00:00.000Z",
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11040.0},
                {"startPeriod": 30, "limit": 4140.5, "numberPhases": 1},
            ],
        },
    }
    assert smart.asked == [(2, 60, "W")]


@pytest.mark.requirement("K08.FR.02", "K08.FR.03")
async def test_the_station_s_needs_no_unit_and_may_be_shorter_than_asked(line, smart):
    answer = await line.ask("GetCompositeSchedule", {"evseId": 0, "duration": 2**31 - 1})
    assert (answer["schedule"]["evseId"], answer["schedule"]["duration"]) == (0, 60)
    assert answer["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.0}]
    assert smart.asked == [(0, 2**31 - 1, None)]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"evseId": 3}, "UnknownEvse", marks=pytest.mark.requirement("K08.FR.05")),
        pytest.param({"chargingRateUnit": "W"}, "UnsupportedRateUnit", marks=pytest.mark.requirement("K08.FR.07")),
        ({"duration": 0}, "ValueOutOfRange"),
        ({"duration": -1}, "ValueOutOfRange"),
    ],
)
async def test_a_schedule_that_cannot_be_told_is_rejected(line, smart, more, code):
    smart.units = ("A",)
    answer = await line.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60, **more})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", code)
    assert "schedule" not in answer


# --- K09: GetChargingProfiles ------------------------------------------------------------------------------------


@pytest.mark.requirement("K09.FR.01", "K09.FR.02", "K09.FR.06", "K11.FR.06", "K12.FR.05")
async def test_profiles_are_reported_by_evse_and_source(line, smart):
    await put(line, 0, profile())
    await put(line, 0, profile(id=2, stackLevel=1))
    await put(line, 2, FULL | {"id": 3})
    smart.external = [external(), external(-2, "SO", 2)]
    messages = await reported(line, {"requestId": 99, "chargingProfile": {}})
    told = [
        (one["evseId"], one["chargingLimitSource"], [each["id"] for each in one["chargingProfile"]])
        for one in messages
    ]
    assert told == [(0, "CSO", [1, 2]), (2, "CSO", [3]), (0, "EMS", [-1]), (2, "SO", [-2])]
    assert {one["requestId"] for one in messages} == {99}
    assert [one["tbc"] for one in messages] == [True, True, True, False]
    assert messages[1]["chargingProfile"] == [FULL | {"id": 3}]
    assert messages[2]["chargingProfile"][0]["chargingProfilePurpose"] == EXTERNAL


@pytest.mark.requirement("K09.FR.03", "K09.FR.04", "K09.FR.05")
@pytest.mark.parametrize("evse", [0, 2])
async def test_every_criterion_is_asked_for(line, smart, evse):
    wanted = {
        "chargingProfilePurpose": "TxProfile",
        "stackLevel": 0,
        "chargingProfileId": [1, 2],
        "chargingLimitSource": ["CSO", "EMS"],
    }
    await line.ask("GetChargingProfiles", {"requestId": 1, "evseId": evse, "chargingProfile": wanted})
    expected = {"evse": evse, "ids": (1, 2), "purpose": "TxProfile", "stack": 0, "sources": ("CSO", "EMS")}
    assert smart.asked == [expected]


@pytest.mark.requirement("K09.FR.03", "K09.FR.06")
async def test_what_is_not_named_is_no_criterion(line, smart):
    assert await line.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}) == {"status": "NoProfiles"}
    assert smart.asked == [{"evse": None, "ids": (), "purpose": None, "stack": None, "sources": ()}]
    assert line.out() is None


@pytest.mark.requirement("K09.FR.02")
async def test_a_large_report_comes_in_parts(line, smart):
    periods = [{"startPeriod": one, "limit": 16.0 + one % 2} for one in range(1024)]
    for number in range(5):
        await put(line, 1, profile(id=number, stackLevel=number, chargingSchedulePeriod=periods))
    messages = await reported(line, {"requestId": 1, "evseId": 1, "chargingProfile": {}})
    assert [each["id"] for one in messages for each in one["chargingProfile"]] == [0, 1, 2, 3, 4]
    assert len(messages) > 1
    assert all(len(json.dumps(one, separators=(",", ":"))) < BYTES + 1000 for one in messages)
    assert [one["tbc"] for one in messages] == [True] * (len(messages) - 1) + [False]


def test_a_profile_larger_than_a_message_should_be_goes_alone():
    period = tuple(Period(1_000_000 * one, 16.123456789, 3) for one in range(1024))
    large = Profile(1, "TxDefaultProfile", "Absolute", 0, (Schedule(1, "A", period, BEGIN),))
    small = Profile(2, "TxDefaultProfile", "Absolute", 1, (Schedule(1, "A", period[:1], BEGIN),))
    found = report(1, [(1, "CSO", small), (1, "CSO", large), (1, "CSO", small)])
    assert len(large.schedules[0].periods) * 60 > BYTES
    assert [[each.id for each in one.charging_profile] for one in found] == [[2], [1], [2]]


# --- K10: ClearChargingProfile -----------------------------------------------------------------------------------


async def several(line: Line) -> None:
    """1 on the station, 2 and 3 on EVSE 1, 4 on EVSE 2."""
    await put(line, 0, profile(chargingProfilePurpose="ChargingStationMaxProfile"))
    await put(line, 1, profile(id=2))
    await put(line, 1, profile(id=3, stackLevel=1))
    await put(line, 2, profile(id=4, stackLevel=1))


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        pytest.param({"chargingProfileId": 2}, [1, 3, 4], marks=pytest.mark.requirement("K10.FR.03")),
        pytest.param(
            {"chargingProfileId": 2, "chargingProfileCriteria": {"evseId": 2}},
            [1, 3, 4],
            marks=pytest.mark.requirement("K10.FR.03"),
        ),
        pytest.param({"chargingProfileCriteria": {"evseId": 1}}, [1, 4], marks=pytest.mark.requirement("K10.FR.04")),
        pytest.param(
            {"chargingProfileCriteria": {"evseId": 1, "stackLevel": 1}},
            [1, 2, 4],
            marks=pytest.mark.requirement("K10.FR.04"),
        ),
        pytest.param(
            {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile"}},
            [1],
            marks=pytest.mark.requirement("K10.FR.04"),
        ),
        pytest.param({"chargingProfileCriteria": {}}, [], marks=pytest.mark.requirement("K10.FR.04")),
        pytest.param({}, [], marks=pytest.mark.requirement("K10.FR.04")),
    ],
)
async def test_what_matches_is_cleared(line, smart, request_, left):
    await several(line)
    assert await line.ask("ClearChargingProfile", request_) == {"status": "Accepted"}
    assert [one.id for _, one in smart.book.find()] == left


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"chargingProfileId": 9}, marks=pytest.mark.requirement("K10.FR.01")),
        pytest.param({"chargingProfileCriteria": {"evseId": 3}}, marks=pytest.mark.requirement("K10.FR.01")),
        pytest.param(
            {"chargingProfileCriteria": {"chargingProfilePurpose": EXTERNAL}},
            marks=pytest.mark.requirement("K10.FR.06", "K10.FR.08"),
        ),
        pytest.param({"chargingProfileId": -1}, marks=pytest.mark.requirement("K10.FR.09")),
    ],
)
async def test_where_nothing_matches_nothing_is_known(line, smart, request_):
    await several(line)
    smart.external = [external()]
    assert await line.ask("ClearChargingProfile", request_) == {"status": "Unknown"}
    assert smart.book.count == 4
    assert len(smart.external) == 1


# --- K11 to K13: external limits ---------------------------------------------------------------------------------


def message(notice: Notice, with_schedules: bool = False) -> tuple[str, dict[str, Any]]:
    """The action and the payload that the CSMS is told."""
    request = limit_message(notice, with_schedules=with_schedules, clock=FakeClock())
    payload = json.loads(request.to_json())
    check_payload(f"{request.action}Request", payload)
    return request.action, payload


@pytest.mark.requirement("K11.FR.02", "K11.FR.05", "K12.FR.02", "K12.FR.04")
def test_a_limit_is_told_with_its_source():
    assert message(Notice("EMS", 0, 4200.0)) == (
        "NotifyChargingLimit",
        {"chargingLimit": {"chargingLimitSource": "EMS"}},
    )
    assert message(Notice("SO", 2, 4200.0)) == (
        "NotifyChargingLimit",
        {"evseId": 2, "chargingLimit": {"chargingLimitSource": "SO", "isGridCritical": True}},
    )


@pytest.mark.requirement("K11.FR.03", "K12.FR.03")
@pytest.mark.parametrize(
    ("value", "unit", "until", "limit", "duration"),
    [
        (4200.0, "W", None, 4200.0, NOTHING),
        (16.0, "A", 1060.0, 16.0, {"duration": 60}),
        (10.19, "A", 1000.2, 10.1, {"duration": 1}),  # never above the limit, never shorter than it holds
        (0.0, "W", 999.0, 0.0, {"duration": 1}),
    ],
)
def test_where_it_is_asked_for_the_limit_itself_is_told(value, unit, until, limit, duration):
    _, payload = message(Notice("EMS", 1, value, unit, until), with_schedules=True)
    assert payload["chargingSchedule"] == [
        {
            "id": 1,
            "startSchedule": "2026-01-31T12:00:00.000Z",
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            **duration,
        }
    ]


@pytest.mark.requirement("K13.FR.02")
def test_a_limit_that_is_gone_is_told():
    for with_schedules in (False, True):
        assert message(Notice("SO", 0, None), with_schedules) == (
            "ClearedChargingLimit",
            {"chargingLimitSource": "SO"},
        )
    assert message(Notice("EMS", 2, None)) == ("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 2})
