"""What the service manager hears, on a real datagram socket, and what its journal is told with each line."""

import asyncio
import contextlib
import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.systemd import JournalFormatter, feed_watchdog, is_journal, notify, watchdog_interval


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_the_service_manager_is_told(manager: socket.socket) -> None:
    notify("READY=1")
    notify("STOPPING=1")
    assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_socket_is_found_by_its_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"station-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_service_manager_that_is_gone_does_not_stop_the_station(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("WATCHDOG=1")
    assert "does not hear WATCHDOG=1" in caplog.text


def test_a_service_manager_that_does_not_read_is_not_waited_for(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100_000):
        notify("WATCHDOG=1")
        if caplog.records:
            break
    assert "does not hear" in caplog.text
    assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        (None, None, None),
        ("", None, None),
        ("0", None, None),
        ("soon", None, None),
        ("30000000", None, 15.0),
        ("30000000", "me", 15.0),
        ("30000000", "1", None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, pid: str | None, expected: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(os.getpid()) if value == "me" else value)
    assert watchdog_interval() == expected


async def test_the_watchdog_is_fed_until_the_feeding_is_cancelled(manager: socket.socket) -> None:
    feeding = asyncio.create_task(feed_watchdog(0.01))
    heard = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding
    assert heard == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.INFO, "<6>INFO    agent.station: {}"),
        (logging.WARNING, "<4>WARNING agent.station: {}"),
        (logging.CRITICAL, "<2>CRITICAL agent.station: {}"),
        (25, "<6>Level 25 agent.station: {}"),
    ],
)
def test_a_line_for_the_journal_begins_with_its_priority(level: int, line: str) -> None:
    record = logging.LogRecord("agent.station", level, __file__, 1, "fan %d", (2,), None)
    assert JournalFormatter().format(record) == line.format("fan 2")


def test_every_line_of_a_traceback_has_the_priority_of_its_message() -> None:
    try:
        raise ValueError("one\ntwo")
    except ValueError as error:
        raised = (ValueError, error, error.__traceback__)
    lines = (
        JournalFormatter().format(logging.LogRecord("x", logging.ERROR, __file__, 1, "no", (), raised)).split("\n")
    )
    assert len(lines) > 4 and all(line.startswith("<3>") for line in lines)


def test_only_the_stream_that_the_service_manager_named_is_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours), os.fdopen(theirs, "w") as journal:
        found = os.fstat(theirs)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert is_journal(journal)
        assert not is_journal(io.StringIO())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
        assert not is_journal(journal)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journal(journal)
