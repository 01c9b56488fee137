"""Part 5, Core, block F: remote start and stop, unlocking, and TriggerMessage (part 2, F01 to F06)."""

import pytest

from tests.certification.parts import CARD, OTHER, PATIENCE, Stand, info, never, token, until
from tests.certification.parts2 import charge_at, measurands, remote_start, samples, trigger

pytestmark = pytest.mark.asyncio(loop_scope="module")

STARTED_BY_CABLE = {"TxCtrlr.TxStartPoint": "EVConnected"}
STARTED_BY_DRIVER = {"TxCtrlr.TxStartPoint": "Authorized"}


# --- remote start ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F01.FR.19", "F01.FR.25")
async def test_tc_f_01_remote_start_cable_plugin_first(stand: Stand) -> None:
    await stand.set(STARTED_BY_CABLE)
    await stand.plug()
    first = await stand.event(eventType="Started", triggerReason="CablePluggedIn")
    number = first["transactionInfo"]["transactionId"]
    answer = await remote_start(stand)
    assert answer == {"status": "Accepted", "transactionId": number}
    said = await stand.event(triggerReason="RemoteStart", transactionId=number)
    assert said["idToken"] == token()
    assert said["transactionInfo"]["remoteStartId"] == 4711
    assert stand.authorized() == [CARD]
    await stand.event(triggerReason="ChargingStateChanged", chargingState="Charging", transactionId=number)


@pytest.mark.requirement("F02.FR.01", "F02.FR.05", "F02.FR.09", "F02.FR.12", "F02.FR.13", "F02.FR.14")
async def test_tc_f_02_remote_start_first_authorization_remote_start_is_true(stand: Stand) -> None:
    await stand.set({**STARTED_BY_DRIVER, "AuthCtrlr.AuthorizeRemoteStart": "true"})
    assert (await remote_start(stand))["status"] == "Accepted"
    assert await stand.asked() == {"idToken": token()}
    first = await stand.event(eventType="Started")
    assert first["triggerReason"] == "RemoteStart"
    assert first["idToken"] == token()
    assert first["transactionInfo"]["remoteStartId"] == 4711
    assert first["evse"]["id"] == stand.evse
    await stand.plug()
    plugged = await stand.event(triggerReason="CablePluggedIn")
    await stand.event(triggerReason="ChargingStateChanged", chargingState="Charging")
    assert plugged["transactionInfo"]["chargingState"] == "EVConnected"


@pytest.mark.requirement("F02.FR.01", "F02.FR.10", "F02.FR.11")
async def test_tc_f_03_remote_start_first_authorization_remote_start_is_false(stand: Stand) -> None:
    await stand.set({**STARTED_BY_DRIVER, "AuthCtrlr.AuthorizeRemoteStart": "false"})
    assert (await remote_start(stand))["status"] == "Accepted"
    first = await stand.event(eventType="Started", triggerReason="RemoteStart", idToken=token())
    assert first["transactionInfo"]["remoteStartId"] == 4711
    await stand.plug()
    await stand.event(triggerReason="CablePluggedIn")
    await stand.event(triggerReason="ChargingStateChanged", chargingState="Charging")
    assert stand.authorized() == []


@pytest.mark.requirement("F02.FR.07")
async def test_tc_f_04_remote_start_first_cable_plugin_timeout(stand: Stand) -> None:
    await stand.set({**STARTED_BY_DRIVER, "TxCtrlr.EVConnectionTimeOut": "1"})
    assert (await remote_start(stand))["status"] == "Accepted"
    first = await stand.event(eventType="Started", triggerReason="RemoteStart")
    last = await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="EVConnectTimeout")
    assert last["transactionInfo"]["stoppedReason"] == "Timeout"
    await stand.plug()
    await never(lambda: stand.state()["contactor"], "it charges after the time-out")


# --- remote stop -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F03.FR.03", "F03.FR.04", "F03.FR.07", "F03.FR.09")
async def test_tc_f_08_remote_stop_success(stand: Stand) -> None:
    number = await stand.charge()
    assert await stand.call("RequestStopTransaction", {"transactionId": number}) == {"status": "Accepted"}
    last = await stand.ended(number, triggerReason="RemoteStop")
    assert last["transactionInfo"]["stoppedReason"] == "Remote"
    assert measurands(last["meterValue"], "Transaction.End") == {"Energy.Active.Import.Register"}
    await stand.dark()
    await until(lambda: not stand.state()["locked"], "the plug is let go")


@pytest.mark.requirement("F03.FR.08")
async def test_tc_f_09_remote_stop_rejected(stand: Stand) -> None:
    number = await stand.charge()
    answer = await stand.call("RequestStopTransaction", {"transactionId": "no-such-transaction"})
    assert answer["status"] == "Rejected"
    await never(lambda: stand.events(eventType="Ended"), "a transaction ends")
    assert stand.state()["contactor"]
    assert stand.running() == [number]


# --- unlock ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F05.FR.01", "F05.FR.02")
async def test_tc_f_05_unlock_connector_with_ongoing_transaction(stand: Stand) -> None:
    number = await stand.charge()
    answer = await stand.call("UnlockConnector", {"evseId": stand.evse, "connectorId": 1})
    assert answer["status"] == "OngoingAuthorizedTransaction"
    await never(lambda: not stand.state()["locked"], "the plug is let go")
    assert stand.state()["contactor"]
    assert stand.running() == [number]


