"""The panel: what each key asks of the bench, what is shown, and a terminal with somebody at it."""

import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rich.console import Console

from drivers.bench.bench import Bench
from drivers.bench.csms import Message
from drivers.bench.keys import KEYS, TOKENS, Seat, choose, request_of
from drivers.bench.panel import Panel, connector_row, gist, message_lines
from tests.bench.parts import PATIENCE, request, until

T = TypeVar("T")
PLACES = [(1, 1), (1, 2), (2, 1)]
IDLE = {"plugged": False, "ev": None, "jammed": False}
CAR = {"plugged": True, "ev": {"ready": True}, "jammed": True}


def seat(
    now: dict[str, Any], chosen: tuple[int, int] = (1, 1), held: bool = False, power: str = "on", network: str = "up"
) -> Seat:
    evse, connector = chosen
    world = {
        "power": power,
        "network": network,
        "evse": {str(evse): {"connector": {str(connector): now}}},
        "device": {"rcd-1": {"point": {"tripped": {"held": held}}}},
    }
    return Seat(world, chosen, frozenset({0, 1}), {1: ("rcd-1", "tripped", True)})


@pytest.mark.parametrize(
    ("key", "told", "asked"),
    [
        ("p", seat(IDLE), ("POST", "/bench/evse/1/connector/1/plug", {})),
        ("p", seat(CAR), ("POST", "/bench/evse/1/connector/1/unplug", {"side": "station"})),
        ("p", seat(IDLE, (2, 1)), ("POST", "/bench/evse/2/connector/1/plug", {})),
        ("u", seat(CAR), ("POST", "/bench/evse/1/connector/1/unplug", {"side": "ev"})),
        ("u", seat(IDLE), ("POST", "/bench/evse/1/connector/1/unplug", {"side": "station"})),
        ("e", seat(CAR), ("POST", "/bench/evse/1/connector/1/ev", {"ready": False})),
        ("e", seat({**CAR, "ev": {"ready": False}}), ("POST", "/bench/evse/1/connector/1/ev", {"ready": True})),
        ("f", seat(CAR), ("POST", "/bench/evse/1/connector/1/ev", {"soc": 100})),
        ("s", seat(IDLE), ("POST", "/bench/evse/1/token", {"idToken": TOKENS[0]})),
        ("t", seat(IDLE, (2, 1)), ("POST", "/bench/evse/0/token", {"idToken": TOKENS[1]})),
        ("b", seat(IDLE), ("POST", "/bench/evse/1/stop-button", {})),
        ("r", seat(IDLE), ("POST", "/bench/device/rcd-1/point/tripped", {"value": True})),
        ("r", seat(IDLE, held=True), ("DELETE", "/bench/device/rcd-1/point/tripped", None)),
        ("r", seat(IDLE, (2, 1)), None),
        ("j", seat(IDLE), ("POST", "/bench/evse/1/connector/1/lock", {"jammed": True})),
        ("j", seat(CAR), ("POST", "/bench/evse/1/connector/1/lock", {"jammed": False})),
        ("l", seat(IDLE), ("POST", "/bench/network", {"state": "down"})),
        ("l", seat(IDLE, network="blackhole"), ("POST", "/bench/network", {"state": "up"})),
        ("o", seat(IDLE), ("POST", "/bench/power", {"state": "off"})),
        ("o", seat(IDLE, power="off"), ("POST", "/bench/power", {"state": "on"})),
        ("k", seat(IDLE), ("POST", "/bench/agent", {"state": "kill"})),
        ("x", seat(IDLE), None),
        ("q", seat(IDLE), None),
    ],
)
def test_each_key_is_one_request(key: str, told: Seat, asked: Any) -> None:
    assert request_of(key, told) == asked


@pytest.mark.parametrize(
    ("key", "chosen", "then"),
    [
        ("\t", (1, 1), (1, 2)),
        ("\t", (2, 1), (1, 1)),
        ("3", (1, 1), (2, 1)),
        ("4", (1, 2), (1, 2)),
        ("0", (1, 2), (1, 2)),
        ("²", (1, 2), (1, 2)),
        ("p", (1, 2), (1, 2)),
    ],
)
def test_tab_and_digits_choose_a_connector(key: str, chosen: tuple[int, int], then: tuple[int, int]) -> None:
    assert choose(key, chosen, PLACES) == then


