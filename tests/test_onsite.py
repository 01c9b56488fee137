"""The socket on which local commands ask the running agent: real sockets, real processes."""

import asyncio
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from agent import onsite
from agent.onsite import CLIENTS, LONGEST_PATH, LONGEST_QUESTION, NAME, Onsite, OnsiteError, ask, listen

Answers = Mapping[str, Callable[[Mapping[str, Any]], Any]]


def _refuse(_: Mapping[str, Any]) -> Any:
    raise OnsiteError("not on this board")


ANSWERS: Answers = {
    "echo": lambda asked: asked,
    "long": lambda _: "x" * 1_000_000,
    "refused": _refuse,
    "broken": lambda _: {}["nothing"],
    "endless": lambda _: float("inf"),
}


def made(folder: Path) -> tuple[int, int] | None:
    """Tells one socket from another at the same place."""
    with suppress(FileNotFoundError):
        found = (folder / NAME).lstat()
        return found.st_ino, found.st_ctime_ns
    return None


@asynccontextmanager
async def running(folder: Path, answers: Answers = ANSWERS) -> AsyncIterator[Path]:
    """An agent's side at work; gives the state directory."""
    before = made(folder)
    task = asyncio.create_task(Onsite(folder / NAME, answers).run())
    while made(folder) in (None, before):
        assert not task.done(), task.result()
        await asyncio.sleep(0.005)
    try:
        yield folder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def asked(folder: Path, what: str, **more: Any) -> Any:
    return await asyncio.to_thread(ask, folder, what, **more)


async def answer_to(folder: Path, question: bytes, *, end: bool = False) -> bytes:
    """What comes back for raw bytes."""

    def exchange() -> bytes:
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.connect(str(folder / NAME))
            with suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(question)
            if end:
                line.shutdown(socket.SHUT_WR)
            with line.makefile("rb") as file:
                return file.readline()

    return await asyncio.to_thread(exchange)


async def test_what_is_asked_is_answered_with_all_that_was_said(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        assert await asked(folder, "echo", since=3, name="Zähler\u2028") == {
            "ask": "echo",
            "since": 3,
            "name": "Zähler\u2028",
        }
        assert await asked(folder, "long") == "x" * 1_000_000


async def test_the_socket_is_for_the_user_and_the_group_and_goes_with_the_agent(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        mode = (folder / NAME).stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("refused", "not on this board"),
        ("nonsense", "cannot be asked for 'nonsense'; it answers: broken, echo, endless, long, refused"),
    ],
)
async def test_a_refusal_reaches_who_asked(tmp_path: Path, what: str, says: str) -> None:
    async with running(tmp_path) as folder:
        with pytest.raises(OnsiteError, match=says):
            await asked(folder, what)


@pytest.mark.parametrize(("what", "kind"), [("broken", "KeyError"), ("endless", "ValueError")])
async def test_an_answer_that_fails_is_logged_and_the_next_one_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, kind: str
) -> None:
    async with running(tmp_path) as folder:
        with pytest.raises(OnsiteError, match=f"failed to answer \\({kind}\\)"):
            await asked(folder, what)
        assert f"{what} cannot be answered" in caplog.text and kind in caplog.text
        assert await asked(folder, "echo") == {"ask": "echo"}


@pytest.mark.parametrize(
    "question",
    [
        b"\n",
        b"{\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"ask": 3}\n',
        b'{"ask": ["echo"]}\n',
        b"[" * (LONGEST_QUESTION - 1) + b"\n",
        b'{"ask": "echo", "more": "' + b"x" * LONGEST_QUESTION + b'"}\n',
        b"x" * 1_000_000,
    ],
    ids=lambda question: question[:20],
)
async def test_what_is_no_question_is_told_so(tmp_path: Path, question: bytes) -> None:
    async with running(tmp_path) as folder:
        assert "expected one line of JSON" in json.loads(await answer_to(folder, question))["error"]
        assert await asked(folder, "echo") == {"ask": "echo"}


async def test_a_question_that_ends_too_early_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        assert b"expected one line" in await answer_to(folder, b'{"ask": "echo"}', end=True)


async def test_a_client_that_says_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onsite, "SECONDS", 0.1)
    async with running(tmp_path) as folder:
        reader, writer = await asyncio.open_unix_connection(folder / NAME)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_takes_no_answer_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onsite, "SECONDS", 0.1)
    monkeypatch.setattr(onsite, "CLIENTS", 1)
    async with running(tmp_path) as folder:
        with closing(socket.socket(socket.AF_UNIX)) as lazy:
            lazy.connect(str(folder / NAME))
            lazy.sendall(b'{"ask": "long"}\n')
            while True:  # until its place is free again
                try:
                    assert await asked(folder, "echo") == {"ask": "echo"}
                    break
                except OnsiteError:
                    await asyncio.sleep(0.02)


async def test_clients_that_go_away_in_between_cost_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as folder:
        for said in (b"", b'{"ask"', b'{"ask": "long"}\n', b'{"ask": "echo"}\n' * 50):
            for take in (0, 1, 100_000):
                with closing(socket.socket(socket.AF_UNIX)) as line:
                    line.connect(str(folder / NAME))
                    line.sendall(said)
                    if take and said.endswith(b"\n"):
                        await asyncio.to_thread(line.recv, take)
        assert await asked(folder, "echo") == {"ask": "echo"}
    assert caplog.records == []


