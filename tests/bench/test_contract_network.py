"""The line to the CSMS as it fails in the field, and CSMSs as they should not be: the station always comes back."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from drivers.bench.csms import CallError, StationSession
from tests.bench.contract_parts import Stage, report, set_one, stage, value
from tests.bench.parts import PASSWORD, PATIENCE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {
    "OCPPCommCtrlr.WebSocketPingInterval": "1",
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "OCPPCommCtrlr.RetryBackOffRepeatTimes": "0",
}
CONNECTORS = [(1, 1), (1, 2), (2, 1)]
MODEL = ("OCPPCommCtrlr", "HeartbeatInterval")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("network"), SETTINGS) as shared:
        await shared.registered()
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def line(shared: Stage) -> AsyncIterator[Stage]:
    """A station that is connected and registered, before and after."""
    await shared.station.until_connected(True, PATIENCE)
    boots = len(shared.station.calls("BootNotification"))
    yield shared
    await comes_back(shared.station)
    assert shared.bench.agent.exit_codes.count(1) == 0
    if shared.bench.agent.starts == 1:
        # part 4 §5.3: a station that was accepted and did not restart has no reason to boot again
        assert len(shared.station.calls("BootNotification")) == boots == 1


async def comes_back(station: StationSession) -> None:
    await station.until_connected(True, PATIENCE)
    assert await value(station, MODEL)


async def test_a_line_that_swallows_every_byte_is_given_up_after_a_ping_without_pong(line: Stage) -> None:
    lost = line.log.read_text().count("no pong")
    connections = line.station.connections
    await line.control("POST", "/bench/network", {"state": "blackhole"})
    await until(lambda: line.log.read_text().count("no pong") > lost, "no pong")
    assert line.station.connections == connections
    await line.control("POST", "/bench/network", {"state": "up"})
    await until(lambda: line.station.connections > connections, "a new connection")


async def test_a_line_that_is_down_is_tried_until_it_is_up(line: Stage) -> None:
    connections = line.station.connections
    for _ in range(2):
        await line.control("POST", "/bench/network", {"state": "down"})
        await line.station.until_connected(False, PATIENCE)
        await asyncio.sleep(2.5)
        assert not line.station.connected
        await line.control("POST", "/bench/network", {"state": "up"})
        await line.station.until_connected(True, PATIENCE)
    assert line.station.connections == connections + 2


async def test_a_csms_that_restarts_is_found_again(line: Stage) -> None:
    await line.csms.stop()
    await line.station.until_connected(False, PATIENCE)
    await line.csms.start()


async def test_a_station_that_is_refused_for_its_password_tries_again(line: Stage) -> None:
    line.csms.password = "another-password-0"
    refusals = line.csms.refusals
    await line.station.disconnect()
    await until(lambda: line.csms.refusals >= refusals + 2, "two refusals")
    line.csms.password = PASSWORD


@contextlib.asynccontextmanager
async def another_server(line: Stage, answers: list[bytes]) -> AsyncIterator[list[str]]:
    """In the CSMS's place: says the next of `answers` to each connection and hangs up; then nothing, and stays."""
    asked: list[str] = []
    left = list(answers)
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if left:
                writer.write(left.pop(0))
                writer.close()

    await line.csms.stop()
    server = await asyncio.start_server(talk, "127.0.0.1", line.csms.port)
    try:
        yield asked
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await line.csms.start()


STRANGE_ANSWERS = {
    "nothing, and hangs up": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a web page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>",
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "a redirect to no place": b"HTTP/1.1 302 Found\r\nLocation: gopher://[\r\nContent-Length: 0\r\n\r\n",
    "a redirect without a place": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "an upgrade with the wrong key": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nSec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n"
    ),
    "a header without end": b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 100_000,
}


