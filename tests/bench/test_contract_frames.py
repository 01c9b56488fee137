"""Broken frames over a real WebSocket to the real agent: each gets its answer, and the next request is served."""

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from agent.ocpp.rpc import DEFAULT_MAX_SIZE
from drivers.bench.bench import Bench
from tests.bench.parts import IDENTITY, PASSWORD, PATIENCE, SETTINGS, until
from tests.ocpp import corpus
from tests.ocpp.official import check_payload

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAN = {"component": {"name": "AirCoolingSystem"}, "variable": {"name": "FanSpeed"}, "attributeType": "MaxSet"}
BOOTED = {"currentTime": "2026-01-31T12:00:00Z", "interval": 300, "status": "Accepted"}
ANSWERS = {"BootNotification": BOOTED, "Heartbeat": {"currentTime": "2026-01-31T12:00:00Z"}}


class RawCsms:
    """Answers what the station asks, and lets a test send any bytes and see what comes back."""

    def __init__(self) -> None:
        self.connection: ServerConnection | None = None
        self.connections = 0
        self.replies: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.calls: list[str] = []
        self.close_codes: list[int | None] = []
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        options: dict[str, Any] = {
            "subprotocols": [Subprotocol("ocpp2.0.1")],
            "ping_interval": None,
            "max_size": None,
        }
        async with serve(self._serve, "127.0.0.1", 0, close_timeout=1, **options) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"

    async def _serve(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.connections += 1
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                message = json.loads(frame)
                if message[0] != 2:
                    self.replies.put_nowait(message)
                    continue
                self.calls.append(message[2])
                await connection.send(json.dumps([3, message[1], ANSWERS.get(message[2], {})]))
        self.close_codes.append(connection.close_code)
        if self.connection is connection:
            self.connection = None

    async def send(self, frame: str | bytes) -> None:
        assert self.connection is not None
        await self.connection.send(frame)

    async def reply(self) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            return await self.replies.get()

    async def next_request_is_served(self) -> list[list[Any]]:
        """Ask for a variable; whatever came before its answer."""
        number = f"valid-{next(self._numbers)}"
        await self.send(json.dumps([2, number, "GetVariables", {"getVariableData": [FAN]}]))
        before: list[list[Any]] = []
        while (reply := await self.reply())[1] != number:
            before.append(reply)
        assert reply[0] == 3
        check_payload("GetVariablesResponse", reply[2])
        assert reply[2]["getVariableResult"][0]["attributeValue"] == "500"
        return before


class Line:
    def __init__(self, csms: RawCsms, bench: Bench) -> None:
        self.csms, self.bench = csms, bench


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    folder: Path = tmp_path_factory.mktemp("frames")
    csms = RawCsms()
    async with csms.running() as url:
        bench = Bench(
            "bench-ac",
            csms_url=url,
            identity=IDENTITY,
            password=PASSWORD,
            state_dir=folder / "state",
            overrides=SETTINGS,
            agent_log=folder / "agent.log",
        )
        await bench.start()
        try:
            await until(lambda: csms.calls.count("StatusNotification") >= 3)
            pid = bench.agent.pid
            yield Line(csms, bench)
            assert (bench.agent.pid, bench.agent.exit_codes) == (pid, [])
        finally:
            await bench.stop()
            print((folder / "agent.log").read_text())


def as_sent(frame: str | bytes, name: str) -> str | bytes:
    """The frame for a station that must not really be reset, and whose greatest frame is larger than the corpus's."""
    text = frame.decode("latin-1") if isinstance(frame, bytes) else frame
    if "evseId" not in text and name != "the same key twice":
        text = re.sub(r'("type"\s*:\s*"OnIdle")', r'\1,"evseId":1', text)
    elif name == "the same key twice":
        text = text.replace('"type":"OnIdle"', '"evseId":1,"type":"OnIdle"')
    if any(name == case[0] for case in corpus.OVERSIZE):
        more = DEFAULT_MAX_SIZE // corpus.MAX_SIZE
        text = re.sub(r"([x €])\1{1000,}", lambda match: match[1] * (len(match[0]) * more), text)
    if isinstance(frame, bytes):
        return text.encode("latin-1")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")  # as text it would break the WebSocket and not OCPP-J
    return text


@pytest.mark.requirement("FR.03")
@pytest.mark.parametrize(
    ("name", "frame", "what", "message_id"), corpus.CORPUS, ids=[case[0] for case in corpus.CORPUS]
)
async def test_every_frame_of_the_corpus_gets_its_answer_and_the_next_request_too(
    line: Line, name: str, frame: str | bytes, what: str, message_id: str | None
) -> None:
    await line.csms.send(as_sent(frame, name))
    replies = await line.csms.next_request_is_served()
    if what == corpus.IGNORED:
        assert replies == []
        return
    (reply,) = replies
    assert reply[1] == message_id
    if what == corpus.CALL:
        assert reply[0] == 3
    else:
        kind, _, code, description, details = reply
        assert (kind, code, details) == (4, what, {})
        assert len(description) <= 255


async def test_the_whole_corpus_at_once_is_answered_in_order(line: Line) -> None:
    """A CSMS should wait for each answer; one that does not gets all that fits, and the station goes on."""
    expected = [case for case in corpus.CORPUS if case[2] not in (corpus.IGNORED, corpus.CALL) and case[3] == "-1"]
    for name, frame, _, _ in expected:
        await line.csms.send(as_sent(frame, name))
    replies = await line.csms.next_request_is_served()
    assert [(reply[0], reply[1], reply[2]) for reply in replies] == [(4, "-1", what) for _, _, what, _ in expected]


async def test_the_agent_still_is_on_its_first_connection(line: Line) -> None:
    assert line.csms.connections == 1
    assert line.csms.calls.count("BootNotification") == 1


GOOD = b'[2,"id","GetVariables",{"getVariableData":[]}]'

BROKEN_WEBSOCKET = {
    # RFC 6455: what it says of each, and the close code that a client fails the connection with
    "text that is no UTF-8 (§8.1)": (b"\x81\x02\xff\xfe", 1007),
    "a masked frame from a server (§5.1)": (b"\x81\x82\x00\x00\x00\x00[]", 1002),
    "a reserved opcode (§5.2)": (b"\x83\x02[]", 1002),
    "a reserved bit (§5.2)": (b"\xb1\x02[]", 1002),
    "a continuation of nothing (§5.4)": (b"\x80\x02[]", 1002),
    "a ping that is fragmented (§5.5)": (b"\x09\x01x", 1002),
    "a ping of 126 bytes (§5.5)": (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),
    "a frame of 2^62 bytes (§5.2)": (b"\x81\x7f\x40" + b"\x00" * 7, 1009),
    "a close frame with half a code (§5.5.1)": (b"\x88\x01\x03", 1002),
    "an end in the middle of a frame": (b"\x81\x7e\x01\x00[2,", None),
}


@pytest.mark.parametrize(("raw", "code"), BROKEN_WEBSOCKET.values(), ids=BROKEN_WEBSOCKET)
async def test_a_broken_websocket_frame_costs_the_connection_and_the_station_comes_back(
    line: Line, raw: bytes, code: int | None
) -> None:
    csms = line.csms
    await until(lambda: csms.connection is not None)
    assert csms.connection is not None
    connections, boots, broken = csms.connections, csms.calls.count("BootNotification"), csms.connection
    broken.transport.write(raw)
    if code is None:
        broken.transport.close()
    await until(lambda: csms.connections > connections and csms.connection is not None)
    if code is not None:
        assert broken.close_code == code
    await csms.next_request_is_served()
    assert csms.calls.count("BootNotification") == boots


async def test_a_message_in_many_fragments_with_a_ping_between_them_is_one_message(line: Line) -> None:
    csms = line.csms
    await until(lambda: csms.connection is not None)
    assert csms.connection is not None
    text = json.dumps([2, "fragments", "GetVariables", {"getVariableData": [FAN]}])

    async def pieces() -> AsyncIterator[str]:
        for start in range(0, len(text), 7):
            yield text[start : start + 7]
            assert csms.connection is not None
            await csms.connection.ping()

    await csms.connection.send(pieces())
    reply = await csms.reply()
    assert reply[:2] == [3, "fragments"]
