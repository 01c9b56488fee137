"""The command `station-agent`: what it prints, what it says when something is wrong, and its exit codes."""

import asyncio
import io
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import boards
from agent import __version__
from agent.board import load
from agent.cli import main
from agent.model import Mutability, Variable
from agent.station import build_model
from agent.store import Store
from drivers.bench.rig import Rig
from tests.board.parts import CHARGING
from tests.board.parts import GOOD as BARE

GOOD = {"csms_url": "ws://csms.example.com:80/ocpp", "identity": "CS001", "password": "a-password-of-20-chr"}

Out = pytest.CaptureFixture[str]
SetUp = Callable[..., int]


def exit_code(*words: str) -> int:
    """Of `station-agent WORDS`, however it ends."""
    try:
        return main(words)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code)
            return 1
        return int(end.code or 0)


# --- the command itself -------------------------------------------------------------------------------------------


def test_the_version_is_told(capsys: Out) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_without_a_command_the_first_steps_are_shown(capsys: Out) -> None:
    assert exit_code() == 2
    assert "station-agent demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        ("", ["run", "setup", "board", "model", "bench", "demo", "--version"]),
        ("run", ["BOARD", "--state-dir", "--overlay", "--log-level", "exit code 3"]),
        ("setup", ["--state-dir", "--from", "stdin"]),
        ("board", ["check", "schema", "probe"]),
        ("board check", ["BOARD"]),
        ("board schema", []),
        ("board probe", ["BOARD", "--state-dir", "--overlay"]),
        ("model", ["BOARD"]),
        ("bench", ["BOARD", "--csms", "--control", "--set"]),
        ("demo", ["--plain", "--log"]),
    ],
)
def test_each_command_explains_itself(capsys: Out, words: str, mentions: list[str]) -> None:
    assert exit_code(*words.split(), "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: station-agent") and all(one in said for one in mentions)


@pytest.mark.parametrize("words", ["fly", "board", "board fly", "run", "board check", "run x --log-level loud"])
def test_a_slip_of_the_pen_is_answered_with_the_usage(capsys: Out, words: str) -> None:
    assert exit_code(*words.split()) == 2
    assert "usage: station-agent" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "board check", "board probe"])
def test_an_unknown_board_is_answered_with_the_one_that_was_meant(capsys: Out, command: str, tmp_path: Path) -> None:
    words = [*command.split(), "bench-acc"]
    if command in ("run", "board probe"):
        words += ["--state-dir", str(tmp_path)]
    assert exit_code(*words) == 1
    assert "no such board file" in (said := capsys.readouterr().err) and "bench-ac" in said


def test_run_without_setup_says_what_is_missing(capsys: Out, tmp_path: Path) -> None:
    assert exit_code("run", "bench-ac", "--state-dir", str(tmp_path)) == 1
    assert f"station-agent setup --state-dir {tmp_path}" in capsys.readouterr().err


# --- boards -------------------------------------------------------------------------------------------------------


def test_a_board_is_checked_and_described(capsys: Out) -> None:
    assert exit_code("board", "check", "bench-ac") == 0
    said = capsys.readouterr().out
    assert "2 EVSEs, 3 connectors" in said and "no mistakes found" in said
    assert exit_code("board", "check", "bench-uart") == 0
    assert "1 EVSE, 1 connector\n" in capsys.readouterr().out
    assert re.search(r"^meter-1 +lan +modbus-tcp +\d+ +8 +eastron-sdm630$", said, re.M)
    assert re.search(r"^1/2 +cType2 +charger-1-2 +pilot plugged .*fault +offered_current enable$", said, re.M)
    assert not re.search(r"^note: (?!bus .* busy)", said, re.M)


def test_a_connector_is_explained_with_what_other_devices_do_of_it(capsys: Out, tmp_path: Path) -> None:
    board = tmp_path / "mine.yaml"
    board.write_text(CHARGING)
    assert exit_code("board", "check", str(board)) == 0
    said = capsys.readouterr().out
    (socket,) = re.findall(r"^1/1 .*$", said, re.M)
    assert "sType2  left" in socket and "contactor_closed=pins.feedback" in socket and "lock=pins.lock" in socket
    assert re.search(r"^pins +gpio +gpio +6 +4 +pins$", said, re.M)  # `enable` and `lamp` are not used
    assert re.search(r"^right +pilot +pilot-uart +6 +6 +pilot-uart$", said, re.M)


def test_a_connector_that_nothing_controls_is_shown_as_such(capsys: Out, tmp_path: Path) -> None:
    board = tmp_path / "mine.yaml"
    board.write_text(BARE)
    assert exit_code("board", "check", str(board)) == 0
    said = capsys.readouterr().out
    assert re.search(r"^1/1 +sType2 +— +— +—$", said, re.M)
    assert "note: connector 1/1: nothing controls it, so it cannot charge" in said


