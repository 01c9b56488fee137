"""`station-agent buses` and `trace`: asked over a real socket, of buses that were used."""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.board import load
from agent.cli_buses import View, add_buses_arguments, add_trace_arguments, page
from agent.cli_terminal import Style
from agent.clock import SystemClock
from agent.onsite import NAME, Onsite, OnsiteError, ask
from agent.onsite_buses import answers
from drivers import Bus, open_bus
from drivers.trace import IN, OUT, BusTrace, trace_of
from drivers.trace_decode import crc16
from drivers.trace_file import BadRecording
from drivers.trace_file import load as load_recording

PLAIN = Style(plain=True, colours=False)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def rtu(body: str) -> bytes:
    data = bytes.fromhex(body)
    return data + crc16(data)


ASK_1, SAY_1 = rtu("01 04 0000 0002"), rtu("01 04 04 43660000")
ASK_2 = rtu("02 04 0000 0002")


class Agent:
    """The answering side, with bench-ac's real buses; nothing of them is open."""

    def __init__(self, folder: Path) -> None:
        board, self.clock = load("bench-ac"), SystemClock()
        self.buses: dict[str, Bus] = {
            name: open_bus(
                name,
                settings,
                {device: told for device, told in board.devices.items() if told.bus == name},
                board.profiles,
                self.clock.monotonic,
            )
            for name, settings in board.buses.items()
        }
        self.answers = answers(board, self.buses, self.clock)
        self.onsite = Onsite(folder / NAME, self.answers)

    def trace(self, bus: str) -> BusTrace:
        found = trace_of(self.buses[bus])
        assert found is not None, bus
        return found


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path)
    task = asyncio.create_task(agent.onsite.run())
    while not (tmp_path / NAME).exists():
        assert not task.done()
        await asyncio.sleep(0.005)
    yield agent
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def command(add: Any, folder: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path)
    add(parser)
    args = parser.parse_args(["--state-dir", str(folder), *words])
    code: int = args.call(args)
    return code


async def run(add: Any, folder: Path, *words: str) -> int:
    return await asyncio.to_thread(command, add, folder, *words)


