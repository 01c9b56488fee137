"""The durable queue: on disk first, in order, again until it is answered."""

import asyncio
import contextlib
import json

import pytest

from agent.ocpp.messages.base import ComponentType, VariableType
from agent.ocpp.messages.diagnostics import (
    EventDataType,
    EventNotificationType,
    EventTrigger,
    NotifyEventRequest,
)
from agent.ocpp.outbox import ATTEMPTS, PAUSE, Outbox
from agent.ocpp.variables import MESSAGE_TIMEOUT
from agent.store import Store
from tests.ocpp.parts import START, Line, MemoryStore, until


def event(number):
    data = EventDataType(
        event_id=number,
        timestamp=START,
        trigger=EventTrigger.ALERTING,
        actual_value="true",
        event_notification_type=EventNotificationType.HARD_WIRED_NOTIFICATION,
        component=ComponentType(name="RCD"),
        variable=VariableType(name="Problem"),
    )
    return NotifyEventRequest(generated_at=START, seq_no=0, event_data=(data,))


def numbers(messages):
    return [message[3]["eventData"][0]["eventId"] for message in messages if message[2] == "NotifyEvent"]


@contextlib.asynccontextmanager
async def running(outbox):
    task = asyncio.create_task(outbox.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def line(store):
    line = Line(store=store).open()
    line.boot()
    line.settle()
    return line


async def test_a_message_is_not_sent_before_it_is_on_disk(line, store):
    line.outbox.post(event(1))
    assert line.out() is None
    async with running(line.outbox):
        await until(lambda: store.rows)
        assert numbers([line.expect("NotifyEvent")]) == [1]


async def test_messages_go_in_order_and_are_deleted_after_their_answer(line, store):
    async with running(line.outbox):
        for number in range(20):
            line.outbox.post(event(number))
        await until(lambda: len(store.rows) == 20)
        await asyncio.sleep(0)
        assert numbers(line.settle()) == list(range(20))
        await until(lambda: not store.rows)
    assert len(line.outbox) == 0


async def test_a_message_without_answer_is_sent_again_with_a_new_id_and_the_same_payload(line, store):
    line.home.put(MESSAGE_TIMEOUT, 5)
    async with running(line.outbox):
        for number in (1, 2):
            line.outbox.post(event(number))
        await until(lambda: len(store.rows) == 2)
        await asyncio.sleep(0)
        first = line.expect("NotifyEvent")
        line.wait(5)
        second = line.expect("NotifyEvent")
        line.close()
        line.open()
        line.answer(line.expect("Heartbeat"))
        third = line.expect("NotifyEvent")
        assert first[3] == second[3] == third[3]
        assert len({first[1], second[1], third[1]}) == 3
        assert len(store.rows) == 2
        line.answer(third)
        assert numbers(line.settle()) == [2]


async def test_nothing_is_sent_before_the_station_is_accepted(store):
    store.rows[5] = ("NotifyEvent", event(5).to_json())
    line = Line(store=store).open()
    boot = line.expect("BootNotification")
    assert line.out() is None
    line.answer(boot)
    assert numbers(line.settle()) == [5]


async def test_a_message_that_the_csms_refuses_for_good_is_dropped(line, store):
    async with running(line.outbox):
        for number in (1, 2):
            line.outbox.post(event(number))
        await until(lambda: len(store.rows) == 2)
        await asyncio.sleep(0)
        line.fail(line.expect("NotifyEvent"), "FormatViolation")
        assert numbers(line.settle()) == [2]
        await until(lambda: not store.rows)


async def test_a_message_that_the_csms_fails_to_process_is_tried_again_and_not_for_ever(line, store):
    async with running(line.outbox):
        line.outbox.post(event(1))
        await until(lambda: store.rows)
        await asyncio.sleep(0)
        for attempt in range(1, ATTEMPTS + 1):
            line.fail(line.expect("NotifyEvent"), "InternalError")
            assert line.out() is None
            line.wait(PAUSE * attempt)
        assert line.out() is None
        await until(lambda: not store.rows)


async def test_a_full_disk_does_not_keep_a_message_from_being_sent(line, store):
    store.broken = True
    async with running(line.outbox):
        line.outbox.post(event(1))
        await until(lambda: line.outbox.due() is not None)
        assert numbers(line.settle()) == [1]


async def test_a_full_outbox_gives_up_its_oldest_message(store):
    outbox = Outbox(store, lambda: None, capacity=3)
    async with running(outbox):
        for number in range(5):
            outbox.post(event(number))
        await until(lambda: len(store.rows) == 3)
    kept = [json.loads(payload)["eventData"][0]["eventId"] for _, payload in store.rows.values()]
    assert kept == [2, 3, 4]


async def test_what_was_posted_is_on_disk_after_an_orderly_end(store):
    outbox = Outbox(store, lambda: None)
    async with running(outbox):
        await asyncio.sleep(0)
        outbox.post(event(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outbox.post(event(2))
    assert len(store.rows) == 2


async def test_the_next_process_finds_what_was_not_answered(tmp_path):
    store = Store(tmp_path)
    line = Line(store=store).open()
    line.boot()
    line.settle()
    async with running(line.outbox):
        for number in (1, 2, 3):
            line.outbox.post(event(number))
        await until(lambda: len(store.messages()) == 3)
        await until(lambda: line.outbox.due() is not None)
        line.answer(line.expect("NotifyEvent"))
        await until(lambda: len(store.messages()) == 2)
    store.close()
    store = Store(tmp_path)
    line = Line(store=store).open()
    line.boot()
    assert numbers(line.settle()) == [2, 3]
    store.close()
