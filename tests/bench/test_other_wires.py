"""P1 telegrams, pins and kernel files of bench-ac, as the drivers see them, sound and faulty."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import serial
from dsmr_parser import telegram_specifications
from dsmr_parser.exceptions import InvalidChecksumError, ParseError
from dsmr_parser.parsers import TelegramParser

from agent.board import Board, load
from drivers import Bus, Quality, Reading, open_bus
from drivers.bench.rig import Rig
from tests.bench.parts import until

Seen = dict[str, Reading]


@pytest.fixture
async def seen(rig: Rig) -> AsyncIterator[Seen]:
    """The newest reading of each point on the pins and in the kernel's files, by the real drivers."""
    board = load("bench-ac", rig.overlay)
    readings: Seen = {}

    def sink(device: str, point: str, reading: Reading) -> None:
        readings[f"{device}.{point}"] = reading

    buses = [bus_of(board, name) for name in ("pins", "kernel")]
    tasks = [asyncio.create_task(bus.run(sink)) for bus in buses]
    readings["bus"] = buses[0]  # type: ignore[assignment]  # for the tests that write
    yield readings
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def bus_of(board: Board, name: str) -> Bus:
    devices = {device: told for device, told in board.devices.items() if told.bus == name}
    return open_bus(name, board.buses[name], devices, board.profiles, time.monotonic)


def value(seen: Seen, point: str) -> object:
    return seen[point].value if point in seen else None


def is_bad(seen: Seen, point: str) -> bool:
    return point in seen and seen[point].quality is Quality.BAD


# --- P1 -------------------------------------------------------------------------------------------------------------


async def heard(rig: Rig, seconds: float) -> str:
    with serial.Serial(rig.overlay["buses"]["p1"]["port"], timeout=0) as port:
        deadline, data = time.monotonic() + seconds, b""
        while time.monotonic() < deadline and not (data.startswith(b"/") and data.count(b"!") and data[-1:] == b"\n"):
            data += port.read(4096)
            await asyncio.sleep(0.01)
    return data.decode("latin-1")


async def test_an_independent_parser_reads_the_telegrams(rig: Rig) -> None:
    rig.world.set_grid(9000, (2000, 3000, 4000))
    rig.world.hold("grid-meter", "energy_import", 1_234_567)
    parsed = TelegramParser(telegram_specifications.V5).parse(await heard(rig, 20))
    assert float(parsed.CURRENT_ELECTRICITY_USAGE.value) == 9.0
    tariffs = (parsed.ELECTRICITY_USED_TARIFF_1, parsed.ELECTRICITY_USED_TARIFF_2)
    assert round(sum(float(tariff.value) for tariff in tariffs), 3) == 1234.567
    assert float(parsed.INSTANTANEOUS_CURRENT_L3.value) == pytest.approx(4000 / 230, rel=0.02)


async def test_a_telegram_that_nobody_read_does_not_wait_for_the_next_reader(rig: Rig) -> None:
    await asyncio.sleep(2.5)
    rig.world.hold("grid-meter", "power_import", 4321)
    await asyncio.sleep(1.2)
    text = await heard(rig, 20)
    assert text.count("/BEN") == 1
    assert "1-0:1.7.0(04.321*kW)" in text


async def test_a_meter_that_is_offline_is_silent(rig: Rig) -> None:
    rig.world.set_fault("grid-meter", "offline")
    assert await heard(rig, 2.5) == ""
    rig.world.set_fault("grid-meter", "none")
    assert (await heard(rig, 20)).startswith("/BEN")


async def test_a_meter_that_talks_noise_sends_no_telegram(rig: Rig) -> None:
    rig.world.set_fault("grid-meter", "garbage")
    text = await heard(rig, 2.5)
    assert text
    with pytest.raises((InvalidChecksumError, ParseError, ValueError)):
        TelegramParser(telegram_specifications.V5).parse(text)


# --- pins -----------------------------------------------------------------------------------------------------------


