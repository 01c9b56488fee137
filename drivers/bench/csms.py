"""A CSMS that owes nothing to the agent: it holds every message, in both directions, against the official schemas."""

import asyncio
import base64
import contextlib
import functools
import json
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import jsonschema  # type: ignore[import-untyped]
import ocpp.v201
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from drivers.bench.log import wall_time
from drivers.bench.transactions import Transaction, fold

SUBPROTOCOL = Subprotocol("ocpp2.0.1")
CALL, RESULT, ERROR = 2, 3, 4
_KINDS = {CALL: "call", RESULT: "result", ERROR: "error"}
_LENGTHS = {CALL: 4, RESULT: 3, ERROR: 5}

_SCHEMAS = Path(ocpp.v201.__file__).parent / "schemas"

Payload = dict[str, Any]
Answer = Payload | Callable[[Payload], Payload | None]
"""What a CALL of a station is answered with, or what makes that of the CALL's payload; None is silence."""

_ANSWERS: Mapping[str, Payload] = {
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    "DataTransfer": {"status": "UnknownVendorId"},
    "SignCertificate": {"status": "Rejected"},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "NotifyEVChargingNeeds": {"status": "Accepted"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
}
"""Answers that are not empty, besides those with a time in them."""


class CallError(Exception):
    """The station answered a CALL with a CALLERROR (part 4 §4.2.3)."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description = code, description


class Message(NamedTuple):
    """One message as it went over the line: `n` from 1; `direction` is "in" (from the station) or "out".

    `kind` is call, result or error, `time` in seconds of the monotonic clock.
    """

    n: int
    direction: str
    kind: str
    action: str
    payload: Payload
    time: float


@functools.cache
def _validator(name: str) -> Any:
    """The official schema of a payload, such as BootNotificationRequest; None where there is none."""
    path = _SCHEMAS / f"{name}.json"
    if not name.isalnum() or not path.is_file():
        return None
    schema = json.loads(path.read_text(encoding="utf-8-sig"))
    return jsonschema.validators.validator_for(schema)(schema)


class StationSession:
    """One station, over all of its connections."""

    def __init__(self, csms: "Csms", identity: str) -> None:
        self.identity = identity
        self.messages: list[Message] = []
        self.connections = 0
        """How often it has connected so far."""
        self._csms = csms
        self._connection: ServerConnection | None = None
        self._changed = asyncio.Condition()
        self._pending: dict[str, tuple[str, asyncio.Future[Payload]]] = {}
        self._turn = asyncio.Lock()
        self._unanswered = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    @property
    def last(self) -> int:
        """The number of the newest message, for `since`; 0 before the first."""
        return len(self.messages)

    async def call(self, action: str, payload: Mapping[str, Any], timeout: float = 30) -> Payload:
        """Send a CALL, one at a time, and wait for its answer; the connection is waited for if there is none.

        Raises CallError, TimeoutError after `timeout` seconds in all, and ConnectionError where the station hung up
        before it answered.
        """
        async with asyncio.timeout(timeout), self._turn:
            number = str(uuid.uuid4())
            answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            connection = await self._connected()
            self._pending[number] = (action, answer)
            try:
                await self._send(connection, CALL, number, action, dict(payload))
                result = await answer
            except ConnectionClosed as error:
                raise ConnectionError(f"{self.identity} hung up before its answer") from error
            finally:
                self._pending.pop(number, None)
        self._note_password(action, payload, result)
        return result

    async def wait_for(
        self,
        action: str,
        predicate: Callable[[Payload], bool] = lambda _: True,
        since: int = 0,
        timeout: float = 10,
    ) -> Payload:
        """The payload of the first CALL `action` of the station after message `since` that `predicate` likes.

        Raises TimeoutError where none has come in `timeout` seconds.
        """
        seen = since
        try:
            async with asyncio.timeout(timeout), self._changed:
                while True:
                    for message in self.calls(action, seen):
                        if predicate(message.payload):
                            return message.payload
                    seen = max(seen, self.last)
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{self.identity}: no such {action} in {timeout:g} s") from None

    async def until_connected(self, connected: bool = True, timeout: float = 30) -> None:
        """Wait until there is a connection, or none. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self.connected is connected)

    def calls(self, action: str, since: int = 0) -> list[Message]:
        """The CALLs `action` of the station after message `since`."""
        return [m for m in self.messages[since:] if m[1:4] == ("in", "call", action)]

    def transactions(self, since: int = 0) -> dict[str, Transaction]:
        """What came of transactions after message `since`, by id: each event once, in order.

        An event counts whatever it was answered with, if it was as its schema says.
        """
        return fold(m.payload for m in self.calls("TransactionEvent", since) if _is_event(m.payload))

    async def disconnect(self) -> None:
        """Close the connection from this side; the station is free to come back."""
        if self._connection is not None:
            await self._connection.close()

    # --- what the line brings -------------------------------------------------------------------------------------

    async def serve(self, connection: ServerConnection) -> None:
        """Speak with the station until it hangs up. A new connection takes the place of an old one."""
        self._fail_pending()
        old, self._connection, self._unanswered = self._connection, connection, 0
        self.connections += 1
        closing = asyncio.create_task(old.close()) if old is not None else None
        answering: set[asyncio.Task[None]] = set()
        await self._tell()
        try:
            async for frame in connection:
                task = self._hear(connection, frame)
                if task is not None:
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                await self._tell()
        except ConnectionClosed:
            pass  # it hung up without a word
        finally:
            for task in answering:
                task.cancel()
            if self._connection is connection:
                self._connection = None
                self._fail_pending()
            await self._tell()
            if closing is not None:
                await asyncio.wait({closing})

    def _fail_pending(self) -> None:
        for action, answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionError(f"{self.identity} hung up instead of answering {action}"))

    async def _connected(self) -> ServerConnection:
        async with self._changed:
            while self._connection is None:
                await self._changed.wait()
            return self._connection

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _hear(self, connection: ServerConnection, frame: str | bytes) -> "asyncio.Task[None] | None":
        """Take one message; the task that answers it, if it asks for an answer."""
        try:
            parts = json.loads(frame)
            kind, number = parts[0], parts[1]
            if _LENGTHS[kind] != len(parts) or not isinstance(number, str) or isinstance(frame, bytes):
                raise ValueError
        except (ValueError, KeyError, IndexError, TypeError):
            self._violation(f"no OCPP-J message: {frame!r:.200}")
            return None
        if kind == CALL:
            action, payload = str(parts[2]), parts[3]
            if self._unanswered:
                # part 4 §4.1.1: one CALL at a time in each direction
                self._violation(f"{action} before the last CALL was answered")
            self._unanswered += 1
            sound = self._note("in", CALL, action, payload)
            return asyncio.create_task(self._answer(connection, number, action, payload, sound))
        action, answer = self._pending.get(number, ("", None))
        if answer is None or answer.done():
            self._violation(f"an answer to nothing: {frame!r:.200}")
        elif kind == RESULT:
            self._note("in", RESULT, action, parts[2])
            answer.set_result(parts[2])
        else:
            self._note("in", ERROR, action, {"code": parts[2], "description": parts[3], "details": parts[4]})
            answer.set_exception(CallError(str(parts[2]), str(parts[3])))
        return None

    async def _answer(
        self, connection: ServerConnection, number: str, action: str, payload: Payload, sound: bool
    ) -> None:
        with contextlib.suppress(ConnectionClosed):
            if not sound:
                code = "FormatViolation" if _validator(f"{action}Request") else "NotImplemented"
                self._note("out", ERROR, action, {"code": code, "description": "", "details": {}})
                self._unanswered -= 1
                await connection.send(json.dumps([ERROR, number, code, "", {}]))
                return
            response = self._csms.answer(action, payload)
            if response is not None:
                self._unanswered -= 1
                await self._send(connection, RESULT, number, action, response)

    async def _send(
        self, connection: ServerConnection, kind: int, number: str, action: str, payload: Payload
    ) -> None:
        self._note("out", kind, action, payload)
        frame = [kind, number, action, payload] if kind == CALL else [kind, number, payload]
        await connection.send(json.dumps(frame))

    def _note(self, direction: str, kind: int, action: str, payload: Payload) -> bool:
        """Keep the message, and judge it; whether it is as its schema says."""
        self.messages.append(Message(self.last + 1, direction, _KINDS[kind], action, payload, time.monotonic()))
        if kind == ERROR:
            return True
        name = action + ("Request" if kind == CALL else "Response")
        judge = _validator(name)
        if judge is None:
            self._violation(f"{direction} {name:.50}: there is no such message")
            return False
        errors = list(judge.iter_errors(payload))
        for error in errors:
            place = "/".join(str(part) for part in error.absolute_path)
            self._violation(f"{direction} {name} {place}: {error.message:.300}")
        return not errors

    def _violation(self, text: str) -> None:
        self._csms.violations.append(f"{self.identity}: {text}")

    def _note_password(self, action: str, payload: Mapping[str, Any], result: Payload) -> None:
        """From its next connection on, the station shows the password that it was given (A01)."""
        if action != "SetVariables":
            return
        for told, said in zip(payload["setVariableData"], result["setVariableResult"], strict=False):
            if told["variable"]["name"].casefold() == "basicauthpassword" and said["attributeStatus"] == "Accepted":
                self._csms.passwords[self.identity] = told["attributeValue"]


