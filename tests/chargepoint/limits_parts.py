"""What the tests of limits share: the charge point of bench-ac with hardware that follows, and who may limit it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from agent.board import Board, load
from agent.chargepoint import ChargePoint
from agent.chargepoint.limits import Limiters
from agent.chargepoint.limits_making import ratings
from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.limits import Command, Unit
from agent.charging.notices import Notice
from agent.evse.availability import Availability
from agent.evse.connector import Connector
from agent.evse.records import IdToken, IdTokenInfo, MeterValue, TransactionEvent
from agent.model import Component, DeviceModel, Problems, Value, Variable, parse_place
from agent.station import build_model
from agent.store import Change, Store
from tests.evse.auth_parts import Clock
from tests.evse.evse_parts import Plant

TICK = 0.25
CARD, OTHER = IdToken("04A1", "ISO14443"), IdToken("04B2", "ISO14443")

PATIENT = FailsafeSettings(4200, after=1e6, hold=1e6, then="unlimited", start="unlimited")
"""Of a control system that is silent as long as a test lasts."""


class Car(Plant):
    """A car that takes so much of what it is offered, or draws `stubborn` A whatever it is offered. Its contactor
    opens a tick late.
    """

    takes = 32.0
    stubborn: float | None = None
    wh = 1000.0
    _opens = False

    def follow(self) -> None:
        before = self.closed
        super().follow()
        self._opens = before and not self.closed and not self._opens
        self.closed = self.closed or self._opens

    @property
    def amperes(self) -> float:
        offered = super().amperes
        if self.stubborn is not None and self.closed:
            return self.stubborn
        return min(offered, self.takes)


def two(station: "Station") -> Limiters:
    """An EMS called `modbus` and a grid operator called `mqtt`."""
    kinds: dict[str, Literal["EMS", "SO"]] = {"modbus": "EMS", "mqtt": "SO"}
    found = {
        name: ExternalSource(
            name, kind=kind, failsafe=PATIENT, clock=station.clock, scopes=(0, 1, 2), changed=lambda: None
        )
        for name, kind in kinds.items()
    }
    systems = {name: Component("ExternalControlSystem", name) for name in found}
    return Limiters(sources=list(found.values()), externals=found, systems=systems)


class Station:
    """The EVSEs on a real model, board and store; it is the line to the CSMS, too."""

    def __init__(
        self, folder: Path, who: Callable[["Station"], Limiters] = two, *, clock: Clock | None = None
    ) -> None:
        self.folder = folder
        self.board: Board = load("bench-ac")
        wiring = build_model(self.board)
        self.model: DeviceModel = wiring.model
        self.clock, self.store = clock or Clock(), Store(folder)
        self.told: list[TransactionEvent] = []
        self.notices: list[Notice] = []
        self.problems: list[tuple[str, str, str]] = []
        self.info = IdTokenInfo("Accepted")
        self.cars: dict[tuple[int, int], Car] = {}
        groups: dict[int, dict[int, Connector]] = {1: {}, 2: {}}
        for one in wiring.connectors:
            connector = Connector(
                one.evse, one.connector, socket=one.socket, inputs=one.inputs, outputs=frozenset(one.outputs)
            )
            groups[one.evse][one.connector] = connector
            self.cars[one.evse, one.connector] = Car(connector, one.inputs)
        self.limiters = who(self)
        self.charging = ChargePoint(
            self.model,
            groups,
            types={n: [one.type for one in evse.connectors.values()] for n, evse in self.board.evses.items()},
            ratings=ratings(self.board),
            without_storage={n: evse.without_storage for n, evse in self.board.evses.items()},
            clock=self.clock,
            store=self.store,
            line=self,
            availability=Availability(self.model, lambda *_: None),
            problems=Problems(self.model, self._problem),
            request_reset=lambda reason: None,
            limiters=self.limiters,
        )
        self.charging.online(True)
        for place in ("RCD@1.Tripped", "RCD@2.Tripped", "EmergencyStopSensor.Active"):
            self.set(place, False)
        self.keeping = asyncio.create_task(self.charging._keeping.run())

    async def close(self) -> None:
        await self.settle()
        self.keeping.cancel()
        self.store.close()

    # --- the line to the CSMS --------------------------------------------------------------------------------------

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        return self.info

    async def keep_event(self, event: TransactionEvent, changes: Sequence[Change]) -> bool:
        self.told.append(event)
        await self.store.keep(changes)
        return True

    def limit_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def reservation_ended(self, reservation_id: int, status: str) -> None: ...

    def meter_values(self, evse: int, value: MeterValue) -> None: ...

    def _problem(self, variable: Variable, cause: str, text: str) -> None:
        component = variable.component
        place = component.name + (f"@{component.evse}" if component.evse else "") + (component.instance or "")
        self.problems.append((place, cause, text))

    # --- what happens ----------------------------------------------------------------------------------------------

    def variable(self, place: str) -> Variable:
        component, name = parse_place(place)
        found = self.model.get(component, name)
        assert found is not None, place
        return found

    def set(self, place: str, value: Value | None) -> None:
        self.variable(place).update(value, self.clock.monotonic())

    def get(self, place: str) -> Value | None:
        return self.variable(place).actual.value

    async def settle(self) -> None:
        """All that was begun is done."""
        await self.charging._keeping.quiet.wait()
        while self.charging._tasks:
            await asyncio.gather(*self.charging._tasks)

    def look(self) -> None:
        now = self.clock.monotonic()
        for (evse, _), car in self.cars.items():
            car.read(now)
            there = [one for (number, _), one in self.cars.items() if number == evse]
            for line in ("L1", "L2", "L3"):
                self.set(f"FiscalMetering@{evse}.ACCurrent[{line}]", max(one.amperes for one in there))
                self.set(f"FiscalMetering@{evse}.ACVoltage[{line}]", 230.0)
            self.set(f"FiscalMetering@{evse}.EnergyImportRegister", there[0].wh)
        self.charging.step()

    async def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds / TICK)):
            for car in self.cars.values():
                car.follow()
                car.wh += car.amperes * 3 * 230 * TICK / 3600
            self.clock.move(TICK)
            self.look()
            await self.settle()

    async def charge(self, evse: int = 1, seconds: float = 8.0) -> Car:
        """A car comes, a driver presents the card."""
        car = self.cars[evse, 1]
        car.cable, car.pilot = True, "C"
        await self.run()
        await self.charging._desk.present(CARD, evse)
        await self.run(seconds)
        assert self.charging.evses[evse].state == "Charging"
        return car

    async def leave(self, evse: int = 1) -> None:
        car = self.cars[evse, 1]
        car.pilot = "A"
        await self.run()
        car.cable = False
        await self.run(8)
        assert self.charging.evses[evse].tx is None

    def limit(
        self, name: str, value: float, unit: Unit = "W", *, scope: int = 0, duration: float | None = None
    ) -> None:
        assert self.limiters.externals[name].limit(scope, Command(value, unit, duration), "master") is None

    def release(self, name: str, scope: int = 0) -> None:
        assert self.limiters.externals[name].release(scope, "master") is None

    def break_disk(self, broken: bool = True) -> None:
        self.store._run(lambda c: c.execute(f"PRAGMA query_only={int(broken)}")).result()

    # --- what is seen ----------------------------------------------------------------------------------------------

    def offered(self, evse: int = 1) -> float:
        active = self.charging.evses[evse].active
        return 0.0 if active is None else round(active.command.offered, 3)

    @property
    def triggers(self) -> list[str]:
        return [event.trigger_reason for event in self.told]

    def transaction(self, evse: int = 1) -> str:
        found = self.charging.evses[evse].tx
        assert found is not None
        return found.id
