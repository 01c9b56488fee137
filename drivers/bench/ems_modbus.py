"""An energy management system on the bench: a Modbus TCP client of the station that limits it.

It knows the few registers that it writes by itself, from the station's own page, and nothing else of the agent.
"""

import asyncio
import contextlib
import math
import random
import struct
from collections.abc import Callable

from drivers.bench.refusals import InTheWay, Unusable

STATION = 255
LIMIT_A, LIMIT_W, HEARTBEAT = 200, 202, 204
RELEASE = 0xFFFF
TENTHS = 10
"""The register of a limit in A counts tenths."""

BEAT = 1.0
"""Seconds from one heartbeat to the next."""
LATE = 15.0
"""Seconds between the heartbeats of an EMS that is slow."""
TIMEOUT = 1.0
RETRY = 0.1
"""Seconds after which a connection that was refused or lost is tried again."""
VOLTS, PHASES = 230.0, 3

_WRITE_ONE, _WRITE_MANY = 6, 16
_HEADER = struct.Struct(">HHHB")
_NOISE = random.Random(5)  # the same noise in each run


class _Refused(Exception):
    """The station answered with a Modbus exception; `code` is its number."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the station answered exception {code}")
        self.code = code


class ModbusEms:
    """The EMS that reaches the station at `host` and `port`. `run` is its life; the rest is what it is told.

    `said` hears of each limit that the station acknowledged, in W, None for a release.
    """

    faults = frozenset({"offline", "garbage", "slow"})

    def __init__(
        self,
        host: str,
        port: int,
        *,
        beat: float = BEAT,
        late: float = LATE,
        said: Callable[[float | None], None] = lambda _: None,
    ) -> None:
        self._host, self._port, self._beat, self._late, self._said = host, port, beat, late, said
        self._limit: tuple[float, str] | None = None
        self._fault = "none"
        self._told = False
        self._awake = asyncio.Event()
        self._answer: asyncio.Future[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._transaction = 0
        self.connected = False

    @property
    def limit_w(self) -> float | None:
        """What it wants the station to draw at most, in W; None while it limits nothing."""
        if self._limit is None:
            return None
        value, unit = self._limit
        return value * VOLTS * PHASES if unit == "A" else value

    @property
    def fault(self) -> str:
        return self._fault

    def set_fault(self, kind: str) -> None:
        """One of `faults`, or "none". Raises Unusable for what an EMS cannot have."""
        if kind != "none" and kind not in self.faults:
            raise Unusable(f"an EMS cannot have the fault {kind!r}")
        self._fault = kind
        self._told = False
        self._wait_no_more()
        self._awake.set()

    async def impose(self, limit: float, unit: str = "W", duration: float | None = None) -> None:
        """Limit the station to `limit` W in all, or A per phase; released again after `duration` s by the EMS itself.

        Returns when the station has taken it; while it cannot be reached at once: it is told as soon as it can be.
        Raises Unusable for what is no limit, InTheWay when the station refuses.
        """
        if unit not in ("A", "W"):
            raise Unusable("unit: expected W or A")
        most = 6553.4 if unit == "A" else 2.0**32 - 2
        if not math.isfinite(limit) or not 0 <= limit <= most:
            raise Unusable(f"limit: expected a number from 0 to {most:.0f}")
        if duration is not None and not (math.isfinite(duration) and duration > 0):
            raise Unusable("duration: expected seconds, more than 0")
        await self._want((limit, unit))
        if duration is not None:
            self._ending = asyncio.get_running_loop().call_later(duration, self._over)

    async def release(self) -> None:
        """Limit nothing any more. Raises InTheWay when the station refuses."""
        await self._want(None)

    async def run(self) -> None:
        """Live until cancelled: connect, tell what holds, give a sign of life each second, and again."""
        try:
            while True:
                if self._fault == "offline":
                    await self._sleep(None)
                    continue
                # A station that is not there, falls silent, or hangs up: it is called again.
                with contextlib.suppress(OSError, EOFError, TimeoutError):
                    await self._call()
                self.connected, self._told = False, False
                self._wait_no_more()
                await asyncio.sleep(self._beat if self._fault == "garbage" else RETRY)
        finally:
            self.connected = False
            self._wait_no_more()
            self._stop_ending()

    async def _want(self, limit: tuple[float, str] | None) -> None:
        self._stop_ending()
        before, self._limit, self._told = self._limit, limit, False
        self._wait_no_more()
        self._awake.set()
        if not self.connected or self._fault != "none":
            return
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await self._answer
        except _Refused as error:
            self._limit = before
            raise InTheWay(str(error)) from error

    def _wait_no_more(self) -> None:
        """Who waits for the station's answer goes on: there will be none, or a newer one."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _over(self) -> None:
        self._ending, self._limit, self._told = None, None, False
        self._awake.set()

    def _stop_ending(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    async def _call(self) -> None:
        """One connection, until it is lost or the EMS goes offline."""
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            self.connected = True
            while self._fault != "offline":
                self._awake.clear()
                if self._fault == "garbage":
                    writer.write(_NOISE.randbytes(_NOISE.randint(12, 60)))
                    await writer.drain()
                else:
                    await self._beat_once(reader, writer)
                    if not self._told:
                        await self._tell(reader, writer)
                if self._fault == "slow":
                    await self._dawdle()
                else:
                    await self._sleep(self._beat)
        finally:
            writer.close()

    async def _beat_once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(_Refused):  # the station listens to somebody else: it goes on all the same
            await self._write(reader, writer, HEARTBEAT, (self._transaction & 0xFFFF,))

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit, answer = self._limit, self._answer
        # What was told until now may be superseded meanwhile: then it is told again.
        self._told = True
        try:
            if limit is None:
                await self._write(reader, writer, LIMIT_A, (RELEASE,))
            elif limit[1] == "A":
                await self._write(reader, writer, LIMIT_A, (math.floor(limit[0] * TENTHS + 1e-9),))
            else:
                watts = math.floor(limit[0])
                await self._write(reader, writer, LIMIT_W, (watts >> 16, watts & 0xFFFF))
        except _Refused as error:
            if answer is not None and not answer.done():
                answer.set_exception(error)
            else:
                self._told = False  # nobody waits: tried again with the next heartbeat
            return
        self._said(self.limit_w)
        if answer is not None and not answer.done():
            answer.set_result(None)

    async def _write(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: int, words: tuple[int, ...]
    ) -> None:
        """Raises _Refused, and OSError, EOFError or TimeoutError when the connection is no good any more."""
        self._transaction = (self._transaction + 1) & 0xFFFF
        if len(words) == 1:
            body = struct.pack(">BHH", _WRITE_ONE, address, words[0])
        else:
            count = len(words)
            body = struct.pack(f">BHHB{count}H", _WRITE_MANY, address, count, 2 * count, *words)
        writer.write(_HEADER.pack(self._transaction, 0, 1 + len(body), STATION) + body)
        async with asyncio.timeout(TIMEOUT):
            transaction, _, length, _ = _HEADER.unpack(await reader.readexactly(_HEADER.size))
            answer = await reader.readexactly(length - 1)
        if transaction != self._transaction:
            raise ConnectionError("an answer to something else")
        if answer[0] & 0x80:
            raise _Refused(answer[1])

    async def _dawdle(self) -> None:
        """Until a slow EMS gets round to it; what it was told meanwhile waits."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._late
        while self._fault == "slow" and loop.time() < end:
            await self._sleep(end - loop.time())

    async def _sleep(self, seconds: float | None) -> None:
        """Until somebody says something new, or `seconds` have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        self._awake.clear()