class Csms:
    """A WebSocket server on loopback that any station may register with, and that a test can steer.

    `boot_status` and `boot_interval` (s) are what the next BootNotification gets; `answers` replaces the answers to
    other actions. `violations` says in words what broke a schema or a rule of OCPP-J, in either direction ("out" is a
    test's own mistake); a good run leaves it empty.
    """

    def __init__(self, password: str | None = None) -> None:
        self.password = password
        """What Basic auth must say; None takes everybody."""
        self.passwords: dict[str, str] = {}
        """By identity, where a station has been given a password of its own."""
        self.boot_status = "Accepted"
        self.boot_interval = 300
        self.answers: dict[str, Answer] = {}
        self.stations: dict[str, StationSession] = {}
        self.violations: list[str] = []
        self.refusals = 0
        """Connections refused for their credentials."""
        self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The base URL; a station's identity follows it."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, else on the one it had before, else on a free one."""
        wanted = port or self.port
        try:
            self._server = await self._listen(wanted)
        except OSError:
            if not wanted:
                raise
            self._server = await self._listen(0)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> "Csms":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def station(self, identity: str) -> StationSession:
        """The session of that station, which may still have to connect for the first time."""
        if identity not in self.stations:
            self.stations[identity] = StationSession(self, identity)
        return self.stations[identity]

    def answer(self, action: str, payload: Payload) -> Payload | None:
        """What a CALL of a station is answered with; None for silence."""
        chosen = self.answers.get(action)
        if chosen is not None:
            return chosen(payload) if callable(chosen) else chosen
        if action == "BootNotification":
            return {"currentTime": wall_time(), "interval": self.boot_interval, "status": self.boot_status}
        if action == "Heartbeat":
            return {"currentTime": wall_time()}
        if action == "TransactionEvent" and "idToken" in payload:
            return {"idTokenInfo": {"status": "Accepted"}}
        return dict(_ANSWERS.get(action, {}))

    async def _listen(self, port: int) -> Server:
        return await serve(
            self._serve,
            "127.0.0.1",
            port,
            subprotocols=[SUBPROTOCOL],
            process_request=self._admit,
            ping_interval=None,
            close_timeout=1,
            max_size=2**24,
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        identity = _identity(request.path)
        if not identity:
            return connection.respond(HTTPStatus.NOT_FOUND, "the path ends with the identity\n")
        password = self.passwords.get(identity, self.password)
        expected = base64.b64encode(f"{identity}:{password}".encode()).decode()
        if password is not None and request.headers.get("Authorization") != f"Basic {expected}":
            self.refusals += 1
            response = connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
            response.headers["WWW-Authenticate"] = 'Basic realm="csms"'
            return response
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        await self.station(_identity(connection.request.path)).serve(connection)


def _is_event(payload: Any) -> bool:
    """Whether a TransactionEvent says of which transaction it is."""
    judge = _validator("TransactionEventRequest")
    return judge is not None and bool(judge.is_valid(payload))


def _identity(path: str) -> str:
    return unquote(path.partition("?")[0].rpartition("/")[2])
