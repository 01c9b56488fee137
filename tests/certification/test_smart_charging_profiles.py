"""Part 5, Smart Charging: what a charging profile does, at the plug too (part 2, K01 to K07)."""

from typing import Any

import pytest

from tests.certification.parts import CARD, OTHER, Stand, never, token
from tests.certification.parts2 import charge_at
from tests.certification.parts3 import (
    DEFAULT,
    DEVIATION,
    LOCAL,
    MAXIMUM,
    TX,
    at,
    composite,
    ids,
    install,
    offered,
    profile,
    rate_changed,
    refused,
    reported,
    text,
    time_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- TxDefaultProfile --------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.07", "K01.FR.15", "K01.FR.50", "K01.FR.51", "K02.FR.02")
@pytest.mark.parametrize("unit", ["A", "W"])
async def test_tc_k_01_tx_default_profile_specific_evse(stand: Stand, unit: str) -> None:
    await install(stand, stand.evse, profile({0: 6, 300: 10}, unit=unit))
    await stand.charge()
    await offered(stand, 6)
    assert (await composite(stand, stand.evse, 60, unit))[1] == {0: 6}
    assert (await composite(stand, 3 - stand.evse, 60, unit))[1] == {0: LOCAL}


@pytest.mark.requirement("K01.FR.14")
async def test_tc_k_10_tx_default_profile_all_evse(stand: Stand) -> None:
    await install(stand, 0, profile({0: 8}))
    for evse, number in ((1, CARD), (2, OTHER)):
        await charge_at(stand, evse, number)
        await offered(stand, 8, evse)
        assert (await composite(stand, evse, 60))[1] == {0: 8}
    assert [evse for evse, _, _ in await reported(stand, chargingProfilePurpose=DEFAULT)] == [0]


@pytest.mark.requirement("K01.FR.52", "K01.FR.53")
@pytest.mark.parametrize("first", [0, 1])
async def test_a_stack_level_of_all_evses_and_of_one_exclude_each_other(stand: Stand, first: int) -> None:
    await install(stand, first, profile({0: 8}))
    await refused(stand, 1 - first, profile({0: 6}, id=2), "DuplicateProfile")
    await install(stand, 1 - first, profile({0: 6}, id=2, stack=1))


@pytest.mark.requirement("K01.FR.32")
async def test_tc_k_28_tx_default_profile_with_transaction_ongoing(stand: Stand) -> None:
    number = await stand.charge()
    await offered(stand, LOCAL)
    since = stand.station.last
    await install(stand, stand.evse, profile({0: 6}))
    await offered(stand, 6)
    await rate_changed(stand, number, since)
    assert stand.running() == [number]
    assert (await composite(stand, stand.evse, 60))[1] == {0: 6}


@pytest.mark.requirement("K07.FR.01")
async def test_a_default_profile_holds_for_a_transaction_that_starts_offline(stand: Stand) -> None:
    await install(stand, stand.evse, profile({0: 7}))
    await stand.remember(CARD)
    async with stand.offline():
        await stand.plug()
        await stand.swipe()
        await stand.charging()
        await offered(stand, 7)
    await stand.event(eventType="Started", offline=True)


# --- TxProfile ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.03", "K01.FR.04", "K01.FR.41", "K01.FR.42", "K02.FR.04", "K02.FR.05", "K02.FR.08")
@pytest.mark.parametrize("kind", ["Absolute", "Relative"])
async def test_tc_k_60_tx_profile_with_ongoing_transaction(stand: Stand, kind: str) -> None:
    await install(stand, stand.evse, profile({0: 12}, duration=None))
    number = await stand.charge()
    await offered(stand, 12)
    since = stand.station.last
    given = profile({0: 6, 100: 8}, id=2, purpose=TX, kind=kind, duration=200, transactionId=number)
    await install(stand, stand.evse, given)
    await offered(stand, 6)
    await rate_changed(stand, number, since)
    start, periods = await composite(stand, stand.evse, 300)
    assert list(periods.values()) == [6, 8, 12]
    _, second, third = periods
    began = time_of((await stand.event(eventType="Started"))["timestamp"])
    if kind == "Absolute":
        began = time_of(given["chargingSchedule"][0]["startSchedule"])
    assert abs((start - began).total_seconds() + second - 100) <= 1
    assert third == second + 100
    await stand.swipe()
    await stand.ended(number)
    assert await ids(stand, chargingProfilePurpose=TX) == []
    assert await ids(stand, chargingProfilePurpose=DEFAULT) == [1]


@pytest.mark.requirement("K01.FR.09")
async def test_tc_k_02_tx_profile_without_ongoing_transaction(stand: Stand) -> None:
    await refused(stand, stand.evse, profile({0: 6}, purpose=TX, transactionId="nobody"), "TxNotFound")


@pytest.mark.requirement("K01.FR.16")
async def test_tc_k_11_unable_to_set_tx_profile_on_all_evse_at_once(stand: Stand) -> None:
    number = await stand.charge()
    await refused(stand, 0, profile({0: 6}, purpose=TX, transactionId=number), "InvalidProfile")
    assert stand.state()["offered_a"] > 30


@pytest.mark.requirement("K01.FR.33")
async def test_tc_k_16_unknown_transaction_id(stand: Stand) -> None:
    await stand.charge()
    await refused(stand, stand.evse, profile({0: 6}, purpose=TX, transactionId="another"), "TxNotFound")
    assert stand.state()["offered_a"] > 30


@pytest.mark.requirement("K01.FR.03")
async def test_a_tx_profile_names_its_transaction(stand: Stand) -> None:
    await stand.charge()
    await refused(stand, stand.evse, profile({0: 6}, purpose=TX), "MissingParam")


@pytest.mark.requirement("K06.FR.02")
async def test_without_profiles_nothing_limits_a_transaction_while_the_station_is_offline(stand: Stand) -> None:
    await stand.charge()
    async with stand.offline():
        await offered(stand, LOCAL)
        await never(lambda: stand.state()["offered_a"] < LOCAL - 0.5, "less is offered")


@pytest.mark.requirement("K06.FR.01")
async def test_a_tx_profile_holds_while_the_station_is_offline(stand: Stand) -> None:
    number = await stand.charge()
    await install(stand, stand.evse, profile({0: 9}, purpose=TX, transactionId=number))
    await offered(stand, 9)
    async with stand.offline():
        await never(lambda: stand.state()["offered_a"] > 9.5, "more is offered")
    assert stand.running() == [number]
    assert await ids(stand, stand.evse, chargingProfilePurpose=TX) == [1]


@pytest.mark.requirement("K05.FR.03", "F01.FR.09", "F01.FR.11")
async def test_tc_k_37_remote_start_with_charging_profile_success(stand: Stand) -> None:
    await stand.plug()
    request = {"idToken": token(), "remoteStartId": 4711, "evseId": stand.evse}
    given = profile({0: 6}, id=9, purpose=TX)
    assert (await stand.call("RequestStartTransaction", {**request, "chargingProfile": given}))[
        "status"
    ] == "Accepted"
    first = await stand.event(eventType="Started", triggerReason="RemoteStart")
    number = first["transactionInfo"]["transactionId"]
    await stand.charging()
    await offered(stand, 6)
    assert (await composite(stand, stand.evse, 60))[1] == {0: 6}
    [(evse, source, told)] = await reported(stand, chargingProfileId=[9])
    assert (evse, source, told["transactionId"]) == (stand.evse, "CSO", number)


@pytest.mark.requirement("K05.FR.02", "K05.FR.05")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (profile({0: 6}, purpose=DEFAULT), "InvalidProfile"),
        (profile({0: 6}, purpose=TX, transactionId="another"), "InvalidProfile"),
        (profile({30: 6}, purpose=TX), "InvalidSchedule"),
    ],
)
async def test_a_remote_start_with_a_wrong_profile_is_rejected(
    stand: Stand, given: dict[str, Any], reason: str
) -> None:
    await stand.plug()
    request = {"idToken": token(), "remoteStartId": 4711, "evseId": stand.evse, "chargingProfile": given}
    answer = await stand.call("RequestStartTransaction", request)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    await never(lambda: stand.state()["contactor"], "it charges all the same")


