"""Who on the line raises security events, and how a critical one reaches the CSMS: real sockets, TLS and disk."""

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.ocpp.host import ConnectionProfile
from agent.ocpp.link import CsmsLink
from agent.ocpp.rpc import ErrorCode
from agent.ocpp.session import Session
from agent.ocpp.variables import BACK_OFF_MINIMUM, BACK_OFF_RANDOM, TIME_ADJUSTMENT
from agent.security.events import SecurityEvents
from agent.security.log import SecurityLog
from agent.store import Store
from tests.ocpp.csms import PASSWORD, Csms
from tests.ocpp.parts import Home, Line, boot_answer, until
from tests.security.parts import read

TLS = Path(__file__).parents[1] / "bench" / "tls"
Events = list[tuple[str, str]]


def at_present() -> Csms:
    """A CSMS whose clock goes right."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: boot_answer(time=datetime.now(UTC).isoformat())
    csms.answers["Heartbeat"] = lambda _: {"currentTime": datetime.now(UTC).isoformat()}
    return csms


def home_for(store: object | None = None) -> Home:
    home = Home(store=store)
    home.put(BACK_OFF_MINIMUM, 0)
    home.put(BACK_OFF_RANDOM, 1)
    return home


@contextlib.asynccontextmanager
async def link_to(url: str, events: Events, tls: ssl.SSLContext | None = None):
    """A running link to `url`, which notes its security events."""
    home = home_for()
    home.profile = ConnectionProfile(url, "CS 001", PASSWORD, tls=tls)
    link = CsmsLink(home, random=lambda: 0.02, security=lambda *event: events.append(event))
    task = asyncio.create_task(link.run())
    try:
        yield link
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- the session ----------------------------------------------------------------------------------------------


def noting(line: Line) -> Events:
    """What a session of `line`'s host raises from now on."""
    events: Events = []
    line.session = Session(
        line.home,
        line.home.settings,
        line.outbox,
        lambda: 0.5,
        line.transactions,
        lambda *event: events.append(event),
    )
    line.open()
    return events


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no JSON", ErrorCode.RPC_FRAMEWORK_ERROR),
        ('[2,"1","GetVariables",{"secret":"hunter2"}]', ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ('[2,"1","MakeCoffee",{}]', ErrorCode.NOT_IMPLEMENTED),
        ('[7,"1","GetVariables",{}]', ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED),
    ],
)
def test_a_message_that_is_not_valid_is_a_security_event(frame: str, code: ErrorCode) -> None:
    line = Line()
    events = noting(line)
    assert isinstance(line.session.receive(frame, line.clock.seconds), str)
    ((type, info),) = events
    assert type == "InvalidMessages"
    assert info.startswith(f"{code}: ")
    assert "hunter2" not in info


def test_a_valid_message_that_is_not_supported_is_none() -> None:
    line = Line()
    events = noting(line)
    answer = line.session.receive('[2,"1","PublishFirmware",{}]', line.clock.seconds)
    assert isinstance(answer, str) and "NotSupported" in answer
    assert events == []


@pytest.mark.parametrize(
    ("shown", "told"),
    [("12:00:20", []), ("12:00:21", ["+21.0"]), ("11:59:40", []), ("11:59:39", ["-21.0"])],
)
def test_a_clock_that_is_moved_beyond_the_threshold_is_a_security_event(shown: str, told: list[str]) -> None:
    line = Line()
    events = noting(line)
    line.answer(line.expect("BootNotification"), boot_answer(time=f"2026-01-31T{shown}Z"))
    assert events == [("SettingSystemTime", f"moved by {one} s to the CSMS's time") for one in told]


def test_the_threshold_is_the_csmss_to_set() -> None:
    line = Line()
    line.home.put(TIME_ADJUSTMENT, 5)
    events = noting(line)
    line.answer(line.expect("BootNotification"), boot_answer(time="2026-01-31T12:00:06Z"))
    assert [type for type, _ in events] == ["SettingSystemTime"]


# --- connections that do not come about ------------------------------------------------------------------------


async def test_credentials_that_are_refused_are_told_once_in_a_row_and_again_after_a_connection() -> None:
    events: Events = []
    async with at_present().running() as csms:
        csms.refuse = HTTPStatus.UNAUTHORIZED
        async with link_to(csms.url, events) as link:
            await csms.until(lambda: len(csms.paths) >= 4)
            assert events == [("FailedToAuthenticateAtCsms", "HTTP 401")]
            csms.refuse = HTTPStatus.FORBIDDEN
            await until(lambda: len(events) == 2)
            csms.refuse = None
            await until(lambda: link.connected)
            csms.refuse = HTTPStatus.FORBIDDEN
            link.reconnect()
            await until(lambda: len(events) == 3)
    assert events == [("FailedToAuthenticateAtCsms", f"HTTP {code}") for code in (401, 403, 403)]


async def test_a_csms_that_is_not_there_is_no_security_event() -> None:
    events: Events = []
    async with Csms().running() as csms:
        csms.refuse = HTTPStatus.NOT_FOUND
        async with link_to(csms.url, events):
            await csms.until(lambda: len(csms.paths) >= 3)
    assert events == []


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")
    return context


