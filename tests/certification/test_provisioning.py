"""Part 5, Core, block B: boot, offline periods, the Device Model and Reset (part 2, B01 to B12).

Not here: TC_B_42 to TC_B_50 (SetNetworkProfile is not there yet), TC_B_15 (C-56 is supported), TC_B_25 to TC_B_27
(NOT C-13), TC_B_24 (in test_reservation).
"""

import pytest

from drivers.bench.csms import CallError
from tests.certification.parts import CARD, OTHER, Stand, never, until
from tests.certification.parts2 import (
    CONNECTORS,
    change,
    charge_at,
    make_operative,
    named,
    remote_start,
    report,
    settled,
    statuses,
)
from tests.certification.parts2 import told as statuses_told

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTERVAL = named("OCPPCommCtrlr", "HeartbeatInterval")
NOWHERE = named("NoSuchComponent", "HeartbeatInterval")
NOTHING = named("OCPPCommCtrlr", "NoSuchVariable")


async def _get(stand: Stand, *wanted: dict[str, object]) -> list[dict[str, object]]:
    answer = await stand.call("GetVariables", {"getVariableData": list(wanted)})
    return list(answer["getVariableResult"])


async def _set(stand: Stand, *wanted: dict[str, object]) -> list[str]:
    answer = await stand.call("SetVariables", {"setVariableData": list(wanted)})
    return [str(one["attributeStatus"]) for one in answer["setVariableResult"]]


# --- B01 to B03: boot --------------------------------------------------------------------------------------------


async def _boot_unaccepted(stand: Stand, status: str) -> int:
    """Restart into a CSMS that says `status` once, with an interval of 2 s; the message before the boot."""
    stand.csms.boot_status, stand.csms.boot_interval = status, 2
    since = stand.station.last
    await stand.bench.set_power("cycle")
    await stand.station.wait_for("BootNotification", since=since, timeout=30)
    return since


def _accept(stand: Stand) -> None:
    stand.csms.boot_status, stand.csms.boot_interval = "Accepted", 300


@pytest.mark.requirement("B01.FR.01", "B01.FR.05")
async def test_tc_b_01_cold_boot_accepted(stand: Stand) -> None:
    since = stand.station.last
    await stand.boot("power")
    boot = stand.station.calls("BootNotification", since)[0].payload
    assert boot["reason"] == "PowerUp"
    assert boot["chargingStation"]["vendorName"] == "Bench"
    await statuses(stand, "Available", since=since)


@pytest.mark.requirement("B02.FR.02", "B02.FR.05", "B01.FR.08")
async def test_tc_b_02_cold_boot_pending(stand: Stand) -> None:
    since = await _boot_unaccepted(stand, "Pending")
    try:
        assert (await _get(stand, INTERVAL))[0]["attributeStatus"] == "Accepted"
        assert (await remote_start(stand))["status"] == "Rejected"
        assert not statuses_told(stand, since)
    finally:
        _accept(stand)
    again = stand.station.last
    await stand.station.wait_for("BootNotification", since=again, timeout=15)
    await statuses(stand, "Available", since=again)


@pytest.mark.requirement("B03.FR.02")
async def test_tc_b_03_cold_boot_rejected(stand: Stand) -> None:
    since = await _boot_unaccepted(stand, "Rejected")
    try:
        assert not statuses_told(stand, since)
    finally:
        _accept(stand)
    again = stand.station.last
    await stand.station.wait_for("BootNotification", since=again, timeout=15)
    await statuses(stand, "Available", since=again)


@pytest.mark.requirement("B03.FR.08")
async def test_tc_b_30_cold_boot_pending_or_rejected_security_error(stand: Stand) -> None:
    await _boot_unaccepted(stand, "Rejected")
    again = stand.station.last
    try:
        with pytest.raises(CallError, match="SecurityError"):
            await _get(stand, INTERVAL)
    finally:
        _accept(stand)
    await stand.station.wait_for("BootNotification", since=again, timeout=15)
    await statuses(stand, "Available", since=again)


# --- B04: offline periods ----------------------------------------------------------------------------------------


@pytest.mark.requirement("B04.FR.01")
async def test_tc_b_51_offline_longer_than_the_offline_threshold(stand: Stand) -> None:
    await stand.set({"OCPPCommCtrlr.OfflineThreshold": "0"})
    since = stand.station.last
    async with stand.offline():
        stand.connector().plug(None)
        await until(lambda: stand.state()["plugged"], "the cable is in")
    free = [one for one in CONNECTORS if one != (stand.evse, 1)]
    await statuses(stand, "Available", free, since)
    await stand.status("Occupied", since=since)
    await stand.set({"OCPPCommCtrlr.OfflineThreshold": "60"})


