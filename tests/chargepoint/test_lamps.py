"""Status indicators on real pins: what they show of the EVSEs, what the CSMS reads of them, and one that fails."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

import boards
from agent.board import load
from agent.chargepoint import ChargePoint
from agent.chargepoint.lamps import Lamp
from agent.chargepoint.limits_making import ratings
from agent.clock import SystemClock
from agent.evse.availability import Availability
from agent.evse.connector import Connector
from agent.evse.records import IdToken, IdTokenInfo, MeterValue, TransactionEvent
from agent.model import Component, Problems, Value, Variable
from agent.ocpp.host import RemoteStart
from agent.station import build_model
from agent.store import Change, Store
from drivers import Bus, DriverError, open_bus
from drivers.gpio_link import LinkServer
from drivers.settings import GpioSettings
from tests.drivers.seen import Seen, until

CARD = IdToken("04A1", "ISO14443")

RED, GREEN, BLUE, WHOLE_RED, WHOLE_GREEN, WHOLE_BLUE, WHOLE_BLINK = range(20, 27)
LAMPS = f"""
  lamps:
    bus: lamps
    kind: pins
    points:
      red: {{output: {RED}}}
      green: {{output: {GREEN}}}
      blue: {{output: {BLUE}}}
      whole_red: {{output: {WHOLE_RED}}}
      whole_green: {{output: {WHOLE_GREEN}}}
      whole_blue: {{output: {WHOLE_BLUE}}}
      whole_blink: {{output: {WHOLE_BLINK}}}