# --- ChargingStationMaxProfile -----------------------------------------------------------------------------------


@pytest.mark.requirement("K04.FR.03", "K04.FR.05", "K01.FR.10")
@pytest.mark.parametrize("unit", ["A", "W"])
async def test_tc_k_03_charging_station_max_profile(stand: Stand, unit: str) -> None:
    await install(stand, 0, profile({0: 20}, purpose=MAXIMUM, unit=unit, duration=None))
    await charge_at(stand, 1, CARD)
    await offered(stand, 20, 1)
    await charge_at(stand, 2, OTHER)
    for evse in (1, 2):
        await offered(stand, 10, evse)
    assert stand.state(1)["offered_a"] + stand.state(2)["offered_a"] <= 20.5
    assert (await composite(stand, 0, 60, unit))[1] == {0: 20}


@pytest.mark.requirement("K04.FR.03")
async def test_a_charging_station_max_profile_belongs_to_evse_0(stand: Stand) -> None:
    await refused(stand, stand.evse, profile({0: 20}, purpose=MAXIMUM), "InvalidProfile")


# --- when a schedule holds ---------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.13", "K01.FR.40")
@pytest.mark.parametrize(("every", "days"), [("Daily", 1), ("Weekly", 7)])
async def test_tc_k_19_charging_profile_kind_is_recurring(stand: Stand, every: str, days: int) -> None:
    began = at(-days * 86_400 - DEVIATION)
    given = profile({0: 6, 100: 8}, kind="Recurring", recurrencyKind=every, start=began, duration=300)
    await install(stand, stand.evse, given)
    start, periods = await composite(stand, stand.evse, days * 86_400 + 3600)
    gone = int((start - began).total_seconds()) - days * 86_400
    again = days * 86_400 - gone
    assert periods == {0: 6, 100 - gone: 8, 300 - gone: LOCAL, again: 6, again + 100: 8, again + 300: LOCAL}
    await stand.charge()
    await offered(stand, 6)


