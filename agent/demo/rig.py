"""A bench with a station on it, in a process of its own, beside a CSMS: for the demo, tests and benchmarks."""

import asyncio
import contextlib
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.bench.csms import Csms, StationSession

IDENTITY = "DEMO1"
PASSWORD = "demo-password-0001"


class BenchRig:
    """The bench's API and the CSMS, as the story needs them."""

    def __init__(self, control: str, csms: Csms) -> None:
        self._control = control
        self._csms = csms

    @property
    def station(self) -> StationSession:
        """The station at the CSMS. Raises OSError while it has never connected."""
        station = self._csms.stations.get(IDENTITY)
        if station is None:
            raise OSError("the station has not connected yet")
        return station

    async def bench(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await asyncio.to_thread(self._request, method, path, body)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._control + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                result: dict[str, Any] = json.load(answer)
                return result
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    async def call(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return await self.station.call(action, dict(payload), timeout=30)

    async def heard(
        self, action: str, wanted: Callable[[dict[str, Any]], bool], since: int, seconds: float
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while IDENTITY not in self._csms.stations:
            if time.monotonic() > deadline:
                raise TimeoutError("the station did not connect")
            await asyncio.sleep(0.05)
        left = max(0.1, deadline - time.monotonic())
        return await self.station.wait_for(action, wanted, since=since, timeout=left)

    def mark(self) -> int:
        station = self._csms.stations.get(IDENTITY)
        return len(station.messages) if station is not None else 0

    def heard_at(self, action: str, since: int) -> float:
        """The monotonic time at which the first such message after number `since` came."""
        return self.station.calls(action, since)[0].time

    def all_heard(self, action: str, since: int) -> list[dict[str, Any]]:
        return [message.payload for message in self.station.calls(action, since)]


@contextlib.asynccontextmanager
async def running_bench(
    csms: Csms, folder: Path, settings: Sequence[str] = (), log: Path | None = None, board: str = "bench-ac"
) -> AsyncIterator[BenchRig]:
    """A bench in a process of its own, with the station, which connects to `csms`; its state goes into `folder`.

    `settings` are `--set` arguments. Raises OSError where the bench does not start.
    """
    command = [sys.executable, "-m", "agent", "bench", board, "--csms", csms.url, "--identity", IDENTITY]
    command += ["--password", PASSWORD, "--state-dir", str(folder / "state"), "--control", "127.0.0.1:0"]
    for setting in settings:
        command += ["--set", setting]
    with open(log or "/dev/null", "wb") as errors:  # noqa: ASYNC230, PTH123 - before anything runs
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                if line.startswith(b"bench ready control="):
                    break
            else:
                raise OSError(f"the bench ended with exit code {await process.wait()}; see --log FILE")
        yield BenchRig(line.decode().strip().partition("control=")[2], csms)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
