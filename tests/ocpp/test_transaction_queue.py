"""The queue of TransactionEvents: on a real disk, in order, again until it is answered or given up."""

import asyncio
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evse.records import IdToken, IdTokenInfo
from agent.ocpp.outbox import Outbox
from agent.ocpp.transaction_queue import TransactionQueue
from agent.ocpp.variables import MESSAGE_TIMEOUT
from agent.store import Store
from tests.ocpp.charging import TOKEN, FakeCharging, event, measured, numbers, told
from tests.ocpp.parts import Home, Line, MemoryStore, booted

ATTEMPTS = ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent")
INTERVAL = ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def line(store):
    line = booted(store)
    line.settle()
    return line


async def transaction(queue, last, name="T1", first=0):
    """Started, Updated …, Ended, with the seqNos from `first` to `last`."""
    for number in range(first, last + 1):
        kind = "Started" if number == 0 else "Ended" if number == last else "Updated"
        await queue.post(event(number, kind, name))


# --- in order, on disk, gone after the answer --------------------------------------------------------------------


async def test_an_event_is_on_disk_with_what_the_evse_must_remember_before_post_returns(line, store):
    assert await line.transactions.post(event(0, "Started"), [("transaction", "1", "T1")])
    assert [action for _, action, _ in store.messages()] == ["TransactionEvent"]
    assert store.kept("transaction") == {"1": "T1"}


async def test_events_go_in_order_one_at_a_time_and_are_deleted_after_their_answer(line, store):
    await transaction(line.transactions, 4)
    first = line.expect("TransactionEvent")
    assert line.out() is None
    line.answer(first)
    await line.transactions.settle()
    assert len(store.messages()) == 4
    assert numbers(line.settle()) == [1, 2, 3, 4]
    await line.transactions.settle()
    assert store.messages() == []
    assert len(line.transactions) == 0


async def test_events_posted_at_once_keep_their_order_on_disk_and_on_the_line(line, store):
    await asyncio.gather(*(line.transactions.post(event(number)) for number in range(1, 21)))
    assert waiting(store) == [("Updated", number) for number in range(1, 21)]
    assert numbers(line.settle()) == list(range(1, 21))


async def test_everything_that_an_event_knows_reaches_the_csms(line):
    everything = event(
        3,
        "Ended",
        charging_state="EVConnected",
        stopped_reason="Local",
        time_spent_charging=2,
        remote_start_id=7,
        evse=1,
        connector=2,
        id_token=IdToken("04A1B2C3", "ISO14443", (("more", "kind"),)),
        reservation_id=9,
        number_of_phases_used=3,
        cable_max_current=32,
        meter_values=(measured(0, 100.5), measured(3, 200.0)),
    )
    await line.transactions.post(everything)
    payload = line.expect("TransactionEvent")[3]
    assert payload["transactionInfo"] == {
        "transactionId": "T1",
        "chargingState": "EVConnected",
        "timeSpentCharging": 2,
        "stoppedReason": "Local",
        "remoteStartId": 7,
    }
    assert payload["evse"] == {"id": 1, "connectorId": 2}
    assert payload["idToken"]["additionalInfo"] == [{"additionalIdToken": "more", "type": "kind"}]
    assert (payload["reservationId"], payload["numberOfPhasesUsed"], payload["cableMaxCurrent"]) == (9, 3, 32)
    assert [one["sampledValue"][0]["value"] for one in payload["meterValue"]] == [100.5, 200.0]
    assert payload["meterValue"][1]["timestamp"] == "2026-01-31T12:00:03.000Z"
    assert "offline" not in payload


@pytest.mark.requirement("E04.FR.01", "E04.FR.02", "E11.FR.01", "E11.FR.02")
async def test_the_next_process_sends_what_was_not_answered_in_order(line, store, tmp_path):
    await transaction(line.transactions, 3)
    line.answer(line.expect("TransactionEvent"))
    line.expect("TransactionEvent")  # the power goes before its answer
    await line.transactions.settle()
    store.close()
    again = Store(tmp_path)
    sent = [m for m in booted(again).settle() if m[2] == "TransactionEvent"]
    assert numbers(sent) == [1, 2, 3]
    assert all(message[3]["offline"] for message in sent)
    again.close()


async def test_the_outbox_and_the_queue_do_not_send_each_others_messages(store):
    queue = Line(store=store).transactions
    await queue.post(event(0, "Started"))
    await store.add_message("NotifyEvent", "{}")
    assert len(Line(store=store).transactions) == 1
    assert len(Outbox(store, lambda: None)) == 1


