"""An energy management system on the bench that limits the station through a broker: a real Mosquitto on loopback.

It knows the topics and the payloads from the station's own page, and nothing else of the agent. Without a broker on
this machine it says so when it is asked for something.
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.bench.child import die_with_parent
from drivers.bench.refusals import InTheWay, Unusable

if TYPE_CHECKING:
    import aiomqtt

BEAT = 1.0
"""Seconds from one heartbeat to the next."""
TTL, AGAIN = 60.0, 20.0
"""Seconds that a limit lasts, and after which it is said again."""
PATIENCE = 5.0
"""Seconds for which the broker may be late."""
RETRY = 0.2
VOLTS, PHASES = 230.0, 3
NO_BROKER = "there is no MQTT broker on this machine: apt-get install mosquitto"

_log = logging.getLogger(__name__)
_wire = logging.getLogger(f"{__name__}.client")
_wire.setLevel(logging.CRITICAL)


def broker() -> str | None:
    """Where the Mosquitto of this machine is, None without one."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """The broker as a child process, with its configuration in a folder. Anybody on this machine may use it."""

    def __init__(self, folder: Path, port: int, lines: tuple[str, ...] = ("allow_anonymous true",)) -> None:
        self._folder, self.port, self._lines = folder, port, lines
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it takes connections. Raises InTheWay when it does not."""
        program = broker()
        if program is None:
            raise Unusable(NO_BROKER)
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "mosquitto.conf"
        # Persistence is off: what is retained ends with the broker. Without `user` it would drop root for an account
        # that may not read this folder.
        listening = (f"listener {self.port} 127.0.0.1", "persistence false", "user root", "log_dest stdout")
        file.write_text("\n".join((*listening, *self._lines)) + "\n", encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                program,
                "-c",
                str(file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                        writer.close()
                        return
                    if self._child.returncode is not None:
                        raise InTheWay(f"the MQTT broker ended at once: see {self._folder / 'mosquitto.log'}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await self.stop()
            raise InTheWay("the MQTT broker does not start") from None

    async def stop(self) -> None:
        """End it, gently at first."""
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


class MqttEms:
    """The EMS, and its broker. `start`, then `run` by itself until `close`."""

    def __init__(self, topic: str = "station", *, beat: float = BEAT) -> None:
        self._topic, self._beat = topic.strip("/"), beat
        self._limit: tuple[float, str] | None = None
        self._until: float | None = None
        self._spoken = False
        self._broker: Mosquitto | None = None
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.TimerHandle | None = None
        self.station_online: bool | None = None
        """What the station's own topic says, None before it says something."""

    @property
    def limit_w(self) -> float | None:
        """What it wants the station to draw at most, in W; None while it limits nothing."""
        if self._limit is None:
            return None
        value, unit = self._limit
        return value * VOLTS * PHASES if unit == "A" else value

    async def start(self, folder: Path) -> int | None:
        """Start broker and EMS in the background; returns the port that the broker will have, None without one."""
        if broker() is None:
            return None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._broker = Mosquitto(folder, port)
        self._tasks.append(asyncio.create_task(self._run(self._broker)))
        return port

    async def close(self) -> None:
        """End both."""
        self._stop_ending()
        for task in self._tasks:
            await _ended(task)
        self._tasks.clear()
        if self._broker is not None:
            await self._broker.stop()
            self._broker = None

    async def impose(self, limit: float, unit: str = "W", duration: float | None = None) -> None:
        """Limit the station to `limit` W in all, or A per phase, for `duration` s. Returns when the broker has it.

        Raises Unusable for what is no limit, or without a broker; InTheWay when the broker does not take it.
        """
        if unit not in ("A", "W"):
            raise Unusable("unit: expected W or A")
        if not math.isfinite(limit) or limit < 0:
            raise Unusable("limit: expected a number from 0")
        if duration is not None and not (math.isfinite(duration) and duration > 0):
            raise Unusable("duration: expected seconds, more than 0")
        await self._want((limit, unit), duration)

    async def release(self) -> None:
        """Limit nothing any more. Raises as `impose`."""
        await self._want(None, None)

    async def _want(self, limit: tuple[float, str] | None, duration: float | None) -> None:
        from aiomqtt import MqttError

        if self._broker is None:
            raise Unusable(NO_BROKER)
        self._stop_ending()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connected.wait()
                self._limit, self._spoken = limit, True
                self._until = None if duration is None else loop.time() + duration
                if duration is not None:
                    self._ending = loop.call_later(duration, self._over)
                await self._say()
        except (TimeoutError, MqttError) as error:
            raise InTheWay("the MQTT broker does not answer") from error

    def _over(self) -> None:
        """The duration is over; the limit ends by itself at the station, of which its ttl told."""
        self._ending, self._limit, self._until = None, None, None

    def _stop_ending(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    async def _run(self, mosquitto: Mosquitto) -> None:
        from aiomqtt import Client, MqttError

        try:
            await mosquitto.start()
        except (InTheWay, Unusable) as error:
            _log.error("%s", error)
            return
        while True:
            with contextlib.suppress(MqttError):
                async with Client("127.0.0.1", mosquitto.port, logger=_wire, timeout=PATIENCE) as client:
                    self._client = client
                    await client.subscribe(f"{self._topic}/online", qos=1)
                    self._connected.set()
                    beating = asyncio.create_task(self._beat_on(client))
                    try:
                        await self._listen(client)
                    finally:
                        self._connected.clear()
                        await _ended(beating)
            await asyncio.sleep(RETRY)

    async def _listen(self, client: "aiomqtt.Client") -> None:
        """A station that comes (back) is told at once what holds."""
        async for message in client.messages:
            self.station_online = message.payload == b"true"
            if self.station_online:
                await self._say()

    async def _beat_on(self, client: "aiomqtt.Client") -> None:
        loop = asyncio.get_running_loop()
        said = loop.time()
        while True:
            await client.publish(f"{self._topic}/heartbeat", json.dumps({"master": "bench"}))
            if self._limit is not None and loop.time() - said >= AGAIN:
                said = loop.time()
                await self._say()
            await asyncio.sleep(self._beat)

    async def _say(self) -> None:
        assert self._client is not None
        said: dict[str, Any] = {"master": "bench"}
        if self._spoken:
            # Without one until it has something to say: a station with a wrong clock shall not mind that it is there.
            said["ts"] = datetime.now(UTC).isoformat()
        if self._limit is None:
            said["release"] = True
        else:
            value, unit = self._limit
            left = TTL if self._until is None else max(0.05, self._until - asyncio.get_running_loop().time())
            said |= {"limit": value, "unit": unit, "ttl": left}
        await self._client.publish(f"{self._topic}/limit", json.dumps(said), qos=1)


async def _ended(task: "asyncio.Task[None]") -> None:
    """Cancel it until it is over: wait_for, which the library uses, may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
    if not task.cancelled():
        task.exception()
