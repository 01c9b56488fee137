"""Controllers, readers, buttons and bays of bench-ac on their wires, by the real drivers."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from agent.board import load
from drivers import Bus, NoAnswer, Quality, Reading, open_bus
from drivers.bench.ev import EvSettings
from drivers.bench.rig import Rig
from tests.bench.parts import until

WHERE = {"charger-1-1": ("lan", 1, 1), "charger-1-2": ("lan", 1, 2), "charger-2-1": ("rs485", 2, 1)}


class Wires:
    """The agent's ends of the wires: its drivers, and the newest reading of each point."""

    def __init__(self, rig: Rig, names: tuple[str, ...]) -> None:
        board = load("bench-ac", rig.overlay)
        self.rig = rig
        self.readings: dict[str, Reading] = {}
        self.buses: dict[str, Bus] = {}
        self.told: list[tuple[str, object]] = []
        """Each new value in the order in which it came."""
        for name in names:
            devices = {device: told for device, told in board.devices.items() if told.bus == name}
            self.buses[name] = open_bus(name, board.buses[name], devices, board.profiles, time.monotonic)
        self.tasks = {name: asyncio.create_task(bus.run(self._sink)) for name, bus in self.buses.items()}

    def _sink(self, device: str, point: str, reading: Reading) -> None:
        key = f"{device}.{point}"
        if key not in self.readings or self.readings[key].value != reading.value:
            self.told.append((key, reading.value))
        self.readings[key] = reading

    def value(self, key: str) -> object:
        reading = self.readings.get(key)
        return None if reading is None or reading.quality is Quality.BAD else reading.value

    async def reads(self, key: str, wanted: object) -> None:
        await until(lambda: self.value(key) == wanted, f"{key} = {wanted}")

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@pytest.fixture
async def wires(rig: Rig) -> AsyncIterator[Wires]:
    wires = Wires(rig, ("lan", "rs485", "pins", "cards", "cards-1", "cards-2"))
    yield wires
    await wires.close()


@pytest.mark.parametrize("name", WHERE)
async def test_a_car_is_charged_over_the_wire(wires: Wires, name: str) -> None:
    bus_name, evse, connector = WHERE[name]
    bus, charger = wires.buses[bus_name], wires.rig.world.places.connector(evse, connector)
    await wires.reads(f"{name}.pilot", "A")
    assert wires.value(f"{name}.plugged") is False
    charger.plug(EvSettings())
    await wires.reads(f"{name}.pilot", "B")
    await wires.reads(f"{name}.cable_current", 32)
    for point, value in (("lock", True), ("offered_current", 16.25), ("enable", True)):
        await bus.write(name, point, value)
    assert charger.state()["contactor"] is True
    assert charger.state()["offered_a"] == 16.25
    await wires.reads(f"{name}.contactor_closed", True)
    await wires.reads(f"{name}.pilot", "C")
    await wires.reads(f"{name}.locked", charger.socket)
    await wires.reads(f"{name}.offered_current", 16.25)
    await until(lambda: charger.state()["current_a"] == [16.25] * 3)
    await bus.write(name, "enable", False)
    assert charger.state()["contactor"] is False
    await wires.reads(f"{name}.contactor_closed", False)


async def test_the_agents_driver_arms_the_watchdog_and_its_death_ends_the_charge(wires: Wires) -> None:
    world = wires.rig.world
    charger = world.places.connector(1, 1)
    charger.plug(EvSettings())
    await wires.reads("charger-1-1.pilot", "B")
    for point, value in (("offered_current", 16), ("enable", True)):
        await wires.buses["lan"].write("charger-1-1", point, value)
    assert world.point("charger-1-1", "watchdog").value == 10
    assert charger.state()["contactor"]
    await asyncio.sleep(2.5)  # longer than from one sign of life to the next
    world.hold("charger-1-1", "watchdog", 3)
    await asyncio.sleep(3.5)
    assert charger.state()["contactor"], "signs of life come often enough"
    wires.tasks["lan"].cancel()
    await until(lambda: not charger.state()["contactor"])
    assert charger.state()["offered_a"] == 0


async def test_a_controller_without_a_supply_answers_nothing(wires: Wires) -> None:
    await wires.reads("charger-2-1.pilot", "A")
    wires.rig.world.cut_power()
    with pytest.raises(NoAnswer):
        await wires.buses["rs485"].write("charger-2-1", "enable", True)
    wires.rig.world.switch_on()
    await until(lambda: wires.value("charger-2-1.pilot") == "A")


async def test_a_welded_contactor_and_a_state_that_is_held_are_what_the_wire_says(wires: Wires) -> None:
    wires.rig.world.hold("charger-1-1", "contactor_closed", True)
    wires.rig.world.hold("charger-1-2", "pilot", "F")
    await wires.reads("charger-1-1.contactor_closed", True)
    await wires.reads("charger-1-2.pilot", "F")
    wires.rig.world.hold("charger-1-2", "pilot", "Z")
    await until(lambda: wires.readings["charger-1-2.pilot"].quality is Quality.BAD)


@pytest.mark.parametrize(("evse", "device"), [(0, "reader"), (1, "reader-1"), (2, "reader-2")])
async def test_a_card_comes_and_goes(wires: Wires, evse: int, device: str) -> None:
    await wires.reads(f"{device}.token", "")
    wires.rig.world.places.reader(evse).swipe("04A1B2C3", "ISO15693")
    await wires.reads(f"{device}.token", "04A1B2C3")
    assert wires.value(f"{device}.token_type") == "ISO15693"
    await wires.reads(f"{device}.token", "")
    assert [value for key, value in wires.told if key == f"{device}.token"] == ["", "04A1B2C3", ""]


async def test_a_reader_that_talks_noise_reads_no_card(wires: Wires) -> None:
    await wires.reads("reader.token", "")
    wires.rig.world.set_fault("reader", "garbage")
    for _ in range(20):
        wires.rig.world.places.reader(0).swipe("04A1B2C3", "ISO14443")
    wires.rig.world.set_fault("reader", "none")
    wires.rig.world.places.reader(0).swipe("04FF", "ISO14443")
    await wires.reads("reader.token", "04FF")
    assert [value for key, value in wires.told if key == "reader.token"] == ["", "04FF"]


async def test_a_button_and_a_bay_are_levels_on_pins(wires: Wires) -> None:
    await wires.reads("buttons.stop_1", False)
    await wires.reads("bays.occupied_2", False)
    wires.rig.world.places.button(1).press()
    wires.rig.world.places.bay(2).set(True)
    await wires.reads("bays.occupied_2", True)
    await until(lambda: ("buttons.stop_1", True) in wires.told)
    await wires.reads("buttons.stop_1", False)
    assert ("buttons.stop_2", True) not in wires.told
