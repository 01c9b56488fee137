"""`station-agent model` and `station-agent events`, asked of a real socket by real processes."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli_terminal import Style
from agent.cli_watch import EventLines, model_page
from agent.onsite import ask
from agent.onsite_model import model_report
from tests.watch_parts import PLAIN, RICH, Station, answering


@pytest.fixture
def station() -> Station:
    return Station()


# --- the pages ----------------------------------------------------------------------------------------------------


def test_the_page_of_the_model(station: Station) -> None:
    station.speed.update(447.5, 98.75)
    report = model_report(station.model, station.clock, {})
    assert model_page(report, PLAIN) == [
        "component                   variable           value     unit  age    target  min..max  problem",
        "AirCoolingSystem[left]@1,2  FanSpeed[rear]     447.5     RPM   1.2 s  450     0..1000",
        "AirCoolingSystem[left]@1,2  Problem            false",
        "DisplayCtrlr                Mode               day",
        "SecurityCtrlr               BasicAuthPassword  (secret)",
        "SecurityCtrlr               ApnPassword        (secret)",
    ]


@pytest.mark.parametrize(
    ("age", "painted"),
    [(2.0, "2.0 s"), (6.0, "\x1b[33m6.0 s\x1b[0m"), (11.0, "\x1b[31m11 s\x1b[0m"), (None, "\x1b[31m—\x1b[0m")],
    ids=["fresh", "old", "stale", "never"],
)
def test_an_age_that_no_longer_counts_is_red(station: Station, age: float | None, painted: str) -> None:
    if age is not None:
        station.speed.update(1.0, 100.0 - age)
    line = model_page(model_report(station.model, station.clock, {"most": 1}), RICH)[1]
    assert f"RPM   {painted}" in line


def test_what_changed_stands_out(station: Station) -> None:
    report = model_report(station.model, station.clock, {"match": "display"})
    assert "\x1b[1mday\x1b[0m" in model_page(report, RICH, {"DisplayCtrlr.Mode": "night"})[1]
    assert "\x1b[1m" not in model_page(report, RICH, {"DisplayCtrlr.Mode": "day"})[1]
    assert "\x1b[1m" not in model_page(report, RICH)[1]


def test_a_narrow_terminal_cuts_lines_and_not_colours(station: Station) -> None:
    station.problems.open(station.fan, "silent", "fan: no answer\x1b[2J" + "!" * 200)
    report = model_report(station.model, station.clock, {}, station.problems.texts)
    style = Style(plain=False, colours=True, width=100, terminal=True)
    for width in (1, 27, 30, 60, 99, 110):
        style.width = width
        for line in model_page(report, style):
            seen = re.sub(r"\x1b\[\d*m", "", line)
            assert len(seen) <= width and seen.isprintable()
            assert line.count("\x1b[0m") * 2 == line.count("\x1b[")
    assert "fan: no answer?[2J" in model_page(report, PLAIN)[1]


def test_the_page_of_events(station: Station) -> None:
    table = EventLines(PLAIN, UTC)
    first = table.lines([
        station.event(7),
        station.event(8, component="Connector@1,1", variable="Problem", severity=6, cause=7, tech_info="RCD\x1b[2J"),
    ])  # fmt: skip
    assert first == [
        "id  time                 severity    component      variable  value  trigger   cause  CSMS     what",
        "7   2026-11-25 12:00:00  3 critical  RCD@1          Tripped   true   Alerting         waiting",
        "8   2026-11-25 12:00:00  6 warning   Connector@1,1  Problem   true   Alerting  by 7   waiting  RCD?[2J",
    ]
    (later,) = table.lines([station.event(9, cleared=True, value="false", monitor=12)])
    columns = "9   2026-11-25 12:00:00  3 critical  RCD@1          Tripped   false  Alerting         waiting  "
    assert later == columns + "cleared, monitor 12"
    assert table.lines([]) == []


def test_the_worst_is_red_and_what_is_over_is_dim(station: Station) -> None:
    events = [station.event(1, severity=0), station.event(2, severity=6), station.event(3, severity=0, cleared=True)]
    lines = EventLines(RICH, UTC).lines(events)[1:]
    assert [re.findall(r"\x1b\[(\d+)m\d \w+", line) for line in lines] == [["31"], ["33"], ["2"]]


# --- the commands -------------------------------------------------------------------------------------------------


def environment(**changes: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**plain, "TZ": "UTC", "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **changes}


async def command(*words: str, out: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    """`station-agent WORDS`, as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, stdout=out, stderr=asyncio.subprocess.PIPE, env=environment()
    )


