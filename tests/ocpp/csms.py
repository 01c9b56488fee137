"""A CSMS for the tests: a real WebSocket server that holds every message against the official schemas."""

import asyncio
import base64
import contextlib
import itertools
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from agent.ocpp.host import ConnectionProfile
from agent.ocpp.link import CsmsLink
from tests.ocpp.official import check_payload
from tests.ocpp.parts import ANSWERS

TIMEOUT = 20
PASSWORD = "a-long-password-1"


@dataclass(frozen=True)
class CallError:
    """An answer that is none."""

    code: str
    description: str = ""


class Csms:
    """Answers by `answers` and keeps what it hears in `heard`.

    `answers` gives each action its payload, a CallError, None for no answer at all, or what makes one of these of the
    request's payload.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = dict(ANSWERS)
        self.heard: list[list[Any]] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        self.password: str | None = PASSWORD
        self.refuse: HTTPStatus | None = None
        self.subprotocols: list[str] | None = ["ocpp2.0.1"]
        self.connection: ServerConnection | None = None
        self.opened = 0
        self.mistakes: list[Exception] = []
        self._replies: dict[str, asyncio.Future[list[Any]]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0):
        async with serve(
            self._serve,
            "127.0.0.1",
            port,
            subprotocols=self.subprotocols,
            process_request=self._check,
            ping_interval=None,
            close_timeout=1,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.url = f"ws://127.0.0.1:{self.port}/ocpp"
            yield self
        assert self.mistakes == []

    def _check(self, connection: ServerConnection, request: Any) -> Any:
        self.headers.append(request.headers)
        self.paths.append(request.path)
        self._changed.set()
        if self.refuse is not None:
            return connection.respond(self.refuse, "no\n")
        expected = base64.b64encode(f"CS 001:{self.password}".encode()).decode()
        if self.password is not None and request.headers.get("Authorization") != f"Basic {expected}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.opened += 1
        self._changed.set()
        with contextlib.suppress(Exception):
            async for frame in connection:
                try:
                    await self._hear(connection, frame)
                except ConnectionClosed:
                    break
                except Exception as mistake:
                    self.mistakes.append(mistake)
                    raise
                finally:
                    self._changed.set()

    async def _hear(self, connection: ServerConnection, frame: str | bytes) -> None:
        message = json.loads(frame)
        self.heard.append(message)
        if message[0] != 2:
            self._replies.pop(message[1]).set_result(message)
            return
        check_payload(f"{message[2]}Request", message[3])
        answer = self.answers.get(message[2], {})
        if callable(answer):
            answer = answer(message[3])
        if isinstance(answer, CallError):
            await connection.send(json.dumps([4, message[1], answer.code, answer.description, {}]))
        elif answer is not None:
            check_payload(f"{message[2]}Response", answer)
            await connection.send(json.dumps([3, message[1], answer]))

    def calls(self, action: str) -> list[dict[str, Any]]:
        """The payloads of every `action` so far."""
        return [message[3] for message in self.heard if message[0] == 2 and message[2] == action]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_call(self, action: str, count: int = 1) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.calls(action)) >= count)
        return self.calls(action)

    async def ask_raw(self, action: str, payload: Any) -> list[Any]:
        """Call the station; returns its whole answer."""
        message_id = f"csms-{next(self._numbers)}"
        reply = self._replies[message_id] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(TIMEOUT):
            return await reply

    async def ask(self, action: str, payload: Any) -> Any:
        """Call the station; returns its response's payload, valid by the schema."""
        check_payload(f"{action}Request", payload)
        kind, _, response = await self.ask_raw(action, payload)
        assert kind == 3
        check_payload(f"{action}Response", response)
        return response


class Relay:
    """A TCP relay, or an HTTP CONNECT proxy, whose line can be made to swallow every byte."""

    def __init__(self, port: int, *, proxy: bool = False) -> None:
        self._port = port
        self._proxy = proxy
        self.blackhole = False
        self.asked: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self._proxy:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(far_writer)
        for one in (self._pump(reader, far_writer), self._pump(far_reader, writer)):
            task = asyncio.create_task(one)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.blackhole:
                    writer.write(data)
        if not self.blackhole:
            writer.close()


@contextlib.asynccontextmanager
async def station(home, port, *, observer=None, proxy=None):
    """The link of `home`, running; a back-off takes 50 ms."""
    home.profile = ConnectionProfile(f"ws://127.0.0.1:{port}/ocpp", "CS 001", PASSWORD, proxy)
    link = CsmsLink(home, observer=observer, random=lambda: 0.05)
    task = asyncio.create_task(link.run())
    try:
        yield link
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