def client_tls(root: str = "root.pem") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=TLS / root if root else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextlib.contextmanager
def serving(greet: Callable[[socket.socket], object]):
    """A server in a thread, as blocking as most are: `greet` is given each connection. asyncio's sends no alerts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    greet(connection)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


async def refused(greet: Callable[[socket.socket], object], client: ssl.SSLContext) -> Events:
    """The security events of several attempts to connect to a server that will not do."""
    events: Events = []
    greeted = list[int]()
    with serving(lambda connection: (greeted.append(1), greet(connection))) as port:
        async with link_to(f"wss://localhost:{port}/ocpp", events, client):
            await until(lambda: events and len(greeted) >= 4)
    return events


def handshake(server: ssl.SSLContext) -> Callable[[socket.socket], object]:
    return lambda connection: server.wrap_socket(connection, server_side=True)


@pytest.mark.requirement("A00.FR.310", "A00.FR.413")
async def test_a_certificate_that_nobody_vouches_for_is_told_once() -> None:
    ((type, info),) = await refused(handshake(server_tls()), client_tls(root=""))
    assert type == "InvalidCsmsCertificate"
    assert "certificate" in info


@pytest.mark.requirement("A00.FR.316", "A00.FR.419")
async def test_a_csms_with_an_old_tls_is_told_once() -> None:
    server = server_tls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.minimum_version = ssl.TLSVersion.TLSv1
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("ALL:@SECLEVEL=0")
    ((type, _),) = await refused(handshake(server), client_tls())
    assert type == "InvalidTLSVersion"


@pytest.mark.requirement("A00.FR.323", "A00.FR.426")
async def test_a_csms_with_weak_cipher_suites_alone_is_told_once() -> None:
    server = server_tls()
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("AES128-SHA:AES256-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    client = client_tls()
    client.set_ciphers("ECDHE+AESGCM")
    ((type, _),) = await refused(handshake(server), client)
    assert type == "InvalidTLSCipherSuite"


async def test_a_port_that_speaks_no_tls_is_a_csms_that_does_not_show_who_it_is() -> None:
    events = await refused(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), client_tls())
    assert [type for type, _ in events] == ["CsmsFailedToAuthenticate"]


async def test_a_line_that_is_cut_in_the_handshake_is_no_security_event() -> None:
    events: Events = []
    greeted = list[int]()
    with serving(lambda _: greeted.append(1)) as port:
        async with link_to(f"wss://localhost:{port}/ocpp", events, client_tls()):
            await until(lambda: len(greeted) >= 4)
    assert events == []


# --- to the CSMS -----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def station(folder: Path, port: int):
    """A new process of the station on `folder`: its store, its link and its security events."""
    store = Store(folder)
    home = home_for(store)
    home.profile = ConnectionProfile(f"ws://127.0.0.1:{port}/ocpp", "CS 001", PASSWORD)
    log = SecurityLog(folder, home.clock)
    events: SecurityEvents
    link = CsmsLink(home, random=lambda: 0.02, security=lambda *event: events.record(*event))
    events = SecurityEvents(log, SystemClock(), link.post)
    task = asyncio.create_task(link.run())
    try:
        yield events, log, store
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        log.close()
        store.close()


@pytest.mark.requirement("A04.FR.01", "A04.FR.02", "A04.FR.03")
async def test_critical_events_wait_on_disk_for_a_csms_that_is_away_and_go_once_it_confirms(tmp_path: Path) -> None:
    async with Csms().running() as early:
        port = early.port
    async with station(tmp_path, port) as (events, log, store):
        events.started("PowerUp")
        events.record("InvalidMessages", "only for the log")
        await until(lambda: log.there() and store.messages())
    async with station(tmp_path, port) as (events, log, store):  # it was restarted, still without a CSMS
        events.started("ApplicationReset", logged=True)
        await until(lambda: len(store.messages()) == 2)
        csms = at_present()
        csms.answers["SecurityEventNotification"] = None  # it is heard, and not confirmed
        async with csms.running(port):
            await csms.until_call("SecurityEventNotification")
            assert len(store.messages()) == 2
        csms = at_present()
        async with csms.running(port):
            sent = await csms.until_call("SecurityEventNotification", 2)
            assert [(one["type"], one["techInfo"]) for one in sent] == [
                ("StartupOfTheDevice", "PowerUp"),
                ("ResetOrReboot", "ApplicationReset"),
            ]
            await until(lambda: store.messages() == [])
        logged = await asyncio.to_thread(read, log)
        assert [one["type"] for one in logged] == ["StartupOfTheDevice", "InvalidMessages", "ResetOrReboot"]


@pytest.mark.requirement("A04.FR.04")
async def test_what_is_not_critical_stays_in_the_log_alone(tmp_path: Path) -> None:
    async with at_present().running() as csms, station(tmp_path, csms.port) as (_, log, _store):
        await csms.until_call("BootNotification")
        answer = await csms.ask_raw("GetVariables", {"getVariableData": []})
        assert answer[0] == 4
        (line,) = [one for one in await asyncio.to_thread(read, log) if one["type"] == "InvalidMessages"]
        assert line["critical"] is False
        assert all(one["type"] != "InvalidMessages" for one in csms.calls("SecurityEventNotification"))