@pytest.mark.requirement("F05.FR.01", "F05.FR.04")
async def test_tc_f_06_unlock_connector_without_ongoing_transaction_accepted(stand: Stand) -> None:
    await stand.plug()
    answer = await stand.call("UnlockConnector", {"evseId": stand.evse, "connectorId": 1})
    assert answer == {"status": "Unlocked"}
    assert not stand.state()["locked"]
    await stand.unplug()
    await stand.status("Available")


@pytest.mark.requirement("F05.FR.06")
async def test_tc_f_07_unlock_connector_without_ongoing_transaction_no_cable_connected(stand: Stand) -> None:
    answer = await stand.call("UnlockConnector", {"evseId": stand.evse, "connectorId": 1})
    assert answer == {"status": "Unlocked"}


@pytest.mark.requirement("F05.FR.03")
async def test_tc_f_10_unlock_connector_without_ongoing_transaction_unknown_connector(stand: Stand) -> None:
    for evse, connector in ((1, 3), (3, 1)):
        answer = await stand.call("UnlockConnector", {"evseId": evse, "connectorId": connector})
        assert answer["status"] == "UnknownConnector"


# --- TriggerMessage ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("F06.FR.04", "F06.FR.06", "F06.FR.09")
async def test_tc_f_11_trigger_message_meter_values_specific_evse(stand: Stand) -> None:
    assert await trigger(stand, "MeterValues", {"id": stand.evse}) == "Accepted"
    payload = await stand.station.wait_for("MeterValues", since=stand.since)
    assert payload["evseId"] == stand.evse
    assert measurands(payload["meterValue"], "Trigger") == {"Energy.Active.Import.Register"}
    assert len(stand.station.calls("MeterValues", stand.since)) == 1


@pytest.mark.requirement("F06.FR.06", "F06.FR.11")
async def test_tc_f_12_trigger_message_meter_values_all_evse(stand: Stand) -> None:
    assert await trigger(stand, "MeterValues") == "Accepted"
    for evse in (1, 2):
        payload = await stand.station.wait_for("MeterValues", lambda p, evse=evse: p["evseId"] == evse, stand.since)
        assert measurands(payload["meterValue"], "Trigger") == {"Energy.Active.Import.Register"}


@pytest.mark.requirement("F06.FR.07")
async def test_tc_f_13_trigger_message_transaction_event_specific_evse(stand: Stand) -> None:
    number = await stand.charge()
    assert await trigger(stand, "TransactionEvent", {"id": stand.evse}) == "Accepted"
    payload = await stand.event(triggerReason="Trigger", transactionId=number)
    assert payload["eventType"] == "Updated"
    assert payload["transactionInfo"]["chargingState"] == "Charging"
    assert measurands(payload["meterValue"], "Trigger") == {"Energy.Active.Import.Register"}
    assert samples(payload["meterValue"]) == samples(payload["meterValue"], "Trigger")


@pytest.mark.requirement("F06.FR.07", "F06.FR.11")
async def test_tc_f_14_trigger_message_transaction_event_all_evse(stand: Stand) -> None:
    numbers = {await charge_at(stand, 1, CARD), await charge_at(stand, 2, OTHER)}
    assert await trigger(stand, "TransactionEvent") == "Accepted"
    for number in numbers:
        payload = await stand.event(triggerReason="Trigger", transactionId=number)
        assert payload["transactionInfo"]["chargingState"] == "Charging"
    assert len(stand.events(triggerReason="Trigger")) == 2


@pytest.mark.requirement("F06.FR.04", "F06.FR.05", "F06.FR.10")
async def test_tc_f_20_trigger_message_heartbeat(stand: Stand) -> None:
    assert await trigger(stand, "Heartbeat") == "Accepted"
    await stand.station.wait_for("Heartbeat", since=stand.since, timeout=PATIENCE)


@pytest.mark.requirement("F06.FR.05")
async def test_tc_f_23_trigger_message_status_notification_specific_evse_available(stand: Stand) -> None:
    assert await trigger(stand, "StatusNotification", {"id": stand.evse, "connectorId": 1}) == "Accepted"
    await stand.status("Available")


@pytest.mark.requirement("F06.FR.05")
async def test_tc_f_24_trigger_message_status_notification_specific_evse_occupied(stand: Stand) -> None:
    await stand.plug()
    since = stand.station.last
    assert await trigger(stand, "StatusNotification", {"id": stand.evse, "connectorId": 1}) == "Accepted"
    await stand.status("Occupied", since=since)


@pytest.mark.requirement("F06.FR.17")
async def test_tc_f_26_trigger_message_boot_notification_rejected(stand: Stand) -> None:
    assert await trigger(stand, "BootNotification") == "Rejected"
    await never(lambda: stand.station.calls("BootNotification", stand.since), "a BootNotification")


@pytest.mark.requirement("F06.FR.08")
async def test_tc_f_27_trigger_message_not_implemented(stand: Stand) -> None:
    assert await trigger(stand, "SignCombinedCertificate") == "NotImplemented"


# --- beside the cases of part 5 ----------------------------------------------------------------------------------


@pytest.mark.requirement("F02.FR.09")
async def test_a_remote_start_that_is_not_authorized_starts_nothing(stand: Stand) -> None:
    await stand.set({**STARTED_BY_DRIVER, "AuthCtrlr.AuthorizeRemoteStart": "true"})
    stand.known[CARD] = info("Invalid")
    assert (await remote_start(stand))["status"] == "Accepted"
    await stand.asked()
    await stand.plug()
    await never(stand.events, "a transaction")
    assert not stand.state()["contactor"]
