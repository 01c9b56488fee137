"""What the station keeps of one customer, on a real store: all of it is found, and what may go is gone."""

import json
from datetime import timedelta

import pytest

from agent.chargepoint.customer import Customers
from agent.evse.auth_cache import ROOM
from agent.evse.auth_store import StoreFailed
from agent.evse.authorization import Authorizer
from agent.evse.records import IdTokenInfo, TransactionEvent
from agent.evse.transaction import Authorization, Transaction
from agent.model import Component
from agent.ocpp.transactions import request_of
from agent.store import Store, StoreError
from tests.evse.auth_parts import OK, START, Settings, card
from tests.evse.reservation_parts import World

ALICE, BOB = card(1), card(2)


class Place:
    """An EVSE, as far as a customer is there."""

    def __init__(self, number):
        self.id, self.auth, self.tx = number, None, None


class Yard:
    def __init__(self, folder):
        self.store = Store(folder)
        self.world = World()
        self.model = Settings().model
        self.authorizer = Authorizer(self.model, self.world.clock, self.store)
        self.places = [Place(1), Place(2)]
        self.ended, self.fails = [], False
        self.customers = Customers(
            store=self.store,
            authorizer=self.authorizer,
            reservations=self.world.reservations,
            places=self.places,
            cancel=self.cancel,
            ended=lambda number, status: self.ended.append((number, status)),
        )

    async def cancel(self, number):
        return not self.fails and self.world.reservations.cancel(number)

    async def event(self, seconds, transaction, token=None):
        event = TransactionEvent(
            "Updated", START + timedelta(seconds=seconds), "Authorized", seconds, transaction, id_token=token
        )
        await self.store.add_message("TransactionEvent", request_of(event).to_json())

    async def kept(self, token):
        found = await self.customers.known(token)
        json.dumps(found)
        return [one["kept"] for one in found]


@pytest.fixture
def yard(tmp_path):
    one = Yard(tmp_path)
    yield one
    one.store.close()


async def fill(yard):
    for token in (ALICE, BOB):
        await yard.authorizer.cache.put(token, OK)
    assert await yard.authorizer.send_list(1, full=True, entries=[(ALICE, OK), (BOB, OK)], size=100) == "Accepted"
    assert yard.world.reserve(7, ALICE, 1) == "Accepted"
    await yard.event(1, "T1", ALICE)
    await yard.event(2, "T1")
    await yard.event(3, "T2", BOB)
    yard.places[1].tx = Transaction("T3", ALICE)


@pytest.mark.requirement("N09.FR.05")
async def test_everything_that_is_kept_of_a_customer_is_found_and_nothing_of_another(yard):
    await fill(yard)
    found = {one["kept"]: one for one in await yard.customers.known(ALICE)}
    assert len(found) == 5
    assert found["authorization cache"]["status"] == "Accepted"
    assert found["local authorization list"]["status"] == "Accepted"
    assert (found["transaction"]["id"], found["transaction"]["evse"]) == ("T3", 2)
    assert (found["reservation"]["id"], found["reservation"]["evse"]) == (7, 1)
    queued = found["messages, until they are answered"]
    assert (queued["transaction"], queued["count"]) == ("T1", 2)
    assert queued["from"] < queued["to"]
    assert await yard.kept(card(9)) == []


@pytest.mark.requirement("N09.FR.05")
async def test_it_is_found_though_cache_and_list_are_switched_off(yard):
    await fill(yard)
    for controller in ("AuthCacheCtrlr", "LocalAuthListCtrlr"):
        yard.model.get(Component(controller), "Enabled").update(False)
    assert {"authorization cache", "local authorization list"} <= set(await yard.kept(ALICE))


@pytest.mark.requirement("N10.FR.02", "N10.FR.03", "N10.FR.06")
async def test_what_is_forgotten_is_gone_also_from_the_disk_except_from_the_local_list(yard):
    await fill(yard)
    yard.places[1].tx = None
    await yard.customers.forget(ALICE)
    assert await yard.kept(ALICE) == ["local authorization list", "messages, until they are answered"]
    assert len(yard.store.kept(ROOM)) == 1 and yard.ended == [(7, "Removed")]
    assert await yard.authorizer.list_version() == 1
    assert "authorization cache" in await yard.kept(BOB)
    await yard.customers.forget(ALICE)  # once more changes nothing
    assert yard.ended == [(7, "Removed")]


async def test_who_charges_or_may_charge_is_known(yard):
    assert not yard.customers.charging(ALICE)
    yard.places[0].auth = Authorization(ALICE)
    assert yard.customers.charging(ALICE) and not yard.customers.charging(BOB)
    yard.places[0].auth, yard.places[1].tx = None, Transaction("T", BOB)
    assert yard.customers.charging(BOB) and not yard.customers.charging(ALICE)
    assert await yard.kept(BOB) == ["transaction"]


@pytest.mark.requirement("N10.FR.05")
async def test_what_the_disk_does_not_forget_is_not_told_to_be_forgotten(yard):
    await fill(yard)
    yard.fails = True
    with pytest.raises(StoreFailed):
        await yard.customers.forget(ALICE)
    assert yard.ended == [] and "reservation" in await yard.kept(ALICE)


@pytest.mark.requirement("N09.FR.03")
@pytest.mark.parametrize("method", ["look_up", "messages"])
async def test_what_the_disk_cannot_read_is_not_told_to_be_absent(yard, monkeypatch, method):
    def broken(*_):
        raise StoreError("the disk is gone")

    monkeypatch.setattr(yard.store, method, broken)
    with pytest.raises(StoreFailed, match="the disk is gone"):
        await yard.customers.known(BOB)


async def test_an_entry_whose_removal_failed_is_removed_by_the_next_attempt(yard):
    await fill(yard)
    shelf = yard.authorizer.cache._shelf
    keep = shelf.keep

    async def broken(changes):
        raise StoreFailed("the disk is full")

    shelf.keep = broken
    with pytest.raises(StoreFailed):
        await yard.authorizer.cache.forget(ALICE)
    shelf.keep = keep
    await yard.authorizer.cache.forget(ALICE)
    assert len(yard.store.kept(ROOM)) == 1


async def test_to_look_is_no_use_of_an_entry_and_reads_what_has_expired(yard):
    cache = yard.authorizer.cache
    await cache.put(ALICE, IdTokenInfo("Accepted", START + timedelta(seconds=10)))
    yard.world.clock.move(60)
    assert cache.peek(ALICE) is not None and ALICE in cache
    assert cache.peek(BOB) is None