def test_a_board_that_is_no_charging_station_is_called_so(capsys: Out) -> None:
    assert exit_code("board", "check", "bench-battery") == 0
    assert "no charging station" in capsys.readouterr().out


def test_a_boards_mistakes_are_shown_with_their_place(capsys: Out, tmp_path: Path) -> None:
    board = tmp_path / "mine.yaml"
    board.write_text("station: {vendor: Acme, model: X}\nbuses:\n  rs485: {driver: modbus-rtuu}\n")
    assert exit_code("board", "check", str(board)) == 1
    said = capsys.readouterr().err
    assert f"{board}:3:" in said and "modbus-rtu" in said


def test_the_schema_of_boards_is_json(capsys: Out) -> None:
    assert exit_code("board", "schema") == 0
    assert "station" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("words", [("board", "schema"), ("board", "check", "bench-ac"), ("model", "bench-ac")])
def test_a_reader_that_leaves_ends_the_command_without_a_word(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "agent", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_the_model_is_a_table_of_what_the_station_will_report(capsys: Out) -> None:
    assert exit_code("model", "bench-ac") == 0
    said = capsys.readouterr().out
    (fan,) = re.findall(r"^AirCoolingSystem +FanSpeed .*$", said, re.M)
    assert "0..1000" in fan and "Target* MinSet* MaxSet*" in fan and "fan.rpm ← fan.duty" in fan
    (password,) = re.findall(r"^.*BasicAuthPassword.*$", said, re.M)
    assert "(secret)" in password
    assert re.search(r"^\d+ variables; \* can be set by the CSMS$", said, re.M)


# --- setup --------------------------------------------------------------------------------------------------------


@pytest.fixture
def set_up(tmp_path: Path) -> SetUp:
    def call(**changes: Any) -> int:
        source = tmp_path / "setup.json"
        settings = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
        source.write_text(json.dumps(settings))
        return exit_code("setup", "--state-dir", str(tmp_path / "state"), "--from", str(source))

    return call


def kept(state: Path) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    store = Store(state)
    try:
        return store.settings(), store.attributes()
    finally:
        store.close()


def test_what_is_per_unit_is_stored_and_the_password_is_not_shown(set_up: SetUp, tmp_path: Path, capsys: Out) -> None:
    assert set_up(proxy="http://10.0.0.1:8080") == 0
    said = capsys.readouterr()
    assert said.out == f"CS001 at ws://csms.example.com:80/ocpp: stored in {tmp_path / 'state'}\n"
    settings, attributes = kept(tmp_path / "state")
    assert settings["csms_url"] == GOOD["csms_url"] and settings["proxy"] == "http://10.0.0.1:8080"
    assert attributes == {("SecurityCtrlr.BasicAuthPassword", "Actual"): GOOD["password"]}
    assert GOOD["password"] not in said.out + said.err
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_later_setup_stands_alone(set_up: SetUp, tmp_path: Path) -> None:
    """A proxy that is no longer named is no longer used; a password that is not named stays, as the CSMS set it."""
    assert set_up(proxy="http://10.0.0.1:8080") == 0
    assert set_up(identity="CS002", password=...) == 0
    settings, attributes = kept(tmp_path / "state")
    assert settings["identity"] == "CS002" and settings["proxy"] == ""
    assert attributes["SecurityCtrlr.BasicAuthPassword", "Actual"] == GOOD["password"]
    assert set_up(password="another-password-0001") == 0
    assert kept(tmp_path / "state")[1]["SecurityCtrlr.BasicAuthPassword", "Actual"] == "another-password-0001"


def test_settings_can_come_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(GOOD)))
    assert exit_code("setup", "--state-dir", str(tmp_path), "--from", "-") == 0
    assert capsys.readouterr().out.startswith("CS001 at ")


def test_variables_of_a_factory_fresh_station_can_be_set(set_up: SetUp, tmp_path: Path) -> None:
    changes = {"OCPPCommCtrlr.OfflineThreshold": 90, "ocppcommctrlr.unlockonevsidedisconnect": False}
    assert set_up(board="bench-ac", set=changes) == 0
    attributes = kept(tmp_path / "state")[1]
    assert attributes["OCPPCommCtrlr.OfflineThreshold", "Actual"] == "90"
    assert attributes["OCPPCommCtrlr.UnlockOnEVSideDisconnect", "Actual"] == "false"


