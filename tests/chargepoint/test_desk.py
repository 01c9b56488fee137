"""Who is authorized, where, and what the CSMS is asked for it: the whole charge point of bench-ac but its wires."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from agent.board import load
from agent.chargepoint import ChargePoint
from agent.chargepoint.limits_making import ratings
from agent.evse.availability import Availability
from agent.evse.connector import Connector
from agent.evse.records import IdToken, IdTokenInfo, MeterValue, TransactionEvent
from agent.evse.reservations import Reservation
from agent.model import Problems, Value
from agent.ocpp.authorization import NotAnswered
from agent.ocpp.host import RemoteStart
from agent.station import build_model
from agent.store import Change, Store
from tests.evse.auth_parts import Clock

CARD, OTHER = IdToken("04A1", "ISO14443"), IdToken("04B2", "ISO14443")
GROUP, MASTER = IdToken("FAMILY", "Central"), IdToken("MASTER", "Central")
ACCEPTED = IdTokenInfo("Accepted")


class Station:
    """The EVSEs on a real model, board and store; `answers` are what the CSMS says of a token (by its id)."""

    def __init__(self, folder: Path) -> None:
        board = load("bench-ac")
        wiring = build_model(board)
        self.model, self.clock, self.store = wiring.model, Clock(), Store(folder)
        self.answers: dict[str, IdTokenInfo] = {}
        self.asked: list[str] = []
        self.told: list[TransactionEvent] = []
        groups: dict[int, dict[int, Connector]] = {1: {}, 2: {}}
        self.inputs = {(one.evse, one.connector): one.inputs for one in wiring.connectors}
        for one in wiring.connectors:
            groups[one.evse][one.connector] = Connector(
                one.evse, one.connector, socket=one.socket, inputs=one.inputs, outputs=frozenset(one.outputs)
            )
        self.charging = ChargePoint(
            self.model,
            groups,
            types={n: [one.type for one in evse.connectors.values()] for n, evse in board.evses.items()},
            ratings=ratings(board),
            without_storage={n: evse.without_storage for n, evse in board.evses.items()},
            clock=self.clock,
            store=self.store,
            line=self,
            availability=Availability(self.model, lambda *_: None),
            problems=Problems(self.model, lambda *_: None),
            request_reset=lambda reason: None,
        )
        self.charging.online(True)
        for place in self.inputs:
            self.plug(*place, pilot="A")

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        self.asked.append(token.id)
        if token.id not in self.answers:
            raise NotAnswered("silence")
        return self.answers[token.id]

    async def keep_event(self, event: TransactionEvent, changes: Sequence[Change]) -> bool:
        self.told.append(event)
        await self.store.keep(changes)
        return True

    def limit_notice(self, notice: object) -> None: ...

    def reservation_ended(self, reservation_id: int, status: str) -> None: ...

    def meter_values(self, evse: int, value: MeterValue) -> None: ...

    def set(self, component: str, name: str, value: Value) -> None:
        variable = next(v for v in self.model.variables() if (v.component.name, v.name.name) == (component, name))
        variable.update(value)

    def plug(self, evse: int, connector: int, pilot: str = "B") -> None:
        readings: dict[str, Value] = {
            "pilot": pilot,
            "plugged": pilot != "A",
            "contactor_closed": False,
            "locked": False,
            "fault": 0,
        }
        for role, variable in self.inputs[evse, connector].items():
            variable.update(readings.get(role, 0), self.clock.monotonic())
        self.charging.step()
        self.clock.move(1)
        self.charging.step()

    def user(self, evse: int) -> str | None:
        auth = self.charging.evses[evse].auth
        return None if auth is None else auth.token.id

    async def present(self, token: IdToken, place: int | None = None) -> None:
        await self.charging._desk.present(token, place)
        self.charging.step()

    async def start(self, evse: int | None, token: IdToken = CARD, group: IdToken | None = None) -> str:
        answer = self.charging.request_start(RemoteStart(7, token, group, evse))
        if answer.then is not None:
            answer.then()
            for task in list(self.charging._tasks):
                await task
        self.charging.step()
        return answer.status


@pytest_asyncio.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    one = Station(tmp_path)
    one.answers = {CARD.id: ACCEPTED, OTHER.id: ACCEPTED}
    keeping = asyncio.create_task(one.charging._keeping.run())
    yield one
    await one.charging._keeping.quiet.wait()
    keeping.cancel()
    one.store.close()


@pytest.mark.requirement("F01.FR.20", "F01.FR.22", "F02.FR.22")
async def test_a_remote_start_without_evse_goes_where_the_car_is(station: Station) -> None:
    station.plug(2, 1)
    assert await station.start(None) == "Accepted"
    assert (station.user(1), station.user(2)) == (None, CARD.id)


@pytest.mark.requirement("F01.FR.24", "F02.FR.26")
async def test_a_remote_start_where_somebody_charges_is_rejected(station: Station) -> None:
    station.plug(1, 1)
    assert await station.start(1) == "Accepted"
    assert await station.start(1, OTHER) == "Rejected"
    assert station.user(1) == CARD.id


@pytest.mark.requirement("F01.FR.23", "F02.FR.25")
@pytest.mark.parametrize("cause", ["inoperative", "fault"])
async def test_a_remote_start_on_an_evse_that_cannot_be_used_is_rejected(station: Station, cause: str) -> None:
    if cause == "inoperative":
        assert await station.charging.change_availability(1, None, False) == "Accepted"
    else:
        station.charging.availability.set_fault(1, None, "test", True)
    assert await station.start(1) == "Rejected"
    assert station.user(1) is None


@pytest.mark.requirement("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24")
async def test_a_remote_start_needs_the_token_or_the_group_of_the_reservation(station: Station) -> None:
    expiry = station.clock.now() + timedelta(hours=1)
    assert await station.charging.reserve(Reservation(3, expiry, OTHER, GROUP, 1)) == "Accepted"
    assert await station.start(1) == "Rejected"
    assert await station.start(1, CARD, IdToken("ELSE", "Central")) == "Rejected"
    assert await station.start(1, CARD, GROUP) == "Accepted"
    assert station.user(1) == CARD.id


@pytest.mark.requirement("F01.FR.25")
async def test_the_transaction_that_runs_is_named_and_told_of_the_remote_start(station: Station) -> None:
    station.set("TxCtrlr", "TxStartPoint", "EVConnected")
    station.plug(1, 1)
    running = station.charging.evses[1].tx
    assert running is not None
    answer = station.charging.request_start(RemoteStart(7, CARD, None, 1))
    assert (answer.status, answer.transaction_id) == ("Accepted", running.id)
    assert await station.start(1) == "Accepted"
    await station.charging._keeping.quiet.wait()
    event = station.told[-1]
    assert (event.transaction_id, event.trigger_reason, event.remote_start_id) == (running.id, "RemoteStart", 7)


async def test_the_csms_is_asked_once_however_many_are_charging(station: Station) -> None:
    station.answers[OTHER.id] = IdTokenInfo("Blocked")
    for evse in (1, 2):
        station.plug(evse, 1)
        await station.present(CARD if evse == 1 else IdToken("04C3", "ISO14443"), evse)
        station.answers["04C3"] = ACCEPTED
    station.asked.clear()
    await station.present(OTHER)
    assert station.asked == [OTHER.id]


async def test_a_token_for_one_evse_alone_is_not_taken_to_another(station: Station) -> None:
    station.answers[CARD.id] = IdTokenInfo("Accepted", evse_ids=(2,))
    await station.present(CARD)
    station.plug(1, 1)
    assert station.user(1) is None
    station.plug(2, 1)
    assert station.user(2) == CARD.id


@pytest.mark.requirement("C16.FR.02")
async def test_a_master_pass_stops_all_and_starts_none(station: Station) -> None:
    station.set("AuthCtrlr", "MasterPassGroupId", MASTER.id)
    for evse, token in ((1, CARD), (2, OTHER)):
        station.plug(evse, 1)
        await station.present(token, evse)
    assert (station.user(1), station.user(2)) == (CARD.id, OTHER.id)
    station.answers["PASS"] = IdTokenInfo("Accepted", group=MASTER)
    await station.present(IdToken("PASS", "ISO14443"))
    assert (station.user(1), station.user(2)) == (None, None)
    await station.present(IdToken("PASS", "ISO14443"), 1)
    assert station.user(1) is None