@pytest.mark.requirement("B04.FR.02")
async def test_tc_b_52_offline_shorter_than_the_offline_threshold(stand: Stand) -> None:
    await stand.set({"OCPPCommCtrlr.OfflineThreshold": "600"})
    since = stand.station.last
    async with stand.offline():
        stand.connector().plug(None)
        await until(lambda: stand.state()["plugged"], "the cable is in")
    await stand.status("Occupied", since=since)
    await settled(stand)
    assert statuses_told(stand, since) == [(stand.evse, 1, "Occupied")]
    await stand.set({"OCPPCommCtrlr.OfflineThreshold": "60"})


async def test_tc_b_57_network_reconnection_after_connection_loss(stand: Stand) -> None:
    before, since = stand.station.connections, stand.station.last
    async with stand.offline():
        pass
    assert stand.station.connections == before + 1
    await stand.station.wait_for("Heartbeat", since=since)
    assert not stand.station.calls("BootNotification", since)


# --- B05, B06: variables -----------------------------------------------------------------------------------------


@pytest.mark.requirement("B06.FR.01", "B06.FR.02")
async def test_tc_b_06_get_variables_single_value(stand: Stand) -> None:
    (result,) = await _get(stand, INTERVAL)
    assert result["attributeStatus"] == "Accepted"
    assert int(str(result["attributeValue"])) > 0


@pytest.mark.requirement("B06.FR.02")
async def test_tc_b_07_get_variables_multiple_values(stand: Stand) -> None:
    wanted = (INTERVAL, named("AuthCtrlr", "AuthorizeRemoteStart"), NOTHING)
    results = await _get(stand, *wanted)
    assert [one["attributeStatus"] for one in results] == ["Accepted", "Accepted", "UnknownVariable"]
    assert [one["variable"] for one in results] == [one["variable"] for one in wanted]


@pytest.mark.requirement("B06.FR.06")
async def test_tc_b_32_get_variables_unknown_component(stand: Stand) -> None:
    (result,) = await _get(stand, NOWHERE)
    assert result["attributeStatus"] == "UnknownComponent"
    assert "attributeValue" not in result


@pytest.mark.requirement("B06.FR.07")
async def test_tc_b_33_get_variables_unknown_variable(stand: Stand) -> None:
    assert (await _get(stand, NOTHING))[0]["attributeStatus"] == "UnknownVariable"


@pytest.mark.requirement("B06.FR.08")
async def test_tc_b_34_get_variables_not_supported_attribute_type(stand: Stand) -> None:
    (result,) = await _get(stand, {**INTERVAL, "attributeType": "Target"})
    assert result["attributeStatus"] == "NotSupportedAttributeType"


@pytest.mark.requirement("B05.FR.01", "B05.FR.10")
async def test_tc_b_09_set_variables_single_value(stand: Stand) -> None:
    assert await _set(stand, {**INTERVAL, "attributeValue": "123"}) == ["Accepted"]
    assert (await _get(stand, INTERVAL))[0]["attributeValue"] == "123"
    await _set(stand, {**INTERVAL, "attributeValue": "300"})


@pytest.mark.requirement("B05.FR.02")
async def test_tc_b_10_set_variables_multiple_values(stand: Stand) -> None:
    threshold = named("OCPPCommCtrlr", "OfflineThreshold")
    both = ({**INTERVAL, "attributeValue": "124"}, {**threshold, "attributeValue": "61"})
    assert await _set(stand, *both) == ["Accepted", "Accepted"]
    assert [one["attributeValue"] for one in await _get(stand, INTERVAL, threshold)] == ["124", "61"]
    await _set(stand, {**INTERVAL, "attributeValue": "300"}, {**threshold, "attributeValue": "60"})


@pytest.mark.requirement("B05.FR.04")
async def test_tc_b_35_set_variables_unknown_component(stand: Stand) -> None:
    assert await _set(stand, {**NOWHERE, "attributeValue": "1"}) == ["UnknownComponent"]


@pytest.mark.requirement("B05.FR.05")
async def test_tc_b_36_set_variables_unknown_variable(stand: Stand) -> None:
    assert await _set(stand, {**NOTHING, "attributeValue": "1"}) == ["UnknownVariable"]


