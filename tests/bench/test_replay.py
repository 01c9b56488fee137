"""A wire that was recorded with a fault and is replayed: the driver sees the same fault again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.board import Board, load
from agent.cli import main
from drivers import Bus, DriverError, Quality, Reading, open_bus
from drivers.bench.refusals import CannotStart
from drivers.bench.replay import Answers
from drivers.bench.rig import Rig
from drivers.rapi import command
from drivers.trace import IN, OUT, BusTrace, Record, trace_of
from drivers.trace_file import Recording, header_line, record_line
from drivers.trace_file import load as load_recording

TIME = "2026-11-25T14:00:00.000+00:00"
Seen = list[tuple[str, str, Reading]]


def at_bus(board: Board, rig: Rig, bus: str) -> Bus:
    """The agent's side of `bus`, led to the far end as the overlay leads the agent."""
    settings = board.buses[bus].model_copy(update=rig.overlay["buses"][bus])
    devices = {name: told for name, told in board.devices.items() if told.bus == bus}
    return open_bus(bus, settings, devices, board.profiles, time.monotonic)


@contextlib.asynccontextmanager
async def reading(
    name: str, bus: str, folder: Path, recording: Recording | None = None
) -> AsyncIterator[tuple[Rig, Bus, Seen]]:
    """A driver at work on a bench's wire, sound or replayed; what it reads."""
    board = load(name)
    folder.mkdir()  # noqa: ASYNC240 - in a test
    rig = Rig(board, folder)
    if recording is not None:
        rig.replay(recording)
    await rig.start()
    seen: Seen = []
    wire = at_bus(board, rig, bus)
    task = asyncio.create_task(wire.run(lambda *said: seen.append(said)))
    try:
        yield rig, wire, seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, DriverError):
            await task
        await rig.stop()


async def until(question: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 30
    while not question():
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.02)


def trace(bus: Bus) -> BusTrace:
    found = trace_of(bus)
    assert found is not None
    return found


def recorded(folder: Path, bus: Bus, since: int = 0) -> Recording:
    """What `bus` has kept, through a file."""
    _, records = trace(bus).since(since)
    start = records[0][0]
    file = folder / "wire.jsonl"
    file.write_text(
        header_line("bench-ac", bus.name, trace(bus).driver, TIME)
        + "".join(record_line((at - start, way, data)) for at, way, data in records)
    )
    return load_recording(file)


def reasons(seen: Seen, device: str) -> set[str]:
    return {told.reason for name, _, told in seen if name == device and told.quality is Quality.BAD}


@pytest.mark.parametrize(
    ("bus", "device", "fault"),
    [
        ("lan", "meter-1", "exception"),
        ("lan", "meter-1", "offline"),
        ("lan", "meter-1", "garbage"),
        ("rs485", "meter-2", "exception"),
        ("rs485", "meter-2", "garbage"),
        ("rs485", "meter-2", "slow"),
    ],
)
async def test_a_fault_of_a_modbus_device_comes_again(tmp_path: Path, bus: str, device: str, fault: str) -> None:
    async with reading("bench-ac", bus, tmp_path / "field") as (rig, wire, before):
        counters = trace(wire).devices[device]
        await until(lambda: counters.answers >= 2, "answers")
        rig.world.set_fault(device, fault)
        since, number, old = len(before), trace(wire).count, dict(counters.errors)
        await until(lambda: sum(counters.errors.values()) >= sum(old.values()) + 3, f"errors by {fault}")
        field = reasons(before[since:], device)
        kind = _new(counters.errors, old)
        recording = recorded(tmp_path, wire, number)
    async with reading("bench-ac", bus, tmp_path / "bench", recording) as (_, wire, after):
        again = trace(wire).devices[device]
        await until(lambda: again.errors.get(kind, 0) >= 2, f"{kind} again")
    assert reasons(after, device)
    assert reasons(after, device) <= field


def _new(errors: Mapping[str, int], before: Mapping[str, int]) -> str:
    """The kind of error that there were most of since `before`."""
    return max(errors, key=lambda kind: errors[kind] - before.get(kind, 0))


async def test_noise_of_a_smart_meter_comes_again(tmp_path: Path) -> None:
    async with reading("bench-ac", "p1", tmp_path / "field") as (rig, wire, before):
        rig.world.set_fault("grid-meter", "garbage")
        await until(lambda: reasons(before, "grid-meter"), "silence")
        recording = recorded(tmp_path, wire)
    async with reading("bench-ac", "p1", tmp_path / "bench", recording) as (_, wire, after):
        await until(lambda: reasons(after, "grid-meter"), "silence again")
        assert trace(wire).bytes_in > 600
    assert reasons(after, "grid-meter") == reasons(before, "grid-meter")