async def test_inputs_are_there_before_the_first_read_and_follow(rig: Rig, seen: Seen) -> None:
    rig.world.hold("rcd-2", "tripped", True)
    await until(lambda: value(seen, "rcd-1.tripped") is False and value(seen, "rcd-2.tripped") is True)
    rig.world.release("rcd-2", "tripped")
    await until(lambda: value(seen, "rcd-2.tripped") is False)


async def test_a_tacho_turns_as_fast_as_the_fan(rig: Rig, seen: Seen) -> None:
    rig.world.hold("fan-2", "rpm", 1002)
    await until(lambda: abs(float(seen["fan-2.rpm"].value or 0) - 1002) < 30 if "fan-2.rpm" in seen else False)
    rig.world.set_fault("fan-2", "offline")
    await until(lambda: value(seen, "fan-2.rpm") == 0)


async def test_what_the_agent_writes_to_pins_is_in_the_log(rig: Rig, seen: Seen) -> None:
    await until(lambda: "fan-2.duty" in seen)
    bus: Bus = seen["bus"]  # type: ignore[assignment]
    since = rig.world.log.next
    await bus.write("fan-2", "duty", 0.45)
    await bus.write("rcd-1", "test", True)

    def writes() -> list[tuple[str, str, object]]:
        entries = rig.world.log.since(since)
        return [(e["device"], e["point"], e["value"]) for e in entries if e["what"] == "write"]

    # The test output is a pulse: it falls back by itself.
    expected = [("fan-2", "duty", 0.45), ("rcd-1", "test", True), ("rcd-1", "test", False)]
    await until(lambda: [w for w in writes() if w in expected] == expected, "writes")
    assert rig.world.point("fan-2", "duty").value == 0.45


async def test_slow_pins_show_what_was_a_while_ago(rig: Rig, seen: Seen) -> None:
    await until(lambda: value(seen, "rcd-1.tripped") is False)
    rig.world.set_fault("rcd-1", "slow")
    rig.world.hold("rcd-1", "tripped", True)
    await asyncio.sleep(1.0)
    assert value(seen, "rcd-1.tripped") is False
    await until(lambda: value(seen, "rcd-1.tripped") is True)


# --- kernel files ---------------------------------------------------------------------------------------------------


def temperature_file(rig: Rig) -> Path:
    root = Path(rig.overlay["buses"]["kernel"]["root"])
    return next(root.glob("sys/bus/w1/devices/28-*")) / "temperature"


async def test_a_temperature_stands_in_its_file_in_thousandths(rig: Rig, seen: Seen) -> None:
    rig.world.hold("cabinet", "temperature", 41.5)
    assert temperature_file(rig).read_text() == "41500\n"
    await until(lambda: value(seen, "cabinet.temperature") == 41.5)


@pytest.mark.parametrize("fault", ["offline", "garbage", "slow"])
async def test_a_faulty_file_is_a_bad_reading_and_heals(rig: Rig, seen: Seen, fault: str) -> None:
    await until(lambda: value(seen, "cabinet.temperature"))
    rig.world.set_fault("cabinet", fault)
    assert temperature_file(rig).exists() is (fault != "offline")
    await until(lambda: is_bad(seen, "cabinet.temperature"))
    rig.world.set_fault("cabinet", "none")
    await until(lambda: value(seen, "cabinet.temperature"))


async def test_no_reader_of_a_slow_file_waits_for_ever_when_it_heals(rig: Rig) -> None:
    path, done, texts = temperature_file(rig), threading.Event(), [0]

    def read_again_and_again() -> None:
        while not done.is_set():
            texts[0] += bool(path.read_bytes())

    reader = threading.Thread(target=read_again_and_again, daemon=True)
    reader.start()
    try:
        for _ in range(30):
            rig.world.set_fault("cabinet", "slow")
            await asyncio.sleep(0.02)
            rig.world.set_fault("cabinet", "none")
            before = texts[0]
            await until(lambda before=before: texts[0] > before + 1, "a reading")  # type: ignore[misc]
    finally:
        done.set()
    await asyncio.to_thread(reader.join, 10)
    assert not reader.is_alive()