@pytest.mark.requirement("K01.FR.36")
async def test_tc_k_21_valid_from(stand: Stand) -> None:
    await stand.charge()
    await offered(stand, LOCAL)
    valid = at(5)
    await install(stand, stand.evse, profile({0: 6}, validFrom=text(valid)))
    start, periods = await composite(stand, stand.evse, 60)
    assert periods == {0: LOCAL, int((valid - start).total_seconds()): 6}
    assert stand.state()["offered_a"] > 30
    await offered(stand, 6)
    assert at(1) >= valid


@pytest.mark.requirement("K01.FR.37")
async def test_tc_k_22_valid_to(stand: Stand) -> None:
    await stand.charge()
    valid = at(6)
    await install(stand, stand.evse, profile({0: 6}, validTo=text(valid)))
    start, periods = await composite(stand, stand.evse, 60)
    assert periods == {0: 6, int((valid - start).total_seconds()): LOCAL}
    await offered(stand, 6, seconds=5)
    await offered(stand, LOCAL)


@pytest.mark.requirement("K01.FR.30")
async def test_tc_k_23_start_schedule(stand: Stand) -> None:
    await stand.charge()
    await offered(stand, LOCAL)
    begins = at(5)
    await install(stand, stand.evse, profile({0: 6}, start=begins, duration=None))
    start, periods = await composite(stand, stand.evse, 60)
    assert periods == {0: LOCAL, int((begins - start).total_seconds()): 6}
    assert stand.state()["offered_a"] > 30
    await offered(stand, 6)
    assert at(1) >= begins


# --- what is kept, replaced and refused --------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.27")
@pytest.mark.parametrize("how", ["Reset", "power"])
async def test_tc_k_13_persistent_over_reboot(stand: Stand, how: str) -> None:
    given = profile({0: 6}, validTo=text(at(400)))
    await install(stand, stand.evse, given)
    await install(stand, 0, profile({0: 40}, id=2, purpose=MAXIMUM))
    before = await reported(stand, chargingProfileId=[1, 2])
    await stand.boot(how)
    assert await reported(stand, chargingProfileId=[1, 2]) == before
    assert (await composite(stand, stand.evse, 60))[1] == {0: 6}
    await stand.charge()
    await offered(stand, 6)


@pytest.mark.requirement("K01.FR.28")
async def test_tc_k_14_unexisting_evse_id(stand: Stand) -> None:
    await refused(stand, 3, profile({0: 6}), "UnknownEvse")


@pytest.mark.requirement("K01.FR.05")
async def test_tc_k_04_replace_with_charging_profile_id(stand: Stand) -> None:
    await install(stand, stand.evse, profile({0: 6}))
    await stand.charge()
    await offered(stand, 6)
    await install(stand, stand.evse, profile({0: 10}, stack=1))
    [(evse, _, told)] = await reported(stand, chargingProfilePurpose=DEFAULT)
    assert (evse, told["id"], told["stackLevel"]) == (stand.evse, 1, 1)
    assert (await composite(stand, stand.evse, 60))[1] == {0: 10}
    await offered(stand, 10)


@pytest.mark.requirement("K01.FR.22", "K02.FR.07", "K03.FR.08")
async def test_the_csms_sets_no_external_constraints(stand: Stand) -> None:
    await refused(stand, 0, profile({0: 6}, purpose="ChargingStationExternalConstraints"), "InvalidProfile")


@pytest.mark.requirement("K01.FR.31", "K01.FR.35", "K01.FR.38", "K01.FR.40", "K01.FR.41")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (profile({10: 6}), "InvalidSchedule"),
        (profile({0: 6, 60: 8, 30: 7}), "InvalidSchedule"),
        (profile({0: 6}, stack=1000), "InvalidStackLevel"),
        (profile({0: 6}, kind="Recurring"), "InvalidProfile"),
        (profile({0: 6}, kind="Relative") | {"chargingProfileKind": "Absolute"}, "InvalidSchedule"),
        (profile({0: 6}) | {"chargingProfileKind": "Relative"}, "InvalidSchedule"),
        (profile({0: 6}, purpose=MAXIMUM, kind="Relative"), "InvalidProfile"),
    ],
)
async def test_a_profile_that_cannot_be_followed_is_refused(stand: Stand, given: dict[str, Any], reason: str) -> None:
    await refused(stand, 0 if given["chargingProfilePurpose"] == MAXIMUM else stand.evse, given, reason)


@pytest.mark.requirement("K01.FR.19", "K01.FR.43", "K01.FR.48")
@pytest.mark.parametrize("period", [{"numberPhases": 1}, {"numberPhases": 2}, {"numberPhases": 3, "phaseToUse": 1}])
async def test_phases_that_the_station_cannot_keep_to_are_refused(stand: Stand, period: dict[str, int]) -> None:
    given = profile({0: 6})
    given["chargingSchedule"][0]["chargingSchedulePeriod"] = [{"startPeriod": 0, "limit": 6, **period}]
    await refused(stand, stand.evse, given, "InvalidSchedule")