def settable(board: str) -> dict[str, Variable]:
    """Every variable whose Actual the CSMS may write, by its place."""
    variables = build_model(load(board)).model.variables()
    return {str(one): one for one in variables if one.actual.mutability is not Mutability.READ_ONLY}


@pytest.mark.parametrize("board", ["bench-ac", "bench-battery"])
def test_every_variable_that_the_csms_may_write_can_be_set(set_up: SetUp, tmp_path: Path, board: str) -> None:
    changes = {place: one.actual.text() for place, one in settable(board).items()}
    changes["SecurityCtrlr.BasicAuthPassword"] = "another-password-0001"
    assert len(changes) > 10
    assert set_up(board=board, set=changes) == 0
    stored = kept(tmp_path / "state")[1]
    assert {(place, "Actual"): text for place, text in changes.items()} == stored


def test_a_list_may_be_given_as_one(set_up: SetUp, tmp_path: Path) -> None:
    assert set_up(board="bench-ac", set={"ClockCtrlr.TimeSource": ["RealTimeClock", "Heartbeat"]}) == 0
    assert kept(tmp_path / "state")[1]["ClockCtrlr.TimeSource", "Actual"] == "RealTimeClock,Heartbeat"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"csms_url": ...}, "csms_url: found '', expected ws://HOST"),
        ({"csms_url": "http://csms"}, "csms_url: found 'http://csms', expected ws://HOST"),
        ({"csms_url": "ws://[::1"}, "csms_url"),
        ({"csms_url": "ws://csms:99999"}, "csms_url"),
        ({"csms_url": "wss://csms"}, "security_profile: 1 goes with ws://, 2 with wss://"),
        ({"identity": ""}, "identity: found ''"),
        ({"identity": "a:b"}, "identity: found 'a:b'"),
        ({"identity": "a b"}, "identity: found 'a b'"),
        ({"identity": "x" * 49}, "1..48"),
        ({"security_profile": 3}, "security_profile: found 3, expected 1"),
        ({"password": "short"}, "password: expected 16 to 40 characters"),
        ({"proxy": "socks5://x:1"}, "proxy: found 'socks5://x:1', expected http://HOST:PORT"),
        ({"trust": "/nowhere/ca.pem"}, "trust: /nowhere/ca.pem: No such file or directory; expected a PEM file"),
        ({"passwort": "x"}, "passwort: not a setting; expected board"),
        ({"set": {"A.B": "1"}}, "set: needs the board"),
        ({"set": ["A.B"], "board": "bench-ac"}, "set: expected an object"),
        ({"set": {"A.B": "1"}, "board": "bench-acc"}, "no such board file"),
        ({"set": {"A.B": "1"}, "board": "bench-ac"}, "A.B: this board has no such variable"),
        (
            {"set": {"TxCtrlr.TxMiddlePoint": "x"}, "board": "bench-ac"},
            "TxMiddlePoint: this board has no such variable",
        ),
        (
            {"set": {"ClockCtrlr.TimeSource": {}}, "board": "bench-ac"},
            "found {}, expected a text, number, truth or list",
        ),
        ({"set": {"ClockCtrlr.TimeSource": None}, "board": "bench-ac"}, "ClockCtrlr.TimeSource: found null"),
        ({"set": {"nonsense": "1"}, "board": "bench-ac"}, "expected Component[instance]@evse"),
        ({"set": {"ClockCtrlr.DateTime": "x"}, "board": "bench-ac"}, "ClockCtrlr.DateTime: read-only"),
        ({"set": {"OCPPCommCtrlr.OfflineThreshold": "-1"}, "board": "bench-ac"}, "-1 is below minLimit 0"),
        ({"set": {"SecurityCtrlr.BasicAuthPassword": "x"}, "board": "bench-ac"}, "expected 16 to 40 characters"),
        ({"set": {"OCPPCommCtrlr.NetworkConfigurationPriority": ""}, "board": "bench-ac"}, "at least one item"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_named_and_nothing_is_stored(
    set_up: SetUp, tmp_path: Path, capsys: Out, changes: dict[str, Any], message: str
) -> None:
    assert set_up(**changes) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_trust_file_without_certificates_is_named(set_up: SetUp, tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert set_up(trust=str(tmp_path / "ca.pem")) == 2
    assert "ca.pem" in (said := capsys.readouterr().err) and "expected a PEM file" in said


@pytest.mark.parametrize("text", ["", "[1]", "{", "\udcff"])
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, capsys: Out, text: str) -> None:
    source = tmp_path / "setup.json"
    source.write_bytes(text.encode(errors="surrogateescape"))
    assert exit_code("setup", "--state-dir", str(tmp_path / "state"), "--from", str(source)) == 2
    assert "expected a JSON object" in capsys.readouterr().err


def test_without_a_terminal_setup_asks_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ws://csms\n"))
    assert exit_code("setup", "--state-dir", str(tmp_path)) == 2
    assert "give a file: station-agent setup --from FILE.json" in capsys.readouterr().err


def test_setup_beside_a_running_agent_is_refused(set_up: SetUp, tmp_path: Path, capsys: Out) -> None:
    store = Store(tmp_path / "state")
    try:
        assert set_up() == 2
    finally:
        store.close()
    assert "another agent is running" in capsys.readouterr().err


# --- probe, on the wires ------------------------------------------------------------------------------------------


class Wires:
    """The far ends of a board's wires, and `probe` on the near ones."""

    def __init__(self, board: str, folder: Path) -> None:
        self.board, self.folder = board, folder
        self.rig = Rig(load(board), folder)

    async def probe(self, board: str = "") -> int:
        overlay = self.folder / "overlay.json"
        overlay.write_text(json.dumps({**self.rig.overlay, "boot_id": "a bench tells that to `run`"}))
        state = str(self.folder / "state")
        words = ("board", "probe", board or self.board, "--overlay", str(overlay), "--state-dir", state)
        return await asyncio.to_thread(exit_code, *words)


@pytest.fixture
async def wires(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Wires]:
    wires = Wires(request.param, tmp_path)
    await wires.rig.start()
    yield wires
    await wires.rig.stop()


@pytest.mark.parametrize("wires", ["bench-ac"], indirect=True)
async def test_every_point_of_a_connected_board_is_read(wires: Wires, capsys: Out) -> None:
    assert await wires.probe() == 0
    said = capsys.readouterr().out
    assert re.search(r"^meter-1 +voltage_l1 +2\d\d\S* +V +ok$", said, re.M)
    assert re.search(r"^rcd-1 +tripped +false +ok$", said, re.M)
    read, total = re.findall(r"^(\d+) of (\d+) points read$", said, re.M)[0]
    assert read == total


@pytest.mark.parametrize("wires", ["bench-battery"], indirect=True)
async def test_devices_are_told_apart_by_their_identity(
    wires: Wires, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await wires.probe() == 0
    said = capsys.readouterr().out
    assert "battery: identity: fits\n" in said and "feed-meter: identity: fits\n" in said

    # A board whose battery should be another model; and its fan is unplugged.
    mine = wires.folder / "mine.yaml"
    mine.write_text((boards.FOLDER / "bench-battery.yaml").read_text())
    profile = (boards.FOLDER / "profiles" / "sunspec-battery.yaml").read_text()
    (wires.folder / "profiles").mkdir()
    (wires.folder / "profiles" / "sunspec-battery.yaml").write_text(profile.replace("equals: [802]", "equals: [803]"))
    wires.rig.world.set_fault("fan", "offline")
    monkeypatch.setattr("agent.cli_board.PATIENCE", 2.0)
    assert await wires.probe(str(mine)) == 1
    said = capsys.readouterr().out
    assert "battery: identity: found 802, expected 803" in said and "feed-meter: identity: fits\n" in said
    assert re.search(r"^fan +rpm +— +RPM +\S.*$", said, re.M)


def test_a_probe_beside_a_running_agent_is_refused(tmp_path: Path, capsys: Out) -> None:
    store = Store(tmp_path)
    try:
        assert exit_code("board", "probe", "bench-ac", "--state-dir", str(tmp_path)) == 1
    finally:
        store.close()
    said = capsys.readouterr().out
    assert "owns the wires" in said and "systemctl stop station-agent" in said


def test_a_probe_that_cannot_see_whether_an_agent_runs_is_refused(tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "lock").symlink_to("lock")  # cannot be opened, whoever asks
    assert exit_code("board", "probe", "bench-ac", "--state-dir", str(tmp_path)) == 1
    assert "an agent may be running" in capsys.readouterr().out


def test_a_probe_of_wires_that_are_not_there_says_why(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "mine.yaml"
    board.write_text(
        "station: {vendor: Acme, model: X}\n"
        f"buses: {{rs485: {{driver: modbus-rtu, port: {tmp_path}/ttyNone, baudrate: 19200}}}}\n"
        "devices: {meter: {bus: rs485, unit: 1, profile: carlo-gavazzi-em24}}\n"
    )
    monkeypatch.setattr("agent.cli_board.PATIENCE", 60.0)  # which nothing waits for: the bus has ended
    assert exit_code("board", "probe", str(board), "--state-dir", str(tmp_path / "state")) == 1
    said = capsys.readouterr().out
    assert f"{tmp_path}/ttyNone" in said and "meter: identity: not read" in said and "0 of " in said
