"""A board of another build: contactor and lock on pins, a controller with a meter, a keyboard as card reader."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.board import load
from drivers import Reading, open_bus
from drivers.bench.ev import EvSettings
from drivers.bench.readers import line_of
from drivers.bench.refusals import CannotStart, NoSuchPlace
from drivers.bench.rig import Rig
from drivers.settings import Reader
from tests.bench.parts import until

BOARD = """\
station: {vendor: V, model: M}
evses:
  1:
    phases: 1
    max_current: 32
    connectors:
      1:
        type: sType2
        controller: chip
        hardware: {enable: relays.contactor, contactor_closed: relays.feedback, lock: relays.lock}
  2:
    phases: 3
    max_current: 32
    connectors: {1: {type: cType2}}
buses:
  lan: {driver: modbus-tcp, host: 192.0.2.1}
  pins: {driver: gpio}
  keys: {driver: evdev-reader, port: /dev/input/event7}
devices:
  chip: {bus: lan, unit: 1, profile: phoenix-contact-charx}
  relays:
    bus: pins
    kind: pins
    points:
      contactor: {output: 5}
      feedback: {input: 6, active: low, pull: up}
      lock: {output: 7}
      bay: {input: 8}
  reader: {bus: keys, kind: reader, token_type: Local}
components:
  - name: TokenReader
    variables:
      Token: {actual: {from: reader.token, max_age: 3s}}
  - name: BayOccupancySensor
    evse: 1
    variables:
      Active: {actual: {from: relays.bay, max_age: 3s, invert: true}}
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    path = tmp_path / "board.yaml"
    path.write_text(BOARD)
    rig = Rig(load(str(path)), tmp_path)
    await rig.start()
    yield rig
    await rig.stop()


async def test_roles_on_several_devices_make_one_connector(rig: Rig) -> None:
    world = rig.world
    charger = world.places.connector(1, 1)
    charger.plug(EvSettings())
    world.write("chip", "offered_current", 16.0)
    assert (charger.state()["pilot"], charger.state()["contactor"]) == ("C", False)
    world.write("relays", "contactor", True)
    world.write("relays", "lock", True)
    assert world.point("relays", "feedback").value is True
    for _ in range(30):
        world.step(0.1)
    assert charger.state()["current_a"] == [16, 0, 0]
    assert charger.state()["locked"] is True
    # The controller's own meter sees its connector, whether or not an EVSE's meter is behind it.
    assert world.point("chip", "power").number == pytest.approx(16 * 230)
    world.let_go("relays", "contactor")  # the agent died, and its pins let go
    assert charger.state()["contactor"] is False


async def test_a_sign_of_life_that_means_something_is_in_the_log_where_it_changes(rig: Rig) -> None:
    since = rig.world.log.next
    for value in (10.0, 10.0, 12.0):
        rig.world.write("chip", "offered_current", value)
    assert [entry["value"] for entry in rig.world.log.since(since)] == [10.0, 12.0]


async def test_a_connector_without_a_controller_takes_a_plug_and_gives_nothing(rig: Rig) -> None:
    charger = rig.world.places.connector(2, 1)
    charger.plug(EvSettings())
    rig.world.step(10)
    assert (charger.state()["pilot"], charger.state()["contactor"], charger.state()["power_w"]) == ("B", False, 0)


async def test_a_sensor_that_is_inverted_says_so_on_its_point(rig: Rig) -> None:
    bay = rig.world.places.bay(1)
    assert (bay.on, bay.point.value) == (False, True)
    bay.set(True)
    assert (rig.world.snapshot()["evse"]["1"]["bay"], bay.point.value) == ({"occupied": True}, False)


async def test_what_this_board_has_not_got_is_no_place(rig: Rig) -> None:
    for ask in (rig.world.places.reader, rig.world.places.button):
        with pytest.raises(NoSuchPlace):
            ask(1)
    with pytest.raises(NoSuchPlace):
        rig.world.places.connector(2, 1).need_lock()


async def test_a_card_is_typed_by_a_keyboard_that_is_read_by_the_real_driver(rig: Rig, tmp_path: Path) -> None:
    board = load(str(tmp_path / "board.yaml"), rig.overlay)
    bus = open_bus("keys", board.buses["keys"], {"reader": board.devices["reader"]}, board.profiles, time.monotonic)
    told: list[tuple[str, object]] = []

    def sink(device: str, point: str, reading: Reading) -> None:
        if not told or (point, reading.value) not in told[-2:]:
            told.append((point, reading.value))

    task = asyncio.create_task(bus.run(sink))
    await until(lambda: told)
    rig.world.places.reader(0).swipe("de-Ad/04_A1 {x}", "KeyCode")
    await until(lambda: ("token", "de-Ad/04_A1 {x}") in told)
    assert ("token_type", "KeyCode") in told
    rig.world.set_fault("reader", "garbage")
    rig.world.places.reader(0).swipe("04FF", "Local")
    rig.world.set_fault("reader", "none")
    rig.world.places.reader(0).swipe("04FE", "Local")
    await until(lambda: ("token", "04FE") in told)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {value for point, value in told if point == "token"} == {"", "de-Ad/04_A1 {x}", "04FE"}


def test_a_wire_without_a_far_end_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    board = load("bench-ac")
    wire = SimpleNamespace(driver="carrier-pigeon")
    strange = replace(board, buses={**board.buses, "loft": wire})  # type: ignore[dict-item]
    with pytest.raises(CannotStart, match=r"loft.*carrier-pigeon"):
        Rig(strange, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (None, "Local:04A1"),
        ("(?P<type>[A-Za-z]+):(?P<token>.+)", "Local:04A1"),
        ("(?P<token>[0-9A-F]+)", "04A1"),
        ("card (?P<token>[0-9A-F]+)", "04A1"),
    ],
)
def test_a_reader_says_a_card_in_the_form_that_its_board_expects_if_it_can(pattern: str | None, line: str) -> None:
    assert line_of(Reader(bus="b", kind="reader", pattern=pattern), "04A1", "Local") == line
