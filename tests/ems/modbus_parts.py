"""Parts for the tests of the Modbus interface: a source and its server on a free port, a client, raw requests."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from pymodbus.client import AsyncModbusTcpClient

from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.limits import Limit
from agent.clock import SystemClock
from agent.ems.modbus_server import ModbusEmsServer
from agent.ems.telemetry import EvseTelemetry, Telemetry

FAILSAFE = FailsafeSettings(limit=4200.0, after=120.0, hold=7200.0, then="failsafe", start="failsafe")

EVSE_1 = EvseTelemetry(
    1, "C", True, True, True, 16.0, 16.0, 6.0, 32.0, (230.1, 229.9, 231.0), (15.9, 15.8, 15.91), 10950.0, 123456.7,
    812.4, 3, "04A1B2C3D4E5F6", "csms",
)  # fmt: skip
EVSE_2 = EvseTelemetry(2, "", False, False, True, None, None, 6.0, 32.0)


def telemetry() -> Telemetry:
    return Telemetry(10950.0, (15.9, 15.8, 15.91), 32.0, "modbus", (EVSE_1, EVSE_2))


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the condition may be anything
            await asyncio.sleep(0.005)


@dataclass
class Rig:
    """A source, its server, and each limit that the source told of the scopes at each change."""

    source: ExternalSource
    server: ModbusEmsServer
    clock: SystemClock
    seen: list[dict[int, float | None]] = field(default_factory=list)

    def limits(self) -> dict[int, Limit]:
        """By scope, the lower one where there are two."""
        return {limit.scope: limit for limit in reversed(self.source.limits(self.clock.monotonic()))}

    def value(self, scope: int) -> float | None:
        limit = self.limits().get(scope)
        return limit.value if limit else None


@contextlib.asynccontextmanager
async def serving(
    *,
    failsafe: FailsafeSettings = FAILSAFE,
    allow: Iterable[str] = ("127.0.0.1",),
    port: int = 0,
    idle: float = 300.0,
    most: int = 8,
) -> AsyncIterator[Rig]:
    clock = SystemClock()
    rig: Rig | None = None

    def changed() -> None:
        if rig is not None:
            rig.seen.append({scope: limit.value for scope, limit in rig.limits().items()})

    source = ExternalSource("modbus", kind="EMS", failsafe=failsafe, clock=clock, scopes=(0, 1, 2), changed=changed)
    server = ModbusEmsServer(
        source,
        listen="127.0.0.1",
        port=port,
        allow=allow,
        telemetry=telemetry,
        idle=idle,
        max_connections=most,
    )
    rig = Rig(source, server, clock)
    task = asyncio.create_task(server.run())
    try:
        await until(lambda: server.port is not None or task.done())
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def client(rig: Rig, source: str = "") -> AsyncIterator[AsyncModbusTcpClient]:
    """pymodbus's own client, from the local address `source`."""
    assert rig.server.port is not None
    one = AsyncModbusTcpClient(
        "127.0.0.1",
        port=rig.server.port,
        timeout=5,
        retries=0,
        source_address=(source, 0) if source else None,
    )
    assert await one.connect()
    try:
        yield one
    finally:
        one.close()


def one(address: int, value: int, unit: int = 255, transaction: int = 1) -> bytes:
    """The bytes of a write of one register."""
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, 6, address, value)


async def answers(reader: asyncio.StreamReader, count: int) -> list[tuple[int, bytes]]:
    """The next `count` answers as (transaction id, PDU)."""
    got = []
    for _ in range(count):
        transaction, _, length, _ = struct.unpack(">HHHB", await reader.readexactly(7))
        got.append((transaction, await reader.readexactly(length - 1)))
    return got
