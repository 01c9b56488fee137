"""The parts that the tests of the OCPP side share: a small station around a real model, clocks, a store in memory."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.clock import SystemClock
from agent.model import (
    Attribute,
    AttributeType,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Outcome,
    Refusal,
    Variable,
    check,
    parse,
)
from agent.ocpp.handlers import HANDLERS
from agent.ocpp.handling import Context
from agent.ocpp.host import BootInfo, ConnectionProfile, ConnectorState
from agent.ocpp.outbox import Outbox
from agent.ocpp.rpc import CallReceived
from agent.ocpp.session import Session
from agent.ocpp.transaction_queue import TransactionQueue
from agent.ocpp.variables import BASIC_AUTH_PASSWORD, Path, Settings, controllers
from agent.store import Change, StoreError
from tests.ocpp.charging import FakeCharging
from tests.ocpp.official import check_payload

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
RW = Mutability.READ_WRITE


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.offset = timedelta()
        self.corrections: list[datetime] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0) + self.offset

    def correct(self, utc: datetime) -> float:
        moved = utc - self.now()
        self.offset += moved
        self.corrections.append(utc)
        return moved.total_seconds()


class MemoryStore:
    """A store's queue without a disk, and what it keeps: room → key → value."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, str]] = {}
        self.rooms: dict[str, dict[str, str]] = {}
        self.number = 0
        self.broken = False

    def messages(self) -> list[tuple[int, str, str]]:
        return [(number, *row) for number, row in self.rows.items()]

    async def add_message(self, action: str, payload: str) -> int:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreError("the disk is full")
        self.number += 1
        self.rows[self.number] = (action, payload)
        return self.number

    async def remove_message(self, number: int) -> None:
        del self.rows[number]

    def kept(self, room: str) -> dict[str, str]:
        return dict(self.rooms.get(room, {}))

    async def keep(self, changes: Iterable[Change], messages: Sequence[tuple[str, str]] = ()) -> list[int]:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreError("the disk is full")
        for room, key, value in changes:
            if key is None:
                self.rooms.pop(room, None)
            elif value is None:
                self.rooms.get(room, {}).pop(key, None)
            else:
                self.rooms.setdefault(room, {})[key] = value
        return [await self.add_message(*message) for message in messages]


def hardware() -> list[Variable]:
    """A small station's variables: two EVSEs, a fan with limits, an RCD, something of every mutability."""
    boolean, text, integer = (
        Characteristics(DataType.BOOLEAN),
        Characteristics(DataType.STRING, max_limit=2500),
        Characteristics(DataType.INTEGER),
    )
    state = Characteristics(DataType.OPTION_LIST, values=("Available", "Occupied", "Faulted"))
    fan = Component("AirCoolingSystem")
    variables = [
        Variable(Component("ChargingStation"), "AvailabilityState", state, Attribute("Available")),
        Variable(Component("ChargingStation"), "Available", boolean, Attribute(True)),
        Variable(Component("ChargingStation"), "Problem", boolean, Attribute(False)),
    ]
    for evse, connectors in ((1, 2), (2, 1)):
        component = Component("EVSE", evse=evse)
        power = Characteristics(DataType.DECIMAL, unit="W", max_limit=22080.0)
        variables += [
            Variable(component, "AvailabilityState", state, Attribute("Available")),
            Variable(component, "Available", boolean, Attribute(True)),
            Variable(component, "Power", power),
        ]
        for connector in range(1, connectors + 1):
            place = Component("Connector", evse=evse, connector=connector)
            variables.append(Variable(place, "AvailabilityState", state, Attribute("Available")))
        rcd = Component("RCD", evse=evse)
        variables += [
            Variable(rcd, "Tripped", boolean, Attribute(False), max_age=3.0),
            Variable(rcd, "Problem", boolean, Attribute(False)),
        ]
    variables += [
        Variable(
            fan,
            "FanSpeed",
            Characteristics(DataType.DECIMAL, "RPM", 0, 1000),
            Attribute(312.5),
            target=Attribute(None, RW, persistent=True),
            min_set=Attribute(200.0, RW, persistent=True),
            max_set=Attribute(500.0, RW, persistent=True),
            max_age=3.0,
        ),
        Variable(fan, "Problem", boolean, Attribute(False)),
        Variable(Component("AirCoolingSystem", "2"), "FanSpeed", Characteristics(DataType.DECIMAL, "RPM")),
        Variable(Component("Display"), "Text", text, Attribute('a "quoted" text, ⌁ and more\n', RW)),
        Variable(Component("Display"), "Enabled", boolean, Attribute(False, RW)),
        Variable(Component("Display"), "Active", boolean, Attribute(False)),
        Variable(Component("Fuse"), "Rating", integer, Attribute(63, constant=True)),
    ]
    return variables


