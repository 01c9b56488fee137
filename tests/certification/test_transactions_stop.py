"""Part 5, Core, block E: what stops a transaction, and cables that are pulled at the car (part 2, E05 to E10)."""

import pytest

from tests.certification.parts import CARD, Stand, never, token, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stop_at(stand: Stand, points: str, **more: str) -> None:
    await stand.set({"TxCtrlr.TxStopPoint": points, **more})


LEAVE_LOCKED = {"OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
GO_ON = {"TxCtrlr.StopTxOnEVSideDisconnect": "false"}
LOCAL = (None, "Local")


@pytest.mark.requirement("E06.FR.02", "E06.FR.08", "E06.FR.10", "E06.FR.11")
async def test_tc_e_14_ev_disconnected_charging_station_side(stand: Stand) -> None:
    await stop_at(stand, "EVConnected")
    number = await stand.charge()
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="StopAuthorized", idToken=token())
    await stand.unplug()
    await stand.status("Available")
    last = await stand.ended(number, triggerReason="EVCommunicationLost", chargingState="Idle")
    assert last["transactionInfo"].get("stoppedReason") in (*LOCAL, "EVDisconnected")
    assert last["meterValue"][-1]["sampledValue"][0]["context"] == "Transaction.End"


@pytest.mark.requirement("E06.FR.02", "E09.FR.01")
async def test_tc_e_20_ev_disconnected_ev_side(stand: Stand) -> None:
    await stop_at(stand, "EVConnected")
    number = await stand.charge()
    stand.connector().unplug("ev")
    last = await stand.ended(number, triggerReason="EVCommunicationLost", chargingState="Idle")
    assert last["transactionInfo"]["stoppedReason"] == "EVDisconnected"


@pytest.mark.requirement("E06.FR.03", "E07.FR.01", "E07.FR.02")
async def test_tc_e_15_stop_authorized_local(stand: Stand) -> None:
    await stop_at(stand, "Authorized")
    number = await stand.charge()
    await stand.swipe()
    last = await stand.ended(number, triggerReason="StopAuthorized", idToken=token())
    assert last["transactionInfo"].get("stoppedReason") in LOCAL


@pytest.mark.requirement("E06.FR.03", "F03.FR.02", "F03.FR.03")
async def test_tc_e_21_stop_authorized_remote(stand: Stand) -> None:
    await stop_at(stand, "Authorized")
    number = await stand.charge()
    assert (await stand.call("RequestStopTransaction", {"transactionId": number}))["status"] == "Accepted"
    last = await stand.ended(number, triggerReason="RemoteStop")
    assert last["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.requirement("E09.FR.01")
async def test_tc_e_17_deauthorized_ev_side_disconnect(stand: Stand) -> None:
    await stop_at(stand, "Authorized", **LEAVE_LOCKED)
    number = await stand.charge()
    stand.connector().unplug("ev")
    last = await stand.ended(number, triggerReason="EVCommunicationLost")
    assert last["transactionInfo"]["stoppedReason"] == "EVDisconnected"


@pytest.mark.requirement("E03.FR.15")
async def test_tc_e_39_deauthorized_timeout(stand: Stand) -> None:
    bay = "ParkingBayOccupancy"
    await stop_at(stand, bay, **{"TxCtrlr.TxStartPoint": bay, "TxCtrlr.EVConnectionTimeOut": "1"})
    stand.places.bay(stand.evse).set(True)
    first = await stand.event(eventType="Started", triggerReason="EVDetected")
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="Authorized")
    await stand.event(eventType="Updated", triggerReason="EVConnectTimeout")
    await stand.plug()
    await stand.event(eventType="Updated", triggerReason="CablePluggedIn")
    await never(lambda: stand.state()["contactor"], "it charges", 0.7)
    assert not stand.events(chargingState="Charging")
    stand.places.bay(stand.evse).set(False)
    await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="EVDeparted")


@pytest.mark.requirement("E06.FR.06", "E07.FR.02")
async def test_tc_e_07_power_path_closed_local_stop(stand: Stand) -> None:
    await stop_at(stand, "PowerPathClosed")
    number = await stand.charge()
    await stand.swipe()
    last = await stand.ended(number, triggerReason="StopAuthorized", idToken=token())
    assert last["transactionInfo"].get("stoppedReason") in LOCAL