async def test_whatever_is_at_the_csmss_place_is_tried_again(line: Stage) -> None:
    async with another_server(line, list(STRANGE_ANSWERS.values())) as asked:
        await until(lambda: len(asked) > len(STRANGE_ANSWERS), "an attempt after the last strange answer")


async def test_a_csms_that_never_finishes_the_handshake_is_given_up(line: Stage) -> None:
    async with another_server(line, []) as asked:
        await until(lambda: len(asked) >= 2, "a second attempt, while the first still is open")


@pytest.mark.parametrize("chosen", [None, "ocpp1.6"])
async def test_a_csms_that_chooses_another_subprotocol_is_left(line: Stage, chosen: str | None) -> None:
    opened = itertools.count()
    heard: list[Any] = []

    async def listen(connection: ServerConnection) -> None:
        next(opened)
        with contextlib.suppress(ConnectionClosed):
            heard.append(await connection.recv())

    def choose(*_: object) -> Subprotocol | None:
        next(opened)
        return None if chosen is None else Subprotocol(chosen)

    await line.csms.stop()
    async with serve(listen, "127.0.0.1", line.csms.port, select_subprotocol=choose, close_timeout=1):
        await until(lambda: next(opened) > 8, "some attempts")
    assert heard == []
    await line.csms.start()


# --- being offline -------------------------------------------------------------------------------------------------


async def offline_for(line: Stage, seconds: float) -> int:
    """Cut the line for a while; the last message before it came back."""
    await line.control("POST", "/bench/network", {"state": "down"})
    await line.station.until_connected(False, PATIENCE)
    await asyncio.sleep(seconds)
    since = line.station.last
    await line.control("POST", "/bench/network", {"state": "up"})
    await line.station.until_connected(True, PATIENCE)
    return since


def told(station: StationSession, since: int) -> list[tuple[int, int]]:
    calls = station.calls("StatusNotification", since)
    return [(m.payload["evseId"], m.payload["connectorId"]) for m in calls]


@pytest.mark.requirement("B04.FR.01")
async def test_after_longer_than_the_threshold_every_connector_is_told(line: Stage) -> None:
    assert (await set_one(line.station, ("OCPPCommCtrlr", "OfflineThreshold"), "2"))["attributeStatus"] == "Accepted"
    since = await offline_for(line, 3)
    await until(lambda: told(line.station, since) == CONNECTORS, "every connector")


@pytest.mark.requirement("B04.FR.02")
async def test_after_less_than_the_threshold_no_connector_is_told(line: Stage) -> None:
    await set_one(line.station, ("OCPPCommCtrlr", "OfflineThreshold"), "300")
    since = await offline_for(line, 1)
    await line.station.wait_for("Heartbeat", since=since, timeout=PATIENCE)
    await asyncio.sleep(1)
    assert told(line.station, since) == []


def trips(station: StationSession, since: int) -> list[dict[str, Any]]:
    events = [data for m in station.calls("NotifyEvent", since) for data in m.payload["eventData"]]
    return [e for e in events if e["variable"]["name"] == "Tripped"]


async def test_an_event_of_an_offline_time_outlives_a_power_cut_with_its_time(line: Stage) -> None:
    await line.control("POST", "/bench/network", {"state": "down"})
    await line.station.until_connected(False, PATIENCE)
    since = line.station.last
    now = await line.control("GET", "/bench")
    await line.control("POST", "/bench/device/rcd-2/point/tripped", {"value": True})
    await until(lambda: line.log.read_text(), "a log")
    await asyncio.sleep(1.5)
    cut = (await line.control("GET", "/bench"))["time"]
    await line.control("POST", "/bench/power", {"state": "off"})
    await line.control("DELETE", "/bench/device/rcd-2/point/tripped")
    await line.control("POST", "/bench/power", {"state": "on"})
    await line.control("POST", "/bench/network", {"state": "up"})
    await line.registered(since)
    await until(lambda: trips(line.station, since), "the event")
    event = trips(line.station, since)[0]
    assert event["actualValue"] == "true"
    assert event["component"] == {"name": "RCD", "evse": {"id": 2}}
    assert moment(now["time"]) <= moment(event["timestamp"]) <= moment(cut)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- booting -------------------------------------------------------------------------------------------------------