@pytest.mark.requirement("B05.FR.06")
async def test_tc_b_37_set_variables_not_supported_attribute_type(stand: Stand) -> None:
    request = {**INTERVAL, "attributeType": "Target", "attributeValue": "1"}
    assert await _set(stand, request) == ["NotSupportedAttributeType"]


@pytest.mark.requirement("B05.FR.07")
async def test_tc_b_11_set_variables_invalidly_formatted_values(stand: Stand) -> None:
    before = (await _get(stand, INTERVAL))[0]["attributeValue"]
    point = named("TxCtrlr", "TxStartPoint")
    requests = ({**INTERVAL, "attributeValue": "soon"}, {**point, "attributeValue": "Sometimes"})
    assert await _set(stand, *requests) == ["Rejected", "Rejected"]
    assert (await _get(stand, INTERVAL))[0]["attributeValue"] == before


@pytest.mark.requirement("B05.FR.09")
async def test_tc_b_39_set_variables_read_only(stand: Stand) -> None:
    assert await _set(stand, {**named("OCPPCommCtrlr", "ActiveNetworkProfile"), "attributeValue": "1"}) == [
        "Rejected"
    ]


# --- B07: base reports -------------------------------------------------------------------------------------------


@pytest.mark.requirement("B07.FR.03", "B07.FR.07")
async def test_tc_b_12_get_base_report_configuration_inventory(stand: Stand) -> None:
    found = await report(stand, "GetBaseReport", {"reportBase": "ConfigurationInventory"})
    assert found
    for one in found:
        assert any(attribute.get("mutability") != "ReadOnly" for attribute in one["variableAttribute"]), one


@pytest.mark.requirement("B07.FR.03", "B07.FR.08", "B07.FR.10")
async def test_tc_b_13_get_base_report_full_inventory(stand: Stand) -> None:
    found = await report(stand, "GetBaseReport", {"reportBase": "FullInventory"})
    components = {one["component"]["name"] for one in found}
    assert {"ChargingStation", "EVSE", "Connector", "TxCtrlr", "AuthCtrlr", "ReservationCtrlr"} <= components


@pytest.mark.requirement("B07.FR.03", "B07.FR.09")
async def test_tc_b_14_get_base_report_summary_inventory(stand: Stand) -> None:
    found = await report(stand, "GetBaseReport", {"reportBase": "SummaryInventory"})
    states = {
        (one["component"]["evse"]["id"], one["component"]["evse"]["connectorId"]): one["variableAttribute"][0][
            "value"
        ]
        for one in found
        if one["component"]["name"] == "Connector" and one["variable"]["name"] == "AvailabilityState"
    }
    assert states == dict.fromkeys(CONNECTORS, "Available")


MANDATORY = (
    ("AlignedDataCtrlr", "Interval", "Measurands", "TxEndedInterval", "TxEndedMeasurands"),
    ("AuthCtrlr", "AuthorizeRemoteStart", "LocalAuthorizeOffline", "LocalPreAuthorize"),
    ("ClockCtrlr", "DateTime", "TimeSource"),
    ("DeviceDataCtrlr", "BytesPerMessage", "ItemsPerMessage"),
    ("OCPPCommCtrlr", "FileTransferProtocols", "HeartbeatInterval", "MessageAttemptInterval", "MessageAttempts"),
    ("OCPPCommCtrlr", "MessageTimeout", "NetworkConfigurationPriority", "NetworkProfileConnectionAttempts"),
    ("OCPPCommCtrlr", "OfflineThreshold", "ResetRetries", "UnlockOnEVSideDisconnect"),
    ("SampledDataCtrlr", "TxEndedInterval", "TxEndedMeasurands", "TxStartedMeasurands"),
    ("SampledDataCtrlr", "TxUpdatedInterval", "TxUpdatedMeasurands"),
    ("SecurityCtrlr", "CertificateEntries", "OrganizationName", "SecurityProfile"),
    (
        "TxCtrlr",
        "EVConnectionTimeOut",
        "StopTxOnEVSideDisconnect",
        "StopTxOnInvalidId",
        "TxStartPoint",
        "TxStopPoint",
    ),
)


async def test_tc_b_53_get_base_report_mandatory_dm_variables(stand: Stand) -> None:
    found = await report(stand, "GetBaseReport", {"reportBase": "FullInventory"})
    there = {(one["component"]["name"], one["variable"]["name"]): one["variableAttribute"] for one in found}
    missing = [(name, one) for name, *variables in MANDATORY for one in variables if (name, one) not in there]
    assert missing == []
    empty = [
        place
        for place in ((name, one) for name, *variables in MANDATORY for one in variables)
        if not all("value" in attribute for attribute in there[place])
    ]
    assert empty == []