async def said(*words: str) -> tuple[int | None, str, str]:
    process = await command(*words)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().rstrip("\n")


async def stopped(process: asyncio.subprocess.Process) -> str:
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    return err.decode()


@pytest.fixture
async def agent(station: Station, tmp_path: Path) -> AsyncIterator[str]:
    async with answering(tmp_path, station.answers):
        yield str(tmp_path)


async def test_the_model_of_the_running_agent(agent: str, station: Station) -> None:
    code, out, err = await said("model", "--state-dir", agent)
    expected = [*model_page(station.answers["model"]({}), PLAIN), "", "5 variables"]
    assert (code, out.splitlines(), err) == (0, expected, "")
    code, out, _ = await said("model", "--match", "FAN", "--state-dir", agent)
    assert code == 0 and out.splitlines()[-1] == "1 of 5 variables match FAN"
    code, out, _ = await said("model", "--match", "nothing", "--state-dir", agent)
    assert (code, out) == (0, "no variables\n\n0 of 5 variables match nothing\n")


async def test_programs_get_a_line_of_json_for_each_variable(agent: str, station: Station) -> None:
    code, out, _ = await said("model", "--json", "--state-dir", agent)
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == station.answers["model"]({})["variables"]


async def test_a_pipe_that_watches_gets_a_line_for_each_change(agent: str, station: Station) -> None:
    process = await command("model", "--watch", "fanspeed", "--state-dir", agent)
    address = "2026-11-25 12:00:00 AirCoolingSystem[left]@1,2.FanSpeed[rear]"
    assert await line_of(process) == f"{address} = - target 450"
    station.speed.update(447.5, 100.0)
    assert await line_of(process) == f"{address} = 447.5 RPM target 450"
    station.mode.actual.value = "night"
    station.speed.update(448.0, 101.0)
    assert await line_of(process) == f"{address} = 448 RPM target 450"
    assert await stopped(process) == ""


async def test_watching_as_json_outlives_a_restart(station: Station, tmp_path: Path) -> None:
    async with answering(tmp_path, station.answers):
        process = await command("model", "--watch", "mode", "--json", "--state-dir", str(tmp_path))
        assert json.loads(await line_of(process))["value"] == "day"
    assert process.stderr is not None
    assert b"no agent is running" in await process.stderr.readline()
    again = Station()
    again.clock.seconds += 60
    again.mode.actual.value = "night"
    async with answering(tmp_path, again.answers):
        assert json.loads(await line_of(process))["value"] == "night"
        assert await stopped(process) == ""