def test_every_driver_of_the_bench_keeps_a_trace(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    assert {name for name in agent.buses if trace_of(agent.buses[name]) is None} == set()


async def test_buses_as_a_table(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meter = agent.trace("lan").devices["meter-1"]
    meter.asked()
    meter.answered(0.012)
    meter.asked()
    meter.failed("timeout", "no answer\x1b[2J")
    assert await run(add_buses_arguments, tmp_path) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.split("\n") if line.startswith("meter-1 ")]
    assert line.split()[1:7] == ["lan", "modbus-tcp", "2", "1", "1", "timeout"]
    assert "12.0 ms" in line
    assert line.endswith("no answer?[2J")


async def test_buses_for_programs(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent.trace("lan").devices["meter-1"].asked()
    assert await run(add_buses_arguments, tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["buses"]["lan"]["devices"]["meter-1"]["requests"] == 1


def test_without_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(add_buses_arguments, tmp_path) == 1
    assert command(add_trace_arguments, tmp_path, "fan", "--record", str(tmp_path / "f")) == 1
    assert capsys.readouterr().err.count("no agent is running") == 2
    assert not (tmp_path / "f").exists()


def test_a_device_that_never_answered_is_red() -> None:
    kept = BusTrace("modbus-rtu", ("fan",), time.monotonic, lambda: NOON)
    kept.devices["fan"].asked()
    kept.devices["fan"].failed("garbage", "noise")
    rich = Style(plain=False, colours=True)
    lines = page({"buses": {"line": kept.statistics()}}, rich, UTC)
    assert lines[1].startswith("\x1b[31mfan")
    assert "1 garbage" in lines[1]
    assert "12:00:00 noise" in lines[1]
    assert page({"buses": {}}, PLAIN) == ["no devices"]


async def test_trace_shows_and_records(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, file = agent.trace("rs485"), tmp_path / "wire.jsonl"
    kept.sent(b"before")
    loop = asyncio.get_running_loop()

    def traffic() -> None:
        kept.sent(ASK_1)
        kept.heard(SAY_1[:4])
        kept.heard(SAY_1[4:])
        kept.sent(ASK_2)

    running = asyncio.create_task(
        run(add_trace_arguments, tmp_path, "rs485", "--seconds", "1", "--record", str(file))
    )
    while not file.exists() or not file.stat().st_size:
        assert not running.done()
        await asyncio.sleep(0.01)
    loop.call_soon(traffic)
    assert await running == 0
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "-> unit 1 read input registers 0..1",
        "<- unit 1 input registers: 4366 0000",
        "-> unit 2 read input registers 0..1",
    ]
    found = load_recording(file)
    assert (found.bus, found.driver) == ("rs485", "modbus-rtu")
    assert [record[1:] for record in found.records] == [(OUT, ASK_1), (IN, SAY_1[:4]), (IN, SAY_1[4:]), (OUT, ASK_2)]
    assert all(0 <= at < 30 for at, _, _ in found.records)


async def test_trace_answers(agent: Agent) -> None:
    kept = agent.trace("rs485")
    for _ in range(600):
        kept.sent(ASK_1)
    found = agent.answers["trace"]({"of": "rs485", "since": 3})
    assert (found["first"], found["next"], len(found["records"]), found["lost"]) == (3, 503, 500, 0)
    for _ in range(2000):
        kept.sent(ASK_1)
    assert agent.answers["trace"]({"of": "rs485", "since": 3})["lost"] == 597
    assert agent.answers["trace"]({"of": "rs485"})["records"] == []


@pytest.mark.parametrize("asked", [{}, {"of": 3}, {"of": "rs485", "since": "1"}, {"of": "rs485", "since": True}])
async def test_a_question_that_cannot_be(agent: Agent, asked: dict[str, Any]) -> None:
    with pytest.raises(OnsiteError, match="expected"):
        agent.answers["trace"](asked)


async def test_what_is_not_there(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(add_trace_arguments, tmp_path, "nothing") == 1
    err = capsys.readouterr().err
    assert "no device or bus 'nothing'" in err
    assert "rs485" in err


async def test_card_numbers_do_not_leave_the_agent(agent: Agent, tmp_path: Path) -> None:
    bus = next(name for name in agent.buses if agent.trace(name).driver == "serial-reader")
    agent.trace(bus).heard(b"04A1B2C3\r\n")
    found = await asyncio.to_thread(ask, tmp_path, "trace", of=bus, since=0)
    assert bytes.fromhex(found["records"][0][2]) == b"00A0A0A0\r\n"


def test_only_the_wanted_unit_is_shown() -> None:
    view = View("modbus-rtu", 1, NOON, 100.0, UTC)
    records = [(100.0, OUT, ASK_2), (100.01, IN, b"\2"), (100.5, OUT, ASK_1), (100.51, IN, SAY_1)]
    assert list(view.take(records, 100.52)) == ["12:00:00.500 -> unit 1 read input registers 0..1"]
    assert list(view.take([], 101.0)) == ["12:00:00.510 <- unit 1 input registers: 4366 0000"]


def test_pieces_far_apart_are_not_put_together() -> None:
    view = View("modbus-rtu", None, NOON, 0.0, UTC)
    lines = list(view.take([(0.0, IN, SAY_1[:4]), (1.0, IN, SAY_1[4:])], 1.0, last=True))
    assert [line for line in lines if "no valid frame" not in line] == []
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no recorded wire"),
        ("{}\n", "no recorded wire"),
        ("nonsense\n", "line 1: is no JSON"),
        ('{"record": "station-agent trace", "version": 2}\n', "version 2"),
        ('{"record": "station-agent trace", "version": 1}\n', "expected board, bus"),
    ],
)
def test_files_that_are_no_record(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(BadRecording, match=why):
        load_recording(tmp_path / "f")