@pytest.mark.parametrize("fault", ["exception", "offline", "garbage"])
async def test_a_fault_of_a_pilot_controller_comes_again(tmp_path: Path, fault: str) -> None:
    board = load("bench-uart")
    bus = next(name for name, settings in board.buses.items() if settings.driver == "pilot-uart")
    device = next(name for name, told in board.devices.items() if told.bus == bus)
    async with reading("bench-uart", bus, tmp_path / "field") as (rig, wire, before):
        counters = trace(wire).devices[device]
        await until(lambda: counters.answers >= 5, "answers")
        rig.world.set_fault(device, fault)
        since, number, old = len(before), trace(wire).count, dict(counters.errors)
        await until(lambda: sum(counters.errors.values()) >= sum(old.values()) + 4, f"errors by {fault}")
        field, kind = reasons(before[since:], device), _new(counters.errors, old)
        recording = recorded(tmp_path, wire, number)
    async with reading("bench-uart", bus, tmp_path / "bench", recording) as (_, wire, after):
        again = trace(wire).devices[device]
        # A controller that starts, recorded or not, does not hear the first command.
        await until(lambda: again.errors.get(kind, 0) >= 1, f"{kind} again")
        started, count = len(after), again.errors[kind]
        await until(lambda: again.errors[kind] >= count + 2, f"{kind} again and again")
    assert reasons(after[started:], device)
    assert reasons(after[started:], device) <= field


async def test_values_and_other_devices_come_as_they_were(tmp_path: Path) -> None:
    async with reading("bench-ac", "lan", tmp_path / "field") as (rig, wire, _):
        rig.world.hold("meter-1", "voltage_l1", 207.5)
        await until(lambda: trace(wire).devices["meter-1"].answers >= 3, "answers")
        recording = recorded(tmp_path, wire)
    async with reading("bench-ac", "lan", tmp_path / "bench", recording) as (_, wire, after):
        await until(lambda: trace(wire).devices["meter-1"].answers >= 2, "answers again")
    volts = [told.value for device, point, told in after if (device, point) == ("meter-1", "voltage_l1")]
    assert volts[0] == 207.5


async def test_a_replayed_port_begins_when_it_is_opened(tmp_path: Path) -> None:
    board = load("bench-ac")
    bus = next(name for name, settings in board.buses.items() if settings.driver == "serial-reader")
    device = next(name for name, told in board.devices.items() if told.bus == bus)
    recording = Recording("x", bus, "serial-reader", TIME, [(5.0, IN, b"00A0A"), (5.1, IN, b"0A0\r\n")])
    for opened in ("once", "again"):
        async with reading("bench-ac", bus, tmp_path / opened, recording) as (_, _, seen):
            await until(lambda seen=seen: (device, "token", "00A0A0A0") in _values(seen), "the card")  # type: ignore[misc]


def _values(seen: Seen) -> set[tuple[str, str, Any]]:
    return {(device, point, told.value) for device, point, told in seen}


@pytest.mark.parametrize(
    ("bus", "driver", "why"),
    [
        ("attic", "modbus-rtu", "which the board has not"),
        ("rs485", "dsmr-p1", "bus rs485 is modbus-rtu"),
        ("pins", "gpio", "cannot be replayed"),
    ],
)
def test_a_record_of_another_wire(tmp_path: Path, bus: str, driver: str, why: str) -> None:
    board = load("bench-ac")
    if driver == "gpio":
        bus = next(name for name, settings in board.buses.items() if settings.driver == "gpio")
    with pytest.raises(CannotStart, match=why):
        Rig(board, tmp_path).replay(Recording("x", bus, driver, TIME, []))


def test_the_command_refuses_what_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f").write_text("{}\n")
    assert main(["bench", "bench-ac", "--replay", str(tmp_path / "f")]) == 2
    assert "is no recorded wire" in capsys.readouterr().err


# --- matching -----------------------------------------------------------------------------------------------------


async def answered(driver: str, records: list[Record], *frames: bytes) -> list[bytes | None]:
    """What comes for each frame; None where the record has no such request."""
    answers = Answers(Recording("x", "x", driver, TIME, records))
    found: list[bytes | None] = []
    for frame in frames:
        said: list[bytes] = []
        known = answers.answer(frame, said.append)
        await asyncio.sleep(0.05)
        found.append(b"".join(said) if known else None)
    return found


async def test_answers_come_in_their_order_and_then_anew() -> None:
    ask = b"\0\1\0\0\0\2\1\3"
    records: list[Record] = [(0.0, IN, b"before"), (1.0, OUT, ask), (1.01, IN, ask + b"a"), (2.0, OUT, ask),
               (3.0, OUT, ask), (3.0, IN, b"\xff\xfe"), (4.0, OUT, ask)]  # fmt: skip
    again = b"\0\x63" + ask[2:]
    found = await answered("modbus-tcp", records, again, again, again, again, b"\0\1\0\0\0\2\2\3")
    assert found == [again + b"a", b"", b"\xff\xfe", again + b"a", None]


async def test_a_pilot_controllers_answer_gets_the_new_sequence_id() -> None:
    records: list[Record] = [(0.0, OUT, command("GS", 7)), (0.0, IN, command("OK 03 125", 7)),
                             (1.0, OUT, command("GE", 8)), (1.0, IN, b"$OK 6 :08^00\r")]  # fmt: skip
    found = await answered(
        "pilot-uart", records, command("GS", 200), command("GE", 201).rstrip(b"\r"), command("GV", 9)
    )
    assert found == [command("OK 03 125", 200), b"$OK 6 :08^00\r", None]