# --- offline -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E04.FR.01", "E04.FR.02", "E04.FR.03", "E11.FR.01", "E11.FR.02")
async def test_what_happens_offline_is_queued_and_sent_when_the_line_is_back(line):
    line.close()
    await line.transactions.post(event(0, "Started", offline=True))
    await line.transactions.post(event(1, offline=True))
    assert line.out() is None
    line.open()
    await line.transactions.post(event(2))
    sent = [m[3] for m in line.settle() if m[2] == "TransactionEvent"]
    assert [(one["seqNo"], one.get("offline", False)) for one in sent] == [(0, True), (1, True), (2, False)]


@pytest.mark.requirement("E11.FR.07")
async def test_what_still_waits_when_the_line_is_lost_becomes_offline_the_unanswered_one_too(line):
    for number in range(3):
        await line.transactions.post(event(number, "Updated" if number else "Started"))
    before = line.expect("TransactionEvent")
    assert "offline" not in before[3]
    line.close()
    line.open()
    sent = [m for m in line.settle() if m[2] == "TransactionEvent"]
    assert numbers(sent) == [0, 1, 2]
    assert all(message[3]["offline"] for message in sent)
    assert sent[0][1] != before[1]
    assert {**sent[0][3], "offline": None} == {**before[3], "offline": None}


@pytest.mark.requirement("E11.FR.07")
async def test_an_event_on_its_way_to_the_disk_when_the_line_is_lost_becomes_offline_too(line):
    posting = asyncio.create_task(line.transactions.post(event(0, "Started")))
    await asyncio.sleep(0)
    line.close()
    await posting
    line.open()
    (message,) = [m for m in line.settle() if m[2] == "TransactionEvent"]
    assert message[3]["offline"] is True


@pytest.mark.requirement("E04.FR.03", "E11.FR.02")
async def test_what_happens_until_the_csms_accepts_the_station_happened_offline(store):
    line = Line(store=store, charging=FakeCharging())
    await line.transactions.post(event(0, "Started"))
    line.open()
    await line.transactions.post(event(1))
    line.boot()
    await line.transactions.post(event(2))
    sent = [m[3] for m in line.settle() if m[2] == "TransactionEvent"]
    assert [one.get("offline", False) for one in sent] == [True, True, False]


# --- a CSMS that fails -------------------------------------------------------------------------------------------


