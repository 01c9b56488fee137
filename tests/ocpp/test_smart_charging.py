"""Charging profiles from the CSMS (K01), with a remote start (K05), and what is no profile."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.chargepoint import smart_charging as charge_point
from agent.charging.profiles import EXTERNAL, Period, Profile, Schedule
from agent.ocpp import variables_smart
from agent.ocpp.handling import CallRefused
from agent.ocpp.host import RemoteStart
from agent.ocpp.messages.charging_profile import ChargingProfileType
from agent.ocpp.rpc import Answer, ErrorCode, Rpc
from agent.ocpp.smart_charging import profile_of, profile_to
from tests.ocpp.charging import BEGIN, TOKEN, FakeCharging
from tests.ocpp.official import check_payload
from tests.ocpp.parts import Line
from tests.ocpp.profile_parts import FULL, external, of_transaction, opened, profile, put

ENABLED = ("SmartChargingCtrlr", "Enabled", None)
START = {"remoteStartId": 7, "idToken": {"idToken": TOKEN.id, "type": TOKEN.type}}


@pytest.fixture
def charging() -> FakeCharging:
    return FakeCharging()


@pytest.fixture
def smart(charging):
    return charging.smart_charging


@pytest.fixture
def line(charging) -> Line:
    return opened(charging)


async def reason(line: Line, evse: int, what: dict[str, Any]) -> str:
    """The reason code of a refusal."""
    answer = await put(line, evse, what)
    assert answer["status"] == "Rejected"
    code: str = answer["statusInfo"]["reasonCode"]
    return code


# --- K01: SetChargingProfile -------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.08")
async def test_a_profile_is_handed_over_as_it_was_sent(line, smart):
    assert await put(line, 2, FULL) == {"status": "Accepted"}
    week = Schedule(1, "A", (Period(0, 16.1, 3), Period(60, 0.0)), BEGIN, 3600, 6.5)
    year = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    expected = Profile(1, "TxDefaultProfile", "Recurring", 3, (week,), "Weekly", *year)
    assert smart.book.find() == [(2, expected)]


async def test_times_with_an_offset_are_told_in_utc(line, smart):
    await put(line, 0, profile(startSchedule="2026-01-31T13:30:00+01:30"))
    assert smart.book.find()[0][1].schedules[0].start == BEGIN


@pytest.mark.requirement("K01.FR.01", "K01.FR.03", "K01.FR.04")
async def test_a_profile_of_a_transaction_that_runs_is_taken(line, smart):
    smart.running = {1: "T1"}
    assert await put(line, 1, of_transaction(transactionId="T1")) == {"status": "Accepted"}
    assert smart.book.find()[0][1].transaction == "T1"


@pytest.mark.requirement("K01.FR.05")
async def test_a_profile_with_the_same_id_is_replaced(line, smart):
    await put(line, 1, profile())
    await put(line, 2, profile(limit=10.0))
    [(evse, found)] = smart.book.find()
    assert (evse, found.schedules[0].periods) == (2, (Period(0, 10.0),))


@pytest.mark.requirement("K01.FR.05", "K11.FR.06")
async def test_the_profile_of_an_external_system_is_not_replaced(line, smart):
    smart.external = [external()]
    assert await reason(line, 0, profile(id=-1)) == "InvalidProfile"


@pytest.mark.parametrize(
    ("evse", "what", "code"),
    [
        pytest.param(3, profile(), "UnknownEvse", marks=pytest.mark.requirement("K01.FR.28")),
        pytest.param(-1, profile(), "UnknownEvse", marks=pytest.mark.requirement("K01.FR.28")),
        pytest.param(
            1,
            of_transaction(transactionId="T1"),
            "TxNotFound",
            marks=pytest.mark.requirement("K01.FR.09", "K01.FR.33"),
        ),
        pytest.param(1, of_transaction(), "MissingParam", marks=pytest.mark.requirement("K01.FR.03")),
        pytest.param(
            0, of_transaction(transactionId="T1"), "InvalidProfile", marks=pytest.mark.requirement("K01.FR.16")
        ),
        pytest.param(
            0,
            profile(chargingProfilePurpose=EXTERNAL),
            "InvalidProfile",
            marks=pytest.mark.requirement("K01.FR.22"),
        ),
        pytest.param(1, profile(phaseToUse=2), "InvalidSchedule", marks=pytest.mark.requirement("K01.FR.19")),
        pytest.param(
            1,
            profile(numberPhases=1, phaseToUse=2),
            "InvalidSchedule",
            marks=pytest.mark.requirement("K01.FR.20", "K01.FR.48"),
        ),
        pytest.param(1, profile(numberPhases=1), "InvalidSchedule", marks=pytest.mark.requirement("K01.FR.43")),
        pytest.param(1, profile(startPeriod=1), "InvalidSchedule", marks=pytest.mark.requirement("K01.FR.31")),
        pytest.param(
            1,
            profile(chargingSchedulePeriod=[{"startPeriod": one, "limit": 6.0} for one in (0, 60, 30)]),
            "InvalidSchedule",
            marks=pytest.mark.requirement("K01.FR.35"),
        ),
        pytest.param(
            1,
            profile(chargingSchedule=2 * profile()["chargingSchedule"]),
            "InvalidProfile",
            marks=pytest.mark.requirement("K01.FR.34"),
        ),
        pytest.param(
            0,
            profile(
                chargingProfilePurpose="ChargingStationMaxProfile",
                chargingProfileKind="Relative",
                startSchedule=None,
            ),
            "InvalidProfile",
            marks=pytest.mark.requirement("K01.FR.38"),
        ),
        pytest.param(
            1,
            profile(chargingProfilePurpose="ChargingStationMaxProfile"),
            "InvalidProfile",
            marks=pytest.mark.requirement("K04.FR.03"),
        ),
        pytest.param(1, profile(startSchedule=None), "InvalidSchedule", marks=pytest.mark.requirement("K01.FR.40")),
        pytest.param(
            1,
            profile(chargingProfileKind="Relative"),
            "InvalidSchedule",
            marks=pytest.mark.requirement("K01.FR.41"),
        ),
        (1, profile(stackLevel=21), "InvalidStackLevel"),
        (1, profile(stackLevel=-1), "InvalidStackLevel"),
        (1, profile(limit=-0.1), "InvalidSchedule"),
        (1, profile(limit=-1e308), "InvalidSchedule"),
        (1, profile(numberPhases=4), "InvalidSchedule"),
        (1, profile(duration=0), "InvalidSchedule"),
        (1, profile(duration=-(2**31)), "InvalidSchedule"),
        (1, profile(minChargingRate=-1.0), "InvalidSchedule"),
        (1, profile(startPeriod=-(2**31)), "InvalidSchedule"),
        (1, profile(chargingProfileKind="Recurring"), "InvalidProfile"),
        (1, profile(transactionId="T1"), "InvalidProfile"),
        (
            1,
            profile(validFrom="2026-01-31T12:00:00Z", validTo="2026-01-31T12:00:00Z"),
            "InvalidProfile",
        ),
    ],
)
async def test_what_cannot_be_followed_is_rejected_with_its_reason(line, smart, evse, what, code):
    assert await reason(line, evse, what) == code
    assert smart.book.count == 0


@pytest.mark.requirement("K01.FR.26")
async def test_a_unit_that_is_not_configured_is_rejected(line, smart):
    smart.book.rules = type(smart.book.rules)({1: 3}, 230.0, 20, 1024, 100, ("A",))
    assert await reason(line, 1, profile(chargingRateUnit="W")) == "UnsupportedRateUnit"


@pytest.mark.requirement("K01.FR.06", "K01.FR.52", "K01.FR.53")
@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (1, 1)])
async def test_two_profiles_of_one_stack_level_do_not_stand_side_by_side(line, first, second):
    await put(line, first, profile())
    assert await reason(line, second, profile(id=2)) == "DuplicateProfile"


@pytest.mark.requirement("K01.FR.39")
async def test_nor_do_two_of_one_transaction(line, smart):
    smart.running = {1: "T1"}
    await put(line, 1, of_transaction(transactionId="T1"))
    assert await reason(line, 1, of_transaction(id=2, transactionId="T1")) == "DuplicateProfile"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (profile(chargingProfilePurpose="MaxProfile"), ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
        (profile(chargingSchedule=[]), ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        (profile(chargingSchedule=4 * profile()["chargingSchedule"]), ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        (profile(chargingSchedulePeriod=[]), ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        (
            profile(chargingSchedulePeriod=[{"startPeriod": one, "limit": 6} for one in range(1025)]),
            ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
        ),
        (profile(limit="16"), ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        (profile(startPeriod=0.5), ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        (profile(transactionId="T" * 37), ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
        (profile(startSchedule="noon"), ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
        (profile(chargingSchedulePeriod=None), ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
    ],
)
def test_what_the_schema_forbids_never_comes_to_a_handler(what, code):
    frame = [2, "id", "SetChargingProfile", {"evseId": 1, "chargingProfile": what}]
    event = Rpc(30.0).receive(json.dumps(frame))
    assert isinstance(event, Answer)
    assert event.code == code


# --- K01.FR.29: without smart charging ---------------------------------------------------------------------------

CALLS = [
    ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile()}),
    ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}),
    ("ClearChargingProfile", {"chargingProfileId": 1}),
    ("GetCompositeSchedule", {"evseId": 1, "duration": 60}),
]


@pytest.mark.requirement("K01.FR.29")
@pytest.mark.parametrize(("action", "payload"), CALLS)
@pytest.mark.parametrize("evses", [True, False])
async def test_without_smart_charging_its_calls_are_not_supported(charging, action, payload, evses):
    line = opened(charging if evses else None)
    if evses:
        line.home.put(ENABLED, False)
    with pytest.raises(CallRefused) as raised:
        await line.ask(action, payload)
    assert raised.value.code is ErrorCode.NOT_SUPPORTED
    assert charging.smart_charging.book.count == 0
    assert charging.smart_charging.asked == []


@pytest.mark.requirement("B02.FR.02")
async def test_before_the_station_is_accepted_profiles_can_be_set_but_none_is_reported(charging):
    line = opened(charging, "Pending")
    assert await put(line, 1, profile()) == {"status": "Accepted"}
    assert await line.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}) == {
        "status": "NoProfiles",
        "statusInfo": {"reasonCode": "CSNotAccepted"},
    }
    assert line.out() is None


# --- K05: with a remote start ------------------------------------------------------------------------------------


@pytest.mark.requirement("K05.FR.01", "F01.FR.08", "F02.FR.16")
async def test_the_profile_of_a_remote_start_is_handed_over(line, charging):
    request = {**START, "chargingProfile": of_transaction()}
    assert await line.ask("RequestStartTransaction", request) == {"status": "Accepted"}
    schedule = Schedule(1, "A", (Period(0, 16.0),))
    expected = Profile(1, "TxProfile", "Relative", 0, (schedule,))
    assert charging.asked[0] == RemoteStart(7, TOKEN, profile=expected)


@pytest.mark.requirement("K05.FR.04", "F01.FR.12")
async def test_without_smart_charging_it_is_ignored(line, charging):
    line.home.put(ENABLED, False)
    request = {**START, "chargingProfile": profile()}
    assert await line.ask("RequestStartTransaction", request) == {"status": "Accepted"}
    assert charging.asked[0] == RemoteStart(7, TOKEN)


# --- there and back ----------------------------------------------------------------------------------------------

TIMES = st.none() | st.integers(0, 2**31).map(lambda s: BEGIN + timedelta(milliseconds=s))
NUMBERS = st.integers(-(2**31), 2**31 - 1)
AMOUNTS = st.floats(0, 1e6)
PERIODS = st.builds(Period, NUMBERS, AMOUNTS, st.none() | NUMBERS, st.none() | NUMBERS)
SCHEDULES = st.builds(
    Schedule,
    NUMBERS,
    st.sampled_from(["A", "W"]),
    st.lists(PERIODS, min_size=1, max_size=3).map(tuple),
    TIMES,
    st.none() | NUMBERS,
    st.none() | AMOUNTS,
)
PROFILES = st.builds(
    Profile,
    NUMBERS,
    st.sampled_from(["ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile", EXTERNAL]),
    st.sampled_from(["Absolute", "Recurring", "Relative"]),
    NUMBERS,
    st.lists(SCHEDULES, min_size=1, max_size=3).map(tuple),
    st.none() | st.sampled_from(["Daily", "Weekly"]),
    TIMES,
    TIMES,
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=36),
)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(PROFILES)
def test_a_profile_comes_back_from_the_wire_as_it_was(one):
    text = profile_to(one).to_json()
    check_payload("SetChargingProfileRequest", {"evseId": 1, "chargingProfile": json.loads(text)})
    assert profile_of(ChargingProfileType.from_json(text)) == one


def test_the_variables_and_the_charge_point_count_the_same():
    def numbers(module: Any) -> tuple[int, int, int]:
        return module.MAX_STACK, module.MAX_PERIODS, module.MAX_PROFILES

    assert numbers(variables_smart) == numbers(charge_point)
