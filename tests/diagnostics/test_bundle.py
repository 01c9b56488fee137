"""What is in a DiagnosticsLog, of which time, what is not, and how little memory it takes."""

import gzip
import json
import logging
import os
import stat
import tracemalloc
from datetime import timedelta

import pytest

from agent.diagnostics.archive import PART
from agent.diagnostics.bundle import PlainLog
from agent.diagnostics.journal import journal
from agent.diagnostics.rings import LastLines, LastMessages
from agent.diagnostics.slices import Slice
from agent.model import Attribute, Characteristics, Component, DataType, Mutability, Variable
from tests.diagnostics.parts import NOON, a_bundle, contents, unpacked
from tests.ocpp.parts import FakeClock


@pytest.fixture(autouse=True)
def without_journal(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.requirement("N01.FR.04")
def test_a_bundle_has_what_an_engineer_wants(tmp_path):
    board = tmp_path / "my.yaml"
    board.write_text("station: {model: x}\nems:\n  - url: mqtt://me:pw@host/\n    password: hunter2\n")
    bundle = a_bundle(
        board=[board],
        buses=lambda: {"rs485": {"meter": {"requests": 7}}},
        dated={"events.jsonl": lambda: [(NOON, '{"event":1}')]},
    )
    bundle.messages.take("in", '[2,"1","GetLog",{}]')
    found = contents(bundle)
    assert set(found) == {
        "versions.json", "model.jsonl", "buses.json", "messages.jsonl", "board/my.yaml", "events.jsonl", "journal.log"
    }  # fmt: skip
    versions = json.loads(found["versions.json"])
    assert versions["station"]["vendor"] == "Acme" and "websockets" in versions["packages"]
    assert json.loads(found["buses.json"])["rs485"]["meter"]["requests"] == 7
    assert found["events.jsonl"] == '{"event":1}\n'
    assert "hunter2" not in found["board/my.yaml"] and "me:pw" not in found["board/my.yaml"]
    assert "model: x" in found["board/my.yaml"]


def test_the_model_is_told_with_ages_and_without_secrets():
    clock = FakeClock()
    bundle = a_bundle(clock)
    text = Characteristics(DataType.STRING)
    reader = Variable(Component("TokenReader", evse=1), "Token", text, Attribute("04A1B2C3"))
    password = Variable(
        Component("SecurityCtrlr"), "BasicAuthPassword", text, Attribute("a-password", Mutability.WRITE_ONLY)
    )
    bundle.model.add(reader)
    bundle.model.add(password)
    bundle.model.get(Component("AirCoolingSystem"), "FanSpeed").update(400.5, clock.monotonic())
    clock.seconds += 2.5
    told = contents(bundle)["model.jsonl"]
    lines = [json.loads(line) for line in told.splitlines()]
    assert len(lines) == sum(1 for _ in bundle.model.variables())
    fan = next(one for one in lines if one["component"] == "AirCoolingSystem" and one["variable"] == "FanSpeed")
    assert (fan["value"], fan["age"], fan["unit"], fan["MaxSet"]) == ("400.5", 2.5, "RPM", "500")
    assert fan["Target"] is None
    assert "04A1B2C3" not in told and "a-password" not in told


@pytest.mark.requirement("N01.FR.04")
def test_only_what_is_of_the_time_asked_for_is_in_it():
    clock = FakeClock()
    bundle = a_bundle(
        clock,
        dated={"events.jsonl": lambda: [(None, "head"), *((NOON + timedelta(hours=n), f"e{n}") for n in range(5))]},
    )
    for hour in range(5):
        clock.seconds = 1000.0 + hour * 3600
        bundle.messages.take("out", f'[2,"m{hour}","Heartbeat",{{}}]')
        bundle.lines.handle(logging.LogRecord("a", logging.INFO, "", 0, f"line {hour}", None, None))
    found = contents(bundle, Slice(NOON + timedelta(hours=1), NOON + timedelta(hours=3)))
    assert found["events.jsonl"].split() == ["head", "e1", "e2", "e3"]
    assert [json.loads(one)["frame"][1] for one in found["messages.jsonl"].splitlines()] == ["m1", "m2", "m3"]
    assert [line[-6:] for line in found["journal.log"].splitlines()] == ["line 1", "line 2", "line 3"]
    assert len(contents(bundle)["messages.jsonl"].splitlines()) == 5


def test_what_cannot_be_read_is_told_and_the_rest_is_there(tmp_path, caplog):
    def broken():
        yield NOON, "first"
        raise OSError("the disk is gone")

    found = contents(a_bundle(board=[tmp_path / "gone.yaml"], dated={"events.jsonl": broken}))
    assert found["events.jsonl"] == "first\n"
    assert "the disk is gone" in found["missing.txt"] and "board/gone.yaml" in found["missing.txt"]
    assert "journal.log" in found


def test_what_is_long_is_cut_into_parts_at_the_ends_of_lines():
    lines = [f"{number} " + os.urandom(500).hex() for number in range(3000)]
    found = contents(a_bundle(dated={"events.jsonl": lambda: ((NOON, line) for line in lines)}))
    parts = [name for name in found if name.startswith("events")]
    assert parts[:2] == ["events-001.jsonl", "events-002.jsonl"] and len(parts) > 4
    assert "".join(found[one] for one in parts).splitlines() == lines
    assert max(len(found[one]) for one in parts) < PART + 2000


def test_a_large_bundle_takes_little_memory():
    line = os.urandom(1500).hex()
    bundle = a_bundle(
        dated={"events.jsonl": lambda: ((NOON, line[number % 3000 :] + line) for number in range(6000))}
    )
    made = bundle.open(Slice())()
    next(made)
    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in made)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 100_000 and peak < 5 * PART


