"""Part 5, Core, block C: who may charge, while the CSMS can be asked and by the cache (part 2, C01 to C16)."""

import asyncio

import pytest

from tests.certification.parts import CARD, GROUP, MASTER, OTHER, Stand, info, never, token, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = ("Blocked", "ConcurrentTx", "NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime")


async def refused(stand: Stand, *statuses: str) -> None:
    """Plugged in, with a token of which the CSMS says each of `statuses`: it is asked, and nothing happens."""
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized"})
    await stand.plug()
    for number, status in enumerate(statuses):
        since = stand.station.last
        card = f"04{number:012X}"
        stand.known[card] = info(status)
        await stand.swipe(card)
        await stand.asked(card, since)
    await nothing(stand)


async def nothing(stand: Stand) -> None:
    """For a while, no transaction and no energy."""
    await never(lambda: stand.events() or stand.state()["contactor"], "it charges", 0.7)


async def starts(stand: Stand, card: str = CARD) -> str:
    """`card` starts a charge at the car that is there; the transaction's id."""
    since = stand.station.last
    await stand.swipe(card)
    first = await stand.event(since=since, eventType="Started", triggerReason="Authorized", idToken=token(card))
    await stand.charging()
    return str(first["transactionInfo"]["transactionId"])


# --- online -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C01.FR.01", "C01.FR.02")
async def test_tc_c_02_authorization_invalid_or_unknown(stand: Stand) -> None:
    await refused(stand, "Invalid", "Unknown")


@pytest.mark.requirement("C01.FR.02")
async def test_tc_c_56_authorization_unknown(stand: Stand) -> None:
    stand.known[CARD] = info("Unknown")
    await stand.swipe()
    await stand.asked()
    await stand.plug()
    await nothing(stand)


@pytest.mark.requirement("C01.FR.01", "C01.FR.22")
async def test_tc_c_06_authorization_restricted(stand: Stand) -> None:
    await refused(stand, *REFUSED)


@pytest.mark.requirement("C01.FR.01")
async def test_tc_c_07_authorization_expired(stand: Stand) -> None:
    await refused(stand, "Expired")


@pytest.mark.requirement("C01.FR.03")
async def test_tc_c_04_stop_with_a_different_id_token(stand: Stand) -> None:
    number = await stand.charge()
    await stand.swipe(OTHER)
    await stand.asked(OTHER)
    await never(lambda: not stand.state()["contactor"], "it stops")
    await stand.swipe(CARD)
    await stand.ended(number, triggerReason="StopAuthorized", idToken=token())


# --- groups -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C09.FR.03", "C09.FR.05")
async def test_tc_c_39_authorization_by_group_id(stand: Stand) -> None:
    stand.known |= {CARD: info(group=GROUP), OTHER: info(group=GROUP)}
    number = await stand.charge()
    await stand.swipe(OTHER)
    last = await stand.ended(number, triggerReason="StopAuthorized", idToken=token(OTHER))
    assert last["transactionInfo"].get("stoppedReason", "Local") == "Local"
    assert stand.authorized() == [CARD, OTHER]


@pytest.mark.requirement("C09.FR.03")
async def test_tc_c_42_not_stopped_by_another_group_id(stand: Stand) -> None:
    stand.known |= {CARD: info(group=GROUP), OTHER: info(group="GROUP-2")}
    await stand.charge()
    await stand.swipe(OTHER)
    await stand.asked(OTHER)
    await never(lambda: not stand.state()["contactor"], "it stops")
    assert not stand.events(triggerReason="StopAuthorized")


@pytest.mark.requirement("C09.FR.07")
async def test_tc_c_41_group_id_success_with_authorization_cache(stand: Stand) -> None:
    await stand.remember(CARD, OTHER, group=GROUP)
    stand.known |= {CARD: info(group=GROUP), OTHER: info(group=GROUP)}
    number = await stand.charge()
    asked = stand.authorized()
    await stand.swipe(OTHER)
    await stand.ended(number, triggerReason="StopAuthorized", idToken=token(OTHER))
    assert stand.authorized() == asked


@pytest.mark.requirement("C09.FR.11")
async def test_tc_c_44_group_id_invalid_status_with_authorization_cache(stand: Stand) -> None:
    await stand.remember(OTHER, status="Invalid", group=GROUP)
    stand.known |= {CARD: info(group=GROUP), OTHER: info("Invalid", GROUP)}
    await stand.charge()
    await stand.swipe(OTHER)
    await never(lambda: not stand.state()["contactor"], "it stops")
    assert not stand.events(triggerReason="StopAuthorized")


