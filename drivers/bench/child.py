"""The agent as a child process, kept running as systemd with its watchdog would."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import drivers

RESTART = 0.5
"""Seconds from the agent's end to its next start (RestartSec)."""

WATCHDOG = 10.0
"""Seconds without a sign of life after which the agent is killed (WatchdogSec)."""

START = 90.0
"""Seconds until the first sign of life (TimeoutStartSec)."""

STOP = 5.0
"""Seconds that an orderly stop may take (TimeoutStopSec)."""

_PR_SET_PDEATHSIG = 1
_ROOT = Path(drivers.__file__).parents[1]


def command(*arguments: str) -> list[str]:
    """The agent's command line, by the Python that runs the bench."""
    return [sys.executable, "-m", "agent", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The bench's environment without what would lead the agent past the bench, and with `more`."""
    hidden = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and not name.lower().endswith("_proxy")
    }
    path = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH", ""))))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def die_with_parent() -> None:
    """For a new child: a bench that is killed leaves no agent behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class AgentChild:
    """One agent, started again whenever it ends, as long as there is power."""

    def __init__(self, arguments: Sequence[str], folder: Path, log: Path | None) -> None:
        """`folder` holds the notification socket; the agent's log goes to the file `log`, else to standard error."""
        self._arguments = arguments
        self._notify = folder / "notify"
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False
        self._life: asyncio.Task[None] | None = None
        self._alive_at = 0.0
        self.ready = asyncio.Event()
        """Set while the agent has said READY=1 since it was started."""
        self.starts = 0
        self.exit_codes: list[int] = []
        """How each of its lives ended; negative for the signal that killed it."""

    @property
    def pid(self) -> int | None:
        """Of the running agent; None while there is none."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def open(self) -> None:
        """Listen to what the agent tells the service manager."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._notify))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._hear)

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    async def start(self) -> None:
        """Start the agent and keep it running; returns as soon as the process is there."""
        if self._wanted:
            return
        self._wanted = True
        await self._spawn()
        self._life = asyncio.create_task(self._live())

    async def cut(self) -> None:
        """The power goes: the agent is gone at once, and stays so until `start`."""
        self._wanted = False
        self._signal(signal.SIGKILL)
        await self._gone()

    async def kill(self) -> None:
        """The agent dies; it is started again. Returns when it is dead."""
        process = self._process
        self._signal(signal.SIGKILL)
        if process is not None:
            await process.wait()

    def hang(self) -> None:
        """The agent stops responding, until the watchdog sees it."""
        self._signal(signal.SIGSTOP)

    async def stop(self) -> None:
        """Ask the agent to stop, and kill it if it does not within `STOP` seconds."""
        self._wanted = False
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP):
                await self._gone()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._gone()

    async def _gone(self) -> None:
        if self._life is not None:
            await asyncio.shield(self._life)
            self._life = None

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _spawn(self) -> None:
        self.ready.clear()
        self._alive_at = time.monotonic() + START - WATCHDOG
        tells = {"NOTIFY_SOCKET": str(self._notify), "WATCHDOG_USEC": str(int(WATCHDOG * 1_000_000))}
        output = 2 if self._log is None else os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command(*self._arguments),
                env=environment(**tells),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        finally:
            if self._log is not None:
                os.close(output)
        self.starts += 1
        if not self._wanted:
            self._signal(signal.SIGKILL)  # the power went while it was being started

    async def _live(self) -> None:
        """From a start to the end of the power, with as many lives between as it takes."""
        while True:
            process = self._process
            assert process is not None
            watching = asyncio.create_task(self._watch())
            self.exit_codes.append(await process.wait())
            watching.cancel()
            self.ready.clear()
            if self._wanted:
                await asyncio.sleep(RESTART)
            if not self._wanted:
                return
            await self._spawn()

    async def _watch(self) -> None:
        """Kill an agent that says nothing for too long."""
        while True:
            left = self._alive_at + WATCHDOG - time.monotonic()
            if left <= 0:
                self._signal(signal.SIGKILL)
                return
            await asyncio.sleep(min(left, 1.0))  # the first sign of life brings the end nearer

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(4096).decode("utf-8", "replace").split("\n")
                if "WATCHDOG=1" in lines or "READY=1" in lines:
                    self._alive_at = time.monotonic()
                if "READY=1" in lines:
                    self.ready.set()
