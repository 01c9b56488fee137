"""What the CSMS may ask of the EVSEs: each handler with EVSEs that agree, that refuse, and without any."""

from datetime import UTC, datetime

import pytest

from agent.evse.records import IdToken, IdTokenInfo
from agent.evse.reservations import Reservation
from agent.ocpp.handling import CallRefused
from agent.ocpp.host import RemoteStart, StartAnswer
from agent.ocpp.rpc import ErrorCode
from tests.ocpp.charging import TOKEN, FakeCharging, event, measured
from tests.ocpp.parts import Line

CARD = {"idToken": TOKEN.id, "type": TOKEN.type}
FAMILY = {"idToken": "family", "type": "Central"}
START = {"remoteStartId": 7, "idToken": CARD}
RESERVE = {"id": 5, "expiryDateTime": "2026-01-31T13:00:00Z", "idToken": CARD}
LIST = {"versionNumber": 3, "updateType": "Full"}


def accepted(charging):
    line = Line(charging=charging).open()
    line.boot()
    line.settle()
    return line


@pytest.fixture
def charging():
    return FakeCharging()


@pytest.fixture
def line(charging):
    return accepted(charging)


@pytest.fixture
def bare():
    """A station that charges no cars."""
    return accepted(None)


# --- what charges no cars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("RequestStartTransaction", START, {"status": "Rejected"}),
        ("RequestStopTransaction", {"transactionId": "T1"}, {"status": "Rejected"}),
        ("UnlockConnector", {"evseId": 1, "connectorId": 1}, {"status": "UnknownConnector"}),
        ("ChangeAvailability", {"operationalStatus": "Inoperative"}, {"status": "Rejected"}),
        ("ReserveNow", RESERVE, {"status": "Rejected"}),
        ("CancelReservation", {"reservationId": 5}, {"status": "Rejected"}),
        ("ClearCache", {}, {"status": "Rejected"}),
        ("SendLocalList", LIST, {"status": "Failed"}),
        ("GetLocalListVersion", {}, {"versionNumber": 0}),
        ("GetTransactionStatus", {"transactionId": "T1"}, {"ongoingIndicator": False, "messagesInQueue": False}),
        ("GetTransactionStatus", {}, {"messagesInQueue": False}),
    ],
)
async def test_a_station_without_evses_says_no(bare, action, payload, answer):
    assert await bare.ask(action, payload) == answer


# --- F01 to F03 --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F01.FR.01", "F01.FR.06")
async def test_a_remote_start_is_answered_before_anything_is_done(line, charging):
    payload = {**START, "evseId": 2, "groupIdToken": FAMILY}
    assert await line.ask("RequestStartTransaction", payload) == {"status": "Accepted"}
    assert charging.asked == [RemoteStart(7, TOKEN, IdToken("family", "Central"), 2), "then"]


@pytest.mark.requirement("F01.FR.06")
async def test_a_remote_start_need_not_name_an_evse(line, charging):
    await line.ask("RequestStartTransaction", START)
    assert charging.asked[0] == RemoteStart(7, TOKEN)


@pytest.mark.requirement("F01.FR.13")
async def test_the_answer_names_the_transaction_that_waits_for_its_authorization(line, charging):
    charging.start = StartAnswer("Accepted", transaction_id="T1")
    answer = await line.ask("RequestStartTransaction", START)
    assert answer == {"status": "Accepted", "transactionId": "T1"}


async def test_a_refused_remote_start_says_why_and_does_nothing(line, charging):
    charging.start = StartAnswer("Rejected", "TxInProgress", "EVSE 1 is charging")
    assert await line.ask("RequestStartTransaction", START) == {
        "status": "Rejected",
        "statusInfo": {"reasonCode": "TxInProgress", "additionalInfo": "EVSE 1 is charging"},
    }
    assert charging.asked == [RemoteStart(7, TOKEN)]