# --- B11, B12: Reset ---------------------------------------------------------------------------------------------


async def _reset(stand: Stand, kind: str, evse: int | None = None) -> str:
    request: dict[str, object] = {"type": kind}
    answer = await stand.call("Reset", request if evse is None else {**request, "evseId": evse})
    return str(answer["status"])


async def _booted(stand: Stand, since: int) -> str:
    """Wait until the station is accepted anew; the reason that it gave."""
    boot = await stand.station.wait_for("BootNotification", since=since, timeout=30)
    await stand.station.wait_for("StatusNotification", lambda p: p["evseId"] == 2, since, 20)
    return str(boot["reason"])


@pytest.mark.requirement("B11.FR.01", "B11.FR.03", "B11.FR.04")
async def test_tc_b_20_reset_charging_station_without_ongoing_transaction_on_idle(stand: Stand) -> None:
    since = stand.station.last
    assert await _reset(stand, "OnIdle") == "Accepted"
    assert await _booted(stand, since) in ("RemoteReset", "ScheduledReset")
    await statuses(stand, "Available", since=since)


@pytest.mark.requirement("B12.FR.01", "B12.FR.03")
async def test_tc_b_21_reset_charging_station_with_ongoing_transaction_on_idle(stand: Stand) -> None:
    number = await stand.charge()
    since = stand.station.last
    assert await _reset(stand, "OnIdle") == "Scheduled"
    await never(lambda: stand.station.calls("BootNotification", since), "a boot during the transaction")
    assert stand.state()["contactor"]
    await stand.swipe()
    last = await stand.ended(number, triggerReason="StopAuthorized")
    assert last["transactionInfo"].get("stoppedReason", "Local") == "Local"
    assert await _booted(stand, since) == "ScheduledReset"


@pytest.mark.requirement("B12.FR.02", "B12.FR.04")
async def test_tc_b_22_reset_charging_station_with_ongoing_transaction_immediate(stand: Stand) -> None:
    number = await stand.charge()
    since = stand.station.last
    assert await _reset(stand, "Immediate") == "Accepted"
    last = await stand.ended(number, triggerReason="ResetCommand")
    assert last["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    assert await _booted(stand, since) == "RemoteReset"
    assert not stand.state()["contactor"]


@pytest.mark.requirement("B11.FR.02", "B12.FR.06")
async def test_tc_b_23_reset_charging_station_unavailable_persists_reset(stand: Stand) -> None:
    assert await change(stand, (1, None), "Inoperative") == "Accepted"
    since = stand.station.last
    assert await _reset(stand, "Immediate") == "Accepted"
    await _booted(stand, since)
    await statuses(stand, "Unavailable", ((1, 1), (1, 2)), since)
    await statuses(stand, "Available", ((2, 1),), since)
    await make_operative(stand)


@pytest.mark.requirement("B12.FR.01", "B12.FR.03")
async def test_tc_b_41_reset_charging_station_with_multiple_ongoing_transactions_on_idle(stand: Stand) -> None:
    one, two = await charge_at(stand, 1, CARD), await charge_at(stand, 2, OTHER)
    since = stand.station.last
    assert await _reset(stand, "OnIdle") == "Scheduled"
    await stand.swipe(CARD, reader=1)
    await stand.ended(one)
    await never(lambda: stand.station.calls("BootNotification", since), "a boot during the other transaction")
    assert stand.state(2)["contactor"]
    await stand.swipe(OTHER, reader=2)
    await stand.ended(two)
    assert await _booted(stand, since) == "ScheduledReset"


@pytest.mark.requirement("B11.FR.09")
async def test_tc_b_28_reset_evse_not_supported(stand: Stand) -> None:
    assert await _reset(stand, "Immediate", 1) == "Rejected"
    await never(lambda: stand.station.calls("BootNotification", stand.since), "a boot")


@pytest.mark.requirement("B12.FR.09")
async def test_tc_b_29_reset_evse_with_ongoing_transaction_not_supported(stand: Stand) -> None:
    number = await stand.charge()
    assert await _reset(stand, "OnIdle", stand.evse) == "Rejected"
    await settled(stand)
    assert stand.state()["contactor"]
    assert stand.running() == [number]