"""
ONE = "{red: lamps.red, green: lamps.green, blue: lamps.blue}"
WHOLE = "{red: lamps.whole_red, green: lamps.whole_green, blue: lamps.whole_blue, blink: lamps.whole_blink}"


def board_file(folder: Path) -> str:
    """bench-ac with lamps on a second set of pins: connector 1/1 has its own, EVSE 2 one that blinks by itself."""
    text = (boards.FOLDER / "bench-ac.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("controller: charger-1-1", f"controller: charger-1-1, status_led: {ONE}"),
        ("  2:\n    phases: 3\n", f"  2:\n    status_led: {WHOLE}\n    phases: 3\n"),
        (
            "\n\ndevices:\n",
            f"\n  lamps: {{driver: gpio, factory: link, socket: {folder / 'pins'}}}\n\ndevices:{LAMPS}",
        ),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "lamps.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


class Station:
    """EVSEs on a real model and store, whose only wire is that of the lamps; charge controllers say what `plug` does.

    `bus` is not running before `light_up`, as a wire that is not there.
    """

    def __init__(self, folder: Path) -> None:
        board = load(board_file(folder))
        wiring = build_model(board)
        self.model, self.clock, self.store = wiring.model, SystemClock(), Store(folder)
        self.pins: dict[int, list[bool]] = {}
        self.far_end = LinkServer(folder / "pins", self._switched, lambda pin: None)
        settings = board.buses["lamps"]
        assert isinstance(settings, GpioSettings)
        self.bus: Bus = open_bus("lamps", settings, {"lamps": board.devices["lamps"]}, {}, time.monotonic)
        self.inputs = {(one.evse, one.connector): one.inputs for one in wiring.connectors}
        groups: dict[int, dict[int, Connector]] = {1: {}, 2: {}}
        for one in wiring.connectors:
            groups[one.evse][one.connector] = Connector(
                one.evse, one.connector, socket=one.socket, inputs=one.inputs, outputs=frozenset(one.outputs)
            )
        self.told: list[str] = []
        self.times_lost = 0
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
            problems=Problems(self.model, lambda variable, *_: self.told.append(str(variable))),
            request_reset=lambda reason: None,
            indicators=wiring.indicators,
        )
        self.charging.online(True)
        for variable in self.model.variables():
            if f"{variable.component.name}.{variable.name}" in ("RCD.Tripped", "EmergencyStopSensor.Active"):
                variable.update(False)
        for place in self.inputs:
            self.plug(*place, pilot="A")

    def _switched(self, pin: int, value: float) -> None:
        self.pins.setdefault(pin, []).append(value >= 0.5)

    # --- what stands around it -------------------------------------------------------------------------------------

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        return IdTokenInfo("Accepted")

    async def keep_event(self, event: TransactionEvent, changes: Sequence[Change]) -> bool:
        await self.store.keep(changes)
        return True

    def limit_notice(self, notice: object) -> None: ...

    def reservation_ended(self, reservation_id: int, status: str) -> None: ...

    def meter_values(self, evse: int, value: MeterValue) -> None: ...

    async def write(self, output: tuple[str, str], value: Value) -> None:
        assert isinstance(value, bool)
        await self.bus.write(*output, value)

    def outputs(self, connector: Connector) -> Mapping[str, tuple[str, str]]:
        return {}

    def generation(self, output: tuple[str, str]) -> int:
        return self.times_lost

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (DriverError,)

    # --- what happens, and what is seen ----------------------------------------------------------------------------

    def plug(self, evse: int, connector: int, pilot: str = "B", closed: bool = False) -> None:
        readings: dict[str, Value] = {
            "pilot": pilot,
            "plugged": pilot != "A",
            "contactor_closed": closed,
            "locked": pilot != "A",
            "fault": 0,
        }
        for role, variable in self.inputs[evse, connector].items():
            variable.update(readings.get(role, 0), self.clock.monotonic())

    def start(self, evse: int) -> None:
        answer = self.charging.request_start(RemoteStart(7, CARD, None, evse))
        assert answer.status == "Accepted" and answer.then is not None
        answer.then()

    def lit(self, *pins: int) -> tuple[bool, ...]:
        """Whether each of the lamps is on now."""
        return tuple(self.pins.get(pin, [False])[-1] for pin in pins)

    def shown(self, name: str, evse: int, connector: int | None = None) -> Variable:
        variable = self.model.get(Component("ChargingStatusIndicator", None, evse, connector), name)
        assert variable is not None
        return variable

    async def color(self, wanted: str | None, evse: int, connector: int | None = None) -> None:
        await until(lambda: self.shown("Color", evse, connector).actual.value == wanted)

    @contextlib.asynccontextmanager
    async def light_up(self) -> AsyncIterator[None]:
        """The wire of the lamps is there meanwhile."""
        await self.far_end.start()
        running = asyncio.create_task(self.bus.run(Seen()))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.far_end.close()


@pytest_asyncio.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    one = Station(tmp_path)
    working = asyncio.create_task(one.charging.run(one))
    yield one
    assert not working.done()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    one.store.close()


async def test_the_lamps_and_the_device_model_show_what_an_evse_is_at(station: Station) -> None:
    one = (RED, GREEN, BLUE)
    whole = (WHOLE_RED, WHOLE_GREEN, WHOLE_BLUE)
    async with station.light_up():
        await station.color("00FF00", 1, 1)
        await station.color("00FF00", 2)
        await until(lambda: station.lit(*one) == station.lit(*whole) == (False, True, False))
        assert station.shown("Active", 1, 1).actual.value is True
        station.plug(1, 1)
        await station.color("FFFF00", 1, 1)
        await until(lambda: station.lit(*one) == (True, True, False))
        await until(lambda: station.lit(*whole) == (False, True, False))
        station.charging.availability.set_fault(1, None, "test", True)
        await station.color("FF0000", 1, 1)
        await until(lambda: station.lit(*one) == (True, False, False))
        assert await station.charging.change_availability(2, None, False) == "Accepted"
        await station.color("FFFFFF", 2)
        await until(lambda: station.lit(*whole) == (True, True, True))


async def test_an_emergency_stop_is_red_on_every_lamp(station: Station) -> None:
    stop = station.model.get(Component("EmergencyStopSensor"), "Active")
    assert stop is not None
    async with station.light_up():
        await station.color("00FF00", 2)
        stop.update(True)
        await station.color("FF0000", 1, 1)
        await station.color("FF0000", 2)


async def test_a_lamp_blinks_by_hand_and_counts_as_lit_all_the_time(station: Station) -> None:
    async with station.light_up():
        await station.color("00FF00", 1, 1)
        await until(lambda: station.lit(GREEN) == (True,))
        said: list[Value | None] = []
        for name in ("Active", "Color"):
            station.shown(name, 1, 1).listen(lambda variable, old, new: said.append(new))
        station.start(1)  # and no car comes: green, blinking
        before = len(station.pins[GREEN])
        await until(lambda: len(station.pins[GREEN]) >= before + 4)
        after = station.pins[GREEN][before:]
        assert after == [False, True] * (len(after) // 2) + [False] * (len(after) % 2)
        assert not any(station.pins[RED]) and not any(station.pins[BLUE])
        assert said == []
        station.charging.availability.set_fault(1, None, "test", True)
        await until(lambda: station.lit(RED, GREEN, BLUE) == (True, False, False))
        count = len(station.pins[RED])
        await asyncio.sleep(3 * Lamp.BLINK)
        assert (station.lit(RED, GREEN, BLUE), len(station.pins[RED])) == ((True, False, False), count)


async def test_hardware_that_blinks_by_itself_is_told_so_once(station: Station) -> None:
    async with station.light_up():
        await station.color("00FF00", 2)
        await until(lambda: station.lit(WHOLE_GREEN, WHOLE_BLINK) == (True, False))
        station.start(2)
        await until(lambda: station.lit(WHOLE_BLINK) == (True,))
        count = len(station.pins[WHOLE_GREEN])
        await asyncio.sleep(3 * Lamp.BLINK)
        assert station.lit(WHOLE_RED, WHOLE_GREEN, WHOLE_BLUE, WHOLE_BLINK) == (False, True, False, True)
        assert len(station.pins[WHOLE_GREEN]) == count


async def test_what_the_hardware_may_have_forgotten_is_told_again(station: Station) -> None:
    async with station.light_up():
        await station.color("00FF00", 1, 1)
        station.pins.clear()
        station.times_lost += 1
        await until(lambda: station.lit(GREEN) == (True,))


async def test_a_lamp_that_fails_stops_no_charge_and_says_so(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lamp, "AGAIN", 0.5)
    problem = station.shown("Problem", 1, 1)
    await until(lambda: problem.actual.value is True)  # nobody opened the wire
    assert station.shown("Color", 1, 1).actual.value is station.shown("Active", 1, 1).actual.value is None
    station.plug(1, 1, pilot="C")
    await until(lambda: station.charging.evses[1].connected)
    station.start(1)
    command = station.charging.evses[1].connectors[1].command
    await until(lambda: command.enable and command.offered > 0)
    async with station.light_up():
        await station.color("0000FF", 1, 1)
        await until(lambda: problem.actual.value is False)
        assert command.enable
    assert station.told.count(str(problem)) >= 2  # that it is there, and that it is gone


async def test_a_wire_that_opens_late_is_no_problem(station: Station) -> None:
    await asyncio.sleep(0.05)  # the first try fails
    async with station.light_up():
        await station.color("00FF00", 1, 1)
        await station.color("00FF00", 2)
        assert station.told == []
