"""An energy management system that limits the station through an MQTT broker (see MQTT.md).

The station is a client of the broker: it listens to the topics of limits and heartbeats, and publishes telemetry. The
messages are understood in `mqtt_payloads`, what a silent master means in `agent.charging.external`.
"""

import asyncio
import json
import logging
import math
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import Clock
from agent.ems.mqtt_intake import Intake
from agent.ems.telemetry import Telemetry

if TYPE_CHECKING:
    import aiomqtt

    from agent.charging.external import ExternalSource

_log = logging.getLogger(__name__)
_wire = logging.getLogger(f"{__name__}.client")
"""The library's own words: only its errors."""
_wire.setLevel(logging.ERROR)

GAP = 0.02
"""Seconds between two looks at what has come: a flood of messages costs no more than this allows."""
EVERY, QUIET = 1.0, 30.0
"""Telemetry that changed is published each second at most, and after so many seconds if it did not."""
KEEPALIVE = 15
TIMEOUT = 10.0
FIRST, LEAST, MOST = 0.2, 1.0, 30.0
"""Seconds until a lost broker is tried again: at first, then, doubled each time, at most. A password that is wrong
is tried with the last of them."""
LASTING = 10.0
"""A connection that was lost sooner than after so many seconds does not count as one."""
LARGEST_PACKET = 8192
"""Bytes of a message that the broker may send at all (MQTT 5)."""
TELL_AGAIN, MOST_TOLD = 600.0, 64

_WRONG_VERSION = 132
_REFUSED = range(128, 256)


