"""What a TriggerMessage, a remote start or stop, or a Reset is refused for, and that nothing happens then."""

import pytest

from agent.evse.records import MeterValue
from tests.ocpp.charging import BEGIN, FakeCharging, measured
from tests.ocpp.parts import Line

START = {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}, "remoteStartId": 7}


def opened(charging, status="Accepted"):
    line = Line(charging=charging).open()
    line.boot(status, 1000)
    line.settle()
    return line


@pytest.fixture
def charging():
    return FakeCharging()


@pytest.fixture
def line(charging):
    return opened(charging)


async def refused(line, action, payload, status="Rejected"):
    """The reason code of a refusal."""
    answer = await line.ask(action, payload)
    assert answer["status"] == status
    return answer.get("statusInfo", {}).get("reasonCode")


# --- a station that is not accepted yet ----------------------------------------------------------------------------


@pytest.mark.requirement("B02.FR.05")
@pytest.mark.parametrize(
    ("action", "payload"),
    [("RequestStartTransaction", START), ("RequestStopTransaction", {"transactionId": "T1"})],
)
async def test_while_pending_nothing_is_started_or_stopped_from_afar(charging, action, payload):
    assert await refused(opened(charging, "Pending"), action, payload) == "CSNotAccepted"
    assert charging.asked == []


@pytest.mark.requirement("B02.FR.02")
async def test_while_pending_no_transaction_event_is_triggered(charging):
    charging.running = {"T1"}
    line = opened(charging, "Pending")
    assert await refused(line, "TriggerMessage", {"requestedMessage": "TransactionEvent"}) == "CSNotAccepted"
    assert charging.asked == []


@pytest.mark.requirement("B02.FR.02", "F06.FR.06")
async def test_while_pending_meter_values_may_be_asked_for(charging):
    charging.meter = [(1, measured(0, 10.0))]
    line = opened(charging, "Pending")
    assert await line.ask("TriggerMessage", {"requestedMessage": "MeterValues"}) == {"status": "Accepted"}
    assert [message[2] for message in line.settle()] == ["MeterValues"]


# --- what is Accepted is sent --------------------------------------------------------------------------------------


@pytest.mark.requirement("F06.FR.05", "F06.FR.10")
async def test_without_a_transaction_its_event_is_not_promised(line):
    assert await refused(line, "TriggerMessage", {"requestedMessage": "TransactionEvent"}) == "TxNotFound"


@pytest.mark.requirement("F06.FR.05", "F06.FR.10")
@pytest.mark.parametrize("meter", [[], [(1, MeterValue(BEGIN, ()))]])
async def test_without_anything_measured_meter_values_are_not_promised(line, charging, meter):
    charging.meter = meter
    assert await refused(line, "TriggerMessage", {"requestedMessage": "MeterValues"}) == "Unspecified"
    assert line.out() is None


@pytest.mark.requirement("F06.FR.11")
async def test_the_meter_of_the_station_is_evse_0(line, charging):
    charging.meter = [(0, measured(0, 10.0)), (1, measured(0, 20.0))]
    assert await line.ask("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 0}}) == {
        "status": "Accepted"
    }
    assert [message[3]["evseId"] for message in line.settle()] == [0]


@pytest.mark.parametrize(("message", "evse"), [("MeterValues", 3), ("TransactionEvent", 3), ("TransactionEvent", 0)])
async def test_an_evse_that_is_not_there_has_nothing_to_send(line, charging, message, evse):
    charging.running, charging.meter = {"T1"}, [(1, measured(0, 10.0))]
    payload = {"requestedMessage": message, "evse": {"id": evse}}
    assert await refused(line, "TriggerMessage", payload) == "UnknownEvse"
    assert charging.asked == []


@pytest.mark.requirement("F06.FR.04", "F06.FR.09")
async def test_meter_values_are_of_the_moment_of_the_request(line, charging):
    charging.meter = [(1, measured(0, 10.0))]
    await line.ask("TriggerMessage", {"requestedMessage": "MeterValues"})
    charging.meter = [(1, measured(60, 99.0))]
    (message,) = line.settle()
    assert message[3]["meterValue"][0]["sampledValue"][0]["value"] == 10.0


# --- Reset of one EVSE ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("B11.FR.07")
@pytest.mark.parametrize(
    ("kind", "on_idle", "status"), [("Immediate", False, "Accepted"), ("OnIdle", True, "Scheduled")]
)
async def test_an_evse_that_can_be_reset_alone_is(line, charging, kind, on_idle, status):
    charging.status = status
    assert await line.ask("Reset", {"type": kind, "evseId": 2}) == {"status": status}
    assert charging.asked == [("may reset", 2, on_idle), ("reset", 2, on_idle)]


@pytest.mark.requirement("B11.FR.09", "B12.FR.09")
async def test_an_evse_that_cannot_be_reset_alone_is_not(line, charging):
    charging.status = "Rejected"
    assert await refused(line, "Reset", {"type": "Immediate", "evseId": 2}) == "UnsupportedParam"
    assert charging.asked == [("may reset", 2, False)]


async def test_an_evse_that_is_not_there_is_not_reset(line, charging):
    assert await refused(line, "Reset", {"type": "Immediate", "evseId": 3}) == "UnknownEvse"
    assert charging.asked == []
