"""`station-agent limits`: the page, the plot and the record, from a real socket, on terminals and in pipes."""

import argparse
import asyncio
import copy
import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import main
from agent.cli_limits import BLOCKS, page, plot, since
from agent.cli_terminal import Style, clean, span
from agent.ems.signals import Signal
from agent.onsite import NAME, Onsite, OnsiteError

DAY = 86_400
START = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)

REPORT: dict[str, Any] = {
    "time": "2026-11-25T14:00:00.000Z",
    "sources": [
        {"name": "house", "kind": "EMS", "scope": 0, "state": "Active", "value": 4200.0, "unit": "W", "phases": None,
         "age": 12.4, "until": 48.0, "problem": None},
        {"name": "dimming", "kind": "SO", "scope": 0, "state": "Released", "value": None, "unit": "W", "phases": None,
         "age": None, "until": None, "problem": None},
        {"name": "fuse", "kind": "Fuse", "scope": 0, "state": "Stale", "value": 6.0, "unit": "A",
         "phases": [6.0, 14.5, 20.0], "age": 0.3, "until": None, "problem": "the meter\x1b[2J is silent"},
        {"name": "csms", "kind": "CSMS", "scope": 2, "state": "Active", "value": 16.0, "unit": "A", "phases": None,
         "age": 4000.0, "until": 9000.0, "problem": None},
    ],
    "evses": [
        {"id": 1, "current": 6.087, "reason": "house", "offered": 6.1, "status": "Charging", "active": True,
         "available": 18.26},
        {"id": 2, "current": 0.0, "reason": "csms", "offered": 0.0, "status": "SuspendedEVSE", "active": True,
         "available": 6.0},
        {"id": 3, "current": 0.0, "reason": "board", "offered": 0.0, "status": "Idle", "active": False,
         "available": 6.0},
    ],
    "plan": {
        "seconds": DAY,
        "scopes": [
            {"evse": 0, "unit": "A", "periods": [[0, 32.0], [8 * 3600, 6.0], [16 * 3600, 0.0], [20 * 3600, 32.0]]},
            {"evse": 1, "unit": "A", "periods": [[0, 16.0]]},
            {"evse": 2, "unit": "A", "periods": []},
        ],
    },
}  # fmt: skip

PLAIN = Style(plain=True, colours=False)
RICH = Style(plain=False, colours=True, width=120)


# --- the plot -----------------------------------------------------------------------------------------------------


def test_a_step_line_with_the_hours_of_the_clock() -> None:
    periods = REPORT["plan"]["scopes"][0]["periods"]
    assert plot(periods, DAY, 24, 4, start=START, zone=UTC) == [
        "   32 ┤████████            ████",
        "      │████████            ████",
        "   16 ┤████████            ████",
        "      │████████▆▆▆▆▆▆▆▆    ████",
        "    0 └─┴──┴──┴──┴──┴──┴──┴──┴─",
        "        15:00 21:00 03:00 09:00",
    ]


def test_plain_characters_where_there_is_nothing_better() -> None:
    periods = [[0, 8.0], [6 * 3600, 1.0], [12 * 3600, 5.0], [18 * 3600, 0.0]]
    lines = plot(periods, DAY, 24, 2, plain=True)
    assert lines == [
        "    8 |######      ______",
        "      |######______######",
        "    0 ++--+--+--+--+--+--+--+--",
        "       +0h   +6h   +12h  +18h",
    ]


def test_the_hours_are_those_of_the_zone_also_when_it_changes() -> None:
    """The night of 25 October 2026 has 25 hours in Berlin; India's hours begin half an hour beside UTC's."""
    berlin = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)  # midnight
    labels = plot([[0, 1.0]], 12 * 3600, 120, 1, start=night, zone=berlin)[-1]
    assert {one.group(): one.start() - 7 for one in re.finditer(r"\d\d:\d\d", labels)} == {
        "00:00": 0,
        "03:00": 40,
        "06:00": 70,
        "09:00": 100,
    }
    india = plot([[0, 1.0]], DAY, 48, 1, start=START, zone=timezone(timedelta(hours=5.5)))[-1]
    assert india.index("21:00") - 7 == 3  # 14:00 UTC is 19:30


def test_a_short_dip_is_not_lost_between_two_columns() -> None:
    lines = plot([[0, 32.0], [3601, 6.0], [3660, 32.0]], DAY, 24, 4)
    assert [line[7:9] for line in lines[:4]] == ["█ ", "█ ", "█ ", "█▆"]


