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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.cli_terminal import Style
from agent.cli_watch import EventLines, model_page, whole
from agent.model import (
    Attribute,
    AttributeType,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Problems,
    Variable,
    VariableName,
)
from agent.onsite import LONGEST_ANSWER, NAME, Onsite, OnsiteError, ask
from agent.onsite_model import CHARACTERS, EVENTS, LONGEST_TEXT, ROWS, ModelView, answers, events_report, model_report

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PLAIN = Style(plain=True, colours=False)
RICH = Style(plain=False, colours=True, width=120)
NUMBER = Characteristics(DataType.DECIMAL, "RPM")
TEXT = Characteristics(DataType.STRING)


class Now:
    """A clock that a test moves."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 100.0)


class Station:
    """The answering side: a small model, and events that a test adds."""

    def __init__(self) -> None:
        self.clock, self.model = Now(), DeviceModel()
        fan = Component("AirCoolingSystem", "left", 1, 2)
        self.speed = self.model.add(
            Variable(
                fan,
                VariableName("FanSpeed", "rear"),
                NUMBER,
                target=Attribute(450.0, Mutability.READ_WRITE),
                min_set=Attribute(0.0, Mutability.READ_WRITE),
                max_set=Attribute(1000.0, Mutability.READ_WRITE),
                max_age=10.0,
            )
        )
        self.model.add(Variable(fan, "Problem", Characteristics(DataType.BOOLEAN), Attribute(False)))
        self.mode = self.model.add(Variable(Component("DisplayCtrlr"), "Mode", TEXT, Attribute("day")))
        for name, mutability in (
            ("BasicAuthPassword", Mutability.WRITE_ONLY),
            ("ApnPassword", Mutability.READ_WRITE),
        ):
            self.model.add(
                Variable(Component("SecurityCtrlr"), name, TEXT, Attribute("hunter2-hunter2-", mutability))
            )
        self.fan = fan
        self.problems = Problems(self.model, lambda *_: None)
        self.events: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.answers = answers(self.model, self.clock, self.problems.texts, self.recent)

    def recent(self) -> list[dict[str, Any]]:
        self.asked.set()
        return self.events

    def event(self, number: int, **changes: Any) -> dict[str, Any]:
        found = {
            "id": number, "time": "2026-11-25T12:00:00.000Z", "component": "RCD@1", "variable": "Tripped",
            "value": "true", "trigger": "Alerting", "cleared": None, "severity": 3, "tech_info": None, "cause": None,
            "monitor": None, "state": "waiting", **changes,
        }  # fmt: skip
        self.events.append(found)
        return found


@pytest.fixture
def station() -> Station:
    return Station()


@contextlib.asynccontextmanager
async def answering(folder: Path, asked: dict[str, Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(Onsite(folder / NAME, asked).run())
    while not (folder / NAME).exists():
        assert not task.done()
        await asyncio.sleep(0.005)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# --- the answer "model" -------------------------------------------------------------------------------------------


def test_a_variable_is_told_with_its_age_and_what_it_may_be_set_to(station: Station) -> None:
    station.speed.update(447.5, 98.75)
    report = model_report(station.model, station.clock, {"match": "fanspeed"})
    assert (report["total"], report["matching"], report["next"]) == (5, 1, None)
    assert report["variables"] == [
        {
            "address": "AirCoolingSystem[left]@1,2.FanSpeed[rear]", "component": "AirCoolingSystem",
            "instance": "left", "evse": 1, "connector": 2, "variable": "FanSpeed", "variable_instance": "rear",
            "value": "447.5", "unit": "RPM", "age": 1.25, "max_age": 10.0, "target": "450", "min_set": "0",
            "max_set": "1000", "secret": False, "problem": None,
        }
    ]  # fmt: skip


def test_no_secret_leaves_the_agent(station: Station) -> None:
    report = model_report(station.model, station.clock, {})
    assert "hunter2" not in json.dumps(report)
    assert {row["variable"]: row["value"] for row in report["variables"] if row["secret"]} == {
        "BasicAuthPassword": None,
        "ApnPassword": None,
    }


def test_a_token_is_told_by_a_pseudonym_and_a_place_without_its_password(station: Station) -> None:
    station.model.add(Variable(Component("TokenReader"), "Token", TEXT, Attribute("04A1B2C3")))
    station.mode.actual.value = "wss://me:hunter2@csms.example.com/"
    station.event(1, variable="Token", value="04A1B2C3", tech_info="wss://me:hunter2@csms.example.com/ is closed")
    told = {row["variable"]: row["value"] for row in station.answers["model"]({})["variables"]}
    (event,) = station.answers["events"]({})["events"]
    assert told["Mode"] == "wss://***@csms.example.com/" and event["tech_info"] == f"{told['Mode']} is closed"
    assert told["Token"] == event["value"] and re.fullmatch(r"#[0-9a-f]{12}", event["value"])


def test_what_is_wrong_with_the_component_is_told_of_each_of_its_variables(station: Station) -> None:
    station.problems.open(station.fan, "silent", "fan: no answer")
    station.problems.open(station.fan, "target", "450 not reached")
    texts = station.problems.texts
    found = {
        row["variable"]: row["problem"] for row in model_report(station.model, station.clock, {}, texts)["variables"]
    }
    assert found["FanSpeed"] == found["Problem"] == "fan: no answer; 450 not reached" and found["Mode"] is None
    assert model_report(station.model, station.clock, {"most": 1})["variables"][0]["problem"] == "Problem"


def test_only_what_changed_since_is_told(station: Station) -> None:
    view = ModelView(station.model, station.clock, station.problems.texts)

    def changed(since: int | None) -> tuple[int, list[str]]:
        report = view.report({} if since is None else {"since": since})
        return report["version"], [row["variable"] for row in report["variables"]]

    version, found = changed(None)
    assert len(found) == 5
    station.speed.update(447.5, 100.0)
    version, found = changed(version)
    assert found == ["FanSpeed"]
    station.speed.update(447.5, 101.0)
    version, found = changed(version)
    assert found == [], "a reading that says the same again is no change"
    station.speed.attributes[AttributeType.TARGET].value = 500.0
    station.mode.actual.value = "night"
    version, found = changed(version)
    assert found == ["FanSpeed", "Mode"]
    station.problems.open(station.fan, "silent", "fan: no answer")
    version, found = changed(version)
    assert found == ["FanSpeed", "Problem"]
    assert changed(version - 1)[1] == ["FanSpeed", "Problem"], "somebody else may look more slowly"


def test_a_version_of_another_start_leaves_nothing_out(station: Station) -> None:
    old = model_report(station.model, station.clock, {})["version"]
    station.clock.seconds += 5
    assert len(model_report(station.model, station.clock, {"since": old})["variables"]) == 5
    later = model_report(station.model, station.clock, {})["version"]
    station.clock.seconds -= 3600
    assert len(model_report(station.model, station.clock, {"since": later})["variables"]) == 5


def test_a_variable_that_is_added_later_is_told(station: Station) -> None:
    view = ModelView(station.model, station.clock, station.problems.texts)
    assert view.report({})["total"] == 5
    station.model.add(Variable(Component("Late"), "One", TEXT, Attribute("x")))
    assert [row["value"] for row in view.report({"match": "late"})["variables"]] == ["x"]


def big(count: int, text: str) -> DeviceModel:
    model = DeviceModel()
    for number in range(count):
        model.add(Variable(Component("Sensor", str(number)), "Value", TEXT, Attribute(text)))
    return model


async def test_ten_thousand_variables_come_in_pages(station: Station, tmp_path: Path) -> None:
    view = ModelView(big(10_000, "7"), station.clock, station.problems.texts)
    pages = list[int]()

    def told(question: Any) -> Any:
        report = view.report(question)
        pages.append(len(report["variables"]))
        return report

    async with answering(tmp_path, {"model": told}):
        report = await asyncio.to_thread(whole, tmp_path, "")
        assert pages == [ROWS] * 10
        assert [row["instance"] for row in report["variables"]] == [str(number) for number in range(10_000)]
        assert len((await asyncio.to_thread(whole, tmp_path, "SENSOR[999"))["variables"]) == 11
        again = await asyncio.to_thread(whole, tmp_path, "", view.report({})["version"])
    assert again["variables"] == []


def test_the_longest_texts_stay_within_an_answer(station: Station) -> None:
    """The worst of JSON: each character takes six bytes."""
    model, start, seen = big(400, "\x01" * 5000), 0, 0
    while True:
        report = model_report(model, station.clock, {"from": start})
        assert len(json.dumps({"ok": report})) < LONGEST_ANSWER and report["variables"]
        assert {len(row["value"]) for row in report["variables"]} == {LONGEST_TEXT}
        seen += len(report["variables"])
        if report["next"] is None:
            break
        assert report["next"] > start
        start = report["next"]
    assert seen == 400 and CHARACTERS // LONGEST_TEXT < 400


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"match": 1}, '"match", a part'),
        ({"from": "x"}, '"from", a number'),
        ({"since": True}, '"since", a number'),
        ({"most": 1.5}, '"most", a number'),
    ],
    ids=["match", "from", "since", "most"],
)
def test_a_question_without_a_meaning_is_refused(station: Station, question: dict[str, Any], message: str) -> None:
    with pytest.raises(OnsiteError, match=message):
        station.answers["model"](question)
    if "match" not in question and "from" not in question:
        with pytest.raises(OnsiteError, match=message):
            station.answers["events"](question)


@pytest.mark.parametrize("question", [{"from": 10**30}, {"from": 5}, {"most": 0}, {"most": -3}, {"match": "nowhere"}])
def test_a_place_where_nothing_is_has_no_variables(station: Station, question: dict[str, Any]) -> None:
    assert station.answers["model"](question)["variables"] == []


# --- the answer "events" ------------------------------------------------------------------------------------------


def ids(report: dict[str, Any]) -> list[int]:
    return [one["id"] for one in report["events"]]


def test_the_last_events_and_those_after(station: Station) -> None:
    for number in range(1, 8):
        station.event(number)
    told = station.answers["events"]
    assert ids(told({"most": 3})) == [5, 6, 7] and told({"most": 0})["last"] == 7
    found = told({"since": 5})
    assert (ids(found), found["lost"], found["more"]) == ([6, 7], False, False)
    assert ids(told({"since": 7})) == [] and not told({"since": 7})["lost"]
    found = told({"since": 99})
    assert ids(found) == [1, 2, 3, 4, 5, 6, 7] and found["lost"]


def test_no_events_are_no_loss(station: Station) -> None:
    found = station.answers["events"]({"since": 3})
    assert (found["events"], found["last"], found["lost"], found["more"]) == ([], None, False, False)


def test_an_event_of_a_password_does_not_tell_it(station: Station) -> None:
    station.event(1, variable="ApnPassword[sim]", value="hunter2")
    report = station.answers["events"]({})
    assert report["events"][0]["value"] is None
    assert "(secret)" in EventLines(PLAIN, UTC).lines(report["events"])[1]


def test_many_events_come_in_parts_that_fit(station: Station) -> None:
    events = [station.event(number, tech_info="\x01" * 5000) for number in range(1, 1001)]
    seen, question = list[int](), {"most": 1000}
    while True:
        report = events_report(events, station.clock, question)
        assert len(json.dumps({"ok": report})) < LONGEST_ANSWER and len(report["events"]) <= EVENTS
        seen += ids(report)
        if not report["more"]:
            break
        question = {"since": seen[-1]}
    assert seen == list(range(1, 1001))


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