@pytest.mark.requirement("F03.FR.07")
async def test_a_remote_stop_is_answered_before_anything_is_done(line, charging):
    assert await line.ask("RequestStopTransaction", {"transactionId": "T1"}) == {"status": "Accepted"}
    assert charging.asked == ["T1", "then"]


@pytest.mark.requirement("F03.FR.08")
async def test_a_transaction_that_is_not_active_is_not_stopped(line, charging):
    charging.stop = StartAnswer("Rejected", "TxNotFound")
    answer = await line.ask("RequestStopTransaction", {"transactionId": "T9"})
    assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "TxNotFound"}}
    assert charging.asked == ["T9"]


# --- F05 ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F05.FR.01", "F05.FR.02", "F05.FR.03", "F05.FR.04", "F05.FR.05")
@pytest.mark.parametrize("status", ["Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"])
async def test_what_came_of_unlocking_is_told(line, charging, status):
    charging.status = status
    assert await line.ask("UnlockConnector", {"evseId": 1, "connectorId": 2}) == {"status": status}
    assert charging.asked == [(1, 2)]


# --- F06 ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F06.FR.04", "F06.FR.06")
async def test_meter_values_that_are_asked_for_are_sent_for_each_evse(line, charging):
    charging.meter = [(1, measured(0, 10.0)), (2, measured(0, 20.0))]
    assert await line.ask("TriggerMessage", {"requestedMessage": "MeterValues"}) == {"status": "Accepted"}
    sent = line.settle()
    assert [(m[2], m[3]["evseId"]) for m in sent] == [("MeterValues", 1), ("MeterValues", 2)]
    (value,) = sent[1][3]["meterValue"]
    assert value["timestamp"] == "2026-01-31T12:00:00.000Z"
    assert (value["sampledValue"][0]["value"], value["sampledValue"][0]["unitOfMeasure"]) == (20.0, {"unit": "Wh"})