def test_before_the_first_period_there_is_a_dot_not_a_zero() -> None:
    assert plot([[12 * 3600, 10.0]], DAY, 4, 2)[:2] == ["   10 ┤  ██", "      │··██"]
    assert plot([], DAY, 4, 1)[0] == "    1 │····".replace("│", "┤")


@given(
    st.lists(
        st.tuples(st.integers(0, DAY - 1), st.floats(0, 500, allow_subnormal=False).map(lambda one: round(one, 3))),
        min_size=1, max_size=30, unique_by=lambda one: one[0],
    ).map(sorted),
    st.integers(4, 130),
    st.integers(1, 12),
    st.booleans(),
)  # fmt: skip
def test_no_column_shows_more_than_its_lowest_limit(
    periods: list[tuple[int, float]], width: int, height: int, plain: bool
) -> None:
    periods = [(0, periods[0][1]), *(one for one in periods if one[0] > 0)]
    lines = plot(periods, DAY, width, height, start=START, zone=UTC, plain=plain)
    assert len(lines) == height + 2 and max(map(len, lines)) <= width + 7
    assert not plain or "\n".join(lines).isascii()
    columns = [
        # The lowest limit in the column's time, second by second where limits change.
        min(
            [limit for begin, limit in periods if column * DAY / width <= begin < (column + 1) * DAY / width]
            + [[limit for begin, limit in periods if begin <= column * DAY / width][-1]]
        )
        for column in range(width)
    ]
    top = max(columns) or 1.0
    for column, limit in enumerate(columns):
        cells = [line[7 + column : 8 + column] or " " for line in lines[:height]]
        if plain:
            assert (limit > 0) == any(cell != " " for cell in cells)
        else:
            eighths = sum(BLOCKS.index(cell) for cell in cells)
            assert (eighths > 0) == (limit > 0)
            assert abs(eighths - limit / top * height * 8) <= 1


# --- the page -----------------------------------------------------------------------------------------------------


def test_every_source_is_a_line_and_the_winners_are_named() -> None:
    lines = page(REPORT, PLAIN, UTC)
    text = "\n".join(lines)
    assert text.isascii() and "\x1b" not in text and max(map(len, lines)) <= 80
    assert lines[0] == "2026-11-25 14:00:00"
    assert re.search(r"^house +EMS +station +Active +4200 W +12 s +in 48 s  EVSE 1$", text, re.M)
    assert re.search(r"^dimming +SO +station +Released +- +- +-$", text, re.M)
    assert re.search(r"^fuse +Fuse +station +Stale +6/14\.5/20 A +0 s +-$\n^  the meter\?\[2J is silent$", text, re.M)
    assert re.search(r"^csms +CSMS +EVSE 2 +Active +16 A +66 min +in 2 h +EVSE 2$", text, re.M)
    assert re.search(r"^1 +6\.087 A +house +6\.1 A +18\.26 A +Charging$", text, re.M)
    assert re.search(r"^2 +paused +csms +0 A +6 A +SuspendedEVSE$", text, re.M)
    assert re.search(r"^3 +0 A +board +0 A +6 A +Idle, no car asks$", text, re.M)
    assert "       14:00 32 A, 22:00 6 A, 06:00 0 A, 10:00 32 A" in lines
    assert "EVSE 1, next 24 h: 16 A" in lines and "EVSE 2, next 24 h: no plan" in lines


def test_a_source_wins_only_where_it_limits() -> None:
    """The CSMS has a limit for EVSE 2, none for the station: it is the first that EVSE 2 obeys."""
    report = copy.deepcopy(REPORT)
    report["sources"].append({**REPORT["sources"][3], "scope": 0, "value": None})
    rows = [line for line in page(report, PLAIN, UTC) if line.startswith("csms ")]
    assert ["EVSE 2" in row[-8:] for row in rows] == [True, False]


def test_phases_that_are_alike_are_told_once() -> None:
    report = copy.deepcopy(REPORT)
    report["sources"][2] |= {"value": 24.226, "phases": [24.226] * 3}
    assert re.search(r"^fuse .* Stale +24\.226 A +0 s", "\n".join(page(report, PLAIN, UTC)), re.M)


def test_a_terminal_gets_colours_and_a_wide_one_a_wide_plot() -> None:
    text = "\n".join(page(REPORT, RICH, UTC))
    assert "\x1b[1mhouse" in text and "\x1b[31mfuse" in text and "\x1b[31m  the meter?[2J is silent\x1b[0m" in text
    assert re.search(r"│█{32}▆{32} {16}█{16}$", text, re.M)
    assert "14:00 32 A · 22:00 6 A" in text


