"""What a full outbox gives up, and what waits in it without the disk."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.messages.security import SecurityEventNotificationRequest
from agent.ocpp.outbox import BUILT_IN, DROPPED, MONITOR, OTHER, SECURITY, SENT, SLACK, Outbox
from agent.store import Store
from tests.ocpp.parts import START, Line, MemoryStore, until
from tests.ocpp.test_outbox import event, numbers, running


def security(number):
    return SecurityEventNotificationRequest(type="TamperDetectionActivated", timestamp=START, tech_info=str(number))


def on_disk(store):
    return [
        payload["techInfo"] if "techInfo" in payload else payload["eventData"][0]["eventId"]
        for payload in (json.loads(text) for _, text in store.rows.values())
    ]


@pytest.fixture
def store():
    return MemoryStore()


async def test_events_of_monitors_go_first_and_of_the_greatest_severity_number_before_the_others(store):
    outbox = Outbox(store, lambda: None, capacity=5)
    async with running(outbox):
        outbox.post(event(1))
        messages = [outbox.post(event(2 + severity), rank=MONITOR + severity) for severity in (3, 9, 5)]
        await until(lambda: len(store.rows) == 4)
        for number in (20, 21):
            outbox.post(event(number))
        await until(lambda: 21 in on_disk(store) and len(store.rows) == 5)
        assert on_disk(store) == [1, 5, 7, 20, 21]
        assert messages[1].state == DROPPED and outbox.dropped == 1


async def test_a_security_event_is_never_given_up_for_another_message(store):
    outbox = Outbox(store, lambda: None, capacity=3)
    async with running(outbox):
        outbox.post(security("first"))
        outbox.post(security("second"))
        await until(lambda: len(store.rows) == 2)
        for number in range(50):
            outbox.post(event(number))
            if number % 7 == 0:
                await until(lambda: len(store.rows) <= 3)
        await until(lambda: 49 in on_disk(store) and len(store.rows) == 3)
        assert on_disk(store) == ["first", "second", 49]


async def test_where_there_is_nothing_but_security_events_the_oldest_goes(store):
    outbox = Outbox(store, lambda: None, capacity=2)
    async with running(outbox):
        for name in ("first", "second", "third"):
            outbox.post(security(name))
        await until(lambda: len(store.rows) == 2)
        assert on_disk(store) == ["second", "third"]


async def test_what_the_last_process_left_is_ranked_by_what_it_is(store):
    store.rows = {
        1: ("NotifyEvent", event(1).to_json()),
        2: ("SecurityEventNotification", security("old").to_json()),
        3: ("NotifyEvent", event(3).to_json().replace("HardWiredNotification", "CustomMonitor")),
    }
    store.number = 3
    outbox = Outbox(store, lambda: None, capacity=3)
    async with running(outbox):
        outbox.post(event(4))
        await until(lambda: on_disk(store) == [1, "old", 4])
        outbox.post(security("new"))
        await until(lambda: on_disk(store) == ["old", 4, "new"])


@given(st.lists(st.sampled_from([SECURITY, OTHER, BUILT_IN, MONITOR, MONITOR + 5, MONITOR + 9]), max_size=300))
def test_memory_is_bounded_while_the_disk_hangs_and_nothing_better_is_lost_than_what_is_kept(ranks):
    """Nobody writes here: `run` is not there, as with a disk that does not answer."""
    outbox = Outbox(MemoryStore(), lambda: None, capacity=10)
    messages = [outbox.post(event(number), rank=rank) for number, rank in enumerate(ranks)]
    kept = [message.rank for message in messages if message.state != DROPPED]
    assert len(outbox) == len(kept) <= 10 + SLACK
    lost = [message.rank for message in messages if message.state == DROPPED]
    assert not lost or len(kept) >= 10
    # Nothing goes while there is one that can better be missed, so the best ten are always there.
    assert sorted(kept)[:10] == sorted(ranks)[:10]


async def test_a_message_that_is_not_to_be_kept_goes_in_its_order_without_a_write(store):
    line = Line(store=store).open()
    line.boot()
    line.settle()
    async with running(line.outbox):
        line.outbox.post(event(1))
        light = line.outbox.post(event(2), keep=False)
        line.outbox.post(event(3))
        await until(lambda: line.outbox.due() is not None)
        assert store.number == 2
        assert numbers(line.settle()) == [1, 2, 3]
        assert light.state == SENT
        await until(lambda: not store.rows)


async def test_a_message_that_is_not_kept_outlives_the_line_but_not_the_process(tmp_path):
    store = Store(tmp_path)
    line = Line(store=store).open()
    line.boot()
    line.settle()
    async with running(line.outbox):
        line.outbox.post(event(1), keep=False)
        await until(lambda: line.outbox.due() is not None)
        line.expect("NotifyEvent")
        line.close()
        line.open()
        line.answer(line.expect("Heartbeat"))
        assert numbers([line.expect("NotifyEvent")]) == [1]
    assert store.messages() == []
    store.close()


async def test_a_full_outbox_does_not_fill_the_journal(store, caplog):
    outbox = Outbox(store, lambda: None, capacity=1)
    async with running(outbox):
        for number in range(500):
            outbox.post(event(number))
            if number % 3 == 0:
                await until(lambda: len(outbox) <= 1)
    assert outbox.dropped >= 400
    assert 1 <= len(caplog.records) <= 10


async def test_a_disk_that_takes_nothing_is_told_of_once_until_it_takes_something(store, caplog):
    outbox = Outbox(store, lambda: None)
    async with running(outbox):
        for broken in (True, False, True):
            store.broken = broken
            for number in range(20):
                outbox.post(event(number))
            await until(lambda: not outbox._unsaved and not outbox._writing)
    assert len(caplog.records) == 2 and len(outbox) == 60