@pytest.mark.requirement("F06.FR.02", "F06.FR.06")
async def test_meter_values_can_be_asked_for_of_one_evse(line, charging):
    charging.meter = [(1, measured(0, 10.0)), (2, measured(0, 20.0))]
    await line.ask("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 2}})
    assert [m[3]["evseId"] for m in line.settle()] == [2]


async def test_meter_values_that_the_csms_fails_to_take_are_logged_and_not_sent_again(line, charging, caplog):
    charging.meter = [(1, measured(0, 10.0))]
    await line.ask("TriggerMessage", {"requestedMessage": "MeterValues"})
    line.fail(line.expect("MeterValues"), "InternalError")
    assert "a message that was asked for got no answer" in caplog.text
    assert line.out() is None


@pytest.mark.requirement("F06.FR.04", "F06.FR.07")
@pytest.mark.parametrize(("evse", "asked"), [({}, None), ({"evse": {"id": 2}}, 2)])
async def test_transaction_events_that_are_asked_for_are_the_evses_to_make(line, charging, evse, asked):
    charging.running = {"T1"}
    payload = {"requestedMessage": "TransactionEvent", **evse}
    assert await line.ask("TriggerMessage", payload) == {"status": "Accepted"}
    assert charging.asked == [("transactions", asked)]


# --- G03, G04 ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G03.FR.01", "G03.FR.02", "G04.FR.01", "G04.FR.02", "G04.FR.03")
@pytest.mark.parametrize("status", ["Accepted", "Rejected", "Scheduled"])
@pytest.mark.parametrize(
    ("evse", "place"),
    [({}, (None, None)), ({"evse": {"id": 1}}, (1, None)), ({"evse": {"id": 1, "connectorId": 2}}, (1, 2))],
)
@pytest.mark.parametrize(("wanted", "operative"), [("Operative", True), ("Inoperative", False)])
async def test_availability_is_changed_where_the_csms_says(line, charging, status, evse, place, wanted, operative):
    charging.status = status
    assert await line.ask("ChangeAvailability", {"operationalStatus": wanted, **evse}) == {"status": status}
    assert charging.asked == [(*place, operative)]


@pytest.mark.parametrize(
    ("evse", "code"),
    [({"id": 3}, "UnknownEvse"), ({"id": 3, "connectorId": 1}, "UnknownEvse"), ({"id": 2, "connectorId": 2}, None)],
)
async def test_a_place_that_is_not_there_does_not_change(line, charging, evse, code):
    answer = await line.ask("ChangeAvailability", {"operationalStatus": "Operative", "evse": evse})
    assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": code or "UnknownConnectorId"}}
    assert charging.asked == []


# --- H01, H02 ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("H01.FR.03")
@pytest.mark.parametrize("status", ["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"])
async def test_a_reservation_gets_the_evses_answer(line, charging, status):
    charging.status = status
    assert await line.ask("ReserveNow", RESERVE) == {"status": status}
    assert charging.asked == [Reservation(5, datetime(2026, 1, 31, 13, tzinfo=UTC), TOKEN)]


async def test_a_reservation_is_handed_on_with_all_that_it_says(line, charging):
    payload = {**RESERVE, "evseId": 2, "connectorType": "sType2", "groupIdToken": FAMILY}
    await line.ask("ReserveNow", payload)
    (reservation,) = charging.asked
    assert (reservation.evse, reservation.connector_type) == (2, "sType2")
    assert reservation.group == IdToken("family", "Central")


@pytest.mark.requirement("H02.FR.01")
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_a_reservation_is_cancelled_if_there_is_one(line, charging, status):
    charging.status = status
    assert await line.ask("CancelReservation", {"reservationId": 5}) == {"status": status}
    assert charging.asked == [5]


# --- C11 ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C11.FR.01", "C11.FR.02", "C11.FR.03", "C11.FR.05")
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_the_cache_is_cleared_or_not(line, charging, status):
    charging.status = status
    assert await line.ask("ClearCache", {}) == {"status": status}
    assert charging.asked == ["clear"]


# --- D01, D02 ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("D01.FR.02")
@pytest.mark.parametrize("status", ["Accepted", "Failed", "VersionMismatch"])
async def test_a_list_gets_the_answer_of_who_keeps_it(line, charging, status):
    charging.status = status
    assert await line.ask("SendLocalList", LIST) == {"status": status}
    ((version, full, entries, _),) = charging.asked
    assert (version, full, entries) == (3, True, [])


@pytest.mark.requirement("D01.FR.01", "D01.FR.16", "D01.FR.17")
async def test_the_entries_of_a_list_are_handed_on_with_and_without_info(line, charging):
    info = {
        "status": "Accepted",
        "cacheExpiryDateTime": "2026-02-01T00:00:00Z",
        "groupIdToken": FAMILY,
        "evseId": [1],
        "language1": "en",
        "language2": "de",
        "chargingPriority": 3,
        "personalMessage": {"format": "UTF8", "content": "Hello"},
    }
    entries = [{"idToken": CARD, "idTokenInfo": info}, {"idToken": FAMILY}]
    payload = {"versionNumber": 4, "updateType": "Differential", "localAuthorizationList": entries}
    assert await line.ask("SendLocalList", payload) == {"status": "Accepted"}
    ((version, full, given, size),) = charging.asked
    assert (version, full) == (4, False)
    expiry = datetime(2026, 2, 1, tzinfo=UTC)
    known = IdTokenInfo("Accepted", expiry, IdToken("family", "Central"), (1,), "en", "de", 3, "Hello")
    assert given == [(TOKEN, known), (IdToken("family", "Central"), None)]
    assert size > 300


@pytest.mark.requirement("D01.FR.11")
@pytest.mark.parametrize(
    ("variable", "limit", "code"),
    [
        ("ItemsPerMessage", 2, ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ("BytesPerMessage", 240, ErrorCode.FORMAT_VIOLATION),
    ],
)
async def test_a_list_beyond_the_limits_is_refused_and_one_within_is_taken(line, charging, variable, limit, code):
    line.home.put(("LocalAuthListCtrlr", variable, None), limit)
    entries = [{"idToken": {"idToken": f"card {number}", "type": "Local"}} for number in range(3)]
    payload = {"versionNumber": 4, "updateType": "Differential", "localAuthorizationList": entries}
    with pytest.raises(CallRefused) as refusal:
        await line.ask("SendLocalList", payload)
    assert refusal.value.code is code
    assert variable in refusal.value.description
    assert charging.asked == []
    payload["localAuthorizationList"] = entries[:2]
    assert await line.ask("SendLocalList", payload) == {"status": "Accepted"}


@pytest.mark.requirement("D02.FR.01", "D02.FR.02")
@pytest.mark.parametrize("version", [0, 12])
async def test_the_version_of_the_list_is_told(line, charging, version):
    charging.version = version
    assert await line.ask("GetLocalListVersion", {}) == {"versionNumber": version}


# --- E14 ---------------------------------------------------------------------------------------------------------


async def status(line, *transaction):
    return await line.ask("GetTransactionStatus", {"transactionId": transaction[0]} if transaction else {})


@pytest.mark.requirement("E14.FR.01")
async def test_a_transaction_that_never_was_is_neither_ongoing_nor_in_the_queue(line):
    assert await status(line, "T9") == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.requirement("E14.FR.02", "E14.FR.03", "E14.FR.04", "E14.FR.05")
@pytest.mark.parametrize("ongoing", [True, False])
async def test_a_transaction_is_told_with_whether_messages_of_it_wait(line, charging, ongoing):
    charging.running = {"T1"} if ongoing else set()
    await line.transactions.post(event(0, "Started"))
    assert await status(line, "T1") == {"ongoingIndicator": ongoing, "messagesInQueue": True}
    assert await status(line, "T2") == {"ongoingIndicator": False, "messagesInQueue": False}
    line.settle()
    assert await status(line, "T1") == {"ongoingIndicator": ongoing, "messagesInQueue": False}


@pytest.mark.requirement("E14.FR.06", "E14.FR.07", "E14.FR.08")
async def test_without_a_transaction_only_the_queue_is_told(line, charging):
    charging.running = {"T1"}
    assert await status(line) == {"messagesInQueue": False}
    await line.transactions.post(event(0, "Started"))
    assert await status(line) == {"messagesInQueue": True}


# --- B11, B12 ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B11.FR.01", "B11.FR.07")
@pytest.mark.parametrize(("kind", "on_idle"), [("Immediate", False), ("OnIdle", True)])
@pytest.mark.parametrize("status", ["Accepted", "Scheduled"])
async def test_a_reset_is_the_evses_to_make_after_the_answer(line, charging, kind, on_idle, status):
    charging.status = status
    assert await line.ask("Reset", {"type": kind}) == {"status": status}
    assert charging.asked == [("may reset", None, on_idle), ("reset", None, on_idle)]
    assert line.home.resets == []


@pytest.mark.requirement("B11.FR.06")
async def test_a_reset_that_the_evses_refuse_does_not_happen(line, charging):
    charging.status = "Rejected"
    assert await line.ask("Reset", {"type": "Immediate"}) == {"status": "Rejected"}
    assert charging.asked == [("may reset", None, False)]


# --- being online ------------------------------------------------------------------------------------------------


async def test_the_evses_are_told_when_the_csms_can_be_asked_and_when_no_more(charging):
    line = Line(charging=charging).open()
    line.boot("Pending")
    assert charging.onlines == []
    line.wait(300)
    line.boot()
    assert charging.onlines == [True]
    line.close()
    line.open()
    assert charging.onlines == [True, False, True]