def test_steps_that_do_not_fit_are_counted() -> None:
    report = copy.deepcopy(REPORT)
    report["plan"]["scopes"] = [{"evse": 0, "unit": "W", "periods": [[n * 900, 1000.0 + n] for n in range(96)]}]
    line = page(report, PLAIN, UTC)[-1]
    told = line.count("W,")
    assert line.endswith(f" {96 - told} more") and told >= 3 and len(line) <= 80


def test_a_station_that_nobody_limits() -> None:
    report = {**REPORT, "sources": [], "evses": REPORT["evses"][2:], "plan": {"seconds": DAY, "scopes": []}}
    assert "nobody limits but the board" in page(report, PLAIN, UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (DAY, "24 h"),
        (3 * DAY, "3 d"),
    ],
)
def test_durations_are_told_as_one_says_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.text())
def test_no_text_of_others_commands_the_terminal(text: str) -> None:
    assert clean(text).isprintable() and len(clean(text)) == len(text)


# --- the command --------------------------------------------------------------------------------------------------


class Agent:
    """The answering side, with a report that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.report, self.refusal = folder, copy.deepcopy(REPORT), ""

    def limits(self, _: object) -> Any:
        if self.refusal:
            raise OnsiteError(self.refusal)
        return self.report


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path)
    task = asyncio.create_task(Onsite(tmp_path / NAME, {"limits": agent.limits}).run())
    while not (tmp_path / NAME).exists():
        assert not task.done()
        await asyncio.sleep(0.005)
    yield agent
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def environment(**changes: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**plain, "TZ": "UTC", "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **changes}


async def command(*words: str, out: int = subprocess.PIPE, **changes: str) -> asyncio.subprocess.Process:
    """`station-agent WORDS`, as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, stdout=out, stderr=subprocess.PIPE, env=environment(**changes)
    )


class Terminal:
    """A terminal of 100 × 30 that keeps what is written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._raw, self._more = b"", asyncio.Event()
        asyncio.get_running_loop().add_reader(self.ours, self._read)

    def _read(self) -> None:
        with suppress(OSError):
            self._raw += os.read(self.ours, 65536)
        self._more.set()

    @property
    def text(self) -> str:
        return self._raw.decode(errors="replace").replace("\r\n", "\n")

    async def shows(self, text: str) -> None:
        while text not in self.text:
            self._more.clear()
            await self._more.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.ours)
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


async def test_a_pipe_gets_plain_characters(agent: Agent) -> None:
    process = await command("limits", "--state-dir", str(agent.folder))
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode("ascii").splitlines() == page(REPORT, PLAIN, UTC)


async def test_programs_get_json(agent: Agent) -> None:
    process = await command("limits", "--json", "--state-dir", str(agent.folder))
    assert json.loads((await process.communicate())[0]) == REPORT and process.returncode == 0


@pytest.mark.parametrize(
    ("changes", "plain", "colours"),
    [
        ({}, False, True),
        ({"NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"PYTHONIOENCODING": "ascii"}, True, True),
    ],
    ids=["utf-8", "no colour", "dumb", "ascii"],
)
async def test_a_terminal_gets_what_it_can_show(
    agent: Agent, terminal: Terminal, changes: dict[str, str], plain: bool, colours: bool
) -> None:
    process = await command("limits", "--state-dir", str(agent.folder), out=terminal.theirs, **changes)
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    expected = "\n".join(page(REPORT, Style(plain=plain, colours=colours, width=100), UTC))
    await terminal.shows(expected)


async def test_without_an_agent_the_command_fails_with_the_reason(tmp_path: Path) -> None:
    process = await command("limits", "--state-dir", str(tmp_path))
    out, err = await process.communicate()
    assert process.returncode == 1 and out == b""
    assert err.decode() == f"station-agent: {tmp_path}: no agent is running with this state directory (--state-dir)\n"


async def test_watching_shows_what_changes_and_outlives_a_restart(agent: Agent, terminal: Terminal) -> None:
    process = await command("limits", "--watch", "--state-dir", str(agent.folder), out=terminal.theirs)
    await terminal.shows("4200 W")
    agent.report["sources"][0]["value"] = 1234.5
    await terminal.shows("1234.5 W")
    agent.refusal = "still starting"
    await terminal.shows("\x1b[Hstill starting\x1b[K\n\x1b[J")
    agent.refusal, agent.report["sources"][0]["value"] = "", 999.0
    await terminal.shows("999 W")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130


async def test_watching_as_json_is_a_line_for_each_look(agent: Agent) -> None:
    process = await command("limits", "--watch", "--json", "--state-dir", str(agent.folder))
    assert process.stdout is not None
    for value in (4200.0, 1.5):
        line = await process.stdout.readline()
        while json.loads(line)["sources"][0]["value"] != value:
            line = await process.stdout.readline()
        agent.report["sources"][0]["value"] = 1.5
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130


async def test_a_reader_that_leaves_ends_the_command_without_a_word(agent: Agent) -> None:
    ours, theirs = os.pipe()
    process = await command("limits", "--watch", "--state-dir", str(agent.folder), out=theirs)
    os.close(theirs)
    await asyncio.to_thread(os.read, ours, 10)
    os.close(ours)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        ("limits", ["--state-dir", "--json", "--watch", "log"]),
        ("limits log", ["--state-dir", "--since", "--csv", "no agent needs to run"]),
    ],
)
def test_the_commands_explain_themselves(capsys: pytest.CaptureFixture[str], words: str, mentions: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and [one for one in mentions if one not in said] == []


# --- the record ---------------------------------------------------------------------------------------------------


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A state directory with three signals, one of them torn."""
    signals = [
        Signal(datetime(2026, 11, 24, 18, 0, tzinfo=UTC), True, "boot", 10.0, "dimming", "limit", 4200.0),
        Signal(datetime(2026, 11, 25, 6, 30, tzinfo=UTC), True, "boot", 20.0, "dimming", "release", None),
    ]
    lines = [one.line() for one in signals]
    (tmp_path / "signals-000001.csv").write_bytes(lines[0] + lines[1] + lines[0][:20])
    return tmp_path


