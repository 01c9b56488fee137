"""A meter that signs on a real wire, and a CSMS that checks what it gets: J02, and E for the events that carry it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.bench.signed_parts import decoded, signing_board, verified
from tests.certification.parts import Stand, standing, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGISTER = "Energy.Active.Import.Register"
SIGN = "SampledDataCtrlr.SignReadings"
KEY = "OCPPCommCtrlr.PublicKeyWithSignedMeterValue"
USUAL = {
    "SampledDataCtrlr.TxStartedMeasurands": REGISTER,
    "SampledDataCtrlr.TxUpdatedMeasurands": REGISTER,
    "SampledDataCtrlr.TxUpdatedInterval": "1",
    "SampledDataCtrlr.TxEndedMeasurands": REGISTER,
    SIGN: "true",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("signed")
    async with standing(signing_board(folder), folder) as stand:
        yield stand


@pytest_asyncio.fixture(loop_scope="module")
async def stand(_stand: Stand) -> AsyncIterator[Stand]:
    """The bench with its meters signing for all events, at each EVSE by turns: on TCP, on RTU."""
    await _stand.begin()
    await _stand.set(USUAL)
    await _until_read(_stand, "SignedReading")
    await _until_read(_stand, "PublicKey")
    yield _stand
    _stand.bench.world.release(f"meter-{_stand.evse}", "snapshot_state")
    await _stand.end()
    assert _stand.csms.violations == []


async def _until_read(stand: Stand, name: str, *, there: bool = True) -> str:
    """What the EVSE's meter says as `name`, once it is there, or is not."""
    data = {"component": {"name": "FiscalMetering", "evse": {"id": stand.evse}}, "variable": {"name": name}}
    for _ in range(200):
        answer = await stand.call("GetVariables", {"getVariableData": [data]})
        text = str(answer["getVariableResult"][0].get("attributeValue", ""))
        if bool(text) == there:
            return text
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} never came" if there else f"{name} never went")


async def _charged(stand: Stand) -> list[tuple[str, str, dict[str, Any]]]:
    """(type of the event, context, sample) of each register sample of a charge, in the order of its events."""
    number = await stand.charge()
    before = stand.bench.world.point(f"meter-{stand.evse}", "energy_import").number
    await until(
        lambda: stand.bench.world.point(f"meter-{stand.evse}", "energy_import").number > before + 10, "some energy"
    )
    await stand.event(triggerReason="MeterValuePeriodic", transactionId=number)
    await stand.swipe()
    await stand.ended(number)
    return [
        (event["eventType"], sample["context"], sample)
        for event in stand.events(transactionId=number)
        for value in event.get("meterValue", ())
        for sample in value["sampledValue"]
    ]


@pytest.mark.parametrize("when", ["Never", "OncePerTransaction", "EveryMeterValue"])
@pytest.mark.requirement("E02.FR.14", "E05.FR.06", "E07.FR.12", "J02.FR.21")
async def test_what_the_meter_signed_reaches_the_csms_with_its_key_as_that_wants_it(stand: Stand, when: str) -> None:
    await stand.set({KEY: when})
    public = await _until_read(stand, "PublicKey")
    told = await _charged(stand)
    assert {(event, context) for event, context, _ in told} >= {
        ("Started", "Transaction.Begin"),
        ("Updated", "Sample.Periodic"),
        ("Ended", "Transaction.Begin"),
        ("Ended", "Transaction.End"),
    }
    signed = [sample["signedMeterValue"] for _, _, sample in told]
    assert {(one["encodingMethod"], one["signingMethod"]) for one in signed} == {("OCMF", "ECDSA-secp256r1-SHA256")}
    keys = [decoded(one["publicKey"]) for one in signed]
    later = len(keys) - 1
    expected = {"Never": [""], "OncePerTransaction": [public], "EveryMeterValue": [public]}[when]
    assert keys == expected + ([public] if when == "EveryMeterValue" else [""]) * later
    payloads = [verified(decoded(one["signedMeterData"]), public) for one in signed]
    for (_, context, sample), payload in zip(told, payloads, strict=True):
        wh = 1000 * payload["RD"][-1]["XV"]
        if context != "Sample.Periodic":
            # The meter's register is told in whole Wh, what it signs in thousandths of a kWh.
            assert abs(wh - sample["value"]) <= 1
    assert payloads[-1]["RD"][-1]["XV"] - payloads[0]["RD"][-1]["XV"] >= 0.01
    pages = [int(payload["PG"][1:]) for payload in payloads]
    assert pages[-1] > pages[0]


async def test_a_meter_that_does_not_sign_delays_no_transaction_and_its_values_come_unsigned(stand: Stand) -> None:
    stand.bench.world.hold(f"meter-{stand.evse}", "snapshot_state", 2)
    since = stand.station.last
    await _until_read(stand, "SignedReading", there=False)
    told = await _charged(stand)
    assert {event for event, _, _ in told} == {"Started", "Updated", "Ended"}
    assert all("signedMeterValue" not in sample for _, _, sample in told)
    assert any(
        data["variable"]["name"] == "Problem" and "snapshot_state is 2" in data.get("techInfo", "")
        for message in stand.station.calls("NotifyEvent", since)
        for data in message.payload["eventData"]
    )


async def test_a_meter_that_stops_signing_in_the_middle_ends_the_transaction_unsigned(stand: Stand) -> None:
    number = await stand.charge()
    stand.bench.world.hold(f"meter-{stand.evse}", "snapshot_state", 3)
    await stand.event(triggerReason="MeterValuePeriodic", transactionId=number)
    await stand.swipe()
    last = await stand.ended(number)
    found = {
        sample["context"]: "signedMeterValue" in sample
        for value in last["meterValue"]
        for sample in value["sampledValue"]
    }
    assert found == {"Transaction.Begin": True, "Transaction.End": False}


async def test_nothing_is_signed_where_the_csms_does_not_want_it(stand: Stand) -> None:
    await stand.set({SIGN: "false", KEY: "EveryMeterValue"})
    assert all("signedMeterValue" not in sample for _, _, sample in await _charged(stand))