class Home:
    """A station as the OCPP side sees it; without `charging` it charges no cars. `now_set` remembers the settings."""

    heard = True

    def __init__(
        self,
        clock: FakeClock | SystemClock | None = None,
        store: object | None = None,
        charging: FakeCharging | None = None,
        computer: str = "start-1",
    ) -> None:
        self.clock = clock or SystemClock()
        self.model = DeviceModel()
        self.charging = charging
        self.computer = computer
        evses = () if charging is None else (1, 2)
        for variable in (*hardware(), *controllers(self.clock, "CS 001", 1, evses=evses)):
            self.model.add(variable)
        self.settings = Settings(self.model)
        self.store = store if store is not None else MemoryStore()
        self.boot_info = BootInfo("AC-22", "Acme", "0001", "0.1.0")
        self.boot_reason = "PowerUp"
        self.profile = ConnectionProfile("ws://127.0.0.1:1/ocpp", "CS 001", "a-long-password-1")
        self.statuses = {(1, 1): "Available", (1, 2): "Available", (2, 1): "Available"}
        self.resets: list[str] = []
        self.now_set: list[tuple[str, str, str, float]] = []
        self.before_set: Callable[[], object] = lambda: asyncio.sleep(0)

    def put(self, path: Path, value: int | str) -> None:
        variable = self.settings.variable(path)
        assert variable is not None
        variable.update(value)

    def connection(self) -> ConnectionProfile:
        return self.profile

    def connectors(self) -> list[ConnectorState]:
        return [ConnectorState(*place, status) for place, status in self.statuses.items()]

    async def set_attribute(self, variable: Variable, kind: AttributeType, text: str, seconds: float) -> Outcome:
        self.now_set.append((str(variable), kind, text, seconds))
        answer = check(variable, kind, text)
        if isinstance(answer, Refusal):
            return Outcome("Rejected", answer.code, answer.info)
        await self.before_set()  # type: ignore[misc]
        variable.attributes[kind].value = parse(text, variable.characteristics.data_type)
        if variable is self.settings.variable(BASIC_AUTH_PASSWORD):
            profile = self.profile
            self.profile = ConnectionProfile(profile.csms_url, profile.identity, text, profile.proxy)
        return Outcome("Accepted")

    def request_reset(self, reason: str) -> None:
        self.resets.append(reason)


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await asyncio.sleep(0.005)


def checked(frame: str) -> list[Any]:
    """A frame of the station, as JSON; its payload is valid by the official schema."""
    message = json.loads(frame)
    if message[0] == 2:
        check_payload(f"{message[2]}Request", message[3])
    return message


class Line:
    """A session on a line, with a clock that the test moves and a CSMS that the test is."""

    def __init__(
        self,
        home: Home | None = None,
        store: object | None = None,
        charging: FakeCharging | None = None,
        computer: str = "start-1",
    ) -> None:
        self.clock = FakeClock() if home is None else home.clock
        self.home = home or Home(self.clock, store, charging, computer)
        self.outbox = Outbox(self.home.store, lambda: None)
        answered = (lambda *_: None) if self.home.charging is None else self.home.charging.transaction_answered
        self.transactions = TransactionQueue(
            self.home.store,
            self.home.settings,
            lambda: None,
            answered,
            boot=self.home.computer,
            ahead=self.clock.now().timestamp() - self.clock.monotonic(),
        )
        self.session = Session(self.home, self.home.settings, self.outbox, lambda: 0.5, self.transactions)
        self.context = Context(self.home, self.home.settings, self.session.reports, self.session)

    def open(self) -> "Line":
        self.session.opened(self.clock.seconds)
        return self

    def close(self) -> None:
        self.session.closed(self.clock.seconds)

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def out(self) -> list[Any] | None:
        """The CALL that the station sends now."""
        frame = self.session.poll(self.clock.seconds)
        return None if frame is None else checked(frame)

    def expect(self, action: str) -> list[Any]:
        message = self.out()
        assert message is not None and message[2] == action, f"{message} instead of {action}"
        return message

    def take(self, frame: Any) -> Any:
        """Hand the station a frame; returns the CALL it has to handle or the frame it sends at once."""
        return self.session.receive(json.dumps(frame), self.clock.seconds)

    def answer(self, message: list[Any], payload: Any = None) -> None:
        payload = payload or ANSWERS.get(message[2], {})
        check_payload(f"{message[2]}Response", payload)
        assert self.take([3, message[1], payload]) is None

    def fail(self, message: list[Any], code: str) -> None:
        assert self.take([4, message[1], code, "", {}]) is None

    async def ask(self, action: str, payload: Any) -> Any:
        """Call the station and return its response's payload; what follows the response has been set going."""
        check_payload(f"{action}Request", payload)
        call = self.take([2, f"id-{next(_numbers)}", action, payload])
        assert isinstance(call, CallReceived), call
        reply = await HANDLERS[action](self.context, call)
        frame = json.loads(self.session.reply(call, reply, self.clock.seconds))
        check_payload(f"{action}Response", frame[2])
        if reply.then is not None:
            reply.then()
        return frame[2]

    def boot(self, status: str = "Accepted", interval: int = 300) -> None:
        self.answer(self.expect("BootNotification"), boot_answer(status, interval))

    def settle(self) -> list[list[Any]]:
        """Answer everything that is sent, until nothing more is; returns what was sent."""
        sent = []
        while (message := self.out()) is not None:
            sent.append(message)
            self.answer(message)
        return sent


def booted(store: object) -> Line:
    """The line of a new process on `store`; the CSMS has accepted it, and nothing more is sent yet."""
    line = Line(store=store, charging=FakeCharging()).open()
    line.boot()
    return line


def boot_answer(status: str = "Accepted", interval: int = 300, time: str = "2026-01-31T12:00:00Z") -> dict[str, Any]:
    return {"currentTime": time, "interval": interval, "status": status}


ANSWERS: dict[str, Any] = {
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    "BootNotification": boot_answer(),
    "Heartbeat": {"currentTime": "2026-01-31T12:00:00Z"},
}
_numbers = itertools.count(1)
