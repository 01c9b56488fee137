"""The line to the CSMS: the thin shell around `Session` that owns the WebSocket (part 4 §3, §5).

It connects, reads, writes, pings and connects again; what is sent and what a frame means is the session's to say.
"""

import asyncio
import base64
import contextlib
import logging
import random
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from agent.charging.notices import Notice
from agent.evse.records import IdToken, IdTokenInfo
from agent.ocpp.authorization import NotAnswered
from agent.ocpp.handlers import HANDLERS
from agent.ocpp.handling import CallRefused, Context, Reply
from agent.ocpp.host import ConnectionProfile, Host, Security, nobody
from agent.ocpp.line_failures import security_event
from agent.ocpp.messages import Request
from agent.ocpp.outbox import Message, Outbox
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.ocpp.session import BackOff, Random, Session
from agent.ocpp.transaction_queue import TransactionQueue
from agent.ocpp.variables import HEARTBEAT_INTERVAL, MESSAGE_TIMEOUT, PING_INTERVAL, Settings

log = logging.getLogger(__name__)

SUBPROTOCOL = Subprotocol("ocpp2.0.1")

OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
PONG_TIMEOUT = (2.0, 20.0)
"""Seconds a pong may take: as long as the ping interval, within these bounds."""

MAX_FRAME = 4 * 2**20
"""Bytes of a frame above which the connection is closed; the framing answers all that is smaller."""

MAX_UNANSWERED = 2
"""CALLs in a row without an answer after which the connection counts as lost, though pongs come (part 2 §3.2)."""

MAX_WAITING = 32
"""CALLs of the CSMS that may wait for their turn; the CSMS should have one outstanding (part 4 §4.1.1)."""

Observer = Callable[[str, str], None]
"""Takes ("in" or "out", the frame's text), passwords masked."""

_SECRET = re.compile(r'("attributeValue"\s*:\s*)"(?:[^"\\]|\\.)*"')


class LineLost(Exception):
    """The connection is of no use any more; the message says why."""


def connection_url(profile: ConnectionProfile) -> str:
    """The endpoint with the identity appended to its path (part 4 §3.1.1); credentials never are part of it."""
    parts = urlsplit(profile.csms_url)
    path = f"{parts.path.removesuffix('/')}/{quote(profile.identity, safe='')}"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, parts.query, ""))


def masked(frame: str) -> str:
    """`frame` without the password that it may hold (A01.FR.12)."""
    if "basicauthpassword" in frame.casefold():
        return _SECRET.sub(r'\1"***"', frame)
    return frame


def _headers(profile: ConnectionProfile) -> dict[str, str]:
    if profile.password is None:
        return {}
    credentials = base64.b64encode(f"{profile.identity}:{profile.password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {credentials}"}  # A00.FR.203


