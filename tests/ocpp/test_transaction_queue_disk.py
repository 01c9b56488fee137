"""The queue of TransactionEvents on a disk that takes nothing, and with a clock that nobody has set."""

import asyncio
import logging
from datetime import timedelta

import pytest

from agent.ocpp.transaction_queue import DATING
from agent.store import Store, StoreError
from tests.ocpp.charging import FakeCharging, event, measured, numbers
from tests.ocpp.parts import FakeClock, Home, Line, MemoryStore, boot_answer, booted

LATER = "2026-01-31T13:00:00Z"
"""An hour after what the fake clock says."""


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


# --- a disk that takes nothing -----------------------------------------------------------------------------------


async def test_a_full_disk_does_not_keep_an_event_from_being_sent(caplog):
    store = MemoryStore()
    line = booted(store)
    line.settle()
    store.broken = True
    assert not await line.transactions.post(event(0, "Started"))
    assert "only in memory: the disk is full" in caplog.text
    assert numbers(line.settle()) == [0]
    assert len(line.transactions) == 0


async def test_what_is_only_in_memory_goes_to_the_disk_with_the_next_event_in_order():
    store = MemoryStore()
    line = booted(store)
    line.settle()
    store.broken = True
    await line.transactions.post(event(0, "Started"))
    await line.transactions.post(event(1))
    line.expect("TransactionEvent")  # under way, and still not on disk
    store.broken = False
    assert await line.transactions.post(event(2))
    assert numbers(booted(store).settle()) == [0, 1, 2]


async def test_an_event_that_is_answered_while_it_goes_to_the_disk_does_not_stay_there():
    store = MemoryStore()
    line = booted(store)
    line.settle()
    store.broken = True
    await line.transactions.post(event(0, "Started"))
    store.broken = False
    posting = asyncio.create_task(line.transactions.post(event(1)))
    await asyncio.sleep(0)
    assert numbers(line.settle()) == [0]
    await posting
    await line.transactions.settle()
    assert len(store.rows) == 1
    assert numbers(booted(store).settle()) == [1]


async def test_a_disk_that_does_not_forget_does_not_stop_the_queue(line, store, monkeypatch, caplog):
    async def full(_number):
        raise StoreError("the disk is full")

    await line.transactions.post(event(0, "Started"))
    await line.transactions.post(event(1))
    monkeypatch.setattr(store, "remove_message", full)
    assert numbers(line.settle()) == [0, 1]
    await line.transactions.settle()
    assert "sent again after a restart" in caplog.text
    assert len(store.messages()) == 2
    monkeypatch.undo()
    await line.transactions.post(event(2))  # the disk works again, and forgets those too
    await line.transactions.settle()
    assert len(store.messages()) == 1


async def test_a_full_disk_is_told_once_and_so_is_its_end(caplog):
    store = MemoryStore()
    line = booted(store)
    caplog.set_level(logging.WARNING)
    store.broken = True
    for number in range(3):
        await line.transactions.post(event(number))
    store.broken = False
    for number in range(3, 6):
        await line.transactions.post(event(number))
    told = [record.getMessage() for record in caplog.records if "TransactionEvents" in record.getMessage()]
    assert told == ["TransactionEvents are only in memory: the disk is full", "TransactionEvents are on disk again"]


# --- a clock that nobody had set ---------------------------------------------------------------------------------


def times(messages):
    return [m[3]["timestamp"] for m in messages if m[2] == "TransactionEvent"]


async def test_what_was_dated_before_the_clock_was_set_is_dated_anew_with_its_meter_values(store):
    line = Line(store=store, charging=FakeCharging()).open()
    await line.transactions.post(event(0, "Started", meter_values=(measured(0, 1.0),)))
    await line.transactions.post(event(1, offline=True))
    line.answer(line.expect("BootNotification"), boot_answer(time=LATER))
    await line.transactions.post(event(3602))
    sent = [m for m in line.settle() if m[2] == "TransactionEvent"]
    assert times(sent) == ["2026-01-31T13:00:00.000Z", "2026-01-31T13:00:01.000Z", "2026-01-31T13:00:02.000Z"]
    assert sent[0][3]["meterValue"][0]["timestamp"] == "2026-01-31T13:00:00.000Z"