@pytest.mark.requirement("N01.FR.03")
def test_a_plain_log_is_its_lines():
    log = PlainLog(lambda: [(NOON, "StartupOfTheDevice"), (NOON + timedelta(days=1), "later")])
    assert gzip.decompress(b"".join(log.open(Slice(latest=NOON))())) == b"StartupOfTheDevice\n"


# --- the rings -----------------------------------------------------------------------------------------------------


def frames(*sent):
    ring = LastMessages(FakeClock())
    for one in sent:
        ring("out", one)
    return [line for _, line in ring.lines()]


def test_only_the_last_messages_are_kept():
    ring = LastMessages(FakeClock(), 200)
    for number in range(250):
        ring.take("in", f'[3,"{number}",{{}}]')
    told = [json.loads(line)["frame"][1] for _, line in ring.lines()]
    assert told == [str(number) for number in range(50, 250)]


CARD = {"idToken": "04A1B2C3", "type": "ISO14443", "additionalInfo": [{"additionalIdToken": "DE*8*1", "type": "x"}]}


@pytest.mark.requirement("A01.FR.12")
@pytest.mark.parametrize(
    "frame",
    [
        [2, "1", "Authorize", {"idToken": CARD}],
        [3, "1", {"idTokenInfo": {"status": "Accepted", "groupIdToken": CARD}}],
        [2, "1", "SendLocalList", {"localAuthorizationList": [{"idToken": CARD}]}],
        [2, "1", "CustomerInformation", {"customerIdentifier": "04A1B2C3"}],
        [2, "1", "NotifyCustomerInformation", {"data": "all of 04A1B2C3", "seqNo": 0}],
        [2, "1", "SetVariables", {"setVariableData": [
            {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "basicAuthPassword"},
             "attributeValue": "04A1B2C3"}]}],
        [2, "1", "NotifyEvent", {"eventData": [
            {"component": {"name": "TokenReader"}, "variable": {"name": "Token"}, "actualValue": "04A1B2C3"}]}],
        [2, "1", "NotifyReport", {"reportData": [
            {"component": {"name": "TokenReader"}, "variable": {"name": "Token"},
             "variableAttribute": [{"type": "Actual", "value": "04A1B2C3"}]}]}],
        [2, "1", "GetLog", {"log": {"remoteLocation": "https://me:04A1B2C3@host/logs/"}}],
        [2, "1", "SetNetworkProfile", {"connectionData": {"apn": {"apnPassword": "04A1B2C3"}}}],
    ],
)  # fmt: skip
def test_no_message_tells_a_secret_or_who_charged(frame):
    (line,) = frames(json.dumps(frame))
    assert "04A1B2C3" not in line and "DE*8*1" not in line
    assert json.loads(line)["frame"][:2] == frame[:2]


def test_the_same_card_can_be_followed_through_the_messages():
    cards = (CARD, dict(CARD, idToken="04FFFFFF"), dict(CARD, idToken="04a1b2c3"))
    lines = frames(*(json.dumps([2, "1", "Authorize", {"idToken": card}]) for card in cards))
    told = [json.loads(line)["frame"][3]["idToken"]["idToken"] for line in lines]
    assert told[0] == told[2] != told[1]


@pytest.mark.parametrize("frame", ["not json 04A1B2C3", "[" * 3000, '[2,"id","NotifyReport",' + "x" * 9000])
def test_of_what_is_no_json_or_too_long_only_the_size_and_the_head_are_told(frame):
    (line,) = frames(frame)
    told = json.loads(line)
    assert told["size"] == len(frame) and "frame" not in told and "04A1B2C3" not in line
    assert told["head"] == ([2, "id", "NotifyReport"] if frame.startswith("[2") else [])


def test_the_last_lines_are_bounded_and_blanked():
    ring = LastLines(FakeClock().now, 3)
    for number in range(5):
        text = f"{number} http://me:pw@host/ " + "x" * 5000
        ring.handle(logging.LogRecord("agent", logging.WARNING, "", 0, text, None, None))
    lines = [line for _, line in ring.lines()]
    assert [line.split()[3] for line in lines] == ["2", "3", "4"]
    assert all("pw" not in line and len(line) < 1100 for line in lines)
    assert lines[0].startswith("2026-01-31T12:00:00.000Z WARNING agent: ")


# --- the journal ---------------------------------------------------------------------------------------------------


def test_the_journal_is_asked_for_the_time_slice_and_read_line_by_line(tmp_path, monkeypatch):
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho "$@"\necho "connecting to ws://me:pw@host"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    asked, line = journal(Slice(NOON, NOON + timedelta(hours=1)), FakeClock(), [])
    assert f"--since=@{NOON.timestamp():.6f}" in asked and f"--until=@{NOON.timestamp() + 3600:.6f}" in asked
    assert line == "connecting to ws://***@host"


def test_where_the_journal_is_empty_the_agents_own_lines_are_told(tmp_path, monkeypatch):
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    lines = [(NOON, "kept"), (NOON - timedelta(days=1), "older")]
    assert list(journal(Slice(NOON), FakeClock(), lines)) == ["kept"]


def test_a_bundle_can_be_made_twice():
    body = a_bundle().open(Slice())
    assert unpacked(b"".join(body())).keys() == unpacked(b"".join(body())).keys()
