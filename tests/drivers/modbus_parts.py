"""Parts for the Modbus tests: a sink that can be waited for, real pymodbus servers, ptys, a hand-made RTU slave."""

import asyncio
import contextlib
import os
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pymodbus.framer import FramerRTU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import DriverError, Quality, Reading
from drivers.modbus import ModbusBus, open_bus
from drivers.settings import ModbusProfile, ModbusRtuSettings, ModbusTcpSettings, ProfileDevice

PROFILES = Path(__file__).parents[2] / "boards" / "profiles"
PATIENCE = 20.0


def load_profile(name: str) -> ModbusProfile:
    return ModbusProfile.model_validate(yaml.safe_load((PROFILES / f"{name}.yaml").read_text()))


def profile(points: Mapping[str, Mapping[str, Any]], **more: Any) -> ModbusProfile:
    """A profile for a test, with its points as a YAML file would have them."""
    head = {"schema": 1, "kind": "modbus", "vendor": "Test", "model": "Test", "source": "the test", "poll": "50ms"}
    return ModbusProfile.model_validate({**head, **more, "points": points})


class Sunk:
    """A sink that remembers all readings."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, Reading]] = []
        self.last: dict[str, Reading] = {}
        self._changed = asyncio.Event()

    def __call__(self, device: str, point: str, reading: Reading) -> None:
        self.log.append((device, point, reading))
        self.last[f"{device}.{point}"] = reading
        self._changed.set()

    def values(self, key: str) -> list[Any]:
        return [r.value for d, p, r in self.log if f"{d}.{p}" == key and r.quality is Quality.GOOD]

    def good(self, key: str) -> bool:
        return key in self.last and self.last[key].quality is Quality.GOOD

    def bad(self, key: str) -> bool:
        return key in self.last and self.last[key].quality is Quality.BAD

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait until readings make `condition` true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def make_bus(
    settings: ModbusTcpSettings | ModbusRtuSettings,
    devices: Mapping[str, tuple[int, ModbusProfile]],
    monotonic: Callable[[], float] = time.monotonic,
) -> ModbusBus:
    """A bus with devices given as name → (unit, profile)."""
    return open_bus(
        "bus",
        settings,
        {name: ProfileDevice(bus="bus", profile=name, unit=unit) for name, (unit, _) in devices.items()},
        {name: profile for name, (_, profile) in devices.items()},
        monotonic,
    )


@contextlib.asynccontextmanager
async def running(bus: ModbusBus, sink: Sunk) -> AsyncIterator[asyncio.Task[None]]:
    """`bus` runs inside; the task is handed over for tests in which it ends by itself."""
    task = asyncio.create_task(bus.run(sink))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, DriverError):
            await task


def rtu(port: str, **more: Any) -> ModbusRtuSettings:
    more = {"timeout": "150ms", "quiet": "200ms", **more}
    return ModbusRtuSettings.model_validate({"driver": "modbus-rtu", "port": port, **more})


def tcp(port: int, **more: Any) -> ModbusTcpSettings:
    more = {"timeout": "300ms", **more}
    return ModbusTcpSettings.model_validate({"driver": "modbus-tcp", "host": "127.0.0.1", "port": port, **more})


# --- real servers -------------------------------------------------------------------------------------------


def registers(words: Mapping[int, int], fill: int = 0) -> list[SimData]:
    """Registers from the lowest to the highest address, in blocks where they are far apart; gaps read `fill`."""
    blocks: list[SimData] = []
    run: list[int] = []
    start = previous = -1
    for at in sorted(words):
        if run and at - previous > 200:
            blocks.append(SimData(start, values=run, datatype=DataType.REGISTERS))
            run = []
        if not run:
            start = at
        else:
            run.extend([fill] * (at - previous - 1))
        run.append(words[at])
        previous = at
    blocks.append(SimData(start, values=run, datatype=DataType.REGISTERS))
    return blocks


def device(
    unit: int,
    *,
    holding: Mapping[int, int] | None = None,
    input: Mapping[int, int] | None = None,
    coils: Sequence[bool] = (False,) * 16,
    discrete: Sequence[bool] = (False,) * 16,
    action: Any = None,
) -> SimDevice:
    """A simulated device of pymodbus, with its four tables apart."""
    return SimDevice(
        id=unit,
        simdata=(
            [SimData(0, values=list(coils), datatype=DataType.BITS)],
            [SimData(0, values=list(discrete), datatype=DataType.BITS)],
            registers(holding or {0: 0}),
            registers(input or {0: 0}),
        ),
        action=action,
    )


@contextlib.asynccontextmanager
async def tcp_server(*devices: SimDevice, port: int = 0) -> AsyncIterator[int]:
    """pymodbus's own server on a port of its own, whose number is handed over; see `slave_on_pty` for silence."""
    server = ModbusTcpServer(list(devices), address=("127.0.0.1", port))
    await server.listen()
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def rtu_server(*devices: SimDevice) -> AsyncIterator[str]:
    """pymodbus's own serial server on one end of a line; the path of the other end is handed over."""
    with pty_end() as (near, port), pty_end() as (far, server_port):
        loop = asyncio.get_running_loop()
        loop.add_reader(near, lambda: os.write(far, os.read(near, 1024)))
        loop.add_reader(far, lambda: os.write(near, os.read(far, 1024)))
        server = ModbusSerialServer(list(devices), port=server_port)
        await server.listen()
        try:
            yield port
        finally:
            await server.shutdown()
            loop.remove_reader(near)
            loop.remove_reader(far)


@contextlib.contextmanager
def pty_end() -> Iterator[tuple[int, str]]:
    """A serial line: our end as a file descriptor, the other as a path."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    try:
        yield ours, os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


# --- a slave made by hand -----------------------------------------------------------------------------------

Answer = list[tuple[float, bytes]]
"""What goes on the line after a request: (seconds from the request, bytes)."""


def framed(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def words_reply(unit: int, code: int, words: Sequence[int]) -> bytes:
    return framed(unit, bytes([code, 2 * len(words)]) + b"".join(w.to_bytes(2, "big") for w in words))


class Slave:
    """Answers requests on our end of a pty with whatever `answer` says, right or wrong."""

    def __init__(self, fd: int, answer: Callable[[int, bytes], Answer]) -> None:
        self.requests: list[tuple[float, int, bytes]] = []
        self._fd, self._answer = fd, answer
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._loop.add_reader(fd, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        for timer in self._timers:
            timer.cancel()

    def say(self, data: bytes) -> None:
        os.write(self._fd, data)

    def _readable(self) -> None:
        self._buffer += os.read(self._fd, 4096)
        while len(self._buffer) >= 8:
            length = 9 + self._buffer[6] if self._buffer[1] in (15, 16) else 8
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            assert framed(frame[0], frame[1:-2]) == frame, "the master sent a broken frame"
            self.requests.append((time.monotonic(), frame[0], frame[1:-2]))
            for delay, data in self._answer(frame[0], frame[1:-2]):
                if delay:
                    self._timers.append(self._loop.call_later(delay, self.say, data))
                else:
                    self.say(data)


@contextlib.asynccontextmanager
async def slave_on_pty(answer: Callable[[int, bytes], Answer]) -> AsyncIterator[tuple[Slave, str]]:
    with pty_end() as (fd, port):
        slave = Slave(fd, answer)
        try:
            yield slave, port
        finally:
            slave.close()


def only_unit_1(unit: int, pdu: bytes) -> Answer:
    """Unit 1 answers, all others are silent."""
    return [(0, words_reply(unit, pdu[0], [7]))] if unit == 1 else []
