"""Part 5, Core, block E: what starts a transaction (part 2, E01 to E03)."""

import pytest

from tests.certification.parts import CARD, OTHER, Stand, info, never, token, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.requirement("E01.FR.05", "E01.FR.10", "E02.FR.01", "E02.FR.13", "E02.FR.18")
async def test_tc_e_01_power_path_closed(stand: Stand) -> None:
    await stand.plug()
    await stand.swipe()
    first = await stand.event(eventType="Started", triggerReason="Authorized", idToken=token())
    assert first["evse"] == {"id": stand.evse, "connectorId": 1}
    told = await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")
    assert told["numberOfPhasesUsed"] == 3
    assert len(stand.events(eventType="Started")) == 1


@pytest.mark.requirement("E01.FR.06")
async def test_tc_e_02_energy_transfer(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "EnergyTransfer"})
    await stand.plug()
    await stand.swipe()
    first = await stand.event()
    assert first["eventType"] == "Started"
    assert first["triggerReason"] in ("ChargingStateChanged", "Authorized")
    assert first["transactionInfo"]["chargingState"] == "Charging"
    assert first["idToken"] == token()
    await stand.charging()


@pytest.mark.requirement("E02.FR.01", "E02.FR.05", "E02.FR.17", "E02.FR.20")
async def test_tc_e_03_local_start_cable_plugin_first(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "EVConnected,Authorized"})
    await stand.plug()
    await stand.status("Occupied")
    await stand.event(eventType="Started", triggerReason="CablePluggedIn", chargingState="EVConnected")
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="Authorized", idToken=token())
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("E03.FR.01", "E03.FR.12")
async def test_tc_e_04_local_start_authorization_first(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "EVConnected,Authorized"})
    await stand.swipe()
    await stand.event(eventType="Started", triggerReason="Authorized", idToken=token())
    await stand.plug()
    told = await stand.event(eventType="Updated", triggerReason="CablePluggedIn")
    assert told["evse"] == {"id": stand.evse, "connectorId": 1}
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("E03.FR.05")
async def test_tc_e_05_local_start_authorization_first_cable_plugin_timeout(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.EVConnectionTimeOut": "1"})
    await stand.swipe()
    first = await stand.event(eventType="Started")
    last = await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="EVConnectTimeout")
    assert last["transactionInfo"]["stoppedReason"] == "Timeout"
    await stand.plug()
    await never(lambda: stand.state()["contactor"], "it charges")


@pytest.mark.requirement("E01.FR.02", "E02.FR.06")
async def test_tc_e_09_ev_connected(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "EVConnected"})
    await stand.plug()
    first = await stand.event(eventType="Started", triggerReason="CablePluggedIn", chargingState="EVConnected")
    assert "idToken" not in first
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="Authorized", idToken=token())
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")


@pytest.mark.requirement("E01.FR.03", "E01.FR.16")
async def test_tc_e_10_authorized_local(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized"})
    await stand.swipe()
    await stand.event(eventType="Started", triggerReason="Authorized", idToken=token())
    await stand.plug()
    told = await stand.event(eventType="Updated", triggerReason="CablePluggedIn", chargingState="EVConnected")
    assert told["evse"] == {"id": stand.evse, "connectorId": 1}
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")


@pytest.mark.requirement("E01.FR.01")
async def test_tc_e_12_parking_bay_occupied(stand: Stand) -> None:
    points = "ParkingBayOccupancy"
    await stand.set({"TxCtrlr.TxStartPoint": points, "TxCtrlr.TxStopPoint": points})
    stand.places.bay(stand.evse).set(True)
    await stand.event(eventType="Started", triggerReason="EVDetected")
    await stand.swipe()
    await stand.event(eventType="Updated", triggerReason="Authorized", idToken=token())
    await stand.plug()
    await stand.event(eventType="Updated", triggerReason="CablePluggedIn")
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")


@pytest.mark.requirement("E01.FR.03", "F02.FR.01")
async def test_tc_e_13_authorized_remote(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized", "AuthCtrlr.AuthorizeRemoteStart": "false"})
    request = {"idToken": token(), "evseId": 1, "remoteStartId": 7}
    assert (await stand.call("RequestStartTransaction", request))["status"] == "Accepted"
    first = await stand.event(eventType="Started", triggerReason="RemoteStart", idToken=token())
    assert first["transactionInfo"]["remoteStartId"] == 7
    await stand.plug()
    await stand.event(eventType="Updated", triggerReason="CablePluggedIn")
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")
    assert stand.authorized() == []


@pytest.mark.requirement("E01.FR.18", "E01.FR.19")
async def test_tc_e_38_ev_not_ready(stand: Stand) -> None:
    await stand.plug(ready=False)
    await stand.swipe()
    await stand.event(eventType="Started", triggerReason="Authorized")
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="SuspendedEV")
    assert not stand.events(chargingState="Charging")
    stand.connector().change({"ready": True})
    await stand.event(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")


@pytest.mark.requirement("C01.FR.01")
async def test_tc_e_52_disable_remote_authorization(stand: Stand) -> None:
    await stand.set({"AuthCtrlr.DisableRemoteAuthorization": "true"})
    await stand.swipe()
    await stand.plug()
    await never(lambda: stand.authorized() or stand.state()["contactor"], "it asks or charges")
    assert stand.events() == []


@pytest.mark.requirement("E07.FR.01", "E07.FR.02", "E07.FR.05", "E07.FR.07")
async def test_tc_e_06_local_stop_accepted(stand: Stand) -> None:
    number = await stand.charge()
    asked = stand.authorized()
    await stand.swipe()
    last = await stand.ended(number, triggerReason="StopAuthorized", idToken=token())
    assert last["transactionInfo"].get("stoppedReason", "Local") == "Local"
    assert stand.authorized() == asked
    await until(lambda: not stand.state()["locked"], "the plug is let go")
    await stand.unplug()
    await stand.status("Available")


@pytest.mark.requirement("E01.FR.14")
async def test_a_second_connector_of_the_evse_starts_nothing_meanwhile(stand: Stand) -> None:
    stand.evse = 1
    await stand.charge()
    await stand.plug(connector=2)
    await stand.swipe(OTHER)
    await stand.asked(OTHER)
    await never(lambda: stand.state(1, 2)["contactor"], "the second connector charges", 0.5)
    assert len(stand.events(eventType="Started")) == 1


@pytest.mark.requirement("E05.FR.10", "E06.FR.04")
async def test_tc_e_16_deauthorized_invalid_id_token(stand: Stand) -> None:
    await stand.remember(CARD)
    await stand.set({"AuthCtrlr.LocalPreAuthorize": "true", "TxCtrlr.TxStopPoint": "Authorized"})
    stand.known[CARD] = info("Invalid")
    await stand.plug()
    await stand.swipe()
    first = await stand.event(eventType="Started", idToken=token())
    last = await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="Deauthorized")
    assert last["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    assert stand.authorized() == []
    await stand.dark()