async def test_an_event_on_its_way_to_the_disk_when_the_clock_is_set_is_dated_anew(store):
    line = Line(store=store, charging=FakeCharging()).open()
    posting = asyncio.create_task(line.transactions.post(event(0, "Started")))
    await asyncio.sleep(0)
    line.answer(line.expect("BootNotification"), boot_answer(time=LATER))
    await posting
    assert times(line.settle()) == ["2026-01-31T13:00:00.000Z"]


async def test_only_the_first_setting_of_the_clock_dates_anew(line):
    await line.transactions.post(event(0, "Started"))
    line.transactions.clock_moved(3600.0)
    line.transactions.clock_moved(3600.0)
    assert times(line.settle()) == ["2026-01-31T12:00:00.000Z"]


async def test_a_clock_that_was_right_moves_nothing(store):
    line = Line(store=store, charging=FakeCharging()).open()
    await line.transactions.post(event(0, "Started"))
    line.answer(line.expect("BootNotification"), boot_answer(time="2026-01-31T12:00:00.700Z"))
    assert times(line.settle()) == ["2026-01-31T12:00:00.000Z"]


@pytest.mark.parametrize(
    ("computer", "time"), [("start-1", "2026-01-31T13:00:00.000Z"), ("start-2", "2026-01-31T12:00:00.000Z")]
)
async def test_a_new_process_dates_anew_what_the_same_start_of_the_computer_dated(store, computer, time):
    await Line(store=store).transactions.post(event(0, "Started"))
    line = Line(store=store, charging=FakeCharging(), computer=computer).open()
    line.answer(line.expect("BootNotification"), boot_answer(time=LATER))
    assert times(line.settle()) == [time]
    await line.transactions.settle()
    assert store.kept(DATING) == {}


async def test_what_was_dated_anew_once_is_so_again_after_a_restart_and_not_twice(store):
    first = Line(store=store).open()
    await first.transactions.post(event(0, "Started"))
    first.answer(first.expect("BootNotification"), boot_answer(time=LATER))
    await first.transactions.post(event(3601))
    second = Line(store=store, charging=FakeCharging()).open()
    second.answer(second.expect("BootNotification"), boot_answer(time=LATER))
    assert times(second.settle()) == ["2026-01-31T13:00:00.000Z", "2026-01-31T13:00:01.000Z"]


async def test_an_event_of_a_full_disk_is_dated_anew_after_a_restart_too():
    store = MemoryStore()
    first = Line(store=store)
    store.broken = True
    await first.transactions.post(event(0, "Started"))
    store.broken = False
    await first.transactions.post(event(1))
    second = Line(store=store, charging=FakeCharging()).open()
    second.answer(second.expect("BootNotification"), boot_answer(time=LATER))
    assert times(second.settle()) == ["2026-01-31T13:00:00.000Z", "2026-01-31T13:00:01.000Z"]


async def test_a_computer_whose_start_nobody_knows_has_its_old_events_left_alone(store):
    await Line(store=store, computer="").transactions.post(event(0, "Started"))
    line = Line(store=store, charging=FakeCharging(), computer="").open()
    line.answer(line.expect("BootNotification"), boot_answer(time=LATER))
    assert times(line.settle()) == ["2026-01-31T12:00:00.000Z"]


async def test_a_process_that_began_with_another_wrong_time_dates_anew_all_the_same(store):
    await Line(store=store).transactions.post(event(0, "Started"))
    clock = FakeClock()
    clock.correct(clock.now() + timedelta(seconds=10))
    line = Line(Home(clock, store, FakeCharging())).open()
    line.answer(line.expect("BootNotification"), boot_answer(time=LATER))
    assert times(line.settle()) == ["2026-01-31T13:00:00.000Z"]


async def test_what_was_dated_anew_before_it_reached_the_disk_stays_as_it_is_after_a_restart():
    store = MemoryStore()
    first = Line(store=store).open()
    store.broken = True
    await first.transactions.post(event(0, "Started"))
    first.answer(first.expect("BootNotification"), boot_answer(time=LATER))
    store.broken = False
    await first.transactions.post(event(3601))
    second = Line(store=store, charging=FakeCharging()).open()
    second.answer(second.expect("BootNotification"), boot_answer(time=LATER))
    assert times(second.settle()) == ["2026-01-31T13:00:00.000Z", "2026-01-31T13:00:01.000Z"]