@pytest.mark.requirement("E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
async def test_an_event_that_the_csms_fails_to_process_is_tried_again_and_then_given_up(line, store, caplog):
    line.home.put(ATTEMPTS, 4)
    line.home.put(INTERVAL, 60)
    await transaction(line.transactions, 2)
    for preceding in (1, 2, 3):
        line.fail(line.expect("TransactionEvent"), "InternalError")
        line.wait(60 * preceding - 1)
        assert told(line.settle()) == []
        line.wait(1)
    message = line.expect("TransactionEvent")
    assert (message[3]["seqNo"], "offline" in message[3]) == (0, False)
    with caplog.at_level(logging.ERROR):
        line.fail(message, "FormatViolation")
    assert "TransactionEvent 0 of T1 is given up after 4 attempts" in caplog.text
    assert numbers(line.settle()) == [1, 2]
    await line.transactions.settle()
    assert store.messages() == []


@pytest.mark.requirement("E13.FR.02")
async def test_an_answer_that_stays_out_is_an_attempt(line):
    line.home.put(MESSAGE_TIMEOUT, 5)
    line.home.put(ATTEMPTS, 2)
    line.home.put(INTERVAL, 10)
    await line.transactions.post(event(0, "Started"))
    line.expect("TransactionEvent")
    line.wait(5)
    assert line.out() is None
    line.wait(10)
    assert line.expect("TransactionEvent")[3]["seqNo"] == 0
    line.wait(5)
    assert told(line.settle()) == []
    assert len(line.transactions) == 0


async def test_a_lost_line_is_no_attempt(line):
    line.home.put(ATTEMPTS, 1)
    await line.transactions.post(event(0, "Started"))
    for _ in range(5):
        line.expect("TransactionEvent")
        line.close()
        line.open()
        line.answer(line.expect("Heartbeat"))
    assert numbers(line.settle()) == [0]


async def test_a_queue_that_waits_for_its_next_attempt_does_not_keep_other_messages(line):
    line.home.put(INTERVAL, 60)
    await line.transactions.post(event(0, "Started"))
    line.fail(line.expect("TransactionEvent"), "InternalError")
    line.home.statuses[(1, 1)] = "Occupied"
    line.session.statuses.look()
    assert [m[2] for m in line.settle()] == ["StatusNotification"]
    assert line.session.due() == line.clock.seconds + 60


@pytest.mark.requirement("E13.FR.01")
@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_as_many_attempts_are_made_as_configured(line, attempts):
    line.home.put(ATTEMPTS, attempts)
    line.home.put(INTERVAL, 1)
    await line.transactions.post(event(0, "Started"))
    made = 0
    while len(line.transactions):
        line.fail(line.expect("TransactionEvent"), "GenericError")
        made += 1
        line.wait(made)
    assert made == attempts


# --- answers -----------------------------------------------------------------------------------------------------


async def test_what_the_csms_says_of_a_token_is_handed_on_with_it(line):
    await line.transactions.post(event(0, "Started", id_token=TOKEN))
    await line.transactions.post(event(1))
    info = {"status": "Invalid", "groupIdToken": {"idToken": "family", "type": "Central"}}
    line.answer(line.expect("TransactionEvent"), {"idTokenInfo": info})
    line.answer(line.expect("TransactionEvent"))
    assert line.home.charging.answers == [
        ("T1", TOKEN, IdTokenInfo("Invalid", group=IdToken("family", "Central"))),
        ("T1", None, None),
    ]


@pytest.mark.requirement("K03.FR.05")
async def test_the_priority_of_a_transaction_is_handed_on_apart_from_its_token_s(line):
    await line.transactions.post(event(0, "Started", id_token=TOKEN))
    await line.transactions.post(event(1))
    info = {"status": "Accepted", "chargingPriority": 5}
    line.answer(line.expect("TransactionEvent"), {"idTokenInfo": info, "chargingPriority": -3})
    line.answer(line.expect("TransactionEvent"))
    assert line.home.charging.priorities == [-3, None]
    told = line.home.charging.answers[0][2]
    assert told is not None and told.charging_priority == 5


async def test_an_event_that_is_given_up_hands_on_no_answer(line):
    line.home.put(ATTEMPTS, 1)
    await line.transactions.post(event(0, "Started", id_token=TOKEN))
    line.fail(line.expect("TransactionEvent"), "InternalError")
    assert len(line.transactions) == 0
    assert line.home.charging.answers == []


# --- a full queue ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E04.FR.07", "E04.FR.08", "E11.FR.04", "E11.FR.05")
async def test_a_full_queue_gives_up_every_second_intermediate_event(store, caplog):
    queue = TransactionQueue(store, Home().settings, lambda: None, lambda *_: None, capacity=8)
    await transaction(queue, 8)  # the 9th is one too many
    assert "4 intermediate ones were dropped" in caplog.text
    await queue.settle()
    assert numbers(booted(store).settle()) == [0, 2, 4, 6, 8]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from(["Started", "Updated", "Updated", "Ended"]), st.sampled_from("AB")), max_size=40
    ),
    capacity=st.integers(1, 12),
)
@pytest.mark.requirement("E04.FR.07", "E04.FR.08")
def test_whatever_is_dropped_is_an_intermediate_event_and_never_the_last(kinds, capacity):
    async def run():
        store = MemoryStore()
        queue = TransactionQueue(store, Home().settings, lambda: None, lambda *_: None, capacity=capacity)
        posted = []
        for number, (kind, name) in enumerate(kinds):
            await queue.post(event(number, kind, name))
            await queue.settle()
            posted.append((kind, number))
            left = waiting(store)
            assert len(left) == len(queue)
            assert left == [one for one in posted if one in left]  # in order
            assert left[-1] == (kind, number)
            assert [one for one in left if one[0] != "Updated"] == [one for one in posted if one[0] != "Updated"]
            assert len(posted) > capacity or left == posted
            assert len(left) <= capacity or all(one[0] != "Updated" for one in left[:-1])

    asyncio.run(run())


def waiting(store):
    """(event type, seqNo) of what is on disk."""
    facts = [json.loads(payload) for _, _, payload in store.messages()]
    return [(one["eventType"], one["seqNo"]) for one in facts]


# --- E14 ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E14.FR.04", "E14.FR.05", "E14.FR.07", "E14.FR.08")
async def test_a_transaction_has_messages_until_the_last_one_was_answered(line):
    queue = line.transactions
    assert not queue.waits(None)
    posting = asyncio.create_task(queue.post(event(0, "Started")))
    await asyncio.sleep(0)
    assert queue.waits("T1")  # even before it is on disk
    await posting
    assert (queue.waits("T1"), queue.waits("T2"), queue.waits(None)) == (True, False, True)
    message = line.expect("TransactionEvent")
    assert queue.waits("T1")  # under way
    line.answer(message)
    assert (queue.waits("T1"), queue.waits(None)) == (False, False)