# --- master pass --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C12.FR.09", "C16.FR.03")
async def test_tc_c_45_master_pass_cannot_start_a_transaction(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.MasterPassGroupId": MASTER, "TxCtrlr.TxStartPoint": "Authorized"})
    stand.known[OTHER] = info(group=MASTER)
    await stand.plug()
    await stand.swipe(OTHER)
    await stand.asked(OTHER)
    await nothing(stand)


@pytest.mark.requirement("C16.FR.02")
async def test_tc_c_49_master_pass_without_ui(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.MasterPassGroupId": MASTER})
    stand.known["04EEEEEEEEEEEE"] = info(group=MASTER)
    stand.evse = 1
    one = await stand.charge()
    await stand.plug(evse=2)
    await stand.swipe(OTHER, reader=2)
    first = await stand.event(eventType="Started", idToken=token(OTHER))
    two = first["transactionInfo"]["transactionId"]
    await stand.charging(2)
    await stand.swipe("04EEEEEEEEEEEE", reader=0)
    for number in (one, two):
        last = await stand.ended(number, triggerReason="StopAuthorized")
        assert last["transactionInfo"]["stoppedReason"] == "MasterPass"
        assert last.get("idToken", token("04EEEEEEEEEEEE")) == token("04EEEEEEEEEEEE")


# --- an unknown token, offline ------------------------------------------------------------------------------------


@pytest.mark.requirement("C15.FR.02", "C15.FR.08", "C13.FR.04")
async def test_tc_c_26_offline_authorization_of_an_unknown_id(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    async with stand.offline():
        await stand.plug()
        await stand.swipe()
        await stand.charging()
    await stand.status("Occupied")
    first = await stand.event(eventType="Started", idToken=token(), offline=True)
    assert stand.authorized() == []
    await stand.swipe()
    await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="StopAuthorized")


# --- what the cache keeps -----------------------------------------------------------------------------------------


@pytest.mark.requirement("C10.FR.01", "C10.FR.02")
async def test_tc_c_32_cache_persistent_over_reboot(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    await stand.remember(CARD)
    await stand.boot("Reset")
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == []


@pytest.mark.requirement("C10.FR.04")
async def test_tc_c_33_cache_updated_on_authorize_response(stand: Stand) -> None:
    await stand.remember(CARD)
    stand.known[CARD] = info("Invalid")
    await stand.plug()
    await stand.swipe()
    await stand.asked()
    await nothing(stand)
    async with stand.offline():
        await stand.swipe()
        await never(lambda: stand.state()["contactor"], "it charges")


@pytest.mark.requirement("C10.FR.03", "C10.FR.05", "C12.FR.05", "C12.FR.06")
async def test_tc_c_34_cache_updated_on_transaction_event_response(stand: Stand) -> None:
    await stand.remember(CARD)
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    stand.known[CARD] = info("Invalid")
    await stand.plug()
    await stand.swipe()
    first = await stand.event(eventType="Started", idToken=token())
    await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="Deauthorized")
    assert stand.authorized() == []
    await stand.swipe()  # lets the plug go (E05.FR.11)
    await stand.unplug()
    await stand.status("Available")
    since = stand.station.last
    await stand.swipe()
    await stand.asked(since=since)


@pytest.mark.requirement("C01.FR.05")
async def test_tc_c_36_local_pre_authorize_is_false(stand: Stand) -> None:
    await stand.remember(CARD)
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("C10.FR.08", "C10.FR.10")
async def test_tc_c_46_auth_cache_life_time(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true", "AuthCacheCtrlr.LifeTime": "1"})
    await stand.remember(CARD)
    await stand.plug()
    await asyncio.sleep(1)
    await starts(stand)
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("C11.FR.01", "C11.FR.03")
async def test_tc_c_37_clear_cache_accepted(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    await stand.remember(CARD)
    assert (await stand.call("ClearCache", {}))["status"] == "Accepted"
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("C10.FR.11", "C11.FR.04")
async def test_tc_c_38_clear_cache_rejected(stand: Stand) -> None:
    await stand.set({"AuthCacheCtrlr.Enabled": "false"})
    assert (await stand.call("ClearCache", {}))["status"] == "Rejected"


# --- authorization by the cache -----------------------------------------------------------------------------------


@pytest.mark.requirement("C12.FR.02", "C12.FR.04")
async def test_tc_c_08_cache_accepted(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    await stand.remember(CARD)
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == []


@pytest.mark.requirement("C12.FR.02", "C12.FR.04")
async def test_tc_c_13_cache_accepted_but_cable_not_connected_yet(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true", "TxCtrlr.TxStartPoint": "Authorized"})
    await stand.remember(CARD)
    await stand.swipe()
    await stand.event(eventType="Started", triggerReason="Authorized", idToken=token())
    await stand.plug()
    await stand.event(eventType="Updated", chargingState="Charging")
    assert stand.authorized() == []


async def cached_and_refused(stand: Stand, status: str) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    await stand.remember(CARD, status=status)
    stand.known[CARD] = info(status)
    await stand.plug()
    await stand.swipe()
    await stand.asked()
    await nothing(stand)


@pytest.mark.requirement("C10.FR.03", "C12.FR.05")
async def test_tc_c_09_cache_invalid_and_not_accepted(stand: Stand) -> None:
    await cached_and_refused(stand, "Invalid")


@pytest.mark.requirement("C10.FR.03", "C12.FR.05")
async def test_tc_c_10_cache_blocked(stand: Stand) -> None:
    await cached_and_refused(stand, "Blocked")


@pytest.mark.requirement("C10.FR.03", "C12.FR.05")
async def test_tc_c_11_cache_expired(stand: Stand) -> None:
    await cached_and_refused(stand, "Expired")


@pytest.mark.requirement("C10.FR.03", "C12.FR.05")
async def test_tc_c_12_cache_invalid_and_accepted(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true"})
    await stand.remember(CARD, status="Invalid")
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("C10.FR.03")
async def test_tc_c_57_cache_disable_post_authorize(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true", "AuthCacheCtrlr.DisablePostAuthorize": "true"})
    await stand.remember(CARD, status="Invalid")
    await stand.plug()
    await stand.swipe()
    await nothing(stand)
    assert stand.authorized() == []


# --- a cached token that the CSMS no longer knows -----------------------------------------------------------------


async def invalidated(stand: Stand, stop: str, energy: str, **car: float) -> str:
    """A charge by the cache, of whose token the CSMS says Invalid; the transaction's id."""
    await stand.remember(CARD)
    await stand.set(
        {
            "AuthCtrlr.LocalPreAuthorize": "true",
            "TxCtrlr.StopTxOnInvalidId": stop,
            "TxCtrlr.MaxEnergyOnInvalidId": energy,
        }
    )
    stand.known[CARD] = info("Invalid")
    await stand.plug(**car)
    await stand.swipe()
    first = await stand.event(eventType="Started", idToken=token())
    assert stand.authorized() == []
    return str(first["transactionInfo"]["transactionId"])


@pytest.mark.requirement("E05.FR.03", "E05.FR.02")
async def test_tc_c_15_stop_tx_on_invalid_id_false_max_energy(stand: Stand) -> None:
    await invalidated(stand, "false", "10")
    await stand.event(chargingState="Charging")
    since = stand.station.last
    told = await stand.event(since=since, chargingState="SuspendedEVSE")
    assert (told["eventType"], told["triggerReason"]) == ("Updated", "ChargingStateChanged")
    await stand.dark()
    car = stand.connector().ev
    assert car is not None
    assert car.energy_wh >= 10


@pytest.mark.requirement("E05.FR.10")
async def test_tc_c_16_stop_tx_on_invalid_id_true(stand: Stand) -> None:
    number = await invalidated(stand, "true", "0")
    last = await stand.ended(number, triggerReason="Deauthorized")
    assert last["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    await stand.dark()


@pytest.mark.requirement("E05.FR.02")
async def test_tc_c_17_stop_tx_on_invalid_id_false(stand: Stand) -> None:
    await invalidated(stand, "false", "0")
    told = await stand.event(chargingState="SuspendedEVSE")
    assert (told["eventType"], told["triggerReason"]) == ("Updated", "ChargingStateChanged")
    await stand.dark()
    await never(lambda: stand.events(eventType="Ended") or stand.state()["contactor"], "it ends, or charges", 0.5)


@pytest.mark.requirement("E05.FR.10")
async def test_tc_c_18_stop_tx_on_invalid_id_true_max_energy(stand: Stand) -> None:
    number = await invalidated(stand, "true", "10000")
    last = await stand.ended(number, triggerReason="Deauthorized")
    assert last["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    await until(lambda: not stand.state()["contactor"], "the contactor opens")