async def test_only_so_many_are_answered_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        with ExitStack() as stack:
            silent = [stack.enter_context(closing(socket.socket(socket.AF_UNIX))) for _ in range(CLIENTS)]
            for one in silent:
                one.connect(str(folder / NAME))
            with pytest.raises(OnsiteError, match="too many"):
                await asked(folder, "echo")
            silent[0].close()
            while True:
                try:
                    assert await asked(folder, "echo") == {"ask": "echo"}
                    break
                except OnsiteError:
                    await asyncio.sleep(0.01)


async def test_many_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        for number in range(10 * CLIENTS):
            assert await asked(folder, "echo", number=number) == {"ask": "echo", "number": number}


async def test_an_agent_that_ends_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        reader, writer = await asyncio.open_unix_connection(folder / NAME)
        await asked(folder, "echo")  # the first connection is taken by now, too
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


# --- the place of the socket --------------------------------------------------------------------------------------


async def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys, agent.onsite as o\n"
        "kept = o.listen(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path / NAME))
    assert await killed.wait() == -9 and (tmp_path / NAME).is_socket()
    with pytest.raises(OnsiteError, match="no agent is running"):
        ask(tmp_path, "echo")
    with closing(listen(tmp_path / NAME)):
        pass
    async with running(tmp_path) as folder:
        assert await asked(folder, "echo") == {"ask": "echo"}


def test_the_socket_of_a_living_process_is_not_taken(tmp_path: Path) -> None:
    with closing(listen(tmp_path / NAME)), pytest.raises(OnsiteError, match="another process answers there"):
        listen(tmp_path / NAME)


def test_a_file_of_that_name_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mine")
    with pytest.raises(OnsiteError, match="is no socket"):
        listen(tmp_path / NAME)
    assert (tmp_path / NAME).read_text() == "mine"


async def test_the_socket_of_a_later_agent_outlives_the_earlier_one(tmp_path: Path) -> None:
    async with running(tmp_path) as folder:
        (folder / NAME).rename(folder / "old.sock")
        later = listen(folder / NAME)
    with closing(later):
        assert (tmp_path / NAME).is_socket()


def test_a_path_that_is_too_long_is_named_on_both_sides(tmp_path: Path) -> None:
    folder = tmp_path / ("é" * 60)
    for call in (lambda: listen(folder / NAME), lambda: ask(folder, "echo")):
        with pytest.raises(OnsiteError, match=f"a socket's path has at most {LONGEST_PATH}; use a shorter"):
            call()


def test_the_longest_path_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * (LONGEST_PATH - len(str(tmp_path)) - len(NAME) - 2))
    folder.mkdir()
    assert len(str(folder / NAME)) == LONGEST_PATH
    with closing(listen(folder / NAME)):
        assert (folder / NAME).is_socket()


async def test_a_socket_that_cannot_be_made_is_told_once_and_made_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onsite, "RETRY", 0.01)
    folder = tmp_path / "later"
    task = asyncio.create_task(Onsite(folder / NAME, ANSWERS).run())
    while not caplog.records:
        assert not task.done()
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and "No such file or directory" in record.message
    folder.mkdir()
    while not (folder / NAME).exists():
        assert not task.done()
        await asyncio.sleep(0.005)
    assert await asked(folder, "echo") == {"ask": "echo"}
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


# --- the side that asks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "nowhere", "file"])
def test_without_an_agent_it_is_told_so(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OnsiteError, match=r"no agent is running with this state directory \(--state-dir\)"):
        ask(tmp_path / folder, "limits")


def test_who_may_not_ask_is_told_how(tmp_path: Path) -> None:
    user = os.geteuid()
    with closing(listen(tmp_path / NAME)):
        tmp_path.chmod(0)
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(OnsiteError, match="permission denied; ask as the agent's user, or with sudo"):
                ask(tmp_path, "limits")
        finally:
            os.seteuid(user)
            tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "ended without an answer"),
        (b'{"ok": 1', "ended without an answer"),
        (b"hello\n", "is no agent"),
        (b"[1]\n", "is no agent"),
        (b"{}\n", "is no agent"),
        (b'{"error": "no"}\n', "^no$"),
    ],
)
def test_a_strange_answer_is_not_believed(tmp_path: Path, reply: bytes, says: str) -> None:
    def serve(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line:
            line.recv(4096)
            line.sendall(reply)

    with closing(listen(tmp_path / NAME)) as listener:
        listener.setblocking(True)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with pytest.raises(OnsiteError, match=says):
            ask(tmp_path, "limits")
        thread.join()


@pytest.mark.parametrize("waiting", [1, 64], ids=["silent", "full"])
def test_an_agent_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
    monkeypatch.setattr(onsite, "SECONDS", 0.1)
    with closing(listen(tmp_path / NAME)), ExitStack() as stack:
        for _ in range(waiting - 1):
            one = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            one.setblocking(False)
            one.connect_ex(str(tmp_path / NAME))
        with pytest.raises(OnsiteError, match="the agent does not answer within"):
            ask(tmp_path, "limits")


def test_the_side_that_asks_imports_little() -> None:
    program = "import sys, agent.cli, agent.cli_limits; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    heavy = {
        "asyncio",
        "pydantic",
        "websockets",
        "yaml",
        "sqlite3",
        "agent.model",
        "agent.board",
        "agent.ems.signals",
    }
    assert heavy.isdisjoint(loaded.stdout.split())