@pytest.mark.requirement("E06.FR.06", "F03.FR.03")
async def test_tc_e_35_power_path_closed_remote_stop(stand: Stand) -> None:
    await stop_at(stand, "PowerPathClosed")
    number = await stand.charge()
    assert (await stand.call("RequestStopTransaction", {"transactionId": number}))["status"] == "Accepted"
    last = await stand.ended(number, triggerReason="RemoteStop")
    assert last["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.requirement("E06.FR.06")
async def test_tc_e_37_power_path_closed_ev_side_disconnect(stand: Stand) -> None:
    await stop_at(stand, "PowerPathClosed", **GO_ON)
    number = await stand.charge()
    stand.connector().unplug("ev")
    last = await stand.ended(number, triggerReason="EVCommunicationLost")
    assert last["transactionInfo"]["stoppedReason"] == "EVDisconnected"


@pytest.mark.requirement("E06.FR.07")
async def test_tc_e_08_energy_transfer_stop_authorized(stand: Stand) -> None:
    await stop_at(stand, "EnergyTransfer")
    number = await stand.charge()
    await stand.swipe()
    last = await stand.ended(number)
    assert last["transactionInfo"].get("stoppedReason") in LOCAL
    assert stand.events(triggerReason="StopAuthorized", idToken=token())


@pytest.mark.requirement("E06.FR.07")
async def test_tc_e_22_energy_transfer_suspended_ev(stand: Stand) -> None:
    await stop_at(stand, "EnergyTransfer")
    number = await stand.charge()
    stand.connector().change({"ready": False})
    last = await stand.ended(number, triggerReason="ChargingStateChanged")
    assert last["transactionInfo"]["stoppedReason"] == "StoppedByEV"
    assert last["transactionInfo"]["chargingState"] in ("EVConnected", "SuspendedEV")


@pytest.mark.requirement("E06.FR.01")
async def test_tc_e_19_parking_bay_unoccupied(stand: Stand) -> None:
    bay = "ParkingBayOccupancy"
    await stop_at(stand, bay, **{"TxCtrlr.TxStartPoint": bay})
    stand.places.bay(stand.evse).set(True)
    await stand.event(eventType="Started")
    number = await stand.charge()
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="StopAuthorized")
    await stand.unplug()
    await stand.event(eventType="Updated", triggerReason="EVCommunicationLost")
    stand.places.bay(stand.evse).set(False)
    last = await stand.ended(number, triggerReason="EVDeparted")
    assert last["transactionInfo"].get("stoppedReason") in (*LOCAL, "EVDisconnected", "Other")


# --- the cable is pulled at the car -------------------------------------------------------------------------------


@pytest.mark.requirement("E09.FR.01", "E09.FR.02")
async def test_tc_e_24_ev_side_deauthorize_unlock(stand: Stand) -> None:
    number = await stand.charge()
    assert stand.state()["locked"]
    stand.connector().unplug("ev")
    await stand.ended(number, triggerReason="EVCommunicationLost")
    await until(lambda: not stand.state()["locked"], "the plug is let go")
    stand.connector().plug(None)
    await never(lambda: stand.state()["contactor"], "it charges")


@pytest.mark.requirement("E09.FR.01", "E09.FR.03")
async def test_tc_e_25_ev_side_deauthorize_stay_locked(stand: Stand) -> None:
    await stand.set(LEAVE_LOCKED)
    number = await stand.charge()
    stand.connector().unplug("ev")
    await stand.ended(number, triggerReason="EVCommunicationLost")
    await never(lambda: not stand.state()["locked"], "the plug is let go")
    await stand.swipe()
    await until(lambda: not stand.state()["locked"], "the plug is let go")


@pytest.mark.requirement("E10.FR.01")
async def test_tc_e_26_ev_side_suspend(stand: Stand) -> None:
    await stop_at(stand, "Authorized", **LEAVE_LOCKED, **GO_ON)
    number = await stand.charge()
    since = stand.station.last
    stand.connector().unplug("ev")
    await stand.event(eventType="Updated", triggerReason="EVCommunicationLost", chargingState="Idle")
    assert stand.state()["locked"]
    stand.connector().plug(None)
    await stand.event(since=since, eventType="Updated", triggerReason="CablePluggedIn")
    await stand.event(since=since, eventType="Updated", chargingState="Charging")
    assert stand.authorized() == [CARD]
    await stand.swipe()
    await stand.ended(number, triggerReason="StopAuthorized")


@pytest.mark.requirement("E10.FR.02")
async def test_tc_e_27_ev_side_suspend_fixed_cable_timeout(stand: Stand) -> None:
    await stop_at(stand, "Authorized", **LEAVE_LOCKED, **GO_ON, **{"TxCtrlr.EVConnectionTimeOut": "2"})
    stand.evse = 1  # which has the fixed cable
    await stand.plug(connector=2)
    await stand.swipe()
    told = await stand.event(chargingState="Charging")
    await stand.charging(connector=2)
    stand.connector(connector=2).unplug("ev")
    await stand.event(eventType="Updated", triggerReason="EVCommunicationLost", chargingState="Idle")
    await stand.status("Available", connector=2)
    last = await stand.ended(told["transactionInfo"]["transactionId"], triggerReason="EVConnectTimeout")
    assert last["transactionInfo"]["stoppedReason"] == "Timeout"
