"""Part 5, Core, block J: clock-aligned and sampled meter values (part 2, J01 and J02).

The board's meters sign nothing (NOT C-42), so that TC_J_04 and TC_J_11 do not apply.
"""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from tests.certification.parts import Stand, never
from tests.certification.parts2 import measurands, samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENERGY, POWER, VOLTAGE, CURRENT = "Energy.Active.Import.Register", "Power.Active.Import", "Voltage", "Current.Import"

USUAL = {
    "AlignedDataCtrlr.Interval": "0",
    "AlignedDataCtrlr.Measurands": ENERGY,
    "AlignedDataCtrlr.SendDuringIdle": "false",
    "AlignedDataCtrlr.TxEndedInterval": "0",
    "AlignedDataCtrlr.TxEndedMeasurands": "",
    "SampledDataCtrlr.TxStartedMeasurands": ENERGY,
    "SampledDataCtrlr.TxUpdatedInterval": "300",
    "SampledDataCtrlr.TxUpdatedMeasurands": ENERGY,
    "SampledDataCtrlr.TxEndedInterval": "0",
    "SampledDataCtrlr.TxEndedMeasurands": ENERGY,
}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _usual(stand: Stand) -> AsyncIterator[None]:
    yield
    await stand.set(USUAL)


def _second(text: str) -> int:
    return datetime.fromisoformat(text).second


# --- J01: clock-aligned ------------------------------------------------------------------------------------------


@pytest.mark.requirement("J01.FR.02", "J01.FR.05", "J01.FR.06", "J01.FR.07", "J01.FR.08", "J01.FR.14")
async def test_tc_j_01_clock_aligned_no_transaction_ongoing(stand: Stand) -> None:
    await stand.set({"AlignedDataCtrlr.Measurands": f"{ENERGY},{VOLTAGE}", "AlignedDataCtrlr.Interval": "2"})
    since = stand.station.last
    for evse in (1, 2):
        payload = await stand.station.wait_for("MeterValues", lambda p, evse=evse: p["evseId"] == evse, since)
        values = payload["meterValue"]
        assert measurands(values) == measurands(values, "Sample.Clock") == {ENERGY, VOLTAGE}
        assert {one.get("phase") for one in samples(values) if one["measurand"] == VOLTAGE} >= {
            "L1-N",
            "L2-N",
            "L3-N",
        }
        assert _second(values[0]["timestamp"]) % 2 == 0
    main = await stand.station.wait_for("MeterValues", lambda p: p["evseId"] == 0, since)
    assert ENERGY in measurands(main["meterValue"], "Sample.Clock")


@pytest.mark.requirement("J01.FR.10", "J01.FR.22")
async def test_tc_j_02_clock_aligned_transaction_ongoing(stand: Stand) -> None:
    await stand.set({"AlignedDataCtrlr.Measurands": f"{ENERGY},{CURRENT}", "AlignedDataCtrlr.Interval": "2"})
    number = await stand.charge()
    payload = await stand.event(triggerReason="MeterValueClock", transactionId=number)
    assert payload["eventType"] == "Updated"
    values = payload["meterValue"]
    assert measurands(values) == measurands(values, "Sample.Clock") == {ENERGY, CURRENT}
    assert {one.get("phase") for one in samples(values) if one["measurand"] == CURRENT} >= {"L1", "L2", "L3"}
    assert _second(values[0]["timestamp"]) % 2 == 0
    since = stand.station.last
    await stand.station.wait_for("MeterValues", lambda p: p["evseId"] == 3 - stand.evse, since)
    assert all(one.payload["evseId"] != stand.evse for one in stand.station.calls("MeterValues", since))


async def test_tc_j_03_clock_aligned_event_type_ended(stand: Stand) -> None:
    await stand.set({"AlignedDataCtrlr.TxEndedMeasurands": ENERGY, "AlignedDataCtrlr.TxEndedInterval": "2"})
    number = await stand.charge()
    await never(lambda: stand.events(eventType="Ended"), "the end", 2.2)
    await stand.swipe()
    last = await stand.ended(number)
    assert measurands(last["meterValue"], "Sample.Clock") == {ENERGY}
    clocked = [one for one in last["meterValue"] if samples([one], "Sample.Clock")]
    assert all(_second(one["timestamp"]) % 2 == 0 for one in clocked)
    assert measurands(last["meterValue"], "Transaction.End") == {ENERGY}


