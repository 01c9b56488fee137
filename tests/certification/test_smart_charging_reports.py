"""Part 5, Smart Charging: composite schedules, reports of profiles, and clearing them (part 2, K08 to K10)."""

import pytest

from tests.certification.parts import Stand, never
from tests.certification.parts3 import (
    DEFAULT,
    DEVIATION,
    LOCAL,
    MAXIMUM,
    TX,
    at,
    clear,
    composite,
    ids,
    install,
    offered,
    profile,
    rate_changed,
    reported,
    time_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUSE = 63
"""A per phase."""


# --- GetCompositeSchedule ----------------------------------------------------------------------------------------


@pytest.mark.requirement("K08.FR.02", "K08.FR.03")
@pytest.mark.parametrize("unit", ["A", "W"])
async def test_tc_k_39_no_charging_profile_installed(stand: Stand, unit: str) -> None:
    assert unit in (await stand.get("SmartChargingCtrlr.RateUnit")).split(",")
    assert (await composite(stand, 0, 300, unit))[1] == {0: FUSE}  # of the grid connection, less than both EVSEs


@pytest.mark.requirement("K08.FR.02", "K08.FR.06", "K01.FR.12", "K01.FR.17")
@pytest.mark.parametrize("unit", ["A", "W"])
async def test_tc_k_40_stacking_charging_profiles(stand: Stand, unit: str) -> None:
    begun = at(-DEVIATION)
    low = profile({0: 6, 100: 8, 200: 10}, unit=unit, start=begun)
    high = profile({0: 7, 100: 9}, id=2, stack=1, unit=unit, start=begun, duration=150 + DEVIATION)
    await install(stand, stand.evse, low)
    await install(stand, stand.evse, high)
    start, periods = await composite(stand, stand.evse, 350, unit)
    x = int((start - begun).total_seconds())
    assert periods == {0: 7, 100 - x: 9, 150 - x + DEVIATION: 8, 200 - x: 10}


@pytest.mark.requirement("K08.FR.02", "K08.FR.04", "K01.FR.11", "K02.FR.08")
@pytest.mark.parametrize("unit", ["A", "W"])
async def test_tc_k_41_combining_charging_profile_purposes(stand: Stand, unit: str) -> None:
    number = await stand.charge()
    begun = at(-DEVIATION)
    most = profile({0: 10}, purpose=MAXIMUM, unit=unit, start=begun, duration=86_400)
    usual = profile({0: 6, 60: 10, 120: 8, 180: 15, 260: 8}, id=2, unit=unit, start=begun, duration=300)
    limits = {0: 8, 50: 11, 140: 16, 200: 6, 240: 12}
    own = profile(limits, id=3, purpose=TX, unit=unit, start=begun, duration=260, transactionId=number)
    await install(stand, 0, most)
    await install(stand, stand.evse, usual)
    await install(stand, stand.evse, own)
    start, periods = await composite(stand, stand.evse, 400, unit)
    x = int((start - begun).total_seconds())
    assert periods == {0: 8, 50 - x: 10, 200 - x: 6, 240 - x: 10, 260 - x: 8, 300 - x: 10}
    await offered(stand, 8)


@pytest.mark.requirement("K08.FR.05")
async def test_tc_k_47_unknown_evse_id(stand: Stand) -> None:
    answer = await stand.call("GetCompositeSchedule", {"evseId": 3, "duration": 300})
    assert answer["status"] == "Rejected"
    assert "schedule" not in answer


# --- GetChargingProfiles -----------------------------------------------------------------------------------------


async def several(stand: Stand) -> None:
    """1 and 2 of the station, 3 and 4 of the test's EVSE, 5 of the other."""
    await install(stand, 0, profile({0: 40}, id=1, purpose=MAXIMUM))
    await install(stand, 0, profile({0: 20}, id=2, stack=2))
    await install(stand, stand.evse, profile({0: 10}, id=3))
    await install(stand, stand.evse, profile({0: 12}, id=4, stack=1))
    await install(stand, 3 - stand.evse, profile({0: 14}, id=5))


@pytest.mark.requirement("K09.FR.01", "K09.FR.02", "K09.FR.05")
async def test_tc_k_29_evse_id_0(stand: Stand) -> None:
    await several(stand)
    assert await ids(stand, 0, chargingProfilePurpose=MAXIMUM) == [1]
    assert await ids(stand, 0, chargingProfilePurpose=DEFAULT) == [2]
    assert await ids(stand, 0, chargingLimitSource=["CSO"]) == [1, 2]


@pytest.mark.requirement("K09.FR.04")
async def test_tc_k_30_evse_id_above_0(stand: Stand) -> None:
    await several(stand)
    assert await ids(stand, stand.evse, chargingProfilePurpose=DEFAULT) == [3, 4]
    assert await ids(stand, 3 - stand.evse, chargingProfilePurpose=DEFAULT) == [5]


@pytest.mark.requirement("K09.FR.02", "K09.FR.06")
async def test_tc_k_31_no_evse_id(stand: Stand) -> None:
    await several(stand)
    found = await reported(stand, chargingLimitSource=["CSO"])
    places = [(one["id"], evse, source) for evse, source, one in found]
    own, other = stand.evse, 3 - stand.evse
    assert places == [(1, 0, "CSO"), (2, 0, "CSO"), (3, own, "CSO"), (4, own, "CSO"), (5, other, "CSO")]
    assert await ids(stand, chargingProfilePurpose=DEFAULT) == [2, 3, 4, 5]
    assert await ids(stand, chargingProfilePurpose=TX) == []


@pytest.mark.requirement("K09.FR.01")
async def test_tc_k_32_charging_profile_id(stand: Stand) -> None:
    await several(stand)
    given = profile({0: 11, 100: 12.5}, id=4, stack=1, unit="W")
    await install(stand, stand.evse, given)
    [(evse, source, told)] = await reported(stand, chargingProfileId=[4])
    assert (evse, source) == (stand.evse, "CSO")
    [schedule], [wanted] = told.pop("chargingSchedule"), given.pop("chargingSchedule")
    assert time_of(schedule.pop("startSchedule")) == time_of(wanted.pop("startSchedule"))
    assert schedule == wanted
    assert told == given
    assert await ids(stand, chargingProfileId=[1, 5, 99]) == [1, 5]


@pytest.mark.requirement("K09.FR.04")
async def test_tc_k_33_evse_id_above_0_and_stack_level(stand: Stand) -> None:
    await several(stand)
    assert await ids(stand, stand.evse, stackLevel=0) == [3]
    assert await ids(stand, stand.evse, stackLevel=1) == [4]
    assert await ids(stand, stand.evse, stackLevel=2) == []


@pytest.mark.requirement("K09.FR.04")
async def test_tc_k_34_evse_id_above_0_and_charging_limit_source(stand: Stand) -> None:
    await several(stand)
    assert await ids(stand, stand.evse, chargingLimitSource=["CSO"]) == [3, 4]
    assert await ids(stand, stand.evse, chargingLimitSource=["EMS", "SO"]) == []


@pytest.mark.requirement("K09.FR.04")
async def test_tc_k_35_evse_id_above_0_and_purpose(stand: Stand) -> None:
    number = await stand.charge()
    await several(stand)
    await install(stand, stand.evse, profile({0: 16}, id=6, purpose=TX, transactionId=number))
    [(evse, _, told)] = await reported(stand, stand.evse, chargingProfilePurpose=TX)
    assert (evse, told["id"], told["transactionId"]) == (stand.evse, 6, number)
    assert await ids(stand, stand.evse, chargingProfilePurpose=DEFAULT) == [3, 4]
    assert await ids(stand, 3 - stand.evse, chargingProfilePurpose=TX) == []


@pytest.mark.requirement("K09.FR.04")
async def test_tc_k_36_evse_id_above_0_and_purpose_and_stack_level(stand: Stand) -> None:
    await several(stand)
    assert await ids(stand, stand.evse, chargingProfilePurpose=DEFAULT, stackLevel=1) == [4]
    assert await ids(stand, stand.evse, chargingProfilePurpose=DEFAULT, stackLevel=2) == []


# --- ClearChargingProfile ----------------------------------------------------------------------------------------


@pytest.mark.requirement("K10.FR.03", "K10.FR.05")
async def test_tc_k_05_with_charging_profile_id(stand: Stand) -> None:
    await several(stand)
    assert (await composite(stand, stand.evse, 60))[1] == {0: 20}
    assert await clear(stand, 2) == "Accepted"
    assert await ids(stand, chargingLimitSource=["CSO"]) == [1, 3, 4, 5]
    assert (await composite(stand, stand.evse, 60))[1] == {0: 12}


@pytest.mark.requirement("K10.FR.04")
async def test_tc_k_06_with_stack_level_and_purpose_for_one_profile(stand: Stand) -> None:
    await several(stand)
    assert await clear(stand, chargingProfilePurpose=DEFAULT, stackLevel=1) == "Accepted"
    assert await ids(stand, chargingLimitSource=["CSO"]) == [1, 2, 3, 5]


@pytest.mark.requirement("K10.FR.04")
async def test_tc_k_24_with_stack_level_and_purpose_for_multiple_profiles(stand: Stand) -> None:
    await several(stand)
    assert await clear(stand, chargingProfilePurpose=DEFAULT, stackLevel=0) == "Accepted"
    assert await ids(stand, chargingLimitSource=["CSO"]) == [1, 2, 4]


@pytest.mark.requirement("K10.FR.01")
async def test_tc_k_07_with_unknown_stack_level_and_purpose(stand: Stand) -> None:
    await several(stand)
    assert await clear(stand, chargingProfilePurpose=DEFAULT, stackLevel=7) == "Unknown"
    assert await clear(stand, chargingProfilePurpose=MAXIMUM, stackLevel=1) == "Unknown"
    assert await ids(stand, chargingLimitSource=["CSO"]) == [1, 2, 3, 4, 5]


@pytest.mark.requirement("K10.FR.01")
async def test_tc_k_08_without_previous_charging_profile(stand: Stand) -> None:
    assert await clear(stand, 1) == "Unknown"
    assert await clear(stand, chargingProfilePurpose=DEFAULT, stackLevel=0, evseId=stand.evse) == "Unknown"


@pytest.mark.requirement("K10.FR.05", "K10.FR.07")
async def test_tc_k_09_clearing_a_tx_default_profile_with_ongoing_transaction(stand: Stand) -> None:
    await install(stand, stand.evse, profile({0: 6}))
    number = await stand.charge()
    await offered(stand, 6)
    since = stand.station.last
    assert await clear(stand, 1) == "Accepted"
    assert (await composite(stand, stand.evse, 60))[1] == {0: LOCAL}
    await offered(stand, LOCAL)
    await rate_changed(stand, number, since)
    assert stand.running() == [number]
    await never(lambda: stand.events(since=since, eventType="Ended"), "the transaction ends", 0.3)


@pytest.mark.requirement("K10.FR.04")
async def test_an_evse_s_profiles_are_cleared_together(stand: Stand) -> None:
    await several(stand)
    assert await clear(stand, evseId=stand.evse) == "Accepted"
    assert await ids(stand, chargingLimitSource=["CSO"]) == [1, 2, 5]
