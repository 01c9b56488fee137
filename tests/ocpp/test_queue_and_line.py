"""The queue of TransactionEvents and what is around it: the line that goes and comes, the outbox, the end."""

import asyncio

import pytest

from agent.ocpp.host import ConnectionProfile
from agent.ocpp.link import CsmsLink
from agent.ocpp.messages.reservation import ReservationStatusUpdateRequest
from agent.store import Store, StoreError
from tests.ocpp.charging import FakeCharging, event
from tests.ocpp.csms import Csms
from tests.ocpp.parts import Home, Line, MemoryStore, until


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def line(store):
    return Line(store=store, charging=FakeCharging()).open()


def accept(line):
    line.boot()
    line.settle()


def flags(messages):
    return [m[3].get("offline", False) for m in messages if m[2] == "TransactionEvent"]


@pytest.mark.requirement("E04.FR.03", "E11.FR.07")
async def test_an_event_that_reaches_the_queue_after_the_line_was_lost_is_offline_whatever_it_says(line):
    accept(line)
    await line.transactions.post(event(0, "Started"))
    assert flags(line.settle()) == [False]
    line.close()
    await line.transactions.post(event(1))
    line.open()
    await line.transactions.post(event(2))
    assert flags(line.settle()) == [True, False]


@pytest.mark.requirement("B02.FR.03", "E04.FR.03")
async def test_what_happens_before_the_csms_accepted_the_station_is_offline_and_sent_then(line):
    await line.transactions.post(event(0, "Started"))
    line.boot("Pending", 10)
    await line.transactions.post(event(1))
    assert line.out() is None
    line.wait(10)
    line.boot()
    await line.transactions.post(event(2))
    assert flags(line.settle()) == [True, True, False]


async def test_what_the_disk_did_not_forget_is_forgotten_with_the_next_event(line, store, monkeypatch):
    accept(line)
    await line.transactions.post(event(0, "Started"))

    async def full(_number):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "remove_message", full)
        line.settle()
        await line.transactions.settle()
    assert len(store.rows) == 1
    await line.transactions.post(event(1))
    await line.transactions.settle()
    assert ['"seqNo":1' in payload for _, payload in store.rows.values()] == [True]


async def test_transaction_events_come_before_all_that_waits_in_the_outbox(line, store):
    accept(line)
    writing = asyncio.create_task(line.outbox.run())
    for number in range(2):
        line.outbox.post(ReservationStatusUpdateRequest(reservation_id=number, reservation_update_status="Expired"))
    await until(lambda: len(store.rows) == 2 and line.outbox.due() is not None)
    for number in range(3):
        await line.transactions.post(event(number, "Updated" if number else "Started"))
    sent = [message[2] for message in line.settle()]
    assert sent == ["TransactionEvent"] * 3 + ["ReservationStatusUpdate"] * 2
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_what_was_answered_is_gone_from_the_disk_when_the_process_ends(tmp_path, monkeypatch):
    store = Store(tmp_path)
    remove = store.remove_message

    async def slowly(number):
        await asyncio.sleep(0.1)
        await remove(number)

    monkeypatch.setattr(store, "remove_message", slowly)
    home = Home(store=store, charging=FakeCharging())
    async with Csms().running() as csms:
        home.profile = ConnectionProfile(f"ws://127.0.0.1:{csms.port}/ocpp", "CS 001", "a-long-password-1")
        link = CsmsLink(home)
        running = asyncio.create_task(link.run())
        await link.transactions.post(event(0, "Started"))
        await until(lambda: home.charging.answers)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert store.messages() == []
    store.close()