@pytest.mark.requirement("J01.FR.19", "J01.FR.20")
async def test_tc_j_06_clock_aligned_no_meter_values_during_transaction(stand: Stand) -> None:
    await stand.set({"AlignedDataCtrlr.SendDuringIdle": "true", "AlignedDataCtrlr.Interval": "1"})
    await stand.station.wait_for("MeterValues", lambda p: p["evseId"] == stand.evse, stand.station.last)
    await stand.charge()
    since = stand.station.last
    await never(
        lambda: stand.station.calls("MeterValues", since) or stand.events(triggerReason="MeterValueClock"),
        "clock-aligned values during a transaction",
        2.2,
    )
    await stand.swipe()
    await stand.event(eventType="Ended")
    await stand.station.wait_for("MeterValues", lambda p: p["evseId"] == stand.evse, stand.station.last)


# --- J02: sampled ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("J02.FR.02", "J02.FR.03", "J02.FR.04", "J02.FR.06", "E01.FR.09")
async def test_tc_j_07_sampled_event_type_started_evse_known(stand: Stand) -> None:
    await stand.set({"SampledDataCtrlr.TxStartedMeasurands": f"{ENERGY},{VOLTAGE}"})
    await stand.plug()
    await stand.swipe()
    first = await stand.event(eventType="Started")
    values = first["meterValue"]
    assert measurands(values) == measurands(values, "Transaction.Begin") == {ENERGY, VOLTAGE}
    assert len({value["timestamp"] for value in values}) == 1


@pytest.mark.requirement("J02.FR.04", "J02.FR.22", "E01.FR.17", "E03.FR.11")
async def test_tc_j_08_sampled_context_transaction_start_evse_not_known(stand: Stand) -> None:
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized"})
    await stand.swipe(reader=0)
    first = await stand.event(eventType="Started")
    assert "evse" not in first
    assert "meterValue" not in first
    await stand.plug(2)
    plugged = await stand.event(triggerReason="CablePluggedIn")
    assert plugged["evse"] == {"id": 2, "connectorId": 1}
    charging = await stand.event(triggerReason="ChargingStateChanged", chargingState="Charging")
    assert measurands(charging["meterValue"], "Transaction.Begin") == {ENERGY}


@pytest.mark.requirement("J02.FR.11", "J02.FR.16")
async def test_tc_j_09_sampled_event_type_updated(stand: Stand) -> None:
    chosen = {"SampledDataCtrlr.TxUpdatedMeasurands": f"{ENERGY},{POWER},{CURRENT}"}
    await stand.set({**chosen, "SampledDataCtrlr.TxUpdatedInterval": "1"})
    number = await stand.charge()
    seen = stand.station.last
    first = await stand.event(triggerReason="MeterValuePeriodic", transactionId=number, since=seen)
    assert first["eventType"] == "Updated"
    values = first["meterValue"]
    assert measurands(values) == measurands(values, "Sample.Periodic") == {ENERGY, POWER, CURRENT}
    after = stand.station.last
    await stand.event(triggerReason="MeterValuePeriodic", transactionId=number, since=after)
    registers = [
        float(one["value"])
        for event in stand.events(triggerReason="MeterValuePeriodic")
        for one in samples(event["meterValue"])
        if one.get("measurand", ENERGY) == ENERGY and "phase" not in one
    ]
    assert len(registers) >= 2
    assert registers == sorted(registers)


@pytest.mark.requirement("J02.FR.01", "J02.FR.02", "E06.FR.11", "E07.FR.08")
async def test_tc_j_10_sampled_event_type_ended(stand: Stand) -> None:
    chosen = {"SampledDataCtrlr.TxEndedMeasurands": f"{ENERGY},{POWER}"}
    await stand.set({**chosen, "SampledDataCtrlr.TxEndedInterval": "1"})
    number = await stand.charge()
    await never(lambda: stand.events(eventType="Ended"), "the end", 1.3)
    await stand.swipe()
    last = await stand.ended(number, triggerReason="StopAuthorized")
    values = last["meterValue"]
    assert measurands(values, "Transaction.Begin") == {ENERGY, POWER}
    assert measurands(values, "Sample.Periodic") == {ENERGY, POWER}
    assert measurands(values, "Transaction.End") == {ENERGY, POWER}
    times = [value["timestamp"] for value in values]
    assert times == sorted(times)
