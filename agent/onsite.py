"""What commands on this computer ask the running agent, over a Unix socket in its state directory.

One connection, one question, one answer, each a line of JSON: `{"ask": "limits", …}`, then `{"ok": …}` or
`{"error": "why not"}`. Who may ask is what the permissions of the directory and of the socket say; no network is
involved.
"""

# asyncio is imported by the side that answers: the side that asks is a command, which has to start fast.
import contextlib
import errno
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)

NAME = "onsite.sock"
MODE = 0o660
LONGEST_PATH = 107
"""Bytes of a path that a Unix socket can have (unix(7))."""

CLIENTS = 8
"""Who is answered at once; the others are told to try again."""

LONGEST_QUESTION = 4096
LONGEST_ANSWER = 4 << 20
SECONDS = 5.0
"""For a question to arrive, and for an answer to be taken."""

RETRY = 30.0
"""Seconds before a socket that could not be made is tried again."""


class OnsiteError(Exception):
    """Nobody can be asked, or there is no answer; the message says why, and what to do."""


class Onsite:
    """The side that answers: `answers` maps what is asked to a callable, which gets the whole question and returns
    what JSON can hold. It runs in the event loop, so it must be quick; OnsiteError is its way to refuse.
    """

    def __init__(self, path: Path, answers: Mapping[str, Callable[[Mapping[str, Any]], Any]]) -> None:
        self._path = path
        self._answers = answers
        self._clients = 0

    async def run(self) -> None:
        """Answer until cancelled. A socket that cannot be made is told once and tried again: the station charges
        without it.
        """
        import asyncio

        told = ""
        while True:
            try:
                listener = listen(self._path)
                break
            except OnsiteError as error:
                if str(error) != told:
                    log.error("nobody on this computer can ask: %s", error)
                    told = str(error)
            await asyncio.sleep(RETRY)
        made = _identity(self._path)
        try:
            async with asyncio.TaskGroup() as group:
                server = await asyncio.start_unix_server(
                    lambda reader, writer: _start(group, self._client(reader, writer)),
                    sock=listener,
                    limit=LONGEST_QUESTION,
                )
                with contextlib.closing(server):
                    await asyncio.get_running_loop().create_future()
        finally:
            listener.close()
            # Not that of an agent which was started since.
            if made is not None and _identity(self._path) == made:
                self._path.unlink(missing_ok=True)

    async def _client(self, reader: "asyncio.StreamReader", writer: "asyncio.StreamWriter") -> None:
        import asyncio

        self._clients += 1
        try:
            async with asyncio.timeout(SECONDS):
                if self._clients > CLIENTS:
                    answer = _line({"error": "too many ask at once; try again"})
                else:
                    answer = self._answer(await _question(reader))
            async with asyncio.timeout(SECONDS):
                writer.transport.set_write_buffer_limits(0)  # `drain` waits for the last byte
                writer.write(answer)
                await writer.drain()
        except (OSError, TimeoutError):
            log.debug("somebody on this computer asked and went away")
        finally:
            self._clients -= 1
            writer.transport.abort()

    def _answer(self, question: bytes) -> bytes:
        try:
            asked = json.loads(question)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict) or not isinstance(asked.get("ask"), str):
            return _line({"error": f'expected one line of JSON, {{"ask": …}}, of at most {LONGEST_QUESTION} bytes'})
        answer = self._answers.get(asked["ask"])
        if answer is None:
            known = ", ".join(sorted(self._answers))
            return _line({"error": f"this agent cannot be asked for {asked['ask'][:40]!r}; it answers: {known}"})
        try:
            return _line({"ok": answer(asked)})
        except OnsiteError as error:
            return _line({"error": str(error)})
        except Exception as error:
            # A question must not cost a charge.
            log.exception("%s cannot be answered", asked["ask"])
            return _line({"error": f"the agent failed to answer ({type(error).__name__}); its log says more"})


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`; that of a process which is gone is replaced. Raises OnsiteError."""
    _check(path)
    try:
        _make_room(path)
        listener = socket.socket(socket.AF_UNIX)
        try:
            os.fchmod(listener.fileno(), 0o600)  # Linux: the file is made with it, and never open to more
            listener.bind(os.fspath(path))
            path.chmod(MODE)
            listener.listen(2 * CLIENTS)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise OnsiteError(f"{path}: {error.strerror}") from None
    return listener


def ask(state_dir: Path, what: str, **more: Any) -> Any:
    """Ask the agent that runs with `state_dir`; waits `SECONDS` at most. Raises OnsiteError."""
    path = state_dir / NAME
    _check(path)
    until = time.monotonic() + SECONDS
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(SECONDS)
            line.connect(os.fspath(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(_line({"ask": what, **more}))  # what is too much is answered before it was read
            found = bytearray()
            while not found.endswith(b"\n"):
                line.settimeout(max(0.001, until - time.monotonic()))
                part = line.recv(65536)
                if not part or len(found) > LONGEST_ANSWER:
                    raise OnsiteError("the agent ended without an answer" if not part else "the answer is too long")
                found += part
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise OnsiteError(f"{state_dir}: no agent is running with this state directory (--state-dir)") from None
    except PermissionError:
        raise OnsiteError(f"{path}: permission denied; ask as the agent's user, or with sudo") from None
    except (TimeoutError, BlockingIOError):
        raise OnsiteError(f"the agent does not answer within {SECONDS:g} s") from None
    except OSError as error:
        raise OnsiteError(f"{path}: {error.strerror}") from None
    try:
        answer = json.loads(found)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "ok" in answer:
        return answer["ok"]
    if isinstance(answer, dict) and "error" in answer:
        raise OnsiteError(str(answer["error"]))
    raise OnsiteError(f"{path}: what answers there is no agent")


def _check(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise OnsiteError(
            f"{path}: {length} bytes, a socket's path has at most {LONGEST_PATH}; use a shorter directory"
        )


def _make_room(path: Path) -> None:
    """Remove the socket of a process that is gone. Raises OnsiteError for anything else that lies there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OnsiteError(f"{path}: is no socket; move it away")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        found = probe.connect_ex(os.fspath(path))
    if found in (0, errno.EAGAIN):
        raise OnsiteError(f"{path}: another process answers there")
    if found != errno.ECONNREFUSED:
        raise OnsiteError(f"{path}: {os.strerror(found)}")
    path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from one that takes its place; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _start(group: "asyncio.TaskGroup", client: Coroutine[Any, Any, None]) -> None:
    group.create_task(client)


async def _question(reader: "asyncio.StreamReader") -> bytes:
    """The first line; empty where it is too long or not ended."""
    import asyncio

    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
