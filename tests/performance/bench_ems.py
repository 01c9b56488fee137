"""From an EMS's write of a limit until the charge controller's register says it, against bare Modbus.

    python tests/performance/bench_ems.py [--count 40]

The station runs on the bench, a car charges at EVSE 1. A pymodbus client writes ever lower limits, some in A, some in
W, each at a random moment; the bench's log tells when the charge controller's `offered_current` was written. In the
same run it writes and reads the same registers of a plain pymodbus server in a process of its own: two round trips,
as many as a limit needs on its way through the station. Goals: median at most 4 × the bare one, worst at most 250 ms.
Exits 1 if one is missed.
"""

import argparse
import asyncio
import logging
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from drivers.bench.bench import Bench  # noqa: E402
from drivers.bench.ev import EvSettings  # noqa: E402
from drivers.bench.log import Log  # noqa: E402

GOAL, WORST = 4.0, 0.25
CONTROLLER = "charger-1-1"
STATION, LIMIT_A, LIMIT_W, HEARTBEAT = 255, 200, 202, 204
VOLTS = 230
RELEASE = 0xFFFF
FIRST, LEAST = 16.0, 6.2
"""A per phase of the first limit, and below which the limits begin anew."""
CALM = 5.5
"""Seconds until a higher limit is at the plug."""


def plain_server(port: "multiprocessing.Queue[int]") -> None:
    """Registers, and nothing behind them."""
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # the client leaves without a word

    async def main() -> None:
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        words = [SimData(0, values=[0] * 256, datatype=DataType.REGISTERS)]
        server = ModbusTcpServer(SimDevice(id=STATION, simdata=(bits, bits, words, words)), address=("127.0.0.1", 0))
        await server.listen()
        port.put(server.transport.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def client(port: int) -> AsyncModbusTcpClient:
    one = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=3, retries=0)
    if not await one.connect():
        raise OSError(f"nobody listens on port {port}")
    return one


async def write(one: AsyncModbusTcpClient, amperes: float, unit: str) -> None:
    """A limit of the station for `amperes` per phase."""
    if unit == "A":
        answer = await one.write_register(LIMIT_A, round(10 * amperes), device_id=STATION)
    else:
        watts = round(3 * VOLTS * amperes)
        answer = await one.write_registers(LIMIT_W, [watts >> 16, watts & 0xFFFF], device_id=STATION)
    if answer.isError():
        raise OSError(f"refused: {answer}")


async def bare(one: AsyncModbusTcpClient, amperes: float, unit: str) -> float:
    started = time.perf_counter()
    await write(one, amperes, unit)
    await one.read_holding_registers(LIMIT_A, count=4, device_id=STATION)
    return time.perf_counter() - started


def lowered(log: Log, since: int, below: float) -> float | None:
    """When the controller was told an offer below so many A, after log entry `since`."""
    for entry in log.since(since):
        told = (entry["what"], entry.get("device"), entry.get("point")) == ("write", CONTROLLER, "offered_current")
        if told and entry["value"] < below:
            return float(entry["t"])
    return None


async def until_charging(bench: Bench) -> None:
    assert bench.csms is not None
    station = bench.csms.station(bench.identity)
    await bench.until_ready()
    await station.wait_for("StatusNotification", timeout=30)
    bench.world.places.connector(1, 1).plug(EvSettings())
    told = {"idToken": {"idToken": "BENCH", "type": "Central"}, "remoteStartId": 1, "evseId": 1}
    answer = await station.call("RequestStartTransaction", told)
    if answer["status"] != "Accepted":
        raise OSError(f"no charge: {answer}")


async def offered(bench: Bench, amperes: float) -> None:
    """Wait until the car is offered that much."""
    async with asyncio.timeout(30):
        while bench.world.places.connector(1, 1).duty < amperes:
            await asyncio.sleep(0.05)


async def beat(one: AsyncModbusTcpClient) -> None:
    while True:
        await one.write_register(HEARTBEAT, 1, device_id=STATION)
        await asyncio.sleep(1)


async def measure(count: int, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of the station, and of the plain server."""
    dice, ours, others = random.Random(1), list[float](), list[float]()
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(target=plain_server, args=(port,), daemon=True)
    server.start()
    bench = Bench("bench-ac", state_dir=folder / "state", agent_log=folder / "agent.log")
    await bench.start()
    try:
        bench.world.set_fault("ems", "offline")  # the bench's own: this one takes its place
        await until_charging(bench)
        ems, plain = await client(bench.rig.overlay["ems"]["modbus"]["port"]), await client(port.get(timeout=20))
        beating = asyncio.create_task(beat(ems))
        amperes = 0.0
        while len(ours) < count:
            if amperes - 0.4 < LEAST:
                amperes = FIRST
                await write(ems, amperes, "A")
                await offered(bench, amperes)
                await asyncio.sleep(CALM)
            await asyncio.sleep(dice.uniform(0.2, 0.5))
            amperes -= dice.uniform(0.2, 0.4)
            unit = dice.choice("AW")
            since, started = bench.world.log.next, time.monotonic()
            before = bench.world.places.connector(1, 1).duty
            await write(ems, amperes, unit)
            async with asyncio.timeout(5):
                while (at := lowered(bench.world.log, since, before)) is None:
                    await asyncio.sleep(0.002)
            ours.append(at - started)
            others.append(await bare(plain, amperes, unit))
        beating.cancel()
        for one in (ems, plain):
            one.close()
    finally:
        await bench.stop()
        server.kill()
    return ours, others


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, others = asyncio.run(measure(args.count, Path(folder)))
    median, plain = 1000 * statistics.median(ours), 1000 * statistics.median(others)
    print(
        f"{len(ours)} limits, EMS's write → controller's register: median {median:.1f} ms (goal ≤ {GOAL:g} × bare), "
        f"worst {1000 * max(ours):.1f} ms (goal ≤ {1000 * WORST:.0f} ms)"
    )
    print(f"bare write + read: median {plain:.1f} ms, worst {1000 * max(others):.1f} ms: {median / plain:.2f} ×")
    return 0 if median <= GOAL * plain and max(ours) <= WORST else 1


if __name__ == "__main__":
    sys.exit(main())