class _Lost(Exception):
    """There is no connection, and why; `lasting`: only somebody can change that, so it is tried seldom."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


class MqttEms:
    """Hands the limits that come through the broker to `source`. `topic` is the prefix of all topics; `ttl` in s is
    how long a limit lasts that has no `ttl` of its own; the password is read anew for each connection.

    Raises ValueError for a prefix with wildcards.
    """

    def __init__(
        self,
        source: "ExternalSource",
        *,
        host: str,
        port: int,
        topic: str,
        telemetry: Callable[[], Telemetry],
        clock: Clock,
        username: str | None = None,
        password_file: str | None = None,
        tls: bool = True,
        trust: str | None = None,
        ttl: float = 60.0,
        client_id: str | None = None,
    ) -> None:
        self._prefix = topic.strip("/")
        if not self._prefix or any(sign in self._prefix for sign in "+#\0"):
            raise ValueError(f"topic {topic!r}: expected a prefix without + and #")
        self._source, self._telemetry, self._clock = source, telemetry, clock
        self._host, self._port, self._client_id = host, port, client_id
        self._username, self._password_file, self._tls, self._trust = username, password_file, tls, trust
        self._intake = Intake(source, ttl=ttl, clock=clock, tell=self._tell)
        self._said: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._acted = -math.inf
        self._since: float | None = None
        self._old = False
        self.connected = False
        self.problem: str | None = None
        """Why there is no connection, None while there is one, or before the first try."""

    async def run(self) -> None:
        """Live until cancelled: connect, and again whenever the broker is lost."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="mqtt")
        living = asyncio.create_task(self._live(pool))
        try:
            await asyncio.shield(living)
        finally:
            await ended(living)
            self.connected = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            pool.shutdown(wait=False, cancel_futures=True)

    async def _live(self, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, import_module, "aiomqtt")
        wait = FIRST
        while True:
            self._since = None
            try:
                await self._connection(pool)
            except _Lost as error:
                self._lost(error)
                if error.lasting:
                    wait = MOST
                elif self._since is not None and loop.time() - self._since >= LASTING:
                    wait = FIRST
            await asyncio.sleep(wait)
            wait = min(max(2 * wait, LEAST), MOST)

    # --- the connection --------------------------------------------------------------------------------------------

    async def _connection(self, pool: ThreadPoolExecutor) -> None:
        """One connection until it is lost. Raises _Lost."""
        from aiomqtt import MqttError

        password, context = await asyncio.get_running_loop().run_in_executor(pool, self._secrets)
        client = self._client(password, context)
        try:
            await _enter(client)
        except MqttError as error:
            raise self._explained(error) from error
        lost, serving = asyncio.create_task(_until_lost(client)), asyncio.create_task(self._serve(client))
        try:
            # The library lets who publishes wait in vain when the connection is lost, so both are looked at.
            await asyncio.wait({lost, serving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, lost):
                if task.done():
                    task.result()
        except MqttError as error:
            raise self._explained(error) from error
        finally:
            self.connected = False
            await ended(serving)
            client.timeout = 2.0
            with suppress(MqttError):
                if not lost.done():
                    await client.publish(f"{self._prefix}/online", "false", qos=1, retain=True)
            await ended(lost)
            with suppress(MqttError):
                await client.__aexit__(None, None, None)

    def _secrets(self) -> tuple[str | None, ssl.SSLContext | None]:
        """Password and trust as the files are now. Raises _Lost."""
        password, context = None, None
        if self._password_file is not None:
            try:
                password = Path(self._password_file).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is not UTF-8"
                raise _Lost(f"cannot read the password file {self._password_file}: {why}", lasting=True) from None
        if self._tls:
            try:
                context = ssl.create_default_context(cafile=self._trust)
            except (OSError, ssl.SSLError) as error:
                why = error.strerror or str(error)
                raise _Lost(f"cannot use the certificates in {self._trust}: {why}", lasting=True) from None
        return password, context

    def _client(self, password: str | None, context: ssl.SSLContext | None) -> "aiomqtt.Client":
        from aiomqtt import Client, Message, ProtocolVersion, Will
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        took = self._took

        class Inbox(asyncio.Queue[Message]):
            """Nothing waits in it: a message is looked at when it comes."""

            def put_nowait(self, item: Message) -> None:
                took(item)

        class Careful(Client):
            def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002
                """As the library's, but not for a socket that was closed meanwhile: its number may be another's."""

                def write() -> None:
                    try:
                        client.loop_write()
                    except Exception as error:  # noqa: BLE001  # as the library does: whatever it is, the line is lost
                        if not self._disconnected.done():
                            self._disconnected.set_exception(error)

                def register() -> None:
                    if sock.fileno() >= 0:
                        self._loop.add_writer(sock.fileno(), write)

                self._loop.call_soon_threadsafe(register)

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = LARGEST_PACKET
        return Careful(
            self._host,
            self._port,
            username=self._username,
            password=password,
            identifier=self._client_id,
            protocol=ProtocolVersion.V311 if self._old else ProtocolVersion.V5,
            properties=None if self._old else properties,
            will=Will(f"{self._prefix}/online", "false", qos=1, retain=True),
            queue_type=Inbox,
            tls_context=context,
            keepalive=KEEPALIVE,
            timeout=TIMEOUT,
            logger=_wire,
        )

    async def _serve(self, client: "aiomqtt.Client") -> None:
        """Raises MqttError when the connection is lost, _Lost when the broker grants nothing."""
        topics = [f"{self._prefix}/{one}" for one in ("limit", "evse/+/limit", "heartbeat")]
        granted = await client.subscribe([(topic, 1) for topic in topics])
        for topic, code in zip(topics, granted, strict=False):
            if getattr(code, "value", code) in _REFUSED:  # a number in MQTT 3.1.1
                raise _Lost(f"the broker does not allow to subscribe to {topic}", lasting=True)
        await client.publish(f"{self._prefix}/online", "true", qos=1, retain=True)
        self.connected, self.problem = True, None
        self._since = asyncio.get_running_loop().time()
        _log.info("EMS %s: connected to the broker %s port %d", self._source.name, self._host, self._port)
        last, sent = "", -math.inf
        while True:
            now = self._clock.monotonic()
            text = json.dumps(plain(self._telemetry(), self._source.state), allow_nan=False)
            if text != last or now - sent >= QUIET:
                stamp = self._clock.now().isoformat(timespec="milliseconds")
                await client.publish(f"{self._prefix}/telemetry", f'{{"ts": "{stamp}", {text[1:]}')
                last, sent = text, now
            await asyncio.sleep(EVERY)

    def _explained(self, error: Exception) -> _Lost:
        from aiomqtt.exceptions import MqttConnectError

        cause = error.__context__
        if isinstance(error, MqttConnectError):
            code = getattr(error.rc, "value", error.rc)
            if code == _WRONG_VERSION and not self._old:
                self._old = True
                return _Lost("the broker does not know MQTT 5; trying 3.1.1")
            if code in (134, 135, 4, 5):
                return _Lost("the broker refuses the user name or the password", lasting=True)
            return _Lost(f"the broker refuses the connection: {error.rc}", lasting=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _Lost(f"the broker's certificate is not trusted: {cause.verify_message}", lasting=True)
        if isinstance(cause, ssl.SSLError):
            return _Lost(f"TLS with the broker fails: {cause.reason or cause}", lasting=True)
        return _Lost(f"the broker is not there: {error}")

    def _lost(self, error: _Lost) -> None:
        text = f"EMS {self._source.name}: {self._host} port {self._port}: {error}"
        if self.problem is None or (error.lasting and self.problem != text):
            _log.warning("%s; trying again", text)
        self.problem = text

    # --- messages --------------------------------------------------------------------------------------------------

    def _took(self, message: "aiomqtt.Message") -> None:
        below = str(message.topic).removeprefix(f"{self._prefix}/")
        payload = message.payload if isinstance(message.payload, bytes) else b""
        if self._intake.take(below, payload, retained=message.retain) and self._timer is None:
            self._act_at(asyncio.get_running_loop().time())

    def _act_at(self, time: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(max(time, self._acted + GAP), self._act)

    def _act(self) -> None:
        self._timer, self._acted = None, asyncio.get_running_loop().time()
        if self._intake.act():
            self._act_at(self._acted + GAP)

    def _tell(self, what: str) -> None:
        now = self._clock.monotonic()
        if now - self._said.get(what, -math.inf) < TELL_AGAIN:
            return
        if len(self._said) >= MOST_TOLD:
            self._said = {text: time for text, time in self._said.items() if now - time < TELL_AGAIN}
            if len(self._said) >= MOST_TOLD:
                return
        self._said[what] = now
        _log.warning("EMS %s: not taken: %s", self._source.name, what)


def plain(telemetry: Telemetry, state: str) -> dict[str, Any]:
    """Telemetry as JSON has it: null for what was not measured; `state` is that of this interface."""
    told = _plain(asdict(telemetry))
    assert isinstance(told, dict)
    return {"state": str(state), **told}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    return value


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel it until it is over: Python 3.11's wait_for, which the library uses, may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
    if not task.cancelled():
        task.exception()


async def _until_lost(client: "aiomqtt.Client") -> None:
    """Raises MqttError then."""
    async for _ in client.messages:
        pass


async def _enter(client: "aiomqtt.Client") -> None:
    """Connect. The library does that in a thread that goes on when we are cancelled: then it hangs up afterwards."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        entering.add_done_callback(lambda done: _hang_up(client, done))
        raise


_leaving: set[asyncio.Task[None]] = set()


def _hang_up(client: "aiomqtt.Client", done: "asyncio.Future[aiomqtt.Client]") -> None:
    if done.cancelled() or done.exception() is not None:
        return
    task = asyncio.get_running_loop().create_task(_left(client))
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)


async def _left(client: "aiomqtt.Client") -> None:
    from aiomqtt import MqttError

    with suppress(MqttError):
        await client.__aexit__(None, None, None)