class Terminal:
    """A terminal of 90 × 8 that keeps what is written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 90, 0, 0))
        self._raw, self._more = b"", asyncio.Event()
        asyncio.get_running_loop().add_reader(self.ours, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self._raw += os.read(self.ours, 65536)
        self._more.set()

    async def shows(self, pattern: str) -> None:
        while not re.search(pattern, self._raw.decode(errors="replace").replace("\r\n", "\n"), re.M):
            self._more.clear()
            await self._more.wait()


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal()
    yield terminal
    asyncio.get_running_loop().remove_reader(terminal.ours)
    os.close(terminal.ours)
    os.close(terminal.theirs)


async def test_a_terminal_that_watches_gets_one_screen(agent: str, station: Station, terminal: Terminal) -> None:
    process = await command("model", "--watch", "--state-dir", agent, out=terminal.theirs)
    await terminal.shows(r"^5 variables; the first 4 \(--watch TEXT shows others\)")
    station.mode.actual.value = "night"
    await terminal.shows("\x1b\\[1mnight\x1b\\[0m")
    assert await stopped(process) == ""


async def test_the_events_of_the_running_agent(agent: str, station: Station) -> None:
    assert await said("events", "--state-dir", agent) == (0, "no events\n", "")
    for number in range(1, 31):
        station.event(number)
    code, out, err = await said("events", "--state-dir", agent)
    assert (code, err) == (0, "") and out.splitlines() == EventLines(PLAIN, UTC).lines(station.events[-20:])
    code, out, _ = await said("events", "-n", "2", "--json", "--state-dir", agent)
    assert code == 0 and [json.loads(line) for line in out.splitlines()] == station.events[-2:]


async def test_more_events_than_one_answer_holds(agent: str, station: Station) -> None:
    for number in range(1, 1001):
        station.event(number)
    code, out, err = await said("events", "-n", "900", "--json", "--state-dir", agent)
    assert (code, err) == (0, "")
    assert [json.loads(line)["id"] for line in out.splitlines()] == list(range(101, 1001))


@pytest.mark.parametrize(("before", "words"), [(0, []), (3, ["-n", "0"])], ids=["none yet", "none asked for"])
async def test_following_shows_what_comes(agent: str, station: Station, before: int, words: list[str]) -> None:
    for number in range(before):
        station.event(number + 1)
    process = await command("events", "--follow", "--json", *words, "--state-dir", agent)
    # A first look is over when the command has asked; what is added later must come, once.
    await station.asked.wait()
    for number in (11, 12, 13):
        station.event(number)
        assert json.loads(await line_of(process))["id"] == number
    assert await stopped(process) == ""


async def test_following_outlives_a_restart(station: Station, tmp_path: Path) -> None:
    station.event(5)
    async with answering(tmp_path, station.answers):
        process = await command("events", "-f", "--json", "--state-dir", str(tmp_path))
        assert json.loads(await line_of(process))["id"] == 5
    assert process.stderr is not None
    assert b"no agent is running" in await process.stderr.readline()
    again = Station()
    again.event(10_001)
    async with answering(tmp_path, again.answers):
        assert json.loads(await line_of(process))["id"] == 10_001
        assert "after 5 some may be missing" in await stopped(process)


@pytest.mark.parametrize("words", [["model"], ["model", "--watch"], ["events"], ["events", "--follow"]])
async def test_without_an_agent_the_command_fails_with_the_reason(tmp_path: Path, words: list[str]) -> None:
    code, out, err = await said(*words, "--state-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert err == f"station-agent: {tmp_path}: no agent is running with this state directory (--state-dir)\n"


async def test_a_reader_that_leaves_ends_the_command_without_a_word(agent: str, station: Station) -> None:
    ours, theirs = os.pipe()
    process = await command("model", "--watch", "--state-dir", agent, out=theirs)
    os.close(theirs)
    await asyncio.to_thread(os.read, ours, 10)
    os.close(ours)
    station.mode.actual.value = "night"
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_asking_takes_no_library_that_only_the_station_needs(agent: str) -> None:
    program = (
        "import sys; from agent.cli import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'asyncio', 'pydantic', 'yaml', 'websockets', 'pymodbus', 'sqlite3'} & set(sys.modules)))"
    )
    for word in ("model", "events"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, word, "--state-dir", agent, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert out.decode().splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        ("model bench-ac --watch", "leave BOARD out"),
        ("model bench-ac --json", "leave BOARD out"),
        ("events -n -1", "expected a number of events"),
        ("events -n x", "expected a number of events"),
    ],
)
def test_what_cannot_be_asked_is_named(capsys: pytest.CaptureFixture[str], words: str, mentions: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(words.split())
    assert end.value.code == 2 and mentions in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "mentions"),
    [
        ("model", ["BOARD", "--state-dir", "--match", "--watch", "--json"]),
        ("events", ["--state-dir", "--follow", "-n N", "--json"]),
    ],
)
def test_the_commands_explain_themselves(capsys: pytest.CaptureFixture[str], word: str, mentions: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([word, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and [one for one in mentions if one not in out] == []


async def test_the_socket_answers_both(agent: str, station: Station) -> None:
    station.event(1)
    report = await asyncio.to_thread(ask, Path(agent), "events")
    assert report["events"] == station.events
    assert (await asyncio.to_thread(ask, Path(agent), "model"))["total"] == 5