def call(*words: str) -> int:
    return main(["limits", "log", *words])


@pytest.mark.parametrize("words", [[], ["--csv"]])
def test_the_record_is_csv_for_a_file(capsys: pytest.CaptureFixture[str], record: Path, words: list[str]) -> None:
    assert call("--state-dir", str(record), *words) == 0
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(row["time"], row["source"], row["watts"]) for row in rows] == [
        ("2026-11-24T18:00:00.000Z", "dimming", "4200"),
        ("2026-11-25T06:30:00.000Z", "dimming", ""),
    ]
    assert said.err == "station-agent: 1 damaged lines are left out\n"


def test_the_state_directory_may_be_named_before_or_after_log(
    capsys: pytest.CaptureFixture[str], record: Path
) -> None:
    assert main(["limits", "--state-dir", str(record), "log"]) == 0
    first = capsys.readouterr().out
    assert call("--state-dir", str(record)) == 0
    assert capsys.readouterr().out == first and "dimming" in first


def test_only_what_came_later(capsys: pytest.CaptureFixture[str], record: Path) -> None:
    assert call("--state-dir", str(record), "--since", "2026-11-25T00:00Z") == 0
    assert [line[:10] for line in capsys.readouterr().out.splitlines()] == ["time,clock", "2026-11-25"]


async def test_a_terminal_gets_a_table_in_local_time(record: Path, terminal: Terminal) -> None:
    words = ("limits", "log", "--state-dir", str(record))
    process = await command(*words, out=terminal.theirs, TZ="Europe/Berlin", NO_COLOR="1")
    await process.communicate()
    assert process.returncode == 0
    await terminal.shows("2026-11-25 07:30:00  set    dimming  release         1\n")
    assert re.search(r"^time +clock +source +signal +watts +times$", terminal.text, re.M)
    process = await command(*words, "--since", "2027-01-02", out=terminal.theirs)
    await process.communicate()
    await terminal.shows("no signals since 2027-01-02 00:00\n")


def test_a_directory_that_cannot_be_read_is_no_empty_record(capsys: pytest.CaptureFixture[str], record: Path) -> None:
    assert call("--state-dir", str(record / "nowhere")) == 1
    assert capsys.readouterr().err == f"station-agent: {record}/nowhere: No such file or directory\n"
    user = os.geteuid()
    record.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        assert call("--state-dir", str(record)) == 1
    finally:
        os.seteuid(user)
        record.chmod(0o700)
    said = capsys.readouterr()
    assert said.out == "" and said.err == f"station-agent: {record}: Permission denied\n"


def test_a_date_is_local_unless_it_says_otherwise() -> None:
    assert since("2026-11-25") == datetime(2026, 11, 25).astimezone()
    assert since("2026-11-25T14:00+01:00") == datetime(2026, 11, 25, 13, tzinfo=UTC)
    with pytest.raises(argparse.ArgumentTypeError, match="'yesterday' is no date"):
        since("yesterday")