def test_a_connector_is_told_in_words() -> None:
    now: dict[str, Any] = {
        "plugged": True,
        "ev": {"soc": 41.234, "ready": False},
        "pilot": "C",
        "locked": True,
        "jammed": True,
        "contactor": True,
        "offered_a": 16.0,
        "current_a": [16.0, 15.94, 0.0],
        "power_w": 7346.2,
    }
    row = ["1: 1/2", "C", "closed", "locked, jammed", "16 A", "16.0 15.9 0.0", "7346 W", "41.23 %, not ready"]
    assert connector_row(1, (1, 2), now) == row
    assert connector_row(1, (1, 2), {**now, "ev": None})[-1] == "no car, cable in"
    assert connector_row(1, (1, 2), {**now, "ev": None, "plugged": False})[-1] == "—"


def test_messages_are_told_by_what_one_wants_to_see_of_them() -> None:
    status = {"evseId": 1, "connectorId": 2, "connectorStatus": "Occupied", "timestamp": "now"}
    event = {
        "eventType": "Updated",
        "seqNo": 3,
        "triggerReason": "ChargingStateChanged",
        "transactionInfo": {"transactionId": "T1", "chargingState": "Charging"},
    }
    said = [
        Message(1, "in", "call", "StatusNotification", status, 0.0),
        Message(2, "out", "result", "StatusNotification", {}, 0.0),
        Message(3, "in", "call", "Heartbeat", {}, 0.0),
        Message(4, "in", "call", "TransactionEvent", event, 0.0),
        Message(5, "out", "call", "Reset", {"type": "OnIdle"}, 0.0),
    ]
    lines = [
        "→ StatusNotification  1/2 Occupied",
        "→ TransactionEvent  #3 Updated ChargingStateChanged Charging T1",
        "← Reset  type OnIdle",
    ]
    assert message_lines(said, 10) == lines
    assert message_lines(said, 2) == lines[1:]
    assert gist({"idToken": {"idToken": "04A1", "type": "ISO14443"}}) == "04A1"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench with its wires and without a station."""
    bench = Bench("bench-ac")
    await bench.rig.start()
    yield bench
    await bench.rig.stop()
    shutil.rmtree(bench.state_dir.parent)


async def test_every_key_works_on_a_bench_or_says_why_not(bench: Bench) -> None:
    panel = Panel(bench, "logs: somewhere")

    def drawn() -> str:
        console = Console(width=120, height=40, file=open(os.devnull, "w"), record=True)  # noqa: SIM115, PTH123
        console.print(panel.draw(40))
        return console.export_text()

    assert "1: 1/1" in drawn() and "the station has not called yet" in drawn() and "logs: somewhere" in drawn()
    for key in (set(KEYS) - set("ok")) | set("q?"):
        panel.press(key)
    panel.press("\t")
    panel.press("p")
    await until(lambda: bench.world.places.connector(1, 2).cable)
    assert bench.world.places.connector(1, 2).state()["ev"] is not None
    panel.press("p")
    await until(lambda: "plug in / out: done" in drawn())
    panel.press("p")
    await until(lambda: "plug in / out: nothing is plugged in" in drawn() or bench.world.places.connector(1, 2).cable)
    panel.press("k")
    await until(lambda: "kill the agent: no agent is running" in drawn())


class Terminal:
    """A bench in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-m", "agent", "bench", "bench-ac", "--control", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", "TMPDIR": str(folder)},
        )
        os.close(slave)
        self.seen = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the last who had it open is gone
                return
            self.seen += data.decode(errors="replace")

    def type(self, key: str) -> None:
        os.write(self.master, key.encode())

    def reads(self, pattern: str) -> re.Match[str]:
        found = wait_for(lambda: re.search(pattern, self.seen), pattern)
        assert found is not None
        return found


def wait_for(question: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + PATIENCE
    while not (answer := question()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)
    return answer


def test_somebody_plugs_in_swipes_and_quits(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        control = terminal.reads(r"bench ready control=(\S+)\r\n").group(1)
        terminal.reads("what the CSMS hears")
        terminal.reads("StatusNotification")
        terminal.type("\x1b[A")  # an arrow: nothing
        terminal.type("p")
        place = lambda: request(control + "/bench")[1]["evse"]["1"]["connector"]["1"]  # noqa: E731
        wait_for(lambda: place()["plugged"], "plugged in")
        terminal.reads("plug in / out: done")
        terminal.type("s")
        terminal.reads("swipe a card: done")
        terminal.type("q")
        assert wait_for(lambda: terminal.process.poll() is not None, "the end")
        assert terminal.process.returncode == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