class CsmsLink:
    """The station's OCPP side. `run` keeps it connected until it is cancelled; `security` takes security events."""

    def __init__(
        self,
        host: Host,
        *,
        observer: Observer | None = None,
        random: Random = random.random,
        security: Security = nobody,
    ) -> None:
        self._host = host
        self._settings = Settings(host.model)
        self._observer = observer
        self._random = random
        self._security = security
        self._refused: tuple[str, str] | None = None
        self._wake = asyncio.Event()
        self._ping_now = asyncio.Event()
        self._leave = asyncio.Event()
        self._outbox = Outbox(host.store, self._wake.set)
        clock = host.clock
        self.transactions = TransactionQueue(
            host.store,
            self._settings,
            self._wake.set,
            self._transaction_answered,
            boot=host.computer,
            ahead=clock.now().timestamp() - clock.monotonic(),
        )
        self.session = Session(host, self._settings, self._outbox, random, self.transactions, security)
        self._context = Context(host, self._settings, self.session.reports, self.session)
        self._calls: asyncio.Queue[tuple[ClientConnection, CallReceived]] = asyncio.Queue(MAX_WAITING)
        self._socket: ClientConnection | None = None
        self._profile: ConnectionProfile | None = None
        # At its debug level websockets logs the headers, and with them the password.
        self._wire_log = logging.getLogger("agent.ocpp.websocket")
        self._wire_log.setLevel(logging.INFO)
        for path, event in ((HEARTBEAT_INTERVAL, self._wake), (PING_INTERVAL, self._ping_now)):
            variable = self._settings.variable(path)
            if variable is not None:
                variable.listen(_setter(event))

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self.session.connected

    @property
    def accepted(self) -> bool:
        """Whether the CSMS accepted the station since its start."""
        return self.session.accepted

    # --- what the station has to tell --------------------------------------------------------------------------

    def connector_changed(self) -> None:
        """The status of some connector changed just now: the CSMS is told when it can be (G01)."""
        self.session.statuses.look()
        self._wake.set()

    def post(self, request: Request) -> None:
        """Put a message, such as a NotifyEvent, into the durable outbox."""
        self._outbox.post(request)

    def queue(self, request: Request, /, *, keep: bool, rank: int) -> Message:
        """Put a message into the outbox that may be lost with the line unless `keep`; see `Outbox.post`."""
        return self._outbox.post(request, keep=keep, rank=rank)

    def tell_limit(self, notice: Notice) -> None:
        """An external limit came, changed or went (K11 to K13): told once, and not kept for a line that is away."""
        from agent.ocpp.smart_charging import limit_message

        variable = self._settings.variable(("SmartChargingCtrlr", "NotifyChargingLimitWithSchedules", None))
        with_schedules = variable is not None and variable.actual.value is True
        self.session.send(limit_message(notice, with_schedules=with_schedules, clock=self._host.clock))
        self._wake.set()

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """Ask the CSMS whether `token` may charge (C01.FR.01). Raises NotAnswered."""
        if not (self.connected and self.accepted):
            raise NotAnswered("the station is offline")
        answer = self.session.questions.ask(token)
        self._wake.set()
        try:
            async with asyncio.timeout(self._settings.integer(MESSAGE_TIMEOUT)):
                return await answer
        except TimeoutError:
            raise NotAnswered("no answer in time") from None

    def _transaction_answered(
        self, transaction: str, token: IdToken | None, info: IdTokenInfo | None, priority: int | None
    ) -> None:
        if self._host.charging is not None:
            self._host.charging.transaction_answered(transaction, token, info, priority)

    def reconnect(self) -> None:
        """Leave the present connection for a new one, with the host's profile as it is then."""
        self._leave.set()

    # --- connecting ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be connected, and connect again, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._handle())
                group.create_task(self._stay_connected())
        finally:
            await self.transactions.settle()  # what was answered is not sent again by the next process

    async def _stay_connected(self) -> None:
        back_off = BackOff(self._settings, self._random)
        while True:
            profile = self._host.connection()
            try:
                await self._connection(profile, back_off)
            except LineLost as error:
                log.warning("connection to the CSMS: %s", error)
            except (OSError, WebSocketException) as error:
                log.warning("no connection to the CSMS: %s", str(error) or type(error).__name__)
                self._record(error)
            except Exception:
                log.exception("the connection to the CSMS failed unexpectedly; it is made anew")
            if self._host.connection() == profile:
                wait = back_off.next()
                log.info("connecting again in %.1f s", wait)
                self._leave.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._leave.wait()

    def _record(self, error: Exception) -> None:
        """Tell security of a refusal, once for all attempts in a row that fail so (A00.FR.316, FR.419)."""
        event = security_event(error)
        if event is not None and event != self._refused:
            self._refused = event
            self._security(*event)

    async def _connection(self, profile: ConnectionProfile, back_off: BackOff) -> None:
        """One connection from its opening to its end. Raises LineLost, OSError or WebSocketException."""
        url = connection_url(profile)
        tls: dict[str, Any] = {"ssl": profile.tls} if profile.tls is not None and url.startswith("wss:") else {}
        log.info("connecting to %s", url)
        async with connect(
            url,
            subprotocols=[SUBPROTOCOL],
            additional_headers=_headers(profile),
            user_agent_header="station-agent",
            proxy=profile.proxy,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=None,  # ours follows WebSocketPingInterval while connected
            max_size=MAX_FRAME,
            logger=self._wire_log,
            **tls,
        ) as socket:
            if socket.subprotocol != SUBPROTOCOL:
                raise LineLost(f"the CSMS does not speak {SUBPROTOCOL}")  # part 4 §3.2
            log.info("connected")
            back_off.reset()
            self._refused = None
            try:
                await self._serve(socket, profile)
            finally:
                # Left to itself, websockets reports our leaving as an internal error.
                await socket.close(CloseCode.GOING_AWAY)

    async def _serve(self, socket: ClientConnection, profile: ConnectionProfile) -> None:
        self._socket, self._profile = socket, profile
        self._leave.clear()
        self._ping_now.clear()
        self.session.opened(self._host.clock.monotonic())
        self._wake.set()
        tasks = [
            asyncio.create_task(one)
            for one in (self._read(socket), self._write(socket), self._keep_alive(socket), self._leave.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._socket = None
            self.session.closed(self._host.clock.monotonic())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, direction: str, frame: str | bytes) -> None:
        if self._observer is None and not log.isEnabledFor(logging.DEBUG):
            return
        text = masked(frame if isinstance(frame, str) else frame.decode(errors="replace"))
        log.debug("%s %s", direction, text)
        if self._observer is not None:
            self._observer(direction, text)

    async def _send(self, socket: ClientConnection, frame: str) -> None:
        self._watch("out", frame)
        try:
            async with asyncio.timeout(self._settings.integer(MESSAGE_TIMEOUT)):
                await socket.send(frame)
        except TimeoutError:
            raise LineLost("the CSMS takes no more bytes") from None

    # --- the three tasks of a connection ---------------------------------------------------------------------------

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            self._watch("in", frame)
            what = self.session.receive(frame, self._host.clock.monotonic())
            if isinstance(what, CallReceived):
                if self._calls.full():
                    what = self.session.reply_error(what, ErrorCode.GENERIC_ERROR, "too many requests are waiting")
                else:
                    self._calls.put_nowait((socket, what))
            if isinstance(what, str):
                await self._send(socket, what)
            self._wake.set()
        raise LineLost(f"closed by the CSMS ({socket.close_code})")

    async def _write(self, socket: ClientConnection) -> None:
        clock = self._host.clock
        while True:
            self._wake.clear()
            frame = self.session.poll(clock.monotonic())
            if self.session.unanswered >= MAX_UNANSWERED:
                raise LineLost("the CSMS does not answer")
            if self.session.unanswered:
                self._ping_now.set()
            if frame is not None:
                await self._send(socket, frame)
                continue
            due = self.session.due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - clock.monotonic())):
                    await self._wake.wait()

    async def _keep_alive(self, socket: ClientConnection) -> None:
        """Ping each WebSocketPingInterval (0: never, part 4 §8.4), and once whenever an answer stays out."""
        while True:
            interval = self._settings.integer(PING_INTERVAL)
            asked = True
            try:
                async with asyncio.timeout(interval or None):
                    await self._ping_now.wait()
            except TimeoutError:
                asked = False
            self._ping_now.clear()
            if asked and not self.session.unanswered:
                continue  # it is the interval that changed
            shortest, longest = PONG_TIMEOUT
            try:
                async with asyncio.timeout(min(longest, max(shortest, interval))):
                    await (await socket.ping())
            except TimeoutError:
                raise LineLost("no pong") from None

    # --- the CSMS's CALLs ------------------------------------------------------------------------------------------

    async def _handle(self) -> None:
        """Answer the CSMS's CALLs one after the other.

        Outlives a connection: a Target on its way to the hardware is not left halfway because the line was lost.
        """
        while True:
            socket, call = await self._calls.get()
            if socket is not self._socket:
                continue
            try:
                answer: Reply | CallRefused = await HANDLERS[call.action](self._context, call)
            except CallRefused as refusal:
                answer = refusal
            except Exception:
                log.exception("%s failed", call.action)
                answer = CallRefused(ErrorCode.INTERNAL_ERROR, "the request could not be processed")
            if socket is not self._socket:
                log.warning("%s: the connection was lost before it could be answered", call.action)
                continue
            try:
                await self._answer(socket, call, answer)
            except (LineLost, ConnectionClosed) as error:
                log.warning("%s could not be answered: %s", call.action, error)
                if socket is self._socket:
                    self._leave.set()
            if self._host.connection() != self._profile:
                log.info("the connection profile changed")
                self._leave.set()

    async def _answer(self, socket: ClientConnection, call: CallReceived, answer: Reply | CallRefused) -> None:
        if isinstance(answer, CallRefused):
            await self._send(socket, self.session.reply_error(call, answer.code, answer.description))
            return
        await self._send(socket, self.session.reply(call, answer, self._host.clock.monotonic()))
        if answer.then is not None:
            answer.then()
            self._wake.set()


def _setter(event: asyncio.Event) -> Callable[..., None]:
    return lambda *_: event.set()