async def boots_as(line: Stage, status: str) -> int:
    line.csms.boot_status, line.csms.boot_interval = status, 2
    since = line.station.last
    await line.control("POST", "/bench/power", {"state": "cycle"})
    await line.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    return since


async def is_accepted_at_last(line: Stage) -> int:
    # One that is being answered is answered as before: it is the next that shall be accepted.
    messages = line.station.messages
    boots = [("in", "call", "BootNotification"), ("out", "result", "BootNotification")]
    await until(lambda: len({sum(m[1:4] == boot for m in messages) for boot in boots}) == 1, "the answer")
    line.csms.boot_status, line.csms.boot_interval = "Accepted", 300
    since = line.station.last
    await line.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    await until(lambda: told(line.station, since)[:3] == CONNECTORS, "every connector")
    return since


def unasked(station: StationSession, since: int) -> set[str]:
    return {m.action for m in station.messages[since:] if (m.direction, m.kind) == ("in", "call")}


@pytest.mark.requirement("B02.FR.01", "B02.FR.02", "B02.FR.05", "B02.FR.06")
async def test_a_pending_station_does_what_it_is_told_and_says_nothing_unasked(line: Stage) -> None:
    station = line.station
    since = await boots_as(line, "Pending")
    await line.control("POST", "/bench/device/rcd-1/point/tripped", {"value": True})
    assert await value(station, MODEL) == "300"
    fan = ("AirCoolingSystem", "FanSpeed")
    assert (await set_one(station, fan, "450", "Target"))["attributeStatus"] == "Accepted"
    assert (await set_one(station, fan, "600", "Target"))["attributeStatus"] == "Rejected"
    inventory = await report(station, "GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"})
    assert len(inventory) > 50
    await until(lambda: len(station.calls("BootNotification", since)) >= 3, "three boots")
    assert unasked(station, since) == {"BootNotification", "NotifyReport"}
    request = {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}}
    assert (await station.call("TriggerMessage", request))["status"] == "Accepted"
    await until(lambda: told(station, since) == [(2, 1)], "what was asked for")
    answer = await station.call("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert answer["status"] == "Accepted"
    await station.wait_for("BootNotification", lambda p: p["reason"] == "Triggered", since, PATIENCE)
    since = await is_accepted_at_last(line)
    await until(lambda: trips(station, since), "the event that waited")
    since = station.last
    await line.control("DELETE", "/bench/device/rcd-1/point/tripped")
    # What it has to tell of that shall not reach into the next test.
    await until(lambda: told(station, since) == [(1, 1), (1, 2)], "the connectors are sound again")


@pytest.mark.requirement("B03.FR.02", "B03.FR.03", "B03.FR.06", "B03.FR.08")
async def test_a_rejected_station_only_boots_and_answers_with_security_errors(line: Stage) -> None:
    station = line.station
    since = await boots_as(line, "Rejected")
    for action, payload in (
        ("GetBaseReport", {"requestId": 8, "reportBase": "FullInventory"}),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
        ("Reset", {"type": "Immediate"}),
    ):
        with pytest.raises(CallError) as error:
            await station.call(action, payload)
        assert error.value.code == "SecurityError"
    await until(lambda: len(station.calls("BootNotification", since)) >= 3, "three boots")
    assert unasked(station, since) == {"BootNotification"}
    times = [m.time for m in station.calls("BootNotification", since)]
    answered = [m.time for m in station.messages[since:] if (m.direction, m.action) == ("out", "BootNotification")]
    assert all(later - earlier >= 1.9 for earlier, later in zip(answered, times[1:], strict=False))
    await is_accepted_at_last(line)
